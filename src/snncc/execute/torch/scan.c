// SPDX-License-Identifier: Apache-2.0
// Neurons over T steps, fused: state stays in the cache and each input current is read once.
// Tested bit for bit against the scans in torch, neurons/*/scan.py.
// `real`, and the spikes of neurons (neurons/*/step.h), stand before it.
enum { BLOCK = 1024 };
// In the order of fused_scan.KINDS. From VMAX on, the threshold is multiplied by a factor per step and sample.
enum kind { SOFT, HARD, EARLY, SIGNED, AT_ZERO, CENTRED, LEAKY_EARLY, LEAKY_SIGNED, HALVING, VMAX, VCUR, GRADED };

struct scan {
    int64_t steps, samples, size;
    int64_t stride, written;        // from one step of the current and of the output to the next, 0 for one that stays
    int64_t rests;                  // how many of these steps the resting rate flows for
    int64_t kind, levels, threads;
    double cap;                     // infinity: none
    const real *current;            // (steps, samples, size); the output may lie in the same place
    real *output;                   // (steps, samples, size), or (samples, size) where each step overwrites the last
    real *potential, *count;        // (samples, size), the state, overwritten
    const real *threshold, *amplitude;                  // (size); a threshold of 0 never fires
    const real *beside, *charge;    // (size): a resting rate and the charge of it, or the slope of a leaky neuron
    const real *factor;             // (steps, samples)
};

// One step of some neurons of one sample; the kind is constant wherever it is inlined, so that each loop is vectorized.
static inline __attribute__((always_inline)) void step(
    const struct scan *s, const real *x, real *out, real *restrict u, real *restrict n, int64_t from, int64_t to,
    const real factor, const enum kind kind, const int graded, const int flows)
{
    const int leaky = kind == LEAKY_EARLY || kind == LEAKY_SIGNED, adaptive = kind >= VMAX;
    const int negative = kind >= EARLY && kind <= LEAKY_SIGNED;
    const int rule = kind == SIGNED || kind == LEAKY_SIGNED ? NEGATIVE_SIGNED
                   : kind == AT_ZERO ? NEGATIVE_AT_ZERO : NEGATIVE_EARLY;
    const real cap = (real)s->cap, levels = (real)s->levels;
    const real *restrict th = s->threshold, *restrict amplitude = s->amplitude;
    const real *restrict beside = s->beside, *restrict charge = s->charge;
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        const real at = th[i] > 0 ? (adaptive ? factor * th[i] : th[i]) : NEVER;
        const real v = u[i] + (flows ? x[i] - charge[i] : x[i]);
        const real z = leaky ? leaky_if(v, at, rule, graded, levels)
                     : negative ? signed_if(v, at, n[i], rule, graded, levels, cap)
                                : integrate_and_fire(v, at, graded, levels);
        real y = z;
        if (kind == HARD) {
            u[i] = v - (z > 0 ? 1 : 0) * v;
        } else {
            const real spent = z * (kind == VCUR || kind == GRADED ? factor * th[i] : th[i]);
            u[i] = v - spent;
        }
        if (leaky) {
            y = phi(n[i] + z, beside[i]) - phi(n[i], beside[i]);
        }
        if (negative)
            n[i] = n[i] + z;
        if (flows)
            y = z + beside[i];
        if (kind == GRADED)
            y = z * factor;
        out[i] = y * amplitude[i];
    }
}

// A step of neurons whose `levels` thresholds halve: the largest that three quarters of |u| reach fires.
static void halving(
    const struct scan *s, const real *x, real *out, real *restrict u, real *restrict n, int64_t from, int64_t to)
{
    const real *restrict th = s->threshold, *restrict amplitude = s->amplitude;
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        u[i] = u[i] + x[i];
        out[i] = 0;
    }
    for (int64_t size = s->levels - 1; size >= 0; size--) {
        const real z = (real)ldexp(1, (int)-size), reach = (real)0.75 * z;
        for (int64_t i = from; i < to; i++)
            out[i] = (th[i] > 0) & ((u[i] < 0 ? -u[i] : u[i]) >= th[i] * reach) ? z : out[i];
    }
    for (int64_t i = from; i < to; i++) {
        const real z = u[i] < 0 ? -out[i] : out[i], spent = z * th[i];
        u[i] = u[i] - spent;
        n[i] = n[i] + z;
        out[i] = z * amplitude[i];
    }
}

static inline __attribute__((always_inline)) void block(
    const struct scan *s, int64_t sample, int64_t from, int64_t to, const enum kind kind, const int graded)
{
    real *u = s->potential + sample * s->size, *n = s->count + sample * s->size;
    for (int64_t t = 0; t < s->steps; t++) {
        const real *x = s->current + t * s->stride + sample * s->size;
        real *out = s->output + t * s->written + sample * s->size;
        if (kind == HALVING)
            halving(s, x, out, u, n, from, to);
        else if (kind == CENTRED && t < s->rests)
            step(s, x, out, u, n, from, to, 1, kind, graded, 1);
        else
            step(s, x, out, u, n, from, to, kind >= VMAX ? s->factor[t * s->samples + sample] : 1, kind, graded, 0);
    }
}

#define SINGLE(KIND) case KIND: block(s, sample, from, to, KIND, 0); break;
#define BOTH(KIND) \
    case KIND: \
        if (s->levels > 1) \
            block(s, sample, from, to, KIND, 1); \
        else \
            block(s, sample, from, to, KIND, 0); \
        break;

static void choose(const struct scan *s, int64_t sample, int64_t from, int64_t to)
{
    switch ((enum kind)s->kind) {
    BOTH(SOFT) BOTH(HARD) BOTH(EARLY) BOTH(CENTRED) BOTH(LEAKY_EARLY)
    SINGLE(SIGNED) SINGLE(AT_ZERO) SINGLE(LEAKY_SIGNED) SINGLE(HALVING) SINGLE(VMAX) SINGLE(VCUR) SINGLE(GRADED)
    }
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
