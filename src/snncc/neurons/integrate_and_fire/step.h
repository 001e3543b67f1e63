// SPDX-License-Identifier: Apache-2.0
// Integrate and fire in C, for the compiled scan of torch and for the native engine, which both define `real`, INLINE,
// QUOTIENT(v, theta) = floor(v / theta) and NEVER, the threshold of a neuron that never fires.

// The spikes at potential v: [v >= theta], or where `several` clip(floor(v / theta), 0, levels).
INLINE real integrate_and_fire(const real v, const real theta, const int several, const real levels)
{
    if (!several)
        return v >= theta ? 1 : 0;
    const real q = QUOTIENT(v, theta);
    return q < 0 ? 0 : q > levels ? levels : q;
}
