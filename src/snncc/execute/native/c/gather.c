/* The channels of a pixel and a block that have events, lists of them over the taps of a row, the order of lists.
 *
 * In a list an event is the offset of its row of weights, in units of 8 bytes. A count of more than one stands in it as
 * often. There is room for whole vectors behind the end of whatever is listed. */
#define TURN 4                              /* events that are added before the loop asks for more */
#define WHOLE(n) (((n) + 63) / 64 * 64)

#if defined(__AVX512VBMI2__)
INLINE __m512i lanes(void)
{
    return _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42,
                           41, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
                           18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
}
#endif

/* The channels of counts z with one sign (1: negative); returns how many events there are. */
INLINE int gather_spikes(uint8_t *restrict channels, const int8_t *restrict z, const int block, const int levels,
                         const int sign)
{
    int n = 0;
#if defined(__AVX512VBMI2__)
    if (levels == 1) {
        const __mmask64 all = ~(__mmask64)0 >> (64 - block);
        const __m512i x = _mm512_maskz_loadu_epi8(all, z);
        const __mmask64 some = sign ? _mm512_movepi8_mask(x) : _mm512_cmpgt_epi8_mask(x, _mm512_setzero_si512());
        _mm512_storeu_si512(channels, _mm512_maskz_compress_epi8(some, lanes()));
        return __builtin_popcountll(some);
    }
#endif
    for (int c = 0; c < block; c++) {
        const int count = sign ? -z[c] : z[c];
        if (levels == 1) {
            channels[n] = (uint8_t)c;
            n += count > 0;
        } else
            for (int k = count; k > 0; k--)
                channels[n++] = (uint8_t)c;
    }
    return n;
}

/* Counts z with their values: times an amplitude per neuron, or as they are (0). */
INLINE int gather_scaled(uint8_t *restrict channels, real *restrict values, const int8_t *restrict z,
                         const real *restrict amplitude, const int block)
{
    int n = 0;
#if defined(__AVX512VBMI2__)
    if (sizeof(real) == 4) {
        const __mmask64 all = ~(__mmask64)0 >> (64 - block);
        const __m512i x = _mm512_maskz_loadu_epi8(all, z);
        const __mmask64 some = _mm512_test_epi8_mask(x, x);
        _mm512_storeu_si512(channels, _mm512_maskz_compress_epi8(some, lanes()));
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
        channels[n] = (uint8_t)c;
        values[n] = amplitude ? amplitude[c] * z[c] : z[c];
        n += z[c] != 0;
    }
    return n;
}

/* The entries of a series that are not zero, each with its value. */
INLINE int gather_values(uint8_t *restrict channels, real *restrict values, const real *restrict y, const int block)
{
    int n = 0;
#if defined(__AVX512VBMI2__)
    if (sizeof(real) == 4) {
        for (int c = 0; c < block; c += 16) {
            const __m512 x = _mm512_loadu_ps((const float *)y + c);
            const __mmask16 some = _mm512_test_epi32_mask(_mm512_castps_si512(x), _mm512_castps_si512(x));
            const __m512i channel = _mm512_add_epi32(_mm512_cvtepu8_epi32(_mm512_castsi512_si128(lanes())),
                                                     _mm512_set1_epi32(c));
            _mm_storeu_si128((__m128i *)(channels + n),
                             _mm512_cvtepi32_epi8(_mm512_maskz_compress_epi32(some, channel)));
            _mm512_storeu_ps((float *)values + n, _mm512_maskz_compress_ps(some, x));
            n += __builtin_popcount(some);
        }
        return n;
    }
#endif
    for (int c = 0; c < block; c++) {
        channels[n] = (uint8_t)c;
        values[n] = y[c];
        n += y[c] != 0;
    }
    return n;
}

/* A pixel's channels appended to the list of a row of taps, as offsets of the rows from row `base` on. */
INLINE void append(uint16_t *restrict events, const uint8_t *restrict channels, int n, const int most, int base,
                   const int shift)
{
#if defined(__AVX512BW__)
    const __m512i offset = _mm512_set1_epi16((short)base);
    for (int k = 0; k == 0 || (k < most && k < n); k += 32) {
        const __m512i channel = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(channels + k)));
        _mm512_storeu_si512(events + k, _mm512_slli_epi16(_mm512_add_epi16(channel, offset), shift));
    }
#else
    (void)most;
    for (int k = 0; k < n; k++)
        events[k] = (uint16_t)((base + channels[k]) << shift);
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

/* `n` codes that add nothing, or a few more. */
INLINE void fill(uint16_t *events, uint16_t nothing, int n)
{
    for (int k = 0; k < n; k += 32)
        for (int j = 0; j < 32; j++)
            events[k + j] = nothing;
}

/* place: the numbers 0..count-1 in the order of their turns, which are at most `most`. */
INLINE void in_order(uint16_t *restrict place, const uint16_t *restrict turns, int count, int most)
{
    uint16_t begin[most + 2];
    memset(begin, 0, sizeof begin);
    for (int k = 0; k < count; k++)
        begin[turns[k] + 1]++;
    for (int k = 1; k <= most; k++)
        begin[k] = (uint16_t)(begin[k] + begin[k - 1]);
    for (int k = 0; k < count; k++)
        place[begin[turns[k]]++] = (uint16_t)k;
}
