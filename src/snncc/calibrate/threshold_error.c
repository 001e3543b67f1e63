// SPDX-License-Identifier: Apache-2.0
// `add_errors` of threshold_error.py, fused: an observation is read once for all factors.
#include <math.h>
#include <stdint.h>

enum { BLOCK = 1024 };

struct search {
    int64_t statistics, observations, factors, counts, threads;
    const float *rows;             // (statistics, observations)
    const double *level, *mean;    // (statistics)
    const double *factor;          // (factors)
    double *errors;                // (factors, statistics), added to
};

static void add(const struct search *s, int64_t i)
{
    const float inverse = s->level[i] > 0 ? (float)(1 / s->level[i]) : 0;
    const double counts = (double)s->counts;
    float r[BLOCK];
    for (int64_t from = 0; from < s->observations; from += BLOCK) {
        const int64_t size = s->observations - from < BLOCK ? s->observations - from : BLOCK;
        const float *rows = s->rows + i * s->observations + from;
        for (int64_t j = 0; j < size; j++) {
            const float x = rows[j] * inverse;
            r[j] = x > 0 ? x : 0;
        }
        for (int64_t k = 0; k < s->factors; k++) {
            const double level = s->level[i] * s->factor[k];
            const double centre = level > 0 ? rint(s->mean[i] * counts / level) : 0;
            const float low = (float)fmax(centre - counts, 0), high = (float)(centre + counts);
            const float scale = (float)(counts / s->factor[k]), unit = (float)(s->factor[k] / counts);
            float sum = 0;
#pragma omp simd reduction(+ : sum)
            for (int64_t j = 0; j < size; j++) {
                float q = floorf(r[j] * scale + 0.5f);
                q = q < low ? low : q;
                q = q > high ? high : q;
                q = q * unit - r[j];
                sum += q * q;
            }
            s->errors[k * s->statistics + i] += sum;
        }
    }
}

void run(const struct search *s)
{
#pragma omp parallel for num_threads(s->threads) schedule(static)
    for (int64_t i = 0; i < s->statistics; i++)
        add(s, i);
}
