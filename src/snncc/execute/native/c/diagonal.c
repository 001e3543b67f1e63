/* acc += weight * y channel by channel (depthwise convolutions and average pools), for block b of channels.
 *
 * y is a series of reals, or counts z times their amplitude per channel (in the weights) or per neuron. */
#define DIAGONAL(NAME, TYPE)                                                                                          \
    INLINE void NAME(real *restrict acc, const TYPE *restrict y, const real *restrict amplitude,                      \
                     const real *restrict weight, const int ob, int b, const struct tile tile, int64_t images,        \
                     const struct conv c)                                                                             \
    {                                                                                                                 \
        const int channels = c.in_blocks * ob;                                                                        \
        for (int64_t t = tile.t0; t < tile.t1; t++)                                                                   \
            for (int64_t i = tile.i0; i < tile.i1; i++)                                                               \
                for (int row = tile.y0; row < tile.y1; row++)                                                         \
                    for (int x = tile.x0; x < tile.x1; x++) {                                                         \
                        const int64_t place = ((t - tile.t0) * (tile.i1 - tile.i0) + i - tile.i0)                     \
                                * (tile.x1 - tile.x0)                                                                 \
                            + x - tile.x0;                                                                            \
                        real *a = acc + ((row - tile.y0) * c.pitch + place) * ob;                                     \
                        for (int ky = 0; ky < c.kernel_y; ky++)                                                       \
                            for (int kx = 0; kx < c.kernel_x; kx++) {                                                 \
                                const int yy = row * c.stride_y + ky * c.dilation_y - c.pad_y;                        \
                                const int xx = x * c.stride_x + kx * c.dilation_x - c.pad_x;                          \
                                if (yy < 0 || yy >= c.in_height || xx < 0 || xx >= c.in_width)                        \
                                    continue;                                                                         \
                                const int64_t local = (int64_t)yy * c.in_width + xx;                                  \
                                const int64_t pixel = (t * images + i) * c.in_height * c.in_width + local;            \
                                const TYPE *s = y + pixel * channels + b * ob;                                        \
                                const real *w = weight + (ky * c.kernel_x + kx) * channels + b * ob;                  \
                                const real *m = amplitude + local * channels + b * ob;                                \
                                if (amplitude)                                                                        \
                                    for (int k = 0; k < ob; k++)                                                      \
                                        a[k] += w[k] * (m[k] * s[k]);                                                 \
                                else                                                                                  \
                                    for (int k = 0; k < ob; k++)                                                      \
                                        a[k] += w[k] * s[k];                                                          \
                            }                                                                                         \
                    }                                                                                                 \
    }
DIAGONAL(diagonal_spikes, int8_t)
DIAGONAL(diagonal_series, real)
