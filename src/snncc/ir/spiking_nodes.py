# SPDX-License-Identifier: Apache-2.0
"""Nodes with state: neurons and the event-driven form of functions."""

from __future__ import annotations

from typing import ClassVar, Literal

from snncc.ir.base import Node
from snncc.ir.function_nodes import Clip, Foreign, LeakyRelu, MaxPool, Operator, Relu
from snncc.ir.operators import OPERATORS


class Neuron(Node, frozen=True, kw_only=True):
    """Shared by neurons that integrate one input current.

    `threshold`, `amplitude` (the value that one spike carries downstream) and `v_init` (the initial membrane
    potential) are arrays that broadcast against the node's shape: one value, one per channel or one per neuron.
    """

    threshold: str
    amplitude: str
    v_init: str
    ARRAYS: ClassVar[tuple[str, ...]] = ("threshold", "amplitude", "v_init")

    @property
    def graded(self) -> bool:
        """Whether the values that it emits need not be multiples of `amplitude`."""
        return False


class IF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire: u += x; z = [u >= threshold]; u -= z threshold (or u = 0); y = amplitude z.

    With `burst` m > 1, z = clip(floor(u / threshold), 0, m): several spikes at once catch up after a late start.
    """

    reset: Literal["subtract", "zero"] = "subtract"
    burst: int = 1


class SignedIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire with negative spikes and a memory n of what was emitted.

    u += x; z = +1 if u >= threshold and n < cap; else z = -1 if n > 0 and (u < 0 [early], u <= 0 [at_zero] or
    u <= -threshold [signed]); u -= z threshold; n += z; y = amplitude z. With `levels` m > 1 (early only),
    z = clip(floor(u/threshold), -min(n, m), min(m, cap - n)).
    """

    negative: Literal["signed", "early", "at_zero"] = "signed"
    cap: int | None = None
    levels: int = 1


class CentredIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Early `SignedIF` around a resting rate: a constant carries the mean, spikes the deviations from it.

    r[t] = centre / until for t <= until, 0 afterwards; u += x - r threshold; z as of the early `SignedIF` whose count
    starts at n = centre; u -= z threshold; n += z; y = amplitude (z + r). `centre` holds whole numbers; with until = 0
    nothing rests and the count alone starts there.
    """

    centre: str
    until: int
    levels: int = 1
    ARRAYS = ("threshold", "amplitude", "v_init", "centre")


class LeakyIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Two-sided `SignedIF` whose count n may be negative; y = phi(n[t]) - phi(n[t-1]).

    phi(n) = amplitude n for n >= 0 and slope amplitude n below (LeakyRelu, PRelu, Abs).
    """

    slope: str
    negative: Literal["signed", "early"] = "signed"
    levels: int = 1
    ARRAYS = ("threshold", "amplitude", "v_init", "slope")

    @property
    def graded(self) -> bool:
        """Negative values are multiples of slope amplitude."""
        return True


class AdaptiveIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire whose firing threshold c threshold adapts to the layer's largest input current.

    m = max_i x_i / threshold_i over the neurons of the sample (or of the batch); c starts at eta and becomes
    min(1, max(c, m)) [running_max] or m where eta < m < 1 [alg2]; without `adapt` it stays. u += x;
    z = [u >= c threshold]; u -= z threshold, y = amplitude z [vmax]; u -= z c threshold, y = amplitude z [vcur]; or
    u -= z c threshold, y = c amplitude z [graded].
    """

    eta: float = 0.7
    rule: Literal["running_max", "alg2"] = "running_max"
    adapt: bool = True
    subtract: Literal["vmax", "vcur", "graded"] = "vmax"
    scope: Literal["sample", "batch"] = "sample"

    @property
    def graded(self) -> bool:
        """Whether a spike carries the threshold of its step."""
        return self.subtract == "graded"


class MsatIF(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire with the multi-stage adaptive threshold; potentials in units of `threshold`.

    v += x / threshold; th = 1 at the first step, then sigmoid(DTT + DET) with d = v_last - mean of the residuals,
    DTT = tau_mp (alpha d + v_t + k_a ln(1 + exp(d / k_i))), DET = tau_rd exp(-x / (threshold c)), each 0 where it is
    switched off (both off: th = 1); z = min(burst, floor(v / th)), kept with probability `confidence` in the first
    `unsure` steps; v -= th z; y = amplitude th z. `key` names the random stream.
    """

    alpha: float
    k_a: float
    k_i: float
    c: float
    tau_mp: float
    tau_rd: float
    v_t: float = -1.0
    dtt: bool = True
    det: bool = True
    burst: int = 1
    confidence: float = 1.0
    unsure: int = 16
    key: int = 0

    @property
    def graded(self) -> bool:
        """A spike carries the threshold of its step."""
        return True


class MultiThreshold(Neuron, frozen=True, kw_only=True, tag=True):
    """Integrate and fire with `sizes` thresholds of either sign that halve; one event per step.

    u += x; z = sign(u) 2^-i with the smallest i < sizes for which |u| >= 3/4 threshold 2^-i, else 0;
    u -= z threshold; y = amplitude z.
    """

    sizes: int = 6

    @property
    def graded(self) -> bool:
        """An event carries a power of two times the amplitude."""
        return True


class Encoder(Node, frozen=True, kw_only=True, tag=True):
    """Spikes of amplitude `scale` for an input x, with the sign of x; p = min(1, |x| / scale).

    poisson: a spike with probability p at each step while the input is on, from the random stream `key`.
    uniform: at fixed intervals, floor(D(t) p + phase) - floor(D(t-1) p + phase) spikes at step t.
    """

    kind: Literal["poisson", "uniform"]
    scale: str
    phase: float = 0.5
    key: int = 0
    ARRAYS = ("scale",)


class Differential(Node, frozen=True, kw_only=True, tag=True):
    """The event-driven form of a function f: y[t] = G[t] - G[t-1], G[t] = D(t) f(clamp(X[t] / D(t), low, high)).

    X is the running sum of each varying input, D the divisor of the network's input schedule; G[0] = 0. `low` and
    `high` bound each input of `function` (None: no clamp). Where `nonzero` gives a positive magnitude m for an
    input, a denominator smaller than m in magnitude keeps its sign and takes m.
    """

    function: Operator | Foreign | MaxPool | Relu | Clip | LeakyRelu
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    nonzero: tuple[float, ...]

    def array_names(self) -> tuple[str, ...]:
        """The arrays of the function."""
        return self.function.array_names()

    @property
    def direct(self) -> bool:
        """Whether D f(X / D) = f(X): the function is homogeneous and nothing is clamped, so nothing is divided."""
        free = not any(self.nonzero) and all(b is None for b in (*self.low, *self.high))
        f = self.function
        return free and (OPERATORS[f.op].homogeneous if isinstance(f, Operator) else not isinstance(f, (Clip, Foreign)))
