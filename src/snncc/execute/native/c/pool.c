/* Event-driven max pooling: out[t] = max(X[t]) - max(X[t-1]), X the running sum of what came in (counts of spikes with
 * one amplitude per channel stay counts).
 *
 * The running sums are read by every window that they belong to and advanced afterwards, row by row. */
/* Channels at once: a cache line of counts where there are as many. */
#define WIDE(channels) ((channels) % 64 ? 16 : 64)
#define POOL(NAME, TYPE, OUT)                                                                                         \
    INLINE void NAME(OUT *restrict out, const TYPE *restrict in, const real *restrict amplitude, real *restrict sum,  \
                     real *restrict last, int64_t images, int64_t steps, const int channels, const int out_width,     \
                     const struct conv c)                                                                             \
    {                                                                                                                 \
        const int64_t pixels = images * c.in_height * c.in_width;                                                     \
        _Pragma("omp for schedule(static)") for (int64_t g = 0; g < images * c.out_height; g++)                       \
        {                                                                                                             \
            const int64_t image = g / c.out_height;                                                                   \
            const int top = (int)(g - image * c.out_height) * c.stride_y - c.pad_y;                                   \
            for (int x = 0; x < out_width; x++)                                                                       \
                for (int first = 0; first < channels; first += (WIDE(channels))) {                                    \
                    real total[c.kernel_y * c.kernel_x][64], before[64];                                              \
                    const int64_t at = (g * out_width + x) * channels + first;                                        \
                    for (int64_t t = -1; t < steps; t++) {                                                            \
                        real best[64];                                                                                \
                        for (int k = 0; k < WIDE(channels); k++)                                                      \
                            best[k] = LOWEST;                                                                         \
                        for (int tap = 0; tap < c.kernel_y * c.kernel_x; tap++) {                                     \
                            const int yy = top + tap / c.kernel_x * c.dilation_y;                                     \
                            const int xx = x * c.stride_x + tap % c.kernel_x * c.dilation_x - c.pad_x;                \
                            if (yy < 0 || yy >= c.in_height || xx < 0 || xx >= c.in_width)                            \
                                continue;                                                                             \
                            const int64_t local = (int64_t)yy * c.in_width + xx;                                      \
                            const int64_t pixel = image * c.in_height * c.in_width + local;                           \
                            if (t < 0)                                                                                \
                                memcpy(total[tap], sum + pixel * channels + first, WIDE(channels) * sizeof(real));    \
                            else {                                                                                    \
                                const TYPE *y = in + (t * pixels + pixel) * channels + first;                         \
                                if (amplitude)                                                                        \
                                    for (int k = 0; k < WIDE(channels); k++)                                          \
                                        total[tap][k] += amplitude[local * channels + first + k] * y[k];              \
                                else                                                                                  \
                                    for (int k = 0; k < WIDE(channels); k++)                                          \
                                        total[tap][k] += y[k];                                                        \
                                for (int k = 0; k < WIDE(channels); k++)                                              \
                                    best[k] = total[tap][k] > best[k] ? total[tap][k] : best[k];                      \
                            }                                                                                         \
                        }                                                                                             \
                        if (t < 0)                                                                                    \
                            memcpy(before, last + at, WIDE(channels) * sizeof(real));                                 \
                        else                                                                                          \
                            for (int k = 0; k < WIDE(channels); k++) {                                                \
                                out[t * images * c.out_height * out_width * channels + at + k] = (OUT)(best[k] - before[k]); \
                                before[k] = best[k];                                                                  \
                            }                                                                                         \
                    }                                                                                                 \
                    memcpy(last + at, before, WIDE(channels) * sizeof(real));                                         \
                }                                                                                                     \
        }                                                                                                             \
        _Pragma("omp for schedule(static)") for (int64_t p = 0; p < pixels; p++) for (int64_t t = 0; t < steps; t++)  \
        {                                                                                                             \
            const TYPE *y = in + (t * pixels + p) * channels;                                                         \
            const int64_t local = p % (c.in_height * c.in_width);                                                     \
            for (int k = 0; k < channels; k++)                                                                        \
                sum[p * channels + k] += amplitude ? amplitude[local * channels + k] * y[k] : y[k];                   \
        }                                                                                                             \
    }
POOL(pool_counts, int8_t, int8_t)
POOL(pool_spikes, int8_t, real)
POOL(pool_values, real, real)
