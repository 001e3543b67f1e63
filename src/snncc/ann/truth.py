# SPDX-License-Identifier: Apache-2.0
"""The ANN in onnxruntime: the truth that every spiking network is measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from snncc.ann.batches import agree, joined
from snncc.ann.exact_integers import exact_products
from snncc.data.inputs import InputSpec, shown
from snncc.errors import DataError, ModelError, UsageError
from snncc.functions.onnx.runtime import ORT_ERRORS, session

__all__ = ["InputSpec", "Truth"]


class Truth:
    """onnxruntime on `model`; any value of the main graph can be asked for by name.

    shapes:  extents for inputs whose shape is free or unknown, by input name.
    threads: threads inside one operator; None leaves the choice to onnxruntime.

    Samples are stacked on axis 0 of every input of rank 1 or more; an input of rank 0 is shared by all samples.
    A batch is run at once only after a probe has shown that it gives what single samples give, even where the
    model declares a free batch axis (exporters leave constant reshapes behind); else samples are fed one by one,
    or in chunks of the extent that the model fixes. The caller passes N samples and gets N results in all cases.

    Raises ModelError when onnxruntime refuses the model, UsageError when `shapes` does not fit it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        *,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        threads: int | None = None,
    ) -> None:
        self._proto = onnx.ModelProto()
        self._proto.CopyFrom(model)
        self._threads = threads
        self._sessions: dict[frozenset[str], Any] = {}
        graph = self._proto.graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        constants = self._constants.keys() | {tensor.values.name for tensor in graph.sparse_initializer}
        infos = {info.name: info for info in graph.input if info.name not in constants}
        _apply_shapes(infos, shapes or {})
        self.inputs: tuple[InputSpec, ...] = tuple(_spec(info) for info in infos.values())
        self.outputs: tuple[str, ...] = tuple(info.name for info in graph.output)
        self._known = {name for node in graph.node for name in node.output if name}
        self._rows, self._chunk = _rows_and_chunk(self.inputs)
        # None: not probed yet. A batch extent above 1 that the model fixes is obeyed.
        one_row = set(self._rows.values()) == {1}
        self._batched: bool | None = None if one_row and self._chunk == 1 else False
        self._session(frozenset())

    @property
    def names(self) -> frozenset[str]:
        """The values that can be asked for, initializers apart."""
        return frozenset(self._known) | {spec.name for spec in self.inputs}

    def count(self, feeds: Mapping[str, np.ndarray]) -> int:
        """The number of samples in `feeds`. Raises DataError when the inputs disagree or there are none."""
        counts = {name: divmod(feeds[name].shape[0], rows) for name, rows in self._rows.items()}
        samples: set[int] = {count for count, _ in counts.values()} or {1}
        if len(samples) > 1 or any(rest for _, rest in counts.values()):
            given = ", ".join(f"{name!r}: {feeds[name].shape[0]}" for name in self._rows)
            raise DataError(f"the inputs hold different numbers of samples on axis 0 ({given})")
        if samples == {0}:
            raise DataError("there are no samples in the inputs")
        return samples.pop()

    def take(self, feeds: Mapping[str, np.ndarray], start: int, stop: int) -> dict[str, np.ndarray]:
        """The samples [start, stop) of `feeds`; inputs of rank 0 are kept."""
        return {
            name: array[start * self._rows[name] : stop * self._rows[name]] if name in self._rows else array
            for name, array in feeds.items()
        }

    def checked(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`feeds` in the order and dtypes of the inputs. Raises DataError naming the input that does not fit."""
        names = [spec.name for spec in self.inputs]
        if unknown := [name for name in feeds if name not in names]:
            raise DataError(f"the model has no input {unknown[0]!r}; its inputs are {', '.join(map(repr, names))}")
        result = {}
        for spec in self.inputs:
            if spec.name not in feeds:
                raise DataError(f"input {spec.name!r} is missing: expected {spec.dtype} {shown(spec.shape)}")
            array = np.asarray(feeds[spec.name])
            spec.check_shape(array.shape)
            result[spec.name] = spec.cast(array)
        return result

    def run(
        self,
        feeds: Mapping[str, np.ndarray],
        values: Sequence[str] | None = None,
        *,
        batch_axes: Mapping[str, int] | None = None,
    ) -> dict[str, np.ndarray]:
        """The named values (default: the graph's outputs) for the N samples in `feeds`.

        batch_axes: the axis that carries the samples, for values where it is not axis 0. Single results are joined
        along it; without an entry a result whose axis 0 is not the sample count is stacked on a new axis 0.
        Graph inputs and initializers are returned as they are.

        Raises DataError for feeds that do not fit, ModelError for a value that the graph does not compute.
        """
        feeds = self.checked(feeds)
        count = self.count(feeds)
        wanted = list(self.outputs if values is None else values)
        known: dict[str, np.ndarray] = {}
        for name in wanted:
            if name in feeds:
                known[name] = feeds[name]
            elif name in self._constants:
                known[name] = numpy_helper.to_array(self._constants[name])
            elif name not in self._known:
                raise ModelError(f"the graph computes no value {name!r}", cure="name an output of one of its nodes")
        asked = [name for name in dict.fromkeys(wanted) if name not in known]
        if asked:
            known |= zip(asked, self._compute(feeds, count, asked, batch_axes or {}), strict=True)
        return {name: known[name] for name in wanted}

    def _compute(
        self, feeds: dict[str, np.ndarray], count: int, names: list[str], axes: Mapping[str, int]
    ) -> list[np.ndarray]:
        # Two samples that cannot differ prove nothing: a lone sample of integers leaves the question open.
        if self._batched is None and (count > 1 or any(array.dtype.kind == "f" for array in feeds.values())):
            self._batched = self._probe(feeds)
        if self._batched:
            return self._call(feeds, names)
        parts = []
        for start in range(0, count, self._chunk):
            # The last chunk is filled up with the last sample; its surplus results are cut off by joined.
            index = np.minimum(np.arange(start, start + self._chunk), count - 1)
            part = (
                self.take(feeds, start, start + 1)
                if self._chunk == 1
                else {name: array[index] if name in self._rows else array for name, array in feeds.items()}
            )
            parts.append(self._call(part, names))
        return [
            joined(name, list(results), axes.get(name), self._chunk, count)
            for name, results in zip(names, zip(*parts, strict=True), strict=True)
        ]

    def _probe(self, feeds: dict[str, np.ndarray]) -> bool | None:
        """Whether two random samples give at once what they give one by one (None: they give nothing).

        A fixed batch extent of 1 is made symbolic for the attempt, and stays so when it succeeds.
        """
        fixed, sessions = self._proto, self._sessions
        random = np.random.Generator(np.random.Philox(0))
        # Integers (token ids, indices) must be valid, so they come from the data; so does what onnxruntime calls V.
        pair = {name: array[[0, -1]] if array.ndim else array for name, array in feeds.items()}
        for name, array in pair.items():
            if array.ndim and array.dtype.kind == "f":
                pair[name] = random.standard_normal(array.shape).astype(array.dtype)
        names = list(self.outputs)
        try:
            singles = [self._call(self.take(pair, i, i + 1), names) for i in range(2)]
        except DataError:
            return None  # random numbers or the data do not suit the model: nothing is known about batches
        try:
            if any(spec.shape and spec.shape[0] for spec in self.inputs):
                self._proto, self._sessions = _with_free_batch(fixed, self._rows), {}
            if all(map(agree, self._call(pair, names), *singles)):
                return True
        except (DataError, ModelError):
            pass  # the graph cannot take a batch, which is the answer
        self._proto, self._sessions = fixed, sessions
        return False

    def _call(self, feeds: Mapping[str, np.ndarray], names: list[str]) -> list[np.ndarray]:
        session = self._session(frozenset(names) - frozenset(self.outputs))
        try:
            return [np.asarray(value) for value in session.run(names, feeds)]
        except ORT_ERRORS as error:
            given = ", ".join(f"{name!r} {array.dtype} {shown(array.shape)}" for name, array in feeds.items())
            reason = f"onnxruntime cannot run the model on {given}: {_reason(error)}"
            raise DataError(reason, cure="check the shape of the data, and --shape if it was given") from error

    def _session(self, exposed: frozenset[str]) -> Any:
        if exposed not in self._sessions:
            model = exact_products(self._proto)
            if exposed:
                plain, model = model, onnx.ModelProto()
                model.CopyFrom(plain)
                model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(exposed))
            entries = {"session.disable_quant_qdq": "1"}  # QDQ models in floats, as they say
            # Optimisation would fuse an exposed value with its neighbours, or change how it rounds.
            options: dict[str, Any] = {"optimized": not exposed, "threads": self._threads, "entries": entries}
            try:
                self._sessions[exposed] = session(model.SerializeToString(), **options)
            except ORT_ERRORS as error:
                raise ModelError(f"onnxruntime refuses the model: {_reason(error)}") from error
        return self._sessions[exposed]


def _rows_and_chunk(inputs: Sequence[InputSpec]) -> tuple[dict[str, int], int]:
    """Rows of each input that make one sample, and samples in one call as long as batches are not run at once."""
    extents = {spec.name: spec.shape[0] or 1 for spec in inputs if spec.shape}
    fixed = {spec.shape[0] for spec in inputs if spec.shape} - {None}
    if len(fixed) > 1:
        return extents, 1
    return dict.fromkeys(extents, 1), max(extents.values(), default=1)


def _spec(info: onnx.ValueInfoProto) -> InputSpec:
    kind = info.type.tensor_type
    if not info.type.HasField("tensor_type"):
        raise ModelError(f"input {info.name!r} is not a tensor", cure="export the model with tensor inputs only")
    if not kind.HasField("shape"):
        raise ModelError(f"the rank of input {info.name!r} is unknown", cure="give its shape")
    # Old exporters write 0 or -1 for an extent that is free.
    shape = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim)
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    except (KeyError, TypeError):
        raise ModelError(
            f"input {info.name!r} has the unknown element type {kind.elem_type}", cure="export the model again"
        ) from None
    return InputSpec(name=info.name, shape=shape, dtype=dtype)


def _apply_shapes(infos: Mapping[str, onnx.ValueInfoProto], shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name, shape in shapes.items():
        if name not in infos:
            raise UsageError(f"a shape is given for {name!r}; the inputs are {', '.join(map(repr, infos))}")
        kind = infos[name].type.tensor_type
        declared = _spec(infos[name]).shape if kind.HasField("shape") else (None,) * len(shape)
        fits = len(declared) == len(shape) and all(extent > 0 for extent in shape)
        if not fits or any(have not in (None, want) for have, want in zip(declared, shape, strict=True)):
            raise UsageError(f"shape {shown(shape)} does not fit input {name!r}, declared {shown(declared)}")
        dims = [onnx.TensorShapeProto.Dimension(dim_value=extent) for extent in shape]
        kind.shape.CopyFrom(onnx.TensorShapeProto(dim=dims))


def _with_free_batch(model: onnx.ModelProto, batched: Mapping[str, int]) -> onnx.ModelProto:
    """A copy of `model` with a symbolic axis 0 on the inputs in `batched`; shapes that were derived are dropped."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for info in copy.graph.input:
        if info.name in batched:
            info.type.tensor_type.shape.dim[0].dim_param = "batch"
    for info in copy.graph.output:
        info.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    return copy


def _reason(error: Exception) -> str:
    """The first line of onnxruntime's message, without its own code."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(" : ", 2)[-1][:300]
