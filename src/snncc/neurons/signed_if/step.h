// SPDX-License-Identifier: Apache-2.0
// Signed integrate and fire in C; see integrate_and_fire/step.h for what is defined elsewhere.

// When a spike is taken back: at v < 0, v <= 0 or v <= -theta.
enum { NEGATIVE_EARLY, NEGATIVE_AT_ZERO, NEGATIVE_SIGNED };

INLINE int falls(const real v, const real theta, const int negative)
{
    if (negative == NEGATIVE_SIGNED)
        return v <= -theta;
    return (negative == NEGATIVE_EARLY ? v < 0 : v <= 0) & (theta < NEVER);
}

// The spikes at potential v after a net of `had`; where `several` clip(floor(v / theta), -min(had, levels),
// min(levels, cap - had)).
INLINE real signed_if(
    const real v, const real theta, const real had, const int negative, const int several, const real levels,
    const real cap)
{
    if (!several) {
        const real up = (v >= theta) & (had < cap) ? 1 : 0;
        return up - (falls(v, theta, negative) & (had > 0) ? 1 : 0);
    }
    const real q = QUOTIENT(v, theta);
    const real lowest = had < levels ? -had : -levels, highest = cap - had < levels ? cap - had : levels;
    const real s = q < lowest ? lowest : q;
    return s > highest ? highest : s;
}
