/* Whether more than `share` of what a tile reads (int8_t counts, else reals) are events. */
INLINE int crowded(const void *restrict source, const int counts, double share, const int padded, const struct tile tile,
                   int64_t images, const struct conv c)
{
    const int lines = (tile.y1 - tile.y0 - 1) * c.stride_y + (c.kernel_y - 1) * c.dilation_y + 1;
    const int looked = (tile.x1 - tile.x0 - 1) * c.stride_x + (c.kernel_x - 1) * c.dilation_x + 1;
    const int y = tile.y0 * c.stride_y - c.pad_y, x = tile.x0 * c.stride_x - c.pad_x;
    const int y0 = y < 0 ? 0 : y, y1 = y + lines < c.in_height ? y + lines : c.in_height;
    const int x0 = x < 0 ? 0 : x, x1 = x + looked < c.in_width ? x + looked : c.in_width;
    int64_t found = 0, entries = 0;
    for (int64_t t = tile.t0; t < tile.t1; t++)
        for (int64_t i = tile.i0; i < tile.i1; i++)
            for (int yy = y0; yy < y1; yy++) {
                const int64_t from = (((t * images + i) * c.in_height + yy) * c.in_width + x0) * padded;
                const int64_t size = (int64_t)(x1 - x0) * padded;
                entries += size;
                if (counts) {
                    const int8_t *z = (const int8_t *)source + from;
                    for (int64_t k = 0; k < size; k += 16) { /* channels are padded to whole vectors of 16 */
                        uint8_t some = 0;
                        for (int n = 0; n < 16; n++)
                            some += z[k + n] != 0;
                        found += some;
                    }
                } else {
                    const real *y = (const real *)source + from;
                    for (int64_t k = 0; k < size; k++)
                        found += y[k] != 0;
                }
            }
    return (double)found > share * (double)entries;
}
