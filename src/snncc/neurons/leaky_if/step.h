// SPDX-License-Identifier: Apache-2.0
// The two-sided signed neuron in C; see signed_if/step.h, which stands before it.

// The spikes at potential v; where `several` clip(floor(v / theta), -levels, levels).
INLINE real leaky_if(const real v, const real theta, const int negative, const int several, const real levels)
{
    if (!several)
        return (v >= theta ? 1 : 0) - (real)(falls(v, theta, negative) ? 1 : 0);
    const real q = QUOTIENT(v, theta);
    return q < -levels ? -levels : q > levels ? levels : q;
}

INLINE real phi(const real n, const real slope) { return n < 0 ? slope * n : n; }
