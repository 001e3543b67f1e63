# SPDX-License-Identifier: Apache-2.0
"""`finetune`: gradients, changes to the graph, training, resuming, and the file that `convert` takes losslessly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from small_models import normal, parsed
from snncc import api
from snncc.ann.truth import Truth
from snncc.cli.commands import cli
from snncc.data.dataset import Dataset, Preprocessing
from snncc.errors import DataError, UsageError
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network
from snncc.ir.nodes import BatchNorm, Conv, MaxPool, QuantizedRelu
from snncc.training import training
from snncc.training.checkpoint import LAST
from snncc.training.model import TrainableNetwork
from snncc.training.quantizers import LearnedStep, LevelRelu, Ternary
from snncc.training.run import finetune, prepare
from snncc.training.settings import Settings

torch.set_num_threads(1)

FOLDED = """g (float[N, 1, 8, 8] x) => (float[N, 4] y) {
  c = Conv (x, w0, b0) r = Relu(c) p = MaxPool <kernel_shape=[2,2], strides=[2,2]> (r)
  d = Conv (p, w1, b1) s = Relu(d) l = Flatten(s) h = Gemm(l, w2) t = Relu(h) y = Gemm(t, w3, b3) }"""


def model() -> onnx.ModelProto:
    weights = {"w0": normal(1, 8, 1, 3, 3) / 2, "b0": normal(2, 8) / 5, "w1": normal(3, 12, 8, 2, 2) / 5}
    weights |= {"b1": normal(4, 12) / 5, "w2": normal(5, 48, 16) / 6, "w3": normal(6, 16, 4) / 3, "b3": np.ones(4)}
    return parsed(FOLDED, **weights)


def blobs(count: int, seed: int) -> Dataset:
    """Four classes: a bright quadrant in noise."""
    random = np.random.default_rng(seed)
    x, y = random.uniform(0, 0.6, (count, 1, 8, 8)).astype(np.float32), random.integers(0, 4, count)
    for image, label in zip(x, y, strict=True):
        image[0, 4 * (label // 2) : 4 * (label // 2) + 4, 4 * (label % 2) : 4 * (label % 2) + 4] += 0.5
    return Dataset(
        inputs={"x": x}, labels=y, source="blobs", preprocessing=Preprocessing(), continuous=frozenset({"x"})
    )


def settings(method: str, **changes: Any) -> Settings:
    given = {"method": method, "epochs": 3, "batch_size": 32, "lr": 0.02, **changes}
    if method == "zou":
        given |= {"optimizer": "adam", "lr": 0.01, "weight_decay": 0.0, "epochs": 6} | changes
    return msgspec.convert(given, Settings)


def test_the_gradients_are_those_of_the_papers() -> None:
    v = torch.tensor([-0.3, 0.2, 0.7, 1.4, 2.6, 0.0], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    y = LearnedStep.apply(v, step, 3, 0.1)
    y.backward(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    assert torch.equal(y.detach(), torch.tensor([0.0, 0.0, 0.5, 1.5, 1.5, 0.0]))  # 0.7/0.5 = 1.4 -> 1, 2.8 -> 3
    assert torch.equal(v.grad, torch.tensor([0.0, 2.0, 3.0, 4.0, 0.0, 0.0]))
    assert np.isclose(float(step.grad), 0.1 * (2 * -0.4 + 3 * -0.4 + 4 * 0.2 + 5 * 3))
    w = torch.tensor([-2.0, -0.9, 0.1, 0.8, 1.2], requires_grad=True)  # 0.7 mean |w| = 0.7
    out = Ternary.apply(w)
    out.backward(torch.ones(5))
    assert torch.equal(out.detach(), torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0]))
    assert torch.equal(w.grad, torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0]))
    x = torch.tensor([-0.4, 0.25, 0.3, 2.2], requires_grad=True)
    z = LevelRelu.apply(x, 2.0, 4)
    z.backward(torch.ones(4))
    assert torch.equal(z.detach(), torch.tensor([0.0, 0.5, 0.5, 2.0]))  # ties go up
    assert torch.equal(x.grad, torch.tensor([0.0, 1.0, 1.0, 0.0]))


@pytest.mark.parametrize("pool", ["event", "stride"])
def test_zou_begins_as_the_same_function_and_says_what_it_changes(pool: str) -> None:
    net = lowered_network(normalize(samples_first(model())))
    prepared = prepare(net, settings("zou", pool=pool), blobs(64, 0))
    kinds = [type(n) for n in prepared.network.nodes]
    assert kinds.count(BatchNorm) == (4 if pool == "stride" else 3)
    assert kinds.count(MaxPool) == (0 if pool == "stride" else 1)
    assert len(prepared.ternary) == (3 if pool == "stride" else 2)
    levels = {n.name: n.levels for n in prepared.network.nodes if isinstance(n, QuantizedRelu)}
    assert levels == {"r": 4, "s": None, "t": None} | ({"p": None} if pool == "stride" else {})
    said = " ".join(prepared.changes)
    for line in ("c: weights stay real (encoder)", "d: weights become ternary", "y: weights stay real", "inserted"):
        assert line in said
    feeds = next(blobs(64, 0).batches(64))
    engine = prepared.network
    values = Truth(model()).run(feeds, ["c"])["c"]
    from snncc.execute.torch.engine import Engine

    assert np.allclose(Engine(engine).evaluate(feeds)["c"].numpy(), values, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("qffs", {"bits": 2}),
        ("qffs", {"bits": 3, "out_bits": 4}),
        ("qffs", {"bits": 4, "pool": "stride"}),
        ("zou", {"level": 0}),
        ("zou", {"level": 1, "pool": "stride"}),
        ("zou", {"level": 2}),
    ],
)
def test_the_trained_file_converts_without_loss(tmp_path: Path, method: str, options: dict[str, Any]) -> None:
    train, held_out = blobs(640, 0), blobs(200, 1)
    chosen = settings(method, **options)
    result = finetune(model(), chosen, train=train, validation=held_out, out=tmp_path / "q.onnx")
    assert result.history[-1].validation is not None
    assert result.history[-1].validation > 0.9
    truth = Truth(onnx.load(tmp_path / "q.onnx"))
    y = truth.run(next(held_out.batches(200)), ["y"])["y"]
    assert abs((y.argmax(1) == held_out.labels).mean() - result.history[-1].validation) <= 0.01
    converted = api.convert(result.path, method=method, calib=held_out, write=False)
    certificate = converted.manifest.certificate
    assert certificate is not None
    assert certificate.lossless
    assert certificate.moved == 0
    spikes = converted.module()(torch.from_numpy(held_out.inputs["x"])).numpy()
    assert np.allclose(spikes, y, atol=1e-2 * np.abs(y).max())
    if method == "zou":
        ternary = [converted.network.arrays[n.weight] for n in converted.network.nodes if isinstance(n, Conv)][1:]
        assert all(len(np.unique(np.abs(w))) <= 2 for w in ternary)


@pytest.mark.parametrize("method", ["qffs", "zou"])
def test_an_interrupted_run_resumes_to_the_same_weights(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = blobs(160, 0)
    chosen = settings(method, epochs=3, augment=("flip", "shift"), shift=1)
    whole = finetune(model(), chosen, train=train, out=tmp_path / "a.onnx")
    original = training.Trainer.epoch

    def interrupted(self: training.Trainer, number: int) -> Any:
        if number == 3:
            raise KeyboardInterrupt
        return original(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(training.Trainer, "epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            finetune(model(), chosen, train=train, out=tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()
    with pytest.raises(DataError, match="belongs to a run"):
        finetune(model(), settings(method, epochs=3), train=train, out=tmp_path / "b.onnx", resume=True)
    again = finetune(model(), chosen, train=train, out=tmp_path / "b.onnx", resume=True)
    assert again.history == whole.history
    assert (tmp_path / "b.onnx").read_bytes() == (tmp_path / "a.onnx").read_bytes()
    assert len(list((tmp_path / "b.onnx.checkpoints").iterdir())) == 2
    last = tmp_path / "b.onnx.checkpoints" / LAST
    last.write_text("{")
    with pytest.raises(UsageError, match="no checkpoint"):
        finetune(model(), chosen, train=train, out=tmp_path / "b.onnx", resume=True)


def test_learning_rates() -> None:
    by = {name: msgspec.structs.replace(settings("qffs"), schedule=name, lr=1.0) for name in ("cosine", "step")}
    assert [training.rate(by["cosine"], p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [training.rate(by["step"], p) for p in (0, 0.5, 0.75)] == pytest.approx([1, 0.1, 0.01])


def test_shifts_bring_zeros_in() -> None:
    x = torch.ones(50, 1, 4, 4)
    chosen = settings("qffs", augment=("shift",), shift=2)
    y = training.augmented(x, chosen, np.random.default_rng(0))
    assert y.shape == x.shape
    sums = set(y.sum((1, 2, 3)).tolist())
    assert sums <= {a * b * 1.0 for a in (2, 3, 4) for b in (2, 3, 4)}
    assert len(sums) > 3


def test_the_first_batch_sets_the_step() -> None:
    net = lowered_network(normalize(samples_first(model())))
    prepared = prepare(net, settings("qffs", bits=3), blobs(64, 0))
    module = TrainableNetwork(prepared, learned_steps=True).train()
    feeds = next(blobs(64, 0).batches(64))
    module({name: torch.from_numpy(x) for name, x in feeds.items()})
    c = Truth(model()).run(feeds, ["c"])["c"]
    assert np.isclose(float(module.array("r/step").detach()), 2 * np.abs(c).mean() / np.sqrt(7), rtol=1e-4)


def test_what_cannot_be_trained_is_refused() -> None:
    leaky = parsed("g (float[N, 4] x) => (float[N, 4] y) { a = LeakyRelu(x) y = Gemm(a, w) }", w=normal(1, 4, 4))
    unlabelled = Dataset(
        inputs={"x": normal(0, 8, 4)}, source="x", preprocessing=Preprocessing(), continuous=frozenset({"x"})
    )
    with pytest.raises(DataError, match="no labels"):
        finetune(leaky, settings("qffs"), train=unlabelled, out="unused.onnx")
    labelled = Dataset(
        inputs=unlabelled.inputs,
        labels=np.arange(8) % 4,
        source="x",
        preprocessing=Preprocessing(),
        continuous=frozenset({"x"}),
    )
    with pytest.raises(UsageError, match="ReLU only"):
        finetune(leaky, settings("qffs"), train=labelled, out="unused.onnx")


def test_the_command_trains_resumes_and_says_what_it_did(tmp_path: Path) -> None:
    train = blobs(96, 0)
    np.savez(tmp_path / "train.npz", x=train.inputs["x"], y=train.labels)
    onnx.save(model(), tmp_path / "net.onnx")
    given = [str(tmp_path / "net.onnx"), "--method", "zou", "--train", str(tmp_path / "train.npz"), "--epochs", "2"]
    given += ["--val", str(tmp_path / "train.npz"), "--level", "1", "--batch-size", "32", "--augment", "flip", "-q"]
    given += ["-o", str(tmp_path / "out.onnx"), "--optimizer", "sgd", "--schedule", "step"]
    first = CliRunner().invoke(cli, ["finetune", *given], catch_exceptions=False)
    assert first.exit_code == 0
    said = " ".join(first.output.split())
    for text in ("d: weights become ternary", "epoch 2/2: loss", "validation", "--method zou"):
        assert text in said
    before = (tmp_path / "out.onnx").read_bytes()
    (tmp_path / "out.onnx").unlink()
    again = CliRunner().invoke(cli, ["finetune", *given, "--resume"], catch_exceptions=False)
    assert again.exit_code == 0
    assert (tmp_path / "out.onnx").read_bytes() == before


def test_half_precision_trains_too(tmp_path: Path) -> None:
    chosen = settings("qffs", amp=True, bits=3)
    result = finetune(model(), chosen, train=blobs(640, 0), validation=blobs(100, 1), out=tmp_path / "q.onnx")
    assert result.history[-1].validation is not None
    assert result.history[-1].validation > 0.9


def test_a_number_among_the_inputs_is_no_batch() -> None:
    """The first input may be a number that all samples share; they are counted on the one that has them."""
    numbered = parsed(
        """g (int64 k, float[N,4] x) => (float[N,3] y) {
            h = Gemm(x, w)  row = Gather(table, k)  one = Unsqueeze(row, axis)  e = Expand(one, shape)
            z = Add(h, e)  r = Relu(z)  y = Gemm(r, v)
        }""",
        w=normal(1, 4, 6), table=normal(2, 2, 6), axis=np.array([0]), shape=np.array([1, 6]), v=normal(3, 6, 3),
    )  # fmt: skip
    source = samples_first(numbered)
    module = TrainableNetwork(
        prepare(lowered_network(normalize(source)), settings("qffs"), blobs(4, 0)), learned_steps=True
    )
    x, k = normal(4, 5, 4), np.array(1)
    assert module({"k": torch.from_numpy(k), "x": torch.from_numpy(x)}).shape == (5, 3)
