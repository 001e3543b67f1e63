# SPDX-License-Identifier: Apache-2.0
"""Statistics of the ANN's values over calibration data, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from snncc.calibrate.histogram import NEURON_BINS, WIDE_BINS, LogHistogram, Moments
from snncc.errors import CalibrationError

_BATCH_BYTES = 256 << 20  # of exposed values held at a time
_BATCH_SAMPLES = 64


class Values(Protocol):
    """Where the observed values come from: `ann.truth.Truth`, or `transform.values.AnnValues`."""

    def count(self, feeds: Mapping[str, np.ndarray]) -> int:
        """The number of samples."""

    def take(self, feeds: Mapping[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
        """Some of the samples."""

    def checked(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The samples in the order and types of the inputs."""

    def run(
        self, feeds: Mapping[str, np.ndarray], values: Sequence[str], *, batch_axes: Mapping[str, int] | None = None
    ) -> dict[str, np.ndarray]:
        """The named values."""


@dataclass(frozen=True, slots=True)
class Request:
    """Which value to observe, and what shares one statistic.

    granularity: one statistic for the whole value (layer), for each index of `axis` (channel), or for each element
    of a sample (neuron). batch_axis carries the samples. histogram: whether percentiles will be asked for.
    absolute: observe magnitudes.
    """

    value: str
    granularity: Literal["layer", "channel", "neuron"]
    axis: int = 1
    batch_axis: int = 0
    histogram: bool = False
    absolute: bool = False


class Summary:
    """The statistics of one request.

    Arrays have the rank of the value and broadcast against the value of one sample: extent 1 on the reduced axes
    and on the batch axis, so [1, C, 1, 1] by channel, [1, C, H, W] by neuron and [1, 1, 1, 1] by layer. Where the
    batch axis carries k elements per sample (merged with another axis, sample-major), its extent by neuron is k.
    """

    def __init__(self, request: Request, sample_shape: tuple[int, ...]) -> None:
        """sample_shape: of the value for one sample, k on the batch axis. Raises CalibrationError if it misfits."""
        rank = len(sample_shape)
        by_channel = request.granularity == "channel"
        for axis in (request.batch_axis, *([request.axis] if by_channel else [])):
            if not -rank <= axis < rank:
                raise CalibrationError(f"value {request.value!r} of rank {rank} has no axis {axis}")
        self.request = request
        self.sample_shape = sample_shape
        self._batch_axis = request.batch_axis % rank
        self._axis = request.axis % rank if by_channel else None
        if self._axis == self._batch_axis:
            raise CalibrationError(f"value {request.value!r}: the samples and the channels lie on the same axis")
        if request.granularity == "neuron":
            self.shape = sample_shape
        else:
            self.shape = tuple(extent if axis == self._axis else 1 for axis, extent in enumerate(sample_shape))
        rows = int(np.prod(self.shape, dtype=np.int64))
        if not request.histogram:
            self._data = Moments(rows)
        elif request.granularity == "neuron":
            # Hundreds of thousands of rows, one observation per sample each: narrow and 32 bits wide.
            self._data = LogHistogram(rows, NEURON_BINS, dtype=np.int32)
        else:
            self._data = LogHistogram(rows, WIDE_BINS)

    @property
    def min(self) -> np.ndarray:
        """The exact minimum."""
        return self._data.min.reshape(self.shape)

    @property
    def max(self) -> np.ndarray:
        """The exact maximum."""
        return self._data.max.reshape(self.shape)

    @property
    def mean(self) -> np.ndarray:
        """The mean, exact before it is rounded to float64. See Moments.mean."""
        return self._data.mean.reshape(self.shape)

    @property
    def count(self) -> int:
        """Observations per statistic: samples by neuron, samples × reduced extents else."""
        return self._data.count

    def percentile(self, p: float, *, nonzero: bool = False) -> np.ndarray:
        """See LogHistogram.percentile. Raises CalibrationError if the request was without histogram."""
        return self._histogram().percentile(p, nonzero=nonzero).reshape(self.shape)

    @property
    def error(self) -> float:
        """The relative error of a percentile. Raises CalibrationError if the request was without histogram."""
        return self._histogram().error

    def merge(self, other: Summary) -> None:
        """Add what `other` has seen, exactly. Raises CalibrationError when its request or shape differs."""
        if other.request != self.request or other.sample_shape != self.sample_shape:
            raise CalibrationError("summaries of different requests or shapes cannot be merged")
        self._data.merge(other._data)

    def update(self, value: np.ndarray) -> None:
        """Observe `value`, of any number of samples. Raises CalibrationError for another shape, NaN and infinity."""
        at, k = self._batch_axis, self.sample_shape[self._batch_axis]
        here = value.shape
        fits = len(here) == len(self.sample_shape) and here[at] % k == 0
        if not fits or (*here[:at], k, *here[at + 1 :]) != self.sample_shape:
            raise CalibrationError(
                f"value {self.request.value!r} changes its shape from sample to sample: "
                f"{list(self.sample_shape)} and then {list(here)} with the samples on axis {at}"
            )
        if self.request.granularity == "neuron":
            split = value.reshape(*here[:at], here[at] // k, *self.sample_shape[at:])
            rows = np.moveaxis(split, at, -1)
        else:
            rows = value if self._axis is None else np.moveaxis(value, self._axis, 0)
        try:
            self._data.update(rows.reshape(self._data.rows, -1))
        except CalibrationError as error:
            raise CalibrationError(f"value {self.request.value!r}: {error.message}", cure=error.cure) from error

    def _histogram(self) -> LogHistogram:
        if not isinstance(self._data, LogHistogram):
            raise CalibrationError(f"value {self.request.value!r} was observed without a histogram: no percentiles")
        return self._data


def collect(
    truth: Values,
    batches: Iterable[Mapping[str, np.ndarray]],
    requests: Sequence[Request],
    *,
    progress: Callable[[int], None] | None = None,
    powers: dict[str, np.ndarray] | None = None,
) -> dict[Request, Summary]:
    """Observe every request in one pass over `batches`; `progress` gets the number of samples seen so far, `powers`
    the mean square of each value in each sample.

    The samples are cut into batches anew, of a size that follows from the model alone. So onnxruntime chooses the
    same kernels however the data came, and the result does not depend on the caller's batch size.

    Raises CalibrationError when there are no samples, or when a value contains NaN or infinity, has no samples on
    its batch axis, or changes its shape from sample to sample.
    """
    axes = {request.value: request.batch_axis for request in requests}
    for request in requests:
        if axes[request.value] != request.batch_axis:
            raise CalibrationError(f"value {request.value!r} is requested with two different batch axes")
    names = list(axes)
    summaries: dict[Request, Summary] = {}
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    seen = 0
    for feeds in rebatched(truth, batches, names, axes):
        count = truth.count(feeds)
        values = truth.run(feeds, names, batch_axes=axes)
        for request in requests:
            value = values[request.value]
            if request not in summaries:
                summaries[request] = Summary(request, _sample_shape(request, value.shape, count))
            summaries[request].update(np.abs(value) if request.absolute else value)
        if powers is not None:
            for name, axis in axes.items():
                found[name].append(power(values[name], axis, count))
        seen += count
        if progress is not None:
            progress(seen)
    if not seen:
        raise CalibrationError("there are no calibration samples", cure="give at least one")
    if powers is not None:
        powers |= {name: np.concatenate(parts) for name, parts in found.items()}
    return summaries


def power(value: np.ndarray, axis: int, count: int) -> np.ndarray:
    """The mean square of a value in each of `count` samples, which lie on `axis`."""
    rows = np.moveaxis(value, axis, 0).reshape(count, -1)
    total: np.ndarray = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return total / max(1, rows.shape[1])


def _sample_shape(request: Request, shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    at = request.batch_axis
    if not -len(shape) <= at < len(shape) or shape[at] % count or not shape[at]:
        raise CalibrationError(
            f"value {request.value!r} of shape {list(shape)} has no axis {at} that carries the {count} samples"
        )
    at %= len(shape)
    return (*shape[:at], shape[at] // count, *shape[at + 1 :])


def rebatched(
    truth: Values, batches: Iterable[Mapping[str, np.ndarray]], names: list[str], axes: Mapping[str, int]
) -> Iterator[dict[str, np.ndarray]]:
    """The samples of `batches` in batches of one size, that keeps the values `names` of a batch within memory."""
    held: dict[str, np.ndarray] = {}
    size = 0
    for batch in batches:
        fresh = truth.checked(batch)
        if not size:
            one = truth.run(truth.take(fresh, 0, 1), names, batch_axes=axes)
            size = max(1, min(_BATCH_SAMPLES, _BATCH_BYTES // max(1, sum(value.nbytes for value in one.values()))))
        if held and not _joinable(held, fresh):
            yield held
            held = {}
        held = {name: _join(held[name], array) for name, array in fresh.items()} if held else fresh
        count = truth.count(held)
        for start in range(0, count - size + 1, size):
            yield truth.take(held, start, start + size)
        done = count // size * size
        held = truth.take(held, done, count) if done < count else {}
    if held:
        yield held


def _join(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.concatenate([left, right]) if left.ndim else left


def _joinable(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> bool:
    """Whether samples can be stacked: the same extents, and the same inputs of rank 0."""
    return all(
        array.shape[1:] == right[name].shape[1:] and (array.ndim > 0 or np.array_equal(array, right[name]))
        for name, array in left.items()
    )
