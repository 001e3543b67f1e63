/* acc += weight * y for every entry, events or not: where there are many, that is faster than to list them.
 *
 * Text of a kernel behind `conv.c`, with its definitions, its weights and its accumulators; PATCH, DENSE, ROW and DENSE_PIXELS
 * besides. The sum goes over the same entries in the same order, positive and negative ones together. */

/* What the tile reads, as numbers [in block][input row][step, image, column][channel of the block], zeros around. */
static __attribute__((noinline)) void PATCH(ACC *restrict patch, const void *restrict source,
                                            const real *restrict amplitude, const struct tile tile, int64_t images,
                                            const struct conv c)
{
    const int held = (int)(tile.i1 - tile.i0), places = (int)(tile.t1 - tile.t0) * held;
    const int lines = (tile.y1 - tile.y0 - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int looked = (tile.x1 - tile.x0 - 1) * c.stride_x + (c.kernel_x - 1) * c.dilation_x + 1;
    const int top = tile.y0 * c.stride_y - c.pad_y, left = tile.x0 * c.stride_x - c.pad_x;
    for (int block = 0; block < c.in_blocks; block++)
        for (int row = 0; row < lines; row++)
            for (int k = 0; k < places; k++)
                for (int x = 0; x < looked; x++, patch += BLOCK) {
                    const int yy = top + row, xx = left + x;
                    if (yy < 0 || yy >= c.in_height || xx < 0 || xx >= c.in_width) {
                        memset(patch, 0, BLOCK * sizeof *patch);
                        continue;
                    }
                    const int64_t local = (int64_t)yy * c.in_width + xx, from = local * c.in_blocks * BLOCK + block * BLOCK;
                    const int64_t sample = (tile.t0 + k / held) * images + tile.i0 + k % held;
                    const int64_t at = sample * c.in_height * c.in_width * c.in_blocks * BLOCK + from;
#if SOURCE == 2
                    memcpy(patch, (const real *)source + at, BLOCK * sizeof *patch);
#else
                    const int8_t *z = (const int8_t *)source + at;
                    if (amplitude)
                        for (int n = 0; n < BLOCK; n++)
                            patch[n] = (ACC)(amplitude[from + n] * z[n]);
                    else
                        for (int n = 0; n < BLOCK; n++)
                            patch[n] = z[n];
#endif
                }
}

/* One line of pixels: out += a row of taps; `corner`: where each pixel's first tap reads. */
static __attribute__((noinline)) void ROW(SUM *restrict out, const ACC *restrict patch, const uint16_t *restrict corner,
                                          const ACC *restrict weight, int count, int taps, int step)
{
    for (int first = 0; first < count; first += DENSE_PIXELS) {
        VECTOR sums[DENSE_PIXELS][REGISTERS];
        const ACC *y[DENSE_PIXELS];
        SUM *to = out + (int64_t)first * OB;
        for (int p = 0; p < DENSE_PIXELS; p++) {
            y[p] = patch + (int64_t)corner[first + p] * BLOCK;
            for (int k = 0; k < REGISTERS; k++)
                sums[p][k] = WIDE ? (VECTOR){0} : ((VECTOR *)to)[p * REGISTERS + k];
        }
        for (int tap = 0; tap < taps; tap++)
            for (int n = 0; n < BLOCK; n++) {
                const VECTOR *w = (const VECTOR *)(weight + (int64_t)(tap * BLOCK + n) * OB);
                for (int p = 0; p < DENSE_PIXELS; p++)
                    for (int k = 0; k < REGISTERS; k++)
                        sums[p][k] += y[p][tap * step + n] * w[k];
            }
#if WIDE
        for (int k = 0; k < DENSE_PIXELS * OB; k++)
            to[k] += ((ACC *)sums)[k];
#else
        memcpy(to, sums, sizeof sums);
#endif
    }
}

/* One block of output channels of the tile, from what the tile reads. */
static __attribute__((noinline)) void DENSE(SUM *restrict acc, const ACC *restrict patch, const ACC *restrict weight,
                                            const struct tile tile, const struct conv c)
{
    const int columns = tile.x1 - tile.x0, places = (int)((tile.t1 - tile.t0) * (tile.i1 - tile.i0));
    const int lines = (tile.y1 - tile.y0 - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int looked = (columns - 1) * c.stride_x + (c.kernel_x - 1) * c.dilation_x + 1;
    const int groups = (c.kernel_x + c.group_x - 1) / c.group_x, count = places * columns;
    const int64_t group_size = (int64_t)(c.group_x * BLOCK + 1) * OB;
    uint16_t corner[count + DENSE_PIXELS];
    for (int k = 0; k < count + DENSE_PIXELS; k++) /* those at the end are computed for nobody */
        corner[k] = k < count ? (uint16_t)(k / columns * looked + k % columns * c.stride_x) : 0;
    for (int block = 0; block < c.in_blocks; block++)
        for (int group = 0; group < groups; group++)
            for (int ky = 0; ky < c.kernel_y; ky++)
                for (int row = 0; row < tile.y1 - tile.y0; row++) {
                    const int from = row * c.stride_y + ky * c.dilation_y, yy = tile.y0 * c.stride_y - c.pad_y + from;
                    const int kx0 = group * c.group_x, left = c.kernel_x - kx0;
                    if (yy >= 0 && yy < c.in_height)
                        ROW(acc + (int64_t)row * c.pitch * OB,
                            patch + (((int64_t)block * lines + from) * places * looked + kx0 * c.dilation_x) * BLOCK, corner,
                            weight + (((int64_t)block * c.kernel_y + ky) * groups + group) * group_size, count,
                            left < c.group_x ? left : c.group_x, c.dilation_x * BLOCK);
                }
}
