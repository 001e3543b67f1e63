/* Lists of events of a pixel and a block of input channels, and their concatenation over the taps of a row.
 *
 * An event is the offset in bytes of its row of weights; positive spikes of a tap have the rows 0..block-1, negative
 * ones (whose weights are negated) those behind. A count of more than one stands in the list as often. Lists have room
 * for whole vectors behind their end. */
#if defined(__AVX512VBMI2__)
INLINE __m512i lanes(void)
{
    return _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42,
                           41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
                           18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}

INLINE void store_codes(uint16_t *restrict events, __m512i code, const int block, const int shift)
{
    const __m512i low = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(code));
    _mm512_storeu_si512(events, _mm512_slli_epi16(low, shift));
    if (block > 32) {
        const __m512i high = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(code, 1));
        _mm512_storeu_si512(events + 32, _mm512_slli_epi16(high, shift));
    }
}
#endif

/* Counts z of -1, 0, 1 (more: `levels`); returns how many events there are. */
INLINE int gather_spikes(uint16_t *restrict events, const int8_t *restrict z, const int block, const int levels,
                         const int shift)
{
    int n = 0;
#if defined(__AVX512VBMI2__)
    if (levels == 1) {
        const __mmask64 all = ~(__mmask64)0 >> (64 - block);
        const __m512i x = _mm512_maskz_loadu_epi8(all, z);
        const __mmask64 some = _mm512_test_epi8_mask(x, x), below = _mm512_movepi8_mask(x);
        const __m512i code = _mm512_mask_add_epi8(lanes(), below, lanes(), _mm512_set1_epi8((char)block));
        store_codes(events, _mm512_maskz_compress_epi8(some, code), block, shift);
        return __builtin_popcountll(some);
    }
#endif
    for (int c = 0; c < block; c++) {
        const int code = (c + (z[c] < 0 ? block : 0)) << shift;
        if (levels == 1) {
            events[n] = (uint16_t)code;
            n += z[c] != 0;
        } else
            for (int k = z[c] < 0 ? -z[c] : z[c]; k > 0; k--)
                events[n++] = (uint16_t)code;
    }
    return n;
}

/* Counts z with their values: times an amplitude per neuron, or as they are (0). */
INLINE int gather_scaled(uint16_t *restrict events, real *restrict values, const int8_t *restrict z,
                         const real *restrict amplitude, const int block, const int shift)
{
    int n = 0;
#if defined(__AVX512VBMI2__)
    if (sizeof(real) == 4) {
        const __mmask64 all = ~(__mmask64)0 >> (64 - block);
        const __m512i x = _mm512_maskz_loadu_epi8(all, z);
        const __mmask64 some = _mm512_test_epi8_mask(x, x);
        store_codes(events, _mm512_maskz_compress_epi8(some, lanes()), block, shift);
        for (int c = 0; c < block; c += 16) {
            const __m512 count = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(z + c))));
            const __m512 y = amplitude ? _mm512_mul_ps(count, _mm512_loadu_ps((const float *)amplitude + c)) : count;
            const __mmask16 here = (__mmask16)(some >> c);
            _mm512_storeu_ps((float *)values + n, _mm512_maskz_compress_ps(here, y));
            n += __builtin_popcount(here);
        }
        return n;
    }
#endif
    for (int c = 0; c < block; c++) {
        events[n] = (uint16_t)(c << shift);
        values[n] = amplitude ? amplitude[c] * z[c] : z[c];
        n += z[c] != 0;
    }
    return n;
}

/* The entries of a series that are not zero, each with its value. */
INLINE int gather_values(uint16_t *restrict events, real *restrict values, const real *restrict y, const int block,
                         const int shift)
{
    int n = 0;
#if defined(__AVX512VBMI2__)
    if (sizeof(real) == 4) {
        for (int c = 0; c < block; c += 16) {
            const __m512 x = _mm512_loadu_ps((const float *)y + c);
            const __mmask16 some = _mm512_test_epi32_mask(_mm512_castps_si512(x), _mm512_castps_si512(x));
            const __m512i code = _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(lanes())),
                                                  _mm512_set1_epi32(c));
            const __m512i at = _mm512_slli_epi32(code, shift);
            _mm256_storeu_si256((__m256i *)(events + n), _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(some, at)));
            _mm512_storeu_ps((float *)values + n, _mm512_maskz_compress_ps(some, x));
            n += __builtin_popcount(some);
        }
        return n;
    }
#endif
    for (int c = 0; c < block; c++) {
        events[n] = (uint16_t)(c << shift);
        values[n] = y[c];
        n += y[c] != 0;
    }
    return n;
}

/* A pixel's list appended to the list of a row of taps, every offset moved by `base`. */
INLINE void append(uint16_t *restrict events, const uint16_t *restrict from, int n, const int most, int base)
{
#if defined(__AVX512BW__)
    (void)n;
    const __m512i offset = _mm512_set1_epi16((short)base);
    for (int k = 0; k < most; k += 32)
        _mm512_storeu_si512(events + k, _mm512_add_epi16(_mm512_loadu_si512(from + k), offset));
#else
    (void)most;
    for (int k = 0; k < n; k++)
        events[k] = (uint16_t)(from[k] + base);
#endif
}

INLINE void append_values(real *restrict values, const real *restrict from, int n, const int most)
{
#if defined(__AVX512BW__)
    (void)n;
    memcpy(values, from, (size_t)most * sizeof *values);
#else
    (void)most;
    memcpy(values, from, (size_t)n * sizeof *values);
#endif
}
