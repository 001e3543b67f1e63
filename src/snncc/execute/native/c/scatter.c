/* acc += weight * events, from the side of the events: each is listed once and added to all sums that it reaches.
 *
 * Text of a kernel: NAME, LIST, GATHER, ADD, LINE, ACC, SUM, WIDE, OB, SUB, VECTOR, REGISTERS, KY, KX, SY, SX (strides of one
 * or two), SOURCE, BLOCK are defined before it. Along a line of input pixels the sums of the output pixels that one reaches,
 * SUB channels of each, are in registers: a step to the right loads a column of them and stores another. The weights of a
 * block of input channels, all taps and SUB outputs stay in the first cache while the tile is summed.
 * Order of a sum: blocks of input channels, then rows of input pixels, columns, channels, each ascending.
 * Shapes: acc [row][step, image, column: c.pitch][OB]; weight [OB / SUB][in block][channel][ky][kx][SUB].
 * Sums that need more bits than ACC are kept in SUM: what one line adds to a pixel never needs them.
 * SOURCE: 0 spikes, 1 spikes with values, 2 a series. */

/* The events of a pixel and a block: offsets of their weights in units of 32 bytes, and values; returns how many. */
INLINE int GATHER(uint16_t *restrict row, ACC *restrict value, const void *restrict source,
                  const real *restrict amplitude)
{
    enum { APART = KY * KX * SUB * sizeof(ACC) / 32 };
    int n = 0;
#if defined(__AVX512VBMI2__) && defined(__AVX512VL__)
    if (sizeof(ACC) == 2 || (sizeof(ACC) == 4 && (ACC)0.5 != 0)) {
        enum { HALVES = BLOCK == 16 ? 1 : 2 };
        for (int c = 0; c < BLOCK; c += 32) {
            const __m512i channel = _mm512_add_epi16(_mm512_cvtepi8_epi16(_mm512_castsi512_si256(lanes())),
                                                     _mm512_set1_epi16((short)c));
            const __m512i offset = _mm512_mullo_epi16(channel, _mm512_set1_epi16(APART));
            const __mmask32 all = ~(__mmask32)0 >> (32 - 16 * HALVES);
            const __m256i z = SOURCE == 2 ? _mm256_setzero_si256()
                                          : _mm256_maskz_loadu_epi8(all, (const int8_t *)source + c);
            __mmask32 some = _mm256_test_epi8_mask(z, z);
            __m512 y[HALVES];
            for (int h = 0; h < HALVES && sizeof(ACC) == 4; h++) {
                if (SOURCE == 2) {
                    y[h] = _mm512_loadu_ps((const float *)source + c + 16 * h);
                    const __m512i bits = _mm512_castps_si512(y[h]);
                    some |= (__mmask32)_mm512_test_epi32_mask(bits, bits) << 16 * h;
                    continue;
                }
                y[h] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(h ? _mm256_extracti128_si256(z, 1) : _mm256_castsi256_si128(z)));
                if (amplitude)
                    y[h] = _mm512_mul_ps(y[h], _mm512_loadu_ps((const float *)amplitude + c + 16 * h));
            }
            _mm512_storeu_si512(row + n, _mm512_maskz_compress_epi16(some, offset));
            if (sizeof(ACC) == 2)
                _mm512_storeu_si512(value + n, _mm512_maskz_compress_epi16(some, _mm512_cvtepi8_epi16(z)));
            for (int h = 0; h < HALVES && sizeof(ACC) == 4; h++) {
                const __mmask16 here = (__mmask16)(some >> 16 * h);
                const int before = h ? __builtin_popcount(some & 0xffff) : 0;
                _mm512_storeu_ps((float *)value + n + before, _mm512_maskz_compress_ps(here, y[h]));
            }
            n += __builtin_popcount(some);
        }
        return n;
    }
#endif
    for (int c = 0; c < BLOCK; c++) {
#if SOURCE == 2
        const ACC y = ((const real *)source)[c];
#else
        const int8_t z = ((const int8_t *)source)[c];
        const ACC y = amplitude ? (ACC)(amplitude[c] * z) : (ACC)z;
#endif
        row[n] = (uint16_t)(c * APART);
        value[n] = y;
        n += y != 0;
    }
    return n;
}

/* The part of the input that a tile reads. */
#define PART \
    const int top = tile.y0 * SY - c.pad_y, row0 = top > 0 ? top : 0; \
    const int row1 = (int)smaller((tile.y1 - 1) * SY - c.pad_y + KY, c.in_height); \
    const int left = tile.x0 * SX - c.pad_x, x0 = left > 0 ? left : 0; \
    const int x1 = (int)smaller((tile.x1 - 1) * SX - c.pad_x + KX, c.in_width); \
    const int held = (int)(tile.i1 - tile.i0), places = (int)(tile.t1 - tile.t0) * held

/* The events of the tile, [in block][input row][step, image][input column]; `first` says where each pixel's begin. */
static __attribute__((noinline)) void LIST(struct events at, const void *restrict source, const real *restrict amplitude,
                                           const struct tile tile, int64_t images, const struct conv c)
{
    PART;
    int32_t *first = at.first, filled = 0;
    for (int block = 0; block < c.in_blocks; block++)
        for (int yy = row0; yy < row1; yy++)
            for (int k = 0; k < places; k++) {
                const int64_t sample = (tile.t0 + k / held) * images + tile.i0 + k % held;
                for (int xx = x0; xx < x1; xx++) {
                    const int64_t local = ((int64_t)yy * c.in_width + xx) * c.in_blocks * BLOCK + block * BLOCK;
                    const int64_t from = sample * c.in_height * c.in_width * c.in_blocks * BLOCK + local;
                    *first++ = filled;
                    filled += GATHER(at.row + filled, (ACC *)at.value + filled,
                                     SOURCE == 2 ? (const void *)((const real *)source + from)
                                                 : (const void *)((const int8_t *)source + from),
                                     amplitude ? amplitude + local : 0);
                }
            }
    *first = filled;
}

/* Outputs that an input pixel reaches: rows, columns. */
#define DOWN ((KY + SY - 1) / SY)
#define ACROSS ((KX + SX - 1) / SX)

/* The events of a pixel: sum += weight * value, for so many rows of taps and those columns of them that lie SX apart. */
INLINE void ADD(VECTOR sum[DOWN][ACROSS][REGISTERS], const int32_t *restrict first, const struct events at,
                const ACC *restrict weight, const int rows, const int columns)
{
    for (int32_t e = first[0]; e < first[1]; e++) {
        const VECTOR *w = (const VECTOR *)((const char *)weight + 32 * (int64_t)at.row[e]);
        const VECTOR y = (VECTOR){0} + ((const ACC *)at.value)[e];
        for (int j = 0; j < rows; j++)
            for (int i = 0; i < columns; i++)
                for (int k = 0; k < REGISTERS; k++)
                    sum[j][i][k] += y * w[(j * SY * KX + i * SX) * REGISTERS + k];
    }
}

/* One line of `count` input pixels: acc is the row of its first row of taps and output column 0, the next row's lies `above`
 * before it; the first pixel reaches `column`, as the first one that does or the second (`phase`). */
INLINE void LINE(SUM *restrict acc, const int64_t above, int column, int phase, const int columns, const int count,
                 const int32_t *restrict first, const struct events at, const ACC *restrict weight, const int rows)
{
    VECTOR sum[DOWN][ACROSS][REGISTERS];
#define SUMS(i, o) for (int j = 0; j < rows; j++) for (int k = 0; k < REGISTERS; k++) { \
        VECTOR *const s = &sum[j][i][k]; \
        SUM *const to = acc - j * above + (int64_t)(o) * OB + k * (SUB / REGISTERS);
#define LOAD(i, o) SUMS(i, o) *s = WIDE || (o) < 0 || (o) >= columns ? (VECTOR){0} : *(VECTOR *)to; }
#if WIDE
#define STORE(i, o) if ((o) >= 0 && (o) < columns) { SUMS(i, o) \
        for (int n = 0; n < SUB / REGISTERS; n++) to[n] += (*s)[n]; } }
#else
#define STORE(i, o) if ((o) >= 0 && (o) < columns) { SUMS(i, o) *(VECTOR *)to = *s; } }
#endif
    for (int i = 1; i < ACROSS; i++)
        LOAD(i - 1, column - i)
    for (const int32_t *end = first + count; first < end; column++, phase = 0) {
        for (int j = 0; j < rows; j++)
            for (int i = ACROSS - 1; i > 0; i--)
                for (int k = 0; k < REGISTERS; k++)
                    sum[j][i][k] = sum[j][i - 1][k];
        LOAD(0, column)
        if (phase == 0)
            ADD(sum, first++, at, weight, rows, ACROSS);
        if (SX == 2 && first < end)
            ADD(sum, first++, at, weight + SUB, rows, KX / 2);
        STORE(ACROSS - 1, column - ACROSS + 1)
    }
    for (int i = ACROSS - 2; i >= 0; i--)
        STORE(i, column - 1 - i)
#undef SUMS
#undef LOAD
#undef STORE
}

/* One block of output channels of the tile, from its events. */
static __attribute__((noinline)) void NAME(SUM *restrict acc, const struct events at, const ACC *restrict weight,
                                           const struct tile tile, const struct conv c)
{
    PART;
    const int columns = tile.x1 - tile.x0, looked = x1 - x0, column = (x0 - left) / SX, phase = (x0 - left) % SX;
    const int height = tile.y1 - tile.y0;
    const int64_t above = (int64_t)c.pitch * OB;
    for (int sub = 0; sub < OB; sub += SUB) {
        const int32_t *first = at.first;
        for (int block = 0; block < c.in_blocks; block++, weight += BLOCK * KY * KX * SUB)
            for (int yy = row0; yy < row1; yy++, first += places * looked) {
                const int lowest = yy - top, beyond = lowest - (height - 1) * SY; /* taps from `beyond` to `lowest` */
                int ky = beyond > 0 ? beyond : lowest % SY;
                for (int left_over = (smaller(lowest, KY - 1) - ky + SY) / SY, rows; left_over > 0; left_over -= rows) {
                    rows = left_over < DOWN ? left_over < 2 ? 1 : 2 : DOWN;
                    for (int k = 0; k < places; k++) {
                        SUM *to = acc + (lowest - ky) / SY * above + (int64_t)k * columns * OB + sub;
                        const ACC *w = weight + ky * KX * SUB;
                        const int32_t *from = first + k * looked;
                        if (rows == DOWN)
                            LINE(to, above, column, phase, columns, looked, from, at, w, DOWN);
                        else if (rows == 2)
                            LINE(to, above, column, phase, columns, looked, from, at, w, DOWN < 2 ? DOWN : 2);
                        else
                            LINE(to, above, column, phase, columns, looked, from, at, w, 1);
                    }
                    ky += rows * SY;
                }
            }
    }
}
#undef PART
#undef DOWN
#undef ACROSS
