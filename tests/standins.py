# SPDX-License-Identifier: Apache-2.0
"""Small networks of the kinds that people bring, with random weights: (model, inputs), exported by torch or as text."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from small_models import normal, parsed
from snncc.frontend.files.from_torch import export

Inputs = dict[str, np.ndarray]
Standin = tuple[onnx.ModelProto, Inputs]
#: Axes of samples that are not the first.
SHAPES: dict[str, dict[str, tuple[int | str, ...]]] = {"audio": {"state": (2, "N", 8)}}
SAMPLES = 6


class Attention(nn.Module):
    """Self-attention with merged heads; `causal` adds a mask of minus infinities, as exporters write it."""

    def __init__(self, dim: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.qkv, self.out, self.heads, self.causal = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), heads, causal

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(-2, -1) / math.sqrt(c // self.heads)
        if self.causal:
            scores = scores + torch.full((t, t), -torch.inf).triu(1)
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, c))


class Block(nn.Module):
    """A transformer block."""

    def __init__(self, dim: int, heads: int, *, causal: bool = False) -> None:
        super().__init__()
        self.n1, self.attention = nn.LayerNorm(dim), Attention(dim, heads, causal=causal)
        self.n2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.n1(x))
        return x + self.mlp(self.n2(x))


class VisionTransformer(nn.Module):
    """Patches of a 3x16x16 image, a class token, two blocks."""

    def __init__(self, dim: int = 16) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.token, self.place = nn.Parameter(torch.randn(1, 1, dim)), nn.Parameter(torch.randn(1, 17, dim) / 4)
        self.blocks = nn.Sequential(Block(dim, 2), Block(dim, 2))
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.blocks(x))[:, 0])


class DigitAttention(nn.Module):
    """Self-attention over the rows of a 28x28 image."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.attention = nn.Linear(28, 12), nn.MultiheadAttention(12, 2, batch_first=True)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x.squeeze(1))
        return self.head((h + self.attention(h, h, h, need_weights=False)[0]).relu().mean(1))


class Recurrent(nn.Module):
    """An LSTM; the head reads its final state (both directions)."""

    def __init__(self, *, both: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 8, batch_first=True, bidirectional=both)
        self.head = nn.Linear(16 if both else 8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, (h, _) = self.lstm(x)
        return self.head(h.transpose(0, 1).flatten(1)), y[:, -1]


def stack(activation: type[nn.Module]) -> nn.Module:
    """Three hidden layers."""
    return nn.Sequential(
        nn.Linear(10, 16), activation(), nn.Linear(16, 16), activation(), nn.Linear(16, 16), activation(),
        nn.Linear(16, 4),
    )  # fmt: skip


class Binarised(nn.Module):
    """Weights and activations of plus and minus one, as binarised networks are exported."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(24, 16).sign()), nn.Parameter(torch.randn(4, 24).sign())
        self.norm = nn.BatchNorm1d(24)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(torch.sign(self.norm(F.linear(x, self.w1))), self.w2)


class UNet(nn.Module):
    """One level down and up, with a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.c3, self.c4 = nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.c1(x).relu()
        b = self.c2(F.max_pool2d(a, 2)).relu()
        return self.c4(self.c3(torch.cat([a, self.up(b)], 1)).relu()).sigmoid()


class MobileNet(nn.Module):
    """HardSwish, a depthwise convolution and squeeze-excite, with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.n1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.expand, self.depth = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.s1, self.s2, self.project = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1), nn.Conv2d(16, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        a = F.hardswish(self.n1(self.stem(x)))
        b = F.hardswish(self.depth(F.hardswish(self.expand(a))))
        b = b * F.hardsigmoid(self.s2(self.s1(F.adaptive_avg_pool2d(b, 1)).relu()))
        return self.head(F.adaptive_avg_pool2d(a + self.project(b), 1).flatten(1))


class Detector(nn.Module):
    """Two scales joined by nearest upsampling; boxes, scores and the features as outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 2, 1)
        self.boxes, self.scores = nn.Conv2d(12, 4, 1), nn.Conv2d(12, 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a = F.leaky_relu(self.c1(x), 0.1)
        b = F.leaky_relu(self.c2(a), 0.1)
        f = torch.cat([a, F.interpolate(b, scale_factor=2.0, mode="nearest")], 1)
        boxes = self.boxes(f).flatten(2).transpose(1, 2)
        return boxes.exp(), self.scores(f).flatten(2).transpose(1, 2).sigmoid(), b


class Causal(nn.Module):
    """Causal self-attention on a series of numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = Block(8, 2, causal=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x).relu().mean(1))


class Embedding(nn.Module):
    """Token ids through an embedding, causal attention, the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.block, self.head = nn.Embedding(20, 8), Block(8, 2, causal=True), nn.Linear(8, 3)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.block(self.table(ids)).mean(1))


def made(build: Callable[[], nn.Module], *shape: int) -> Callable[[], Standin]:
    """A torch module with random weights; BatchNorm gets statistics that are not 0 and 1."""

    def exported() -> Standin:
        torch.manual_seed(1)
        module = build()
        for part in module.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.running_mean.normal_(0, 0.3)
                part.running_var.uniform_(0.5, 2)
        x = normal(2, SAMPLES, *shape)
        return export(module, torch.from_numpy(x)), {"input": x}

    return exported


def embedding() -> Standin:
    """Integer inputs."""
    torch.manual_seed(1)
    ids = np.random.default_rng(3).integers(0, 20, (SAMPLES, 7))
    return export(Embedding(), torch.from_numpy(ids)), {"input": ids}


CONTROL = """g (float[4] x) => (float[4] y, float[1] energy) {
    h = MatMul(x, w1)  b = Add(h, b1)  s = Sin(b)  c = Cos(b)  p = Pow(s, two)  u = Add(p, c)
    r = Relu(u)  m = MatMul(r, w2)  zero = Sub(m, m0)  g0 = Greater(x, far)  y = Where(g0, x, zero)
    q = Mul(zero, x)  energy = ReduceSum<keepdims=0>(q, axis)
}"""


def control() -> Standin:
    """A control network on a vector without a batch axis; Where switches far from its threshold."""
    weights = {"w1": normal(4, 4, 8) / 2, "b1": normal(5, 8), "w2": normal(6, 8, 4) / 3, "m0": normal(7, 4)}
    x = normal(8, SAMPLES, 4)
    x[np.abs(x - 1) < 0.2] += 0.5
    x[0] = 2.0
    named = {**weights, "two": np.float32(2), "far": np.float32(1), "axis": np.array([0])}
    return parsed(CONTROL.replace("float[1] energy", "float energy"), **named), {"x": x}


AUDIO = """g (float[N,64] input, float[2,N,8] state, int64 sr) => (float[N,1] output, float[2,N,8] stateN) {
    rate = Constant<value_int=16000>()
    is16 = Equal(sr, rate)
    frames = If(is16) <
        then_branch = then16 () => (float[N,8,8] a) {
            p = Unsqueeze(input, one)  a = Conv<strides=[8]>(p, w16)
        },
        else_branch = then8 () => (float[N,8,8] b) {
            p8 = Unsqueeze(input, one)  b = Conv<strides=[8]>(p8, w8)
        }
    >
    magnitude = Relu(frames)  logs = Add(magnitude, eps)  spectrum = Log(logs)
    series = Transpose<perm=[2,0,1]>(spectrum)
    h0, c0 = Split<axis=0>(state, halves)
    lstm, h, c = LSTM<hidden_size=8>(series, W, R, B, , h0, c0)
    stateN = Concat<axis=0>(h, c)
    last = Squeeze(h, first)  ready = Relu(last)  z = Gemm(ready, wo)  output = Sigmoid(z)
}"""


def audio() -> Standin:
    """Silero-like: a branch on the sampling rate, a filter bank, an LSTM whose state comes in and goes out."""
    named = {
        "w16": normal(1, 8, 1, 8), "w8": normal(2, 8, 1, 4), "W": normal(3, 1, 32, 8) / 4, "R": normal(4, 1, 32, 8) / 4,
        "B": normal(5, 1, 64) / 4, "wo": normal(6, 8, 1), "one": np.array([1]), "first": np.array([0]),
        "halves": np.array([1, 1]), "eps": np.float32(0.1),
    }  # fmt: skip
    inputs = {"input": normal(7, SAMPLES, 64), "state": normal(8, SAMPLES, 2, 8) / 2, "sr": np.array(16000)}
    return parsed(AUDIO, **named), inputs


STANDINS: dict[str, Callable[[], Standin]] = {
    "vision transformer": made(VisionTransformer, 3, 16, 16),
    "self-attention on 28x28": made(DigitAttention, 1, 28, 28),
    "lstm": made(lambda: Recurrent(both=False), 5, 6),
    "bidirectional lstm": made(lambda: Recurrent(both=True), 5, 6),
    "sigmoid stack": made(lambda: stack(nn.Sigmoid), 10),
    "tanh stack": made(lambda: stack(nn.Tanh), 10),
    "selu stack": made(lambda: stack(nn.SELU), 10),
    "causal attention": made(Causal, 5, 8),
    "binarised": made(Binarised, 16),
    "u-net": made(UNet, 1, 8, 8),
    "mobilenet": made(MobileNet, 3, 16, 16),
    "detector": made(Detector, 3, 16, 16),
    "control": control,
    "audio": audio,
    "embedding": embedding,
}
