/* Shared by every generated network: types and the run's description; `real` and INLINE stand with the neurons' steps.
 *
 * Layout of a series: step, image, y, x, channel; channels are padded to blocks. A source of spikes has its counts z. */
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#if defined(__AVX512BW__)
#include <immintrin.h>
#endif
#if defined(_OPENMP)
#include <omp.h>
#else
#define omp_get_thread_num() 0
#endif

struct run {
    int64_t images, steps;
    const real *gate;    /* of each step: what multiplies the input and every constant */
    const real *rested;  /* before each step, and after the last one: how many of the steps that neurons rest for passed */
    void **buffer;
    double *seconds;     /* spent in each step of the program */
    int64_t threads;
    char *scratch;       /* `scratch_size` bytes for each thread */
    int64_t scratch_size;
    int64_t counting;    /* whether events are counted */
    int64_t fresh;       /* whether these are the first steps: states are as at the start */
    int64_t *tiles;      /* of each step of the program: computed from events, and densely */
    int64_t first, last; /* the steps of the program to be run: first .. last - 1 */
};

/* What is computed at once. */
struct tile {
    int64_t t0, t1, i0, i1;
    int y0, y1, x0, x1;
};

/* A convolution's constants: the largest tile, `pitch` accumulated pixels per row; the geometry; `in_blocks` of input
 * channels that are listed together; taps in groups. */
struct conv {
    int tile_steps, tile_images, tile_rows, tile_columns, pitch;
    int in_height, in_width, out_height;
    int kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, pad_y, pad_x;
    int in_blocks, group_x;
};

/* Events of a tile: offsets of rows of weights, their values; where each line's begin, its pixels in order, and the turns of
 * each bunch of them. */
struct lists {
    uint16_t *events;
    real *values;
    int32_t *first;
    uint16_t *place, *turns;
};

/* Events of a tile for the kernel that scatters them: offsets of their weights, their values, where each pixel's begin. */
struct events {
    uint16_t *row;
    void *value;
    int32_t *first;
};

INLINE double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Counts as reals, and the other way; `n` is a multiple of 16. Apart from loops over reals: compilers take the width of their
 * vectors from the narrowest type. */
INLINE void to_reals(real *restrict y, const int8_t *restrict z, const int n)
{
#if defined(__AVX512F__)
    if (sizeof(real) == 4 && (real)0.5 != 0) {
        for (int k = 0; k < n; k += 16)
            _mm512_storeu_ps((float *)y + k,
                             _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(z + k)))));
        return;
    }
#endif
    for (int k = 0; k < n; k++)
        y[k] = z[k];
}

INLINE void to_counts(int8_t *restrict z, const int32_t *restrict fired, const int n)
{
#if defined(__AVX512F__)
    for (int k = 0; k < n; k += 16)
        _mm_storeu_si128((__m128i *)(z + k), _mm512_cvtepi32_epi8(_mm512_loadu_si512(fired + k)));
#else
    for (int k = 0; k < n; k++)
        z[k] = (int8_t)fired[k];
#endif
}

/* States at their start. */
INLINE void clear(real *state, int64_t n)
{
#pragma omp for schedule(static)
    for (int64_t k = 0; k < n; k++)
        state[k] = 0;
}

/* The events of each entry of a series, those that are not zero, and all of either sign (counts: spikes), summed over images
 * and steps. AMOUNT: what an event adds to its sign. */
#define COUNT(NAME, TYPE, AMOUNT)                                                                                     \
    INLINE void NAME(const TYPE *restrict y, int64_t times, int64_t size, int64_t *signs, int32_t *restrict events)   \
    {                                                                                                                 \
        _Pragma("omp for schedule(static)") for (int64_t first = 0; first < size; first += 1024)                      \
        {                                                                                                             \
            const int64_t last = smaller(first + 1024, size);                                                         \
            int64_t positive = 0, negative = 0;                                                                       \
            for (int64_t k = 0; k < times; k++) {                                                                     \
                int32_t above = 0, below = 0;                                                                         \
                for (int64_t i = first; i < last; i++) {                                                              \
                    const TYPE s = y[k * size + i];                                                                   \
                    above += s > 0 ? (int32_t)AMOUNT(s) : 0;                                                          \
                    below += s < 0 ? (int32_t)AMOUNT(-s) : 0;                                                         \
                    events[i] += s != 0;                                                                              \
                }                                                                                                     \
                positive += above;                                                                                    \
                negative += below;                                                                                    \
            }                                                                                                         \
            _Pragma("omp atomic") signs[0] += positive;                                                               \
            _Pragma("omp atomic") signs[1] += negative;                                                               \
        }                                                                                                             \
    }
#define MAGNITUDE(s) (s)
#define ONE(s) 1
COUNT(count_spikes, int8_t, MAGNITUDE)
COUNT(count_values, real, ONE)
