# SPDX-License-Identifier: Apache-2.0
"""More small networks of the kinds that people bring, exported by torch with random weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from small_models import normal
from snncc.frontend.files.from_torch import export
from standins import SAMPLES, Standin, made


class SqueezeExcite(nn.Module):
    """x times a gate per channel, found from the mean over space."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 3, 1), nn.Conv2d(3, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.up(F.silu(self.down(x.mean((2, 3), keepdim=True)))).sigmoid()


def efficientnet() -> nn.Module:
    """SiLU, depthwise convolutions and squeeze-excite."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.SiLU(), nn.Conv2d(6, 12, 1), nn.BatchNorm2d(12), nn.SiLU(),
        nn.Conv2d(12, 12, 5, 2, 2, groups=12), nn.BatchNorm2d(12), nn.SiLU(), SqueezeExcite(12), nn.Conv2d(12, 8, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


class ConvNext(nn.Module):
    """Depthwise 7x7, LayerNorm on the channels behind the space, GELU, a scaled residual."""

    def __init__(self, c: int = 6) -> None:
        super().__init__()
        self.stem, self.depth = nn.Conv2d(3, c, 4, 4), nn.Conv2d(c, c, 7, padding=3, groups=c)
        self.norm, self.up, self.down = nn.LayerNorm(c), nn.Linear(c, 4 * c), nn.Linear(4 * c, c)
        self.gamma, self.head = nn.Parameter(torch.full((c,), 0.5)), nn.Linear(c, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.down(F.gelu(self.up(self.norm(self.depth(x).permute(0, 2, 3, 1))))) * self.gamma
        return self.head((x + y.permute(0, 3, 1, 2)).mean((2, 3)))


class Swin(nn.Module):
    """Attention in shifted windows of 2x2 with a mask, and the merging of patches."""

    def __init__(self, c: int = 8) -> None:
        super().__init__()
        self.patch, self.norm, self.qkv, self.out = (
            nn.Conv2d(3, c, 4, 4),
            nn.LayerNorm(c),
            nn.Linear(c, 3 * c),
            nn.Linear(c, c),
        )
        self.merge, self.head = nn.Linear(4 * c, 2 * c, bias=False), nn.Linear(2 * c, 3)
        self.bias = nn.Parameter(torch.randn(2, 4, 4) / 3)
        region = torch.zeros(4, 4)
        region[2, :], region[3, :] = 3, 6
        region[:, 2] += 1
        region[:, 3] += 2
        region = region.view(2, 2, 2, 2).permute(0, 2, 1, 3).reshape(4, 4)
        self.register_buffer("mask", (region[:, None] != region[:, :, None]).float() * -100)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).permute(0, 2, 3, 1)
        n, height, width, c = x.shape
        y = torch.roll(self.norm(x), (-1, -1), (1, 2))
        y = y.view(n, 2, 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        q, k, v = self.qkv(y).reshape(-1, 4, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1) / math.sqrt(c // 2) + self.bias).view(n, 4, 2, 4, 4)
        scores = (scores + self.mask.unsqueeze(1)).view(-1, 2, 4, 4)
        y = self.out((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, c))
        y = y.view(n, 2, 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, height, width, c)
        x = x + torch.roll(y, (1, 1), (1, 2))
        corners = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.head(self.merge(torch.cat(corners, -1)).mean((1, 2)))


class Bert(nn.Module):
    """Token ids with an attention mask and token types."""

    def __init__(self, d: int = 8) -> None:
        super().__init__()
        self.words, self.places, self.types = nn.Embedding(30, d), nn.Embedding(6, d), nn.Embedding(2, d)
        self.n1, self.n2, self.n3 = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.q, self.k, self.v, self.out = (nn.Linear(d, d) for _ in range(4))
        self.up, self.down, self.pool, self.head = nn.Linear(d, 16), nn.Linear(16, d), nn.Linear(d, d), nn.Linear(d, 2)

    def forward(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        x = self.n1(self.words(ids) + self.places(torch.arange(ids.shape[1])) + self.types(types))
        hidden = (1.0 - mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        q, k, v = (f(x).unflatten(-1, (2, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        scores = q @ k.transpose(-1, -2) / 2 + hidden
        x = self.n2(x + self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)))
        x = self.n3(x + self.down(F.gelu(self.up(x))))
        return self.head(self.pool(x[:, 0]).tanh())


def bert() -> Standin:
    """Three integer inputs, shared by nothing."""
    torch.manual_seed(1)
    ids = np.random.default_rng(3).integers(0, 30, (SAMPLES, 6))
    mask = (np.arange(6) < np.array([6, 4, 3, 6, 5, 2])[:, None]).astype(np.int64)
    inputs = {"input0": ids, "input1": mask, "input2": np.zeros_like(ids)}
    return export(Bert(), [torch.from_numpy(a) for a in inputs.values()]), inputs


class Rotary(nn.Module):
    """RMS norm, rotary places, causal attention, a gated MLP."""

    def __init__(self, d: int = 8) -> None:
        super().__init__()
        self.embed, self.qkv, self.out = nn.Linear(5, d), nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.gate, self.up, self.down = nn.Linear(d, 16), nn.Linear(d, 16), nn.Linear(16, d)
        self.weight, self.head = nn.Parameter(torch.rand(d) + 0.5), nn.Linear(d, 3)
        angles = torch.arange(5.0)[:, None] * 0.1 ** torch.arange(2.0)[None]
        self.register_buffer("angles", torch.cat([angles, angles], -1))

    def normed(self, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5)

    def turned(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * self.angles.cos() + torch.cat([-b, a], -1) * self.angles.sin()

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        q, k, v = (p.unflatten(-1, (2, 4)).transpose(1, 2) for p in self.qkv(self.normed(x)).chunk(3, -1))
        y = F.scaled_dot_product_attention(self.turned(q), self.turned(k), v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        z = self.normed(x)
        return self.head(self.normed(x + self.down(F.silu(self.gate(z)) * self.up(z))))


class GroupNormResNet(nn.Module):
    """A residual block with GroupNorm."""

    def __init__(self, c: int = 8) -> None:
        super().__init__()
        self.stem, self.n0 = nn.Conv2d(3, c, 3, 2, 1), nn.GroupNorm(2, c)
        self.c1, self.n1, self.c2, self.n2 = (
            nn.Conv2d(c, c, 3, padding=1),
            nn.GroupNorm(2, c),
            nn.Conv2d(c, c, 3, padding=1),
            nn.GroupNorm(4, c),
        )
        self.head = nn.Linear(c, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.n0(self.stem(x)).relu(), 3, 2, 1)
        return self.head((x + self.n2(self.c2(self.n1(self.c1(x)).relu()))).relu().mean((2, 3)))


def style_transfer() -> nn.Module:
    """InstanceNorm, reflected borders, an upsampling, an image as the output."""
    return nn.Sequential(
        nn.ReflectionPad2d(1), nn.Conv2d(3, 6, 3, 2), nn.InstanceNorm2d(6, affine=True), nn.ReLU(),
        nn.ReflectionPad2d(1), nn.Conv2d(6, 6, 3), nn.InstanceNorm2d(6, affine=True), nn.ReLU(),
        nn.Upsample(scale_factor=2), nn.ReflectionPad2d(1), nn.Conv2d(6, 3, 3), nn.Tanh(),
    )  # fmt: skip


def super_resolution() -> nn.Module:
    """PixelShuffle at the end."""
    return nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.PReLU(), nn.Conv2d(8, 9, 3, padding=1), nn.PixelShuffle(3))


class WaveNet(nn.Module):
    """Dilated causal convolutions with gated units and skips."""

    def __init__(self, c: int = 6) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(1, c, 1), nn.Conv1d(c, 4, 1)
        self.gates = nn.ModuleList(nn.Conv1d(c, 2 * c, 2, dilation=2**i) for i in range(3))
        self.mixes = nn.ModuleList(nn.Conv1d(c, c, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x, skips = self.first(x), torch.zeros(())
        for i, (gate, mix) in enumerate(zip(self.gates, self.mixes, strict=True)):
            a, b = gate(F.pad(x, (2**i, 0))).chunk(2, 1)
            z = mix(a.tanh() * b.sigmoid())
            x, skips = x + z, skips + z
        return self.last(skips.relu())


class PointNet(nn.Module):
    """A learned turn of the points, a maximum over them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.turn = nn.Sequential(nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.ReLU()), nn.Linear(8, 9)
        self.points, self.head = nn.Sequential(nn.Conv1d(3, 16, 1), nn.BatchNorm1d(16), nn.ReLU()), nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        turn = self.turn(self.first(x).max(2)[0]).view(-1, 3, 3) + torch.eye(3)
        turned = torch.bmm(x.transpose(1, 2), turn).transpose(1, 2)
        return self.head(self.points(turned).max(2)[0]).log_softmax(-1)


class GraphConvolution(nn.Module):
    """Nodes with features, and an adjacency matrix as the second input."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        mean = adjacency / adjacency.sum(-1, keepdim=True).clamp(min=1)
        return self.b(mean @ self.a(mean @ x).relu()).mean(1)


def graph_convolution() -> Standin:
    """The adjacency varies from sample to sample, so it carries rates too."""
    torch.manual_seed(1)
    linked = np.random.default_rng(4).random((SAMPLES, 6, 6)) > 0.5
    adjacency = (linked | linked.transpose(0, 2, 1) | np.eye(6, dtype=bool)).astype(np.float32)
    inputs = {"input0": normal(2, SAMPLES, 6, 4), "input1": adjacency}
    return export(GraphConvolution(), [torch.from_numpy(a) for a in inputs.values()]), inputs


class KeywordTransformer(nn.Module):
    """torch's own encoder layers on the frames of a spectrum."""

    def __init__(self, d: int = 8) -> None:
        super().__init__()
        self.frames, self.token = nn.Linear(6, d), nn.Parameter(torch.randn(1, 1, d))
        self.layer = nn.TransformerEncoderLayer(d, 2, 16, batch_first=True, activation="gelu", dropout=0)
        self.head = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.frames(x.transpose(1, 2))
        return self.head(self.layer(torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1))[:, 0])


class Seq2Seq(nn.Module):
    """A GRU that reads, a GRU cell that writes with attention to what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.reader, self.cell = nn.GRU(5, 8, batch_first=True, num_layers=2), nn.GRUCell(6, 8)
        self.out, self.embed, self.start = nn.Linear(8, 7), nn.Linear(7, 6), nn.Parameter(torch.randn(1, 6))

    def forward(self, x: Tensor) -> Tensor:
        y, state = self.reader(x)
        h, given, written = state[-1], self.start.expand(x.shape[0], -1), []
        for _ in range(2):
            h = self.cell(given, h)
            weights = (y @ h.unsqueeze(2)).squeeze(2).softmax(-1)
            written.append(self.out(h + (weights.unsqueeze(1) @ y).squeeze(1)))
            given = self.embed(written[-1].softmax(-1))
        return torch.stack(written, 1)


MORE: dict[str, Callable[[], Standin]] = {
    "efficientnet": made(efficientnet, 3, 16, 16),
    "convnext": made(ConvNext, 3, 16, 16),
    "swin": made(Swin, 3, 16, 16),
    "bert": bert,
    "rotary": made(Rotary, 5, 5),
    "groupnorm resnet": made(GroupNormResNet, 3, 16, 16),
    "style transfer": made(style_transfer, 3, 8, 8),
    "super-resolution": made(super_resolution, 1, 6, 6),
    "wavenet": made(WaveNet, 1, 16),
    "pointnet": made(PointNet, 3, 10),
    "graph convolution": graph_convolution,
    "keyword transformer": made(KeywordTransformer, 6, 7),
    "sequence to sequence": made(Seq2Seq, 5, 5),
}
