# SPDX-License-Identifier: Apache-2.0
"""`finetune`: from an ONNX file to the ONNX file of its quantised ANN, which `convert` takes without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from snncc.ann.truth import Truth
from snncc.bundles.output import locked, replace_file
from snncc.conversion.request import Progress, quiet
from snncc.data import dataset as datasets
from snncc.data.dataset import Dataset, Preprocessing
from snncc.encoding import sha256
from snncc.errors import BundleError, DataError, UsageError
from snncc.execute.torch.engine import Engine
from snncc.frontend.files.load import load as load_model
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import Dims, samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.network import Array, Network
from snncc.ir.nodes import Conv, Linear
from snncc.training.checkpoint import Epoch
from snncc.training.export import to_onnx
from snncc.training.model import TrainableNetwork
from snncc.training.prepare import Prepared, prepare_qffs, prepare_zou, with_strided_pools
from snncc.training.settings import Settings
from snncc.training.training import Trainer

#: Samples from which inserted normalisations take gamma and beta.
MEASURED = 512


@dataclass(frozen=True, kw_only=True)
class Finetuned:
    """A finished run: the quantised ANN, where it was written, every change to the graph, every epoch."""

    model: onnx.ModelProto
    path: Path
    changes: tuple[str, ...]
    history: tuple[Epoch, ...]


def moments(net: Network, data: Dataset) -> dict[str, tuple[Array, Array]]:
    """Mean and variance per channel of every convolution and matrix, over some samples."""
    sums: dict[str, list[Array]] = {}
    nodes = [n for n in net.nodes if isinstance(n, Conv | Linear) and n.name in net.varying]
    engine = Engine(net)
    for feeds in data.head(MEASURED).batches(64):
        values = engine.evaluate(feeds)
        for node in nodes:
            axis = 1 if isinstance(node, Conv) else node.axis
            x = np.moveaxis(values[node.name].numpy().astype(np.float64), axis, 0).reshape(node.shape[axis], -1)
            new = [x.sum(1), np.square(x).sum(1), np.asarray(float(x.shape[1]))]
            sums[node.name] = [a + b for a, b in zip(sums.get(node.name, [np.zeros(())] * 3), new, strict=True)]
    return {name: (s / n, np.maximum(q / n - np.square(s / n), 0)) for name, (s, q, n) in sums.items()}


def prepare(net: Network, settings: Settings, train: Dataset) -> Prepared:
    """The network ready to train, with every change to it."""
    if net.analog_tail is not None:
        outputs = ", ".join(net.analog_tail.outputs)
        cure = "give the part of the model in front of it, whose output is trained"
        raise UsageError(f"{outputs} stand behind an analog tail ({net.analog_tail})", cure=cure)
    if settings.method == "qffs":
        return prepare_qffs(net, settings)
    changes: list[str] = []
    net = with_strided_pools(net, changes) if settings.pool == "stride" else net
    prepared = prepare_zou(net, settings, moments(net, train))
    prepared.changes[:0] = changes
    return prepared


def finetune(
    model: Path | str | onnx.ModelProto,
    settings: Settings,
    *,
    train: Path | str | Dataset,
    validation: Path | str | Dataset | None = None,
    out: Path | str,
    device: str = "cpu",
    resume: bool = False,
    shapes: Mapping[str, Dims] | None = None,
    preprocessing: Preprocessing | None = None,
    changed: Callable[[str], None] = lambda line: None,
    report: Callable[[Epoch], None] = lambda epoch: None,
    progress: Progress = quiet,
) -> Finetuned:
    """Train the quantised form of a model and write it to `out` (ONNX). Checkpoints lie in `out`.checkpoints/.

    `changed` is told every change to the graph, `report` every finished epoch. The same model, data, settings and
    device give the same weights, interrupted and resumed or not.

    Raises UsageError, DataError, ModelError or BundleError.
    """
    proto = load_model(model if isinstance(model, onnx.ModelProto) else Path(model))
    prepared_model = samples_first(proto, shapes)
    truth = Truth(prepared_model)

    def read(given: Path | str | Dataset) -> Dataset:
        if isinstance(given, Dataset):
            return given
        return datasets.read(Path(given), truth.inputs, preprocessing=preprocessing, split="test")

    data, held_out = read(train), None if validation is None else read(validation)
    if data.labels is None:
        raise DataError(f"{data.source} has no labels to train on", cure='give them as "y" in the .npz')
    torch.manual_seed(settings.seed)
    prepared = prepare(lowered_network(normalize(prepared_model)), settings, data)
    for line in prepared.changes:
        changed(line)
    path = Path(out)
    trainer = Trainer(
        module=TrainableNetwork(prepared, learned_steps=settings.method == "qffs"),
        settings=settings,
        train=data,
        validation=held_out,
        device=torch.device(device),
        folder=path.with_name(f"{path.name}.checkpoints"),
        model_sha256=sha256(proto.SerializeToString(deterministic=True)),
        tell=progress,
        report=report,
    )
    with locked(path):
        try:
            history = trainer.run(resume=resume)
            result = to_onnx(trainer.module.trained(), proto.graph.name or "quantised")
            replace_file(path, result.SerializeToString(deterministic=True))
        except OSError as error:
            raise BundleError(
                f"cannot write {path.name}: {error.strerror}", cure="check space, then --resume"
            ) from None
    return Finetuned(model=result, path=path, changes=tuple(prepared.changes), history=tuple(history))
