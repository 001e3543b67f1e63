# SPDX-License-Identifier: Apache-2.0
"""Whole networks on the native engine against onnxruntime's float32 ANN (and SpikingJelly where it is installed).

    python benchmarks/speed/networks.py vgg [--batch 32] [--threads 2] [--repeats 7] [--cpu-time]
    python benchmarks/speed/networks.py BUNDLE [--batch 1] ...

`vgg` is VGG-16 at CIFAR size with RANDOM weights and the neurons of `matched` for T=8 with one threshold per channel:
centred in float32, without centre in integers, which know none. The thresholds of each layer are scaled until its
neurons fire at the rate 0.25 that `matched` gives on ResNet-20; resting values stay, in the nearest whole count. The
rate that was reached stands beside the ratios. Times are of a whole simulation: first layer, spikes, read-out; those of
integers contain the quantisation of the input and the counting of events.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from contenders import fastest
from torch import nn

from snncc import api
from snncc.bundles.bundle import open_bundle
from snncc.data.dataset import Dataset, Preprocessing
from snncc.errors import EmitError
from snncc.execute.native.engine import NativeEngine
from snncc.execute.native.executor import NativeExecutor
from snncc.integer import lower
from snncc.integer.native import NativeIntegers
from snncc.ir.network import Network
from snncc.ir.nodes import CentredIF, SignedIF

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
RATE, ROUNDS, STEPS = 0.25, 4, (8, 4)


def vgg() -> nn.Module:
    """VGG-16 for 32 x 32 images, random weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 3
    for width in WIDTHS:
        if not width:
            layers.append(nn.MaxPool2d(2))
            continue
        conv = nn.Conv2d(before, width, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 10)).eval()


def neuron_rates(engine: NativeEngine, net: Network) -> dict[str, float]:
    """Events per neuron and step of every layer of neurons."""
    values = engine.program.values
    found = {}
    for node in net.nodes:
        if isinstance(node, SignedIF | CentredIF) and node.name in values:
            found[node.name] = float(engine.events(values[node.name]).mean()) / engine.entries
    return found


def imposed(net: Network, feeds: dict[str, Any]) -> Network:
    """The network with thresholds scaled until each layer fires at RATE."""
    rests: dict[str, Any] = {}
    for _ in range(ROUNDS):
        engine = NativeEngine(net)
        engine.run(feeds, 8)
        arrays = {}
        for name, rate in neuron_rates(engine, net).items():
            node = net[name]
            for array in dict.fromkeys((node.threshold, node.amplitude, node.v_init)):
                arrays[array] = np.asarray(net.arrays[array] * (rate / RATE), np.float32)
            if isinstance(node, CentredIF):
                rests.setdefault(name, net.arrays[node.centre] * net.arrays[node.threshold])
                threshold = arrays[node.threshold]
                counts = np.divide(rests[name], threshold, out=np.zeros_like(threshold), where=threshold > 0)
                arrays[node.centre] = np.round(counts).astype(np.float32)
        net = net.with_arrays(arrays)
    return net


def prepared(name: str, batch: int) -> tuple[Network, Network, bytes, dict[str, Any], str]:
    """Network, the one whose integers run, ANN, inputs and what to call them."""
    if name != "vgg":
        bundle = open_bundle(Path(name))
        samples = bundle.samples(bundle.truth())
        feeds = next(samples.batches(batch))
        net = bundle.network
        return net, net, Path(name, "ann.onnx").read_bytes(), feeds, f"{bundle.name} by {bundle.manifest.method}"
    x = np.random.default_rng(0).standard_normal((max(batch, 16), 3, 32, 32)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vgg.onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            axes = {"input": {0: "N"}, "logits": {0: "N"}}
            torch.onnx.export(
                vgg(),
                (torch.from_numpy(x[:1]),),
                str(path),
                input_names=["input"],
                output_names=["logits"],
                dynamic_axes=axes,
                dynamo=False,
            )
        nets = []
        for centre in (2.0, 0.0):
            recipe = Path(folder, f"centre{centre}.toml")
            recipe.write_text(RECIPE.format(centre=centre), encoding="utf-8")
            converted = api.convert(path, recipe=recipe, calib=dataset(x[:16]), timesteps=max(STEPS), write=False)
            nets.append(imposed(converted.network, {"input": x[:4]}))
        return *nets, path.read_bytes(), {"input": x[:batch]}, "VGG-16, random"


def dataset(x: np.ndarray) -> Dataset:
    """An input as calibration data."""
    return Dataset(inputs={"input": x}, source="random", preprocessing=Preprocessing(), continuous=frozenset({"input"}))


RECIPE = """
name = "speed"
source = "snncc"
summary = "matched without its corrections, which do not change what is computed"
[[passes]]
use = "fold_batchnorm"
[[passes]]
use = "rewrite_max_pooling"
[[passes]]
use = "rewrite_functions"
[[passes]]
use = "select_neuron"
with = {{ kind = "signed_if", negative = "early" }}
[[passes]]
use = "minimize_threshold_error"
with = {{ granularity = "channel", centre = {centre} }}
[[passes]]
use = "initialize_membrane"
with = {{ fraction = 0.5 }}
"""


def spikingjelly(batch: int) -> dict[str, Callable[[], object]]:
    """The same network with SpikingJelly's neurons, multi-step; nothing where it is not installed."""
    try:
        from spikingjelly.activation_based import functional, layer, neuron
    except ImportError:
        return {}
    modules = [
        neuron.IFNode(step_mode="m") if isinstance(module, nn.ReLU) else layer.SeqToANNContainer(module)
        for module in vgg()
    ]
    net = nn.Sequential(*modules).eval()
    x = torch.randn(batch, 3, 32, 32)

    def run(steps: int) -> None:
        with torch.no_grad():
            functional.reset_net(net)
            net(x.expand(steps, *x.shape)).mean(0)

    return {f"SpikingJelly T={steps}": (lambda t=steps: run(t)) for steps in STEPS}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network", help="vgg, or a bundle")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--cpu-time", action="store_true", help="the process's time, with --threads 1")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    net, whole, ann, feeds, title = prepared(options.network, options.batch)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(ann, settings, providers=["CPUExecutionProvider"])
    runs: dict[str, Callable[[], object]] = {"onnxruntime, float32": lambda: session.run(None, feeds)}
    floats = NativeExecutor(net, steps=max(STEPS), threads=options.threads)
    for steps in STEPS:
        runs[f"native float32, T={steps}"] = lambda t=steps: floats.engine.run(feeds, t, count=False)
    samples = Dataset(inputs=feeds, source="random", preprocessing=Preprocessing(), continuous=frozenset(feeds))
    try:
        integers = NativeIntegers(
            lower(whole, samples, max_timesteps=max(STEPS)), steps=max(STEPS), threads=options.threads
        )
        for steps in STEPS:
            runs[f"native integer, T={steps}"] = lambda t=steps: integers.run(feeds, t, (t,))
    except EmitError as error:
        print(f"no integer network: {error.message}")
    if options.network == "vgg":
        runs |= spikingjelly(options.batch)
    best = fastest(runs, options.repeats, cpu_time=options.cpu_time)
    count = len(next(iter(feeds.values())))
    floats.run(feeds, max(STEPS), (max(STEPS),))
    rates = neuron_rates(floats.engine, net)
    reached = f"{min(rates.values()):.3f} ... {max(rates.values()):.3f}, mean {np.mean(list(rates.values())):.3f}"
    if any(isinstance(node, CentredIF) for node in net.nodes):
        reached += " (beside their resting rates)"
    print(f"{title}, batch {count}, {options.threads} threads; neurons' events per step: {reached}\n")
    print("| | ms per image | x ANN |\n|---|---|---|")
    for name, seconds in best.items():
        print(f"| {name} | {1e3 * seconds / count:.3f} | {seconds / best['onnxruntime, float32']:.2f} |")
    engine = floats.engine
    parts = engine.bytes(1, 1)
    needed = parts["constant"] + parts["state"]
    print(f"\nbytes at batch 1, step by step: {sum(parts.values()):,}; weights and membranes: {needed:,}; {parts}")
    print(f"resident: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024:,}")


if __name__ == "__main__":
    main()
