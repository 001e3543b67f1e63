/* Event-driven max pooling: out[t] = max(X[t]) - max(X[t-1]), X the running sum of what came in (counts of spikes with
 * one amplitude per channel stay counts).
 *
 * PairedExecutor the events of an entry flows its rest, a constant per step; beside those of a maximum the largest rest of its
 * window. `slope` is what an entry rests at less than that one: X[t] = events so far + slope * (steps rested so far).
 *
 * Sums of spikes are kept as counts: what does not change is then the same to the last bit. They are read by every window
 * that they belong to. Windows that lie apart keep them up to date; otherwise all are advanced afterwards. */
INLINE void read_values(real *restrict y, const real *restrict x, const int n) { memcpy(y, x, n * sizeof(real)); }

INLINE void write_counts(int8_t *restrict z, const real *restrict x, const int n)
{
    int32_t whole[64];
    for (int k = 0; k < n; k++)
        whole[k] = (int32_t)x[k];
    to_counts(z, whole, n);
}

/* Channels are taken a cache line of counts at once where there are as many. */
#define POOL(NAME, TYPE, OUT, SCALED, READ, WRITE)                                                                    \
    INLINE void NAME(OUT *restrict out, const TYPE *restrict in, const real *restrict amplitude,                      \
                     const real *restrict rest, const real *restrict most, real *restrict sum, real *restrict last,   \
                     const struct run *r, const int channels, const int out_width, const struct conv c)               \
    {                                                                                                                 \
        const int wide = channels % 64 ? 16 : 64, taps = c.kernel_y * c.kernel_x;                                     \
        const int apart = c.stride_y >= c.kernel_y && c.stride_x >= c.kernel_x && c.dilation_y == 1 && c.dilation_x == 1;\
        const int64_t images = r->images, steps = r->steps, plane = (int64_t)c.in_height * c.in_width;                \
        const int64_t size = images * c.out_height * out_width * channels;                                            \
        _Pragma("omp for schedule(static)") for (int64_t g = 0; g < images * c.out_height; g++)                       \
        {                                                                                                             \
            const int64_t image = g / c.out_height, row = g - image * c.out_height;                                   \
            for (int x = 0; x < out_width; x++)                                                                       \
                for (int first = 0; first < channels; first += wide) {                                                \
                    real total[taps][64], slope[taps][64], before[64], given[64];                                     \
                    const TYPE *source[taps];                                                                         \
                    const int64_t at = (g * out_width + x) * channels + first, place = at - image * (size / images);  \
                    int64_t local[taps];                                                                              \
                    for (int tap = 0; tap < taps; tap++) {                                                            \
                        const int64_t yy = row * c.stride_y - c.pad_y + tap / c.kernel_x * c.dilation_y;              \
                        const int64_t xx = x * c.stride_x - c.pad_x + tap % c.kernel_x * c.dilation_x;                \
                        source[tap] = 0;                                                                              \
                        if (yy < 0 || yy >= c.in_height || xx < 0 || xx >= c.in_width)                                \
                            continue;                                                                                 \
                        local[tap] = (yy * c.in_width + xx) * channels + first;                                       \
                        source[tap] = in + image * plane * channels + local[tap];                                     \
                        memcpy(total[tap], sum + image * plane * channels + local[tap], wide * sizeof(real));         \
                        for (int k = 0; rest && k < wide; k++)                                                        \
                            slope[tap][k] = rest[local[tap] + k] - most[place + k];                                   \
                    }                                                                                                 \
                    memcpy(before, last + at, wide * sizeof(real));                                                   \
                    for (int64_t t = 0; t < steps; t++) {                                                             \
                        const real rested = r->rested[t + 1];                                                         \
                        real best[64], change[64];                                                                    \
                        for (int k = 0; k < wide; k++)                                                                \
                            best[k] = LOWEST;                                                                         \
                        for (int tap = 0; tap < taps; tap++) {                                                        \
                            if (!source[tap])                                                                         \
                                continue;                                                                             \
                            READ(given, source[tap] + t * images * plane * channels, wide);                           \
                            for (int k = 0; k < wide; k++) {                                                          \
                                total[tap][k] += given[k];                                                            \
                                const real sum_of = SCALED ? amplitude[local[tap] + k] * total[tap][k] : total[tap][k];\
                                const real here = sum_of + (rest ? slope[tap][k] * rested : 0);                       \
                                best[k] = here > best[k] ? here : best[k];                                            \
                            }                                                                                         \
                        }                                                                                             \
                        for (int k = 0; k < wide; k++) {                                                              \
                            change[k] = best[k] - before[k];                                                          \
                            before[k] = best[k];                                                                      \
                        }                                                                                             \
                        WRITE(out + t * size + at, change, wide);                                                     \
                    }                                                                                                 \
                    memcpy(last + at, before, wide * sizeof(real));                                                   \
                    for (int tap = 0; apart && tap < taps; tap++)                                                     \
                        if (source[tap])                                                                              \
                            memcpy(sum + image * plane * channels + local[tap], total[tap], wide * sizeof(real));     \
                }                                                                                                     \
        }                                                                                                             \
        if (apart)                                                                                                    \
            return;                                                                                                   \
        _Pragma("omp for schedule(static)") for (int64_t p = 0; p < images * plane; p++) for (int64_t t = 0; t < steps; t++)\
        {                                                                                                             \
            const TYPE *y = in + (t * images * plane + p) * channels;                                                 \
            for (int k = 0; k < channels; k++)                                                                        \
                sum[p * channels + k] += y[k];                                                                        \
        }                                                                                                             \
    }
POOL(pool_counts, int8_t, int8_t, 0, to_reals, write_counts)
POOL(pool_spikes, int8_t, real, 1, to_reals, read_values)
POOL(pool_values, real, real, 0, read_values, read_values)

/* Entries that are not zero together with the rest beside them, summed over images and steps: a maximum that stands still
 * is a difference of rounded numbers of the size of its rest. */
#define ROUNDING ((sizeof(real) == 4 ? 0x1p-23 : 0x1p-52) * 64)
#define COUNT_WHOLE(NAME, TYPE)                                                                                       \
    INLINE void NAME(const TYPE *restrict y, const real *restrict amplitude, const real *restrict rest,               \
                     const struct run *r, int64_t size, int32_t *restrict events)                                     \
    {                                                                                                                 \
        _Pragma("omp for schedule(static)") for (int64_t first = 0; first < size; first += 1024)                      \
        {                                                                                                             \
            const int64_t last = smaller(first + 1024, size);                                                         \
            for (int64_t k = 0; k < r->steps * r->images; k++) {                                                      \
                const int64_t t = k / r->images;                                                                      \
                const real flows = r->rested[t + 1] - r->rested[t];                                                   \
                for (int64_t i = first; i < last; i++)                                                                \
                    events[i] += fabs((amplitude ? amplitude[i] * y[k * size + i] : y[k * size + i]) + flows * rest[i]) \
                                 > ROUNDING * rest[i];                                                                \
            }                                                                                                         \
        }                                                                                                             \
    }
COUNT_WHOLE(count_whole_spikes, int8_t)
COUNT_WHOLE(count_whole_values, real)
