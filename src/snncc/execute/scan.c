// SPDX-License-Identifier: Apache-2.0
// Neurons over T steps, fused: state stays in the cache and each input current is read once. REAL is float or double.
#include <math.h>
#include <stdint.h>

enum { BLOCK = 1024 };
enum negative { NONE = 0, EARLY = 1, SIGNED = 2, AT_ZERO = 3 };

struct scan {
    int64_t steps, samples, size;   // current: (steps, samples, size), overwritten by the output
    int64_t rests;                  // how many of these steps the resting rate flows for
    int64_t negative, levels, threads;
    double cap;                     // infinity: none
    REAL *current, *potential, *count;                           // (samples, size)
    const REAL *threshold, *amplitude, *rest, *rest_current;     // (size); a threshold of 0 never fires
};

// One step of some neurons of one sample; the kind is constant wherever it is inlined, so that each loop is vectorized.
static inline __attribute__((always_inline)) void step(
    const struct scan *s, REAL *restrict x, REAL *restrict u, REAL *restrict n, int64_t from, int64_t to,
    const int negative, const int graded, const int flows)
{
    const REAL cap = (REAL)s->cap, levels = (REAL)s->levels;
    const REAL *restrict th = s->threshold, *restrict amplitude = s->amplitude;
    const REAL *restrict rest = s->rest, *restrict rest_current = s->rest_current;
    for (int64_t i = from; i < to; i++) {
        const REAL at = th[i] > 0 ? th[i] : (REAL)INFINITY;
        const REAL v = u[i] + (flows ? x[i] - rest_current[i] : x[i]);
        REAL z;
        if (graded) {
            z = FLOOR(v / at);
            const REAL lowest = negative ? (n[i] < levels ? n[i] : levels) : 0;
            const REAL room = cap - n[i] < levels ? cap - n[i] : levels;
            z = z < -lowest ? -lowest : z;
            z = z > room ? room : z;
        } else {
            const REAL up = (v >= at) & (n[i] < cap) ? 1 : 0;
            const REAL zero = negative == SIGNED ? -at : th[i] > 0 ? 0 : -(REAL)INFINITY;
            const int below = negative == EARLY ? v < zero : v <= zero;
            z = negative ? up - ((below & (n[i] > 0)) ? 1 : 0) : up;
        }
        const REAL charge = z * th[i];
        u[i] = v - charge;
        if (negative)
            n[i] = n[i] + z;
        x[i] = (flows ? z + rest[i] : z) * amplitude[i];
    }
}

static inline __attribute__((always_inline)) void block(
    const struct scan *s, int64_t sample, int64_t from, int64_t to, const int negative, const int graded, const int rests)
{
    REAL *u = s->potential + sample * s->size, *n = s->count + sample * s->size;
    for (int64_t t = 0; t < s->steps; t++) {
        REAL *x = s->current + (t * s->samples + sample) * s->size;
        if (rests && t < s->rests)
            step(s, x, u, n, from, to, negative, graded, 1);
        else
            step(s, x, u, n, from, to, negative, graded, 0);
    }
}

static void choose(const struct scan *s, int64_t sample, int64_t from, int64_t to)
{
    const int graded = s->levels > 1;
    if (s->rests && graded)
        block(s, sample, from, to, EARLY, 1, 1);
    else if (s->rests)
        block(s, sample, from, to, EARLY, 0, 1);
    else if (s->negative == NONE && graded)
        block(s, sample, from, to, NONE, 1, 0);
    else if (s->negative == NONE)
        block(s, sample, from, to, NONE, 0, 0);
    else if (graded)
        block(s, sample, from, to, EARLY, 1, 0);
    else if (s->negative == EARLY)
        block(s, sample, from, to, EARLY, 0, 0);
    else if (s->negative == AT_ZERO)
        block(s, sample, from, to, AT_ZERO, 0, 0);
    else
        block(s, sample, from, to, SIGNED, 0, 0);
}

void run(const struct scan *s)
{
    const int64_t blocks = (s->size + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t job = 0; job < s->samples * blocks; job++) {
        const int64_t from = job % blocks * BLOCK;
        choose(s, job / blocks, from, from + BLOCK < s->size ? from + BLOCK : s->size);
    }
}
