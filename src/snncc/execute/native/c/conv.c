/* acc += weight * events, for a tile of steps, images, rows and columns.
 *
 * Text of a kernel: NAME, LIST, ROW, ACC, SUM, OB, VECTOR, LOAD, ADD, STORE, PIXELS, SOURCE, BLOCK
 * and LEVELS are defined before it. Per
 * block of input channels the events that each row of taps sees are listed once for all output channels; then lists of
 * PIXELS neighbours are summed in registers, weights in the first cache. The lists of neighbours are filled up to the
 * longest of them with a row of zeros: one loop whose end is guessed wrongly costs as much as ten events.
 * Sums that need more bits than ACC are kept in SUM: a list alone never needs them.
 * Order of a sum: blocks, rows of taps, columns of taps, channels, each ascending.
 * Shapes: acc [step][image][row][column][OB]; weight [in block][ky][group of kx][taps of the group, sign, channel][OB],
 * with the row of zeros at the end of each group. SOURCE: 0 spikes, 1 spikes with values (so that negative
 * ones need no weights of their own), 2 a series. */

/* The events of the tile; first and length per block, group, step, image, input row and PIXELS columns. */
static __attribute__((noinline)) void LIST(struct lists at, const void *restrict source,
                                           const real *restrict amplitude, const struct tile tile, int64_t images,
                                           const struct conv c)
{
    enum { SHIFT = LOG2_ROW - 3 }; /* events count in units of 8 bytes, so that 16 bits reach far enough */
    const int span = (c.tile_rows - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int wide = (c.tile_columns - 1) * c.stride_x + (c.kernel_x - 1) * c.dilation_x + 1;
    const int most = BLOCK * LEVELS, whole = (most + 31) / 32 * 32, in_padded = c.in_blocks * BLOCK;
    const int group_rows = c.group_x * BLOCK * c.signs + 1, groups = (c.kernel_x + c.group_x - 1) / c.group_x;
    const int bunches = (c.tile_columns + PIXELS - 1) / PIXELS, columns = tile.x1 - tile.x0;
    const int steps = (int)(tile.t1 - tile.t0), held = (int)(tile.i1 - tile.i0);
    const int lines = (tile.y1 - tile.y0 - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int top = tile.y0 * c.stride_y - c.pad_y, left = tile.x0 * c.stride_x - c.pad_x;
    const int looked = (columns - 1) * c.stride_x + (c.kernel_x - 1) * c.dilation_x + 1;
    uint16_t seen[wide * whole + 64] __attribute__((aligned(64)));
    int found[wide];
#if SOURCE
    real carried[wide * whole + 64] __attribute__((aligned(64)));
#endif
    int filled = 0;
    for (int block = 0; block < c.in_blocks; block++)
        for (int t = 0; t < steps; t++)
            for (int i = 0; i < held; i++)
                for (int row = 0; row < lines; row++) {
                    const int yy = top + row;
                    if (yy < 0 || yy >= c.in_height)
                        continue;
                    const int64_t above = (((tile.t0 + t) * images + tile.i0 + i) * c.in_height + yy) * c.in_width;
                    for (int x = 0; x < looked; x++) {
                        const int xx = left + x;
                        found[x] = 0;
                        if (xx < 0 || xx >= c.in_width)
                            continue;
                        const int64_t from = (above + xx) * in_padded + block * BLOCK;
#if SOURCE == 0
                        found[x] = gather_spikes(seen + x * whole, (const int8_t *)source + from, BLOCK, LEVELS,
                                                 SHIFT);
#elif SOURCE == 1
                        const int64_t local = ((int64_t)yy * c.in_width + xx) * in_padded + block * BLOCK;
                        found[x] = gather_scaled(seen + x * whole, carried + x * whole, (const int8_t *)source + from,
                                                 amplitude ? amplitude + local : 0, BLOCK, SHIFT);
#else
                        found[x] = gather_values(seen + x * whole, carried + x * whole, (const real *)source + from,
                                                 BLOCK, SHIFT);
#endif
                    }
                    for (int group = 0; group < groups; group++) {
                        const int kx0 = group * c.group_x, kx1 = kx0 + c.group_x;
                        const int taps = (kx1 < c.kernel_x ? kx1 : c.kernel_x) - kx0;
                        const int64_t slot = ((((int64_t)block * groups + group) * c.tile_steps + t) * c.tile_images + i)
                                * span
                            + row;
                        for (int bunch = 0; bunch < bunches; bunch++) {
                            int n[PIXELS], longest = 0;
                            for (int p = 0; p < PIXELS; p++) {
                                const int x = bunch * PIXELS + p;
                                n[p] = 0;
                                for (int k = 0; k < taps && x < columns; k++)
                                    n[p] += found[x * c.stride_x + (kx0 + k) * c.dilation_x];
                                longest = n[p] > longest ? n[p] : longest;
                            }
                            at.first[slot * bunches + bunch] = filled;
                            at.length[slot * bunches + bunch] = longest;
                            for (int p = 0; p < PIXELS; p++, filled += longest) {
                                const int x = bunch * PIXELS + p;
                                int end = filled;
                                for (int k = 0; k < taps && x < columns; k++) {
                                    const int xx = x * c.stride_x + (kx0 + k) * c.dilation_x;
                                    append(at.events + end, seen + xx * whole, found[xx], most,
                                           (k * c.signs * BLOCK) << SHIFT);
#if SOURCE
                                    append_values(at.values + end, carried + xx * whole, found[xx], most);
#endif
                                    end += found[xx];
                                }
                                for (int k = end; k < filled + longest; k += 32) { /* the next list overwrites it */
                                    for (int j = 0; j < 32; j++)
                                        at.events[k + j] = (uint16_t)((group_rows - 1) << SHIFT);
#if SOURCE
                                    for (int j = 0; j < 32; j++)
                                        at.values[k + j] = 0;
#endif
                                }
                            }
                        }
                    }
                }
}

/* One row of pixels: out[x] += the lists of rows of taps from..to-1. Apart, so that its few values stay in registers. */
static __attribute__((noinline)) void ROW(SUM *restrict out, const struct lists at, int64_t slot,
                                          const ACC *restrict weight, int bunches, int from, int to, int64_t next_list,
                                          int64_t next_weight)
{
    for (int bunch = 0; bunch < bunches; bunch++) {
        SUM *sums = out + bunch * PIXELS * OB;
        LOAD;
        for (int ky = from; ky < to; ky++) {
            const int64_t list = slot + ky * next_list + bunch, n = at.length[list];
            const uint16_t *e = at.events + at.first[list], *end = e + n;
            const char *w = (const char *)(weight + ky * next_weight);
#if SOURCE
            const real *s = at.values + at.first[list];
            for (; e < end; e++, s++) {
#else
            for (; e < end; e++) {
#endif
                ADD;
            }
        }
        STORE;
    }
}

/* One block of output channels of the tile, from its lists. */
static __attribute__((noinline)) void NAME(SUM *restrict acc, const struct lists at, const ACC *restrict weight,
                                           const struct tile tile, const struct conv c)
{
    const int span = (c.tile_rows - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int group_rows = c.group_x * BLOCK * c.signs + 1, groups = (c.kernel_x + c.group_x - 1) / c.group_x;
    const int bunches = (c.tile_columns + PIXELS - 1) / PIXELS;
    const int columns = tile.x1 - tile.x0, rows = tile.y1 - tile.y0;
    for (int block = 0; block < c.in_blocks; block++)
        for (int group = 0; group < groups; group++)
            for (int first = 0; first < c.kernel_y; first += c.group_y)
                for (int t = 0; t < (int)(tile.t1 - tile.t0); t++)
                    for (int i = 0; i < (int)(tile.i1 - tile.i0); i++)
                        for (int row = 0; row < rows; row++) {
                            const int top = (tile.y0 + row) * c.stride_y - c.pad_y;
                            int from = first, to = first + c.group_y;
                            while (from < to && top + from * c.dilation_y < 0)
                                from++;
                            while (to > from && top + (to - 1) * c.dilation_y >= c.in_height)
                                to--;
                            if (from == to)
                                continue;
                            const int64_t place = t * c.tile_images + i, part = (int64_t)block * groups + group;
                            const int64_t slot = (part * c.tile_steps * c.tile_images + place) * span
                                + row * c.stride_y;
                            ROW(acc + (place * c.tile_rows + row) * c.pitch * OB, at, slot * bunches,
                                weight + ((int64_t)block * c.kernel_y * groups + group) * group_rows * OB,
                                (columns + PIXELS - 1) / PIXELS, from, to, (int64_t)c.dilation_y * bunches,
                                (int64_t)groups * group_rows * OB);
                        }
}
