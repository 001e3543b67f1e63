# SPDX-License-Identifier: Apache-2.0
"""`report.json`: one struct with every number of the report. The page and the console only render it.

Errors are relative: the sum of squared differences from the ANN's values over the sum of their squares. Fractions run
from 0 to 1. Counts of spikes and operations are means per sample. None: not measured, or undefined.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from snncc.bundles.bundle import Bundle
from snncc.conversion.certify import Certificate
from snncc.errors import BundleError
from snncc.integer.part import IntegerPart
from snncc.reports.trials import Search
from snncc.simulation.run import Simulation

SCHEMA = "snncc/report/1"
DIGITS = 6


def rounded(value: float) -> float | None:
    """A number with six significant digits, so that a page shows what the JSON holds; None where it is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Shared by the parts of a report."""


class PassLine(Part, frozen=True, kw_only=True):
    """One pass: what it promised and what was measured."""

    name: str
    fidelity: str
    stage: str
    error: float | None
    changed: int
    bound: float | None = None


class NoteLine(Part, frozen=True, kw_only=True):
    """One remark of a pass."""

    kind: str
    node: str
    text: str
    by: str


class Point(Part, frozen=True, kw_only=True):
    """One T of a curve, with the 95 % Wilson interval and the relative error of the output.

    reference: the quantised reference, the same network run layer by layer, each layer fed with the mean of the one
    before, on the same samples. quantisation: ANN - reference; asynchrony: reference - value; together what is lost.
    """

    t: int
    value: float
    low: float
    high: float
    error: float
    reference: float | None = None
    reference_error: float | None = None
    quantisation: float | None = None
    asynchrony: float | None = None


class Curve(Part, frozen=True, kw_only=True):
    """Accuracy (agreement with the ANN, without labels) against T for one output.

    within_one_point: the first T measured from which on the value stays within 0.01 of the ANN's. lossless: the first
    T measured with a value not below the ANN's. latency: C_T, the first T measured within 2 % of the value at the last.
    """

    output: str
    metric: Literal["accuracy", "agreement"]
    ann: float
    samples: int
    points: tuple[Point, ...]
    within_one_point: int | None
    lossless: int | None
    latency: int | None


class Spread(Part, frozen=True, kw_only=True):
    """The distribution of a layer's thresholds."""

    count: int
    min: float
    low: float  # 5 %
    median: float
    high: float  # 95 %
    max: float


class Histogram(Part, frozen=True, kw_only=True):
    """Counts in equal bins over [0, top]; what lies above counts in the last bin, zeros and below in `zero`."""

    top: float
    zero: int
    activations: tuple[int, ...]
    thresholds: tuple[int, ...]


class Layer(Part, frozen=True, kw_only=True):
    """One source of events, or an output.

    isolated: its error when it is fed with the ANN's values at every step. cumulative: its error in the simulation.
    saturated: the share of neurons whose ANN value exceeds what they can emit in T steps; clipping: the error that
    this alone causes. dead: the share of neurons that never fire though the ANN's value is positive in some sample.
    residual: charge in the membrane at T beyond the initial one, in spikes, over active neurons. sin: the share of
    neurons that fire though the ANN's input to them is negative. rate: events per neuron and step.
    """

    name: str
    kind: str
    role: str
    neurons: int
    isolated: float | None
    cumulative: float | None
    correlation: float | None
    saturated: float | None = None
    clipping: float | None = None
    dead: float | None = None
    residual: float | None = None
    sin: float | None = None
    rate: float | None = None
    positive: float | None = None
    negative: float | None = None
    synaptic_operations: float | None = None
    clamped: int = 0
    thresholds: Spread | None = None
    histogram: Histogram | None = None


class Raster(Part, frozen=True, kw_only=True):
    """Spikes of some neurons for one sample; one text per neuron, one character per step: '.', '+' or '-'."""

    layer: str
    neurons: tuple[int, ...]
    of: int
    rows: tuple[str, ...]


class Measured(Part, frozen=True, kw_only=True):
    """What the layers were measured on."""

    source: str
    synthetic: bool
    samples: int
    timesteps: int


class GraphNode(Part, frozen=True, kw_only=True):
    """A node of the network: its class, and its share of the multiply-accumulates of the ANN."""

    name: str
    kind: str
    role: str
    inputs: tuple[str, ...]
    share: float


class Edge(Part, frozen=True, kw_only=True):
    """What one value brings to one reader: spikes, graded spikes, analog, current, input or static."""

    source: str
    reader: str
    carries: str


class EnergyModel(Part, frozen=True, kw_only=True):
    """One model of the cost of a sample: the SNN, the ANN and the quantised ANN in the same unit."""

    name: str
    formula: str
    source: str
    unit: str
    snn: float
    ann: float
    quantised: float | None


class Energy(Part, frozen=True, kw_only=True):
    """Operations per sample and what models make of them.

    additions: synaptic operations of spikes. graded: events that carry other values, each a multiplication. dense:
    multiply-accumulates that are not driven by events (the input, computed once; functions; chains without neurons).
    bits: ceil(log2(T + 1)), the precision of the quantised ANN.
    """

    timesteps: int
    bits: int
    multiply_accumulates: int
    additions: float
    graded: float
    dense: float
    updates: float
    models: tuple[EnergyModel, ...]


class Substitution(Part, frozen=True, kw_only=True):
    """ANN values put back at one layer. regained: at this layer alone. cost: what is regained beyond the layers before
    it when they are put back one after the other from the input; the costs sum to the whole loss."""

    layer: str
    regained: float
    cost: float
    error: float


class Attribution(Part, frozen=True, kw_only=True):
    """Where the accuracy (agreement) is lost, by substitution."""

    metric: str
    samples: int
    timesteps: int
    runs: int
    snn: float
    ann: float
    layers: tuple[Substitution, ...]


class Advice(Part, frozen=True, kw_only=True):
    """A finding in words and what to do about it. weight: its share of the error, or of the loss."""

    rule: str
    layer: str | None
    finding: str
    cure: str
    weight: float


class Origin(Part, frozen=True, kw_only=True):
    """What is needed to make the same bytes again."""

    model_sha256: str
    network_sha256: str
    weights_sha256: str
    recipe_sha256: str
    seed: int
    versions: dict[str, str]
    passes: tuple[str, ...]
    preprocessing: str


class Report(Part, frozen=True, kw_only=True):
    """The report. `warnings`: what a user must know before trusting a number; `notes`: every approximation, analog
    node and remark, with the pass it comes from; `simulation`: what the curve is drawn from."""

    schema: str = SCHEMA
    name: str
    method: str
    timesteps: int
    verdict: str
    calibration: str
    warnings: tuple[str, ...]
    nodes: dict[str, int]
    operations: dict[str, float]
    passes: tuple[PassLine, ...]
    notes: tuple[NoteLine, ...]
    simulation: Simulation
    curves: tuple[Curve, ...]
    measured: Measured
    layers: tuple[Layer, ...]
    rasters: tuple[Raster, ...]
    graph: tuple[GraphNode, ...]
    edges: tuple[Edge, ...] = ()
    energy: Energy
    advice: tuple[Advice, ...]
    attribution: Attribution | None = None
    certificate: Certificate | None = None
    search: Search | None = None
    integer: IntegerPart | None = None
    origin: Origin


def decode(data: bytes) -> Report:
    """A report from its bytes; raises BundleError with the key that is wrong."""
    try:
        return msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"report.json is not one of snncc: {error}", cure="convert the model again") from None


def report_of(opened: Bundle) -> Report:
    """The report that `convert` wrote into a bundle."""
    return decode(opened.verified("report.json").read_bytes())
