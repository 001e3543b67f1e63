# SPDX-License-Identifier: Apache-2.0
"""Convolutions of spikes in generated C against torch's (oneDNN's) dense float32, on the same numbers in one run.

    python benchmarks/speed/kernels.py [--threads 2] [--repeats 7] [--cpu-time] [--curve docs/speed.svg]

A row is one layer: 8 steps of a few images, spikes of both signs (one in five is negative), from the counts to the
currents, lists of events included. float32 once with one amplitude per channel (in the weights: additions) and once
with one per neuron (multiply-adds); int16: 8-bit weights, sums in 16 bits where that is proved, else list by list.
"""

from __future__ import annotations

import argparse
import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from contenders import fastest

from snncc.execute.native.buffers import aligned
from snncc.execute.native.emit import emit
from snncc.execute.native.program import Grid, Layer, Program, Term, Value
from snncc.functions.compiled import Run, compiled, load
from snncc.ir.nodes import Input

STEPS, DENSITIES = 8, (0.25, 0.1, 0.05)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A convolution: channels, extents of the input, kernel, stride, groups."""

    name: str
    inputs: int
    outputs: int
    extents: tuple[int, int]
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    groups: int = 1
    images: int = 4

    @property
    def padding(self) -> tuple[int, int]:
        return self.kernel[0] // 2, self.kernel[1] // 2

    @property
    def strides(self) -> tuple[int, int]:
        return (self.stride if self.extents[0] > 1 else 1), self.stride

    @property
    def out(self) -> tuple[int, int]:
        sides = zip(self.extents, self.kernel, self.padding, self.strides, strict=True)
        height, width = ((size + 2 * pad - kernel) // stride + 1 for size, kernel, pad, stride in sides)
        return height, width


SHAPES = (
    Shape(name="3x3, 64", inputs=64, outputs=64, extents=(32, 32)),
    Shape(name="3x3, 128", inputs=128, outputs=128, extents=(16, 16), images=8),
    Shape(name="3x3, 256", inputs=256, outputs=256, extents=(8, 8), images=16),
    Shape(name="3x3, 512", inputs=512, outputs=512, extents=(4, 4), images=32),
    Shape(name="3x3 stride 2, 64 to 128", inputs=64, outputs=128, extents=(32, 32), stride=2),
    Shape(name="1x1, 256", inputs=256, outputs=256, extents=(16, 16), kernel=(1, 1), images=8),
    Shape(name="3x3 depthwise, 128", inputs=128, outputs=128, extents=(16, 16), groups=128, images=8),
    Shape(name="9, one dimension, 64", inputs=64, outputs=64, extents=(1, 1024), kernel=(1, 9)),
    Shape(name="linear, 1024 to 1024", inputs=1024, outputs=1024, extents=(1, 1), kernel=(1, 1), images=64),
)


class Contest:
    """One layer at one density."""

    def __init__(self, shape: Shape, kind: str, density: float, threads: int) -> None:
        rng, (height, width) = np.random.default_rng(0), shape.extents
        weight = rng.standard_normal((shape.outputs, shape.inputs // shape.groups, *shape.kernel))
        if kind == "int16":
            weight = np.rint(weight * 127 / np.abs(weight).max())
        amplitude = np.ones((height * width, shape.inputs) if kind == "per neuron" else shape.inputs)
        amplitude = amplitude * rng.uniform(0.5, 1.5, amplitude.shape) if kind == "per neuron" else amplitude
        nodes = [Input(name=name, shape=(1, 1), batch=0) for name in ("spikes", "currents")]
        grid = Grid(height=height, width=width, channels=shape.inputs)
        source = Value(node=nodes[0], grid=grid, amplitude=amplitude, negative=True)
        out = Value(node=nodes[1], grid=Grid(height=shape.out[0], width=shape.out[1], channels=shape.outputs))
        term = Term(
            source=source,
            weight=weight[:, 0] if shape.groups > 1 else weight,
            scale=np.ones(shape.outputs),
            stride=shape.strides,
            padding=shape.padding,
            diagonal=shape.groups > 1,
        )
        layer = Layer(out=out, terms=(term,), addends=(), bias=np.zeros((1, shape.outputs)), neuron=None)
        program = Program(steps=[layer], imports={"spikes": source}, exports=("currents",))
        self.code = emit(program, {}, "int32" if kind == "int16" else "float32")
        self.function = load(compiled(self.code.text))
        self.arrays = []
        for buffer in self.code.buffers.all:
            self.arrays.append(aligned(buffer.entries(shape.images, STEPS), buffer.dtype))
            self.arrays[-1][:] = 0 if buffer.data is None else buffer.data.reshape(-1)
        z = (rng.random((STEPS, shape.images, grid.pixels, shape.inputs)) < density).astype(np.int8)
        z *= np.where(rng.random(z.shape) < 0.2, -1, 1).astype(np.int8)
        given = self.arrays[self.code.places["spikes"].series].reshape(STEPS, shape.images, grid.pixels, grid.padded)
        given[..., : shape.inputs] = z
        self.gate, self.seconds = np.ones(STEPS, "int32" if kind == "int16" else "float32"), np.zeros(1)
        self.scratch, self.tiles = aligned(self.code.scratch * threads, np.uint8), np.zeros((1, 2), np.int64)
        pointers = (ctypes.c_void_p * len(self.arrays))(*[a.ctypes.data for a in self.arrays])
        self.run = Run(
            images=shape.images,
            steps=STEPS,
            gate=self.gate.ctypes.data,
            buffer=pointers,
            seconds=self.seconds.ctypes.data,
            threads=threads,
            scratch=self.scratch.ctypes.data,
            scratch_size=self.code.scratch,
            tiles=self.tiles.ctypes.data,
            last=1,
        )
        y = torch.from_numpy((z * amplitude).astype(np.float32)).reshape(-1, height, width, shape.inputs)
        self.dense_input, self.weight = y.permute(0, 3, 1, 2).contiguous(), torch.from_numpy(weight.astype(np.float32))
        self.shape = shape
        self.operations = y.shape[0] * shape.out[0] * shape.out[1] * weight.size
        self.density = float((z != 0).mean())

    def sparse(self) -> None:
        self.function(ctypes.byref(self.run))

    def dense(self) -> torch.Tensor:
        s = self.shape
        return F.conv2d(self.dense_input, self.weight, stride=s.strides, padding=s.padding, groups=s.groups)

    def check(self) -> None:
        """The same currents."""
        grid = self.shape.out
        channels = -(-self.shape.outputs // 16) * 16
        found = torch.from_numpy(self.arrays[self.code.places["currents"].series].astype(np.float32))
        found = found.reshape(-1, *grid, channels)[..., : self.shape.outputs].permute(0, 3, 1, 2)
        torch.testing.assert_close(found, self.dense(), rtol=1e-3, atol=1e-3)


def curve(path: Path, threads: int, repeats: int, *, cpu_time: bool) -> None:
    """Time against density of the first shape: measured, a straight line through it, and the offset."""
    rates, times = np.array([0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5]), []
    for rate in rates:
        contest = Contest(SHAPES[0], "per channel", float(rate), threads)
        best = fastest({"s": contest.sparse, "d": lambda c=contest: c.dense()}, repeats, cpu_time=cpu_time)
        times.append(best["s"] / best["d"])
    slope, offset = np.polyfit(rates, times, 1)
    worst = np.abs(np.polyval((slope, offset), rates) - times).max()
    print(f"time / dense = {offset:.3f} + {slope:.2f} x density; largest deviation {worst:.3f}")
    points = " ".join(f"{60 + 700 * r:.1f},{360 - 300 * t / max(times):.1f}" for r, t in zip(rates, times, strict=True))
    ends = " ".join(f"{60 + 700 * r:.1f},{360 - 300 * (offset + slope * r) / max(times):.1f}" for r in (0.0, 0.5))
    dots = "".join(f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="4"/>' for p in points.split())
    marks = "".join(
        f'<text x="{60 + 700 * r:.0f}" y="382" text-anchor="middle">{r:.0%}</text>'
        for r in (0, 0.1, 0.2, 0.3, 0.4, 0.5)
    )
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 440 400" font-size="13" font-family="sans-serif">'
        '<rect width="440" height="400" fill="white"/>'
        f'<polyline points="{ends}" fill="none" stroke="gray" stroke-dasharray="5"/>{dots}{marks}'
        f'<text x="60" y="30">time of a 3x3 convolution, 64 channels, over dense ({max(times):.2f} at the top)</text>'
        f'<text x="60" y="50">line: {offset:.3f} + {slope:.2f} x density</text>'
        '<path d="M60 60V360H420" fill="none" stroke="black"/></svg>\n',
        encoding="utf-8",
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true", help="the process's time, with --threads 1")
    parser.add_argument("--curve", type=Path, help="measure time against density and draw it here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.curve:
        curve(options.curve, options.threads, options.repeats, cpu_time=options.cpu_time)
        return
    print(f"| layer | numbers | dense G MAC/s | {' | '.join(f'{d:.0%}' for d in DENSITIES)} | G SOP/s at 25 % |")
    print("|---|---|---|" + "---|" * (len(DENSITIES) + 1))
    for shape in SHAPES:
        for kind in ("per channel", "per neuron", "int16"):
            cells, rates, dense = [], [], 0.0
            for density in DENSITIES:
                contest = Contest(shape, kind, density, options.threads)
                contest.sparse()
                contest.check()
                runs = {"sparse": contest.sparse, "dense": contest.dense}
                best = fastest(runs, options.repeats, cpu_time=options.cpu_time)
                cells.append(f"{best['dense'] / best['sparse']:.2f}x")
                rates.append(contest.operations * contest.density / best["sparse"] / 1e9)
                dense = max(dense, contest.operations / best["dense"] / 1e9)
            print(f"| {shape.name} | {kind} | {dense:.1f} | {' | '.join(cells)} | {rates[0]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
