/* acc += weight * events, for a tile of rows, steps, images and columns.
 *
 * Text of a kernel: NAME, LIST, LINE, ACC, SUM, OB, VECTOR, REGISTERS, PIXELS, SOURCE, SIGNS, BLOCK, LEVELS, LOG2_ROW are
 * defined before it. Per block of input channels the events that each row of taps sees are listed once for all output
 * channels: the positive ones, and where there are others the negative ones in a list of their own. Lists are filled up
 * to whole TURNS of events with a row of zeros. Then PIXELS lists at once are summed in registers, weights in the first
 * cache. The pixels of a line are taken in the order of their lists' lengths: a loop whose end is guessed wrongly costs as
 * much as ten events, and lists that are summed together are as long as the longest of them.
 * Sums that need more bits than ACC are kept in SUM: a list alone never needs them.
 * Order of a sum: blocks, rows of taps, then positive events before negative ones, columns of taps, channels, ascending.
 * Shapes: acc [row][step, image, column: c.pitch][OB]; weight [in block][ky][group of kx][taps of the group, channel][OB],
 * with the row of zeros at the end of each group. SOURCE: 0 spikes, 1 spikes with values, 2 a series. */

/* The events of the tile: bunches of lists [in block][group][input row], each its positive lists, then its negative ones. */
static __attribute__((noinline)) void LIST(struct lists at, const void *restrict source,
                                           const real *restrict amplitude, const struct tile tile, int64_t images,
                                           const struct conv c)
{
    enum { SHIFT = LOG2_ROW - 3 }; /* events count in units of 8 bytes, so that 16 bits reach far enough */
    const int span = (c.tile_rows - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int most = BLOCK * LEVELS, in_padded = c.in_blocks * BLOCK;
    const int groups = (c.kernel_x + c.group_x - 1) / c.group_x;
    const uint16_t nothing = (uint16_t)((c.group_x * BLOCK) << SHIFT);
    const int steps = (int)(tile.t1 - tile.t0), held = (int)(tile.i1 - tile.i0), columns = tile.x1 - tile.x0;
    const int count = steps * held * columns;
    const int lines = (tile.y1 - tile.y0 - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int top = tile.y0 * c.stride_y - c.pad_y, left = tile.x0 * c.stride_x - c.pad_x;
    const int looked = (columns - 1) * c.stride_x + (c.kernel_x - 1) * c.dilation_x + 1;
    uint8_t seen[SIGNS][steps * held * looked][WHOLE(BLOCK * LEVELS)];
    uint16_t found[SIGNS][steps * held * looked], own[SIGNS][c.pitch], corner[c.pitch];
#if SOURCE
    real carried[steps * held * looked][WHOLE(BLOCK * LEVELS)];
#endif
    int filled = 0;
    for (int k = 0; k < count; k++)
        corner[k] = (uint16_t)(k / columns * looked + k % columns * c.stride_x);
    for (int block = 0; block < c.in_blocks; block++)
        for (int row = 0; row < lines; row++) {
            const int yy = top + row;
            if (yy < 0 || yy >= c.in_height)
                continue;
            for (int k = 0, at = 0; k < steps * held; k++) {
                const int64_t t = tile.t0 + k / held, i = tile.i0 + k % held;
                const int64_t above = ((t * images + i) * c.in_height + yy) * c.in_width;
                for (int x = 0; x < looked; x++, at++) {
                    const int xx = left + x;
                    for (int sign = 0; sign < SIGNS; sign++)
                        found[sign][at] = 0;
                    if (xx < 0 || xx >= c.in_width)
                        continue;
                    const int64_t from = (above + xx) * in_padded + block * BLOCK;
#if SOURCE == 0
                    for (int sign = 0; sign < SIGNS; sign++)
                        found[sign][at] = gather_spikes(seen[sign][at], (const int8_t *)source + from, BLOCK, LEVELS, sign);
#elif SOURCE == 1
                    const int64_t local = ((int64_t)yy * c.in_width + xx) * in_padded + block * BLOCK;
                    found[0][at] = gather_scaled(seen[0][at], carried[at], (const int8_t *)source + from,
                                                 amplitude ? amplitude + local : 0, BLOCK);
#else
                    found[0][at] = gather_values(seen[0][at], carried[at], (const real *)source + from, BLOCK);
#endif
                }
            }
            for (int group = 0; group < groups; group++) {
                const int64_t line = ((int64_t)block * groups + group) * span + row;
                const int kx0 = group * c.group_x, kx1 = kx0 + c.group_x;
                const int taps = (kx1 < c.kernel_x ? kx1 : c.kernel_x) - kx0;
                uint16_t *place = at.place + line * c.pitch, *turns = at.turns + line * SIGNS * c.pitch;
                for (int sign = 0; sign < SIGNS; sign++)
                    for (int k = 0; k < count; k++) {
                        int n = TURN - 1;
                        for (int tap = 0; tap < taps; tap++)
                            n += found[sign][corner[k] + (kx0 + tap) * c.dilation_x];
                        own[sign][k] = (uint16_t)(n / TURN);
                    }
                in_order(place, own[0], count, (c.group_x * most + TURN - 1) / TURN);
                at.first[line] = filled;
                for (int first = 0; first < count; first += PIXELS) {
                    const int last = first + PIXELS < count ? first + PIXELS : count;
                    for (int k = last; k < first + PIXELS; k++)
                        place[k] = (uint16_t)k; /* a pixel that nobody reads */
                    for (int sign = 0; sign < SIGNS; sign++) {
                        int longest = 0;
                        for (int k = first; k < last; k++)
                            longest = own[sign][place[k]] > longest ? own[sign][place[k]] : longest;
                        turns[sign * c.pitch + first / PIXELS] = (uint16_t)longest;
                        if (!longest)
                            continue;
                        for (int k = first; k < first + PIXELS; k++) {
                            int end = filled;
                            for (int tap = 0; tap < taps && k < last; tap++) {
                                const int from = corner[place[k]] + (kx0 + tap) * c.dilation_x, n = found[sign][from];
                                append(at.events + end, seen[sign][from], n, most, tap * BLOCK, SHIFT);
#if SOURCE
                                append_values(at.values + end, carried[from], n, most);
#endif
                                end += n;
                            }
                            filled += longest * TURN;
                            fill(at.events + end, nothing, filled - end);
#if SOURCE
                            memset(at.values + end, 0, (size_t)(filled - end) * sizeof(real));
#endif
                        }
                    }
                }
            }
        }
}

/* Lists of one sign, each of `n` events, added to the sums of their pixels. */
INLINE void LISTS(VECTOR sums[PIXELS][REGISTERS], const uint16_t *e, const real *s, int64_t n,
                  const ACC *restrict weight, const int sign)
{
    (void)s;
    for (const uint16_t *end = e + n; e < end; e += TURN, s += TURN) {
        uint64_t code[PIXELS];
        for (int p = 0; p < PIXELS; p++)
            memcpy(&code[p], e + p * n, sizeof code[p]);
        for (int u = 0; u < TURN; u++)
            for (int p = 0; p < PIXELS; p++) {
                const VECTOR *w = (const VECTOR *)((const char *)weight + 8 * (int64_t)(uint16_t)code[p]);
                code[p] >>= 16;
                for (int k = 0; k < REGISTERS; k++)
#if SOURCE
                    sums[p][k] += s[p * n + u] * w[k];
#else
                    if (sign)
                        sums[p][k] -= w[k];
                    else
                        sums[p][k] += w[k];
#endif
            }
    }
}

/* One line of pixels: out += their lists. */
static __attribute__((noinline)) void LINE(SUM *restrict out, const struct lists at, const ACC *restrict weight, int count,
                                           int pitch)
{
    const uint16_t *e = at.events + *at.first, *place = at.place, *turns = at.turns;
    const real *s = at.values + *at.first;
    for (const uint16_t *end = place + count; place < end; place += PIXELS, turns++) {
        const int64_t above = turns[0] * TURN, below = SIGNS == 2 ? turns[pitch] * TURN : 0;
        VECTOR sums[PIXELS][REGISTERS];
        if (!(above | below))
            continue;
        for (int p = 0; p < PIXELS; p++)
            for (int k = 0; k < REGISTERS; k++)
                sums[p][k] = WIDE ? (VECTOR){0} : ((VECTOR *)(out + (int64_t)place[p] * OB))[k];
        LISTS(sums, e, s, above, weight, 0);
        e += PIXELS * above;
        s += PIXELS * above;
        if (SIGNS == 2) {
            LISTS(sums, e, s, below, weight, 1);
            e += PIXELS * below;
        }
        for (int p = 0; p < PIXELS; p++)
#if WIDE
            for (int k = 0; k < OB; k++)
                out[(int64_t)place[p] * OB + k] += ((ACC *)sums[p])[k];
#else
            for (int k = 0; k < REGISTERS; k++)
                ((VECTOR *)(out + (int64_t)place[p] * OB))[k] = sums[p][k];
#endif
    }
}

/* One block of output channels of the tile, from its lists. */
static __attribute__((noinline)) void NAME(SUM *restrict acc, const struct lists at, const ACC *restrict weight,
                                           const struct tile tile, const struct conv c)
{
    const int span = (c.tile_rows - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int groups = (c.kernel_x + c.group_x - 1) / c.group_x;
    const int64_t group_size = (int64_t)(c.group_x * BLOCK + 1) * OB;
    const int count = (int)((tile.t1 - tile.t0) * (tile.i1 - tile.i0)) * (tile.x1 - tile.x0);
    for (int block = 0; block < c.in_blocks; block++)
        for (int group = 0; group < groups; group++)
            for (int ky = 0; ky < c.kernel_y; ky++)
                for (int row = 0; row < tile.y1 - tile.y0; row++) {
                    const int from = row * c.stride_y + ky * c.dilation_y, yy = tile.y0 * c.stride_y - c.pad_y + from;
                    if (yy < 0 || yy >= c.in_height)
                        continue;
                    const int64_t line = ((int64_t)block * groups + group) * span + from;
                    const struct lists lists = {at.events, at.values, at.first + line, at.place + line * c.pitch,
                                                at.turns + line * SIGNS * c.pitch};
                    LINE(acc + (int64_t)row * c.pitch * OB, lists,
                         weight + (((int64_t)block * c.kernel_y + ky) * groups + group) * group_size, count, c.pitch);
                }
}
