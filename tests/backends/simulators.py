# SPDX-License-Identifier: Apache-2.0
"""Run NIR files in a simulator, in a process of its own:  python simulators.py NAME FOLDER STEPS.

For each X.nir and its feed X.npy in the folder, NAME/X.npz gets the spike counts of every neuron, (N, ...), by the name
of its NIR node, or NAME/X.txt the reason why the simulator cannot. What has to be set after reading, so that the
simulator keeps NIR's rules, stands here and in docs/exchange.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch


def counted(net: torch.nn.Module, kind: type, run: Callable[[], Iterator[None]]) -> dict[str, np.ndarray]:
    """Sums of what the modules of a type return, over the parts of a run; `run` yields after each sample or batch."""
    sums: dict[str, torch.Tensor] = {}
    parts: dict[str, list[np.ndarray]] = {}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: Any, output: Any) -> None:
            sums[name] = sums.get(name, 0) + (output[0] if isinstance(output, tuple) else output)

        return hook

    for name, module in net.named_modules():
        if type(module) is kind:
            module.register_forward_hook(watch(name))
    with torch.no_grad():
        for _ in run():
            for name, total in sums.items():
                parts.setdefault(name, []).append(total.numpy())
            sums.clear()
    return {name: np.stack(found) for name, found in parts.items()}


def norse(graph: nir.NIRGraph, feed: torch.Tensor, steps: int) -> dict[str, np.ndarray]:
    """As read; without an axis for samples, on which Flatten(0) would act too."""
    from norse.torch import from_nir
    from norse.torch.module.iaf import IAFCell

    net = from_nir(graph)

    def run() -> Iterator[None]:
        for sample in feed:
            state = None
            for _ in range(steps):
                _, state = net(sample, state)
            yield

    return counted(net, IAFCell, run)


def spikingjelly(graph: nir.NIRGraph, feed: torch.Tensor, steps: int) -> dict[str, np.ndarray]:
    """As read, with dt = 1 so that r = 1 is 1 / dt; it fires at the threshold too."""
    from spikingjelly.activation_based.neuron import IFNode
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    net = import_from_nir(graph, dt=1.0)

    def run() -> Iterator[None]:
        state = None
        for _ in range(steps):
            _, state = net(feed, state)
        yield

    wrapper = next(type(m) for m in net.modules() if isinstance(getattr(m, "module", None), IFNode))
    return {name: total[0] for name, total in counted(net, wrapper, run).items()}


def snntorch(graph: nir.NIRGraph, feed: torch.Tensor, steps: int) -> dict[str, np.ndarray]:
    """Its Leaky without a leak, reset to zero; without an axis for samples, on which Flatten(0) would act too."""
    from snntorch import Leaky
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(graph)
    neurons = [m for m in net.modules() if isinstance(m, Leaky)]
    for neuron in neurons:
        neuron.beta = torch.tensor(1.0)  # read as 0.9
        neuron.reset_mechanism = "zero"  # read as subtract
        neuron.init_hidden = True  # else it returns a tuple that the next layer cannot take

    def run() -> Iterator[None]:
        for sample in feed:
            for neuron in neurons:
                neuron.reset_mem()
            for _ in range(steps):
                net(sample)
            yield

    return counted(net, Leaky, run)


def sinabs(graph: nir.NIRGraph, feed: torch.Tensor, steps: int) -> dict[str, np.ndarray]:
    """Its IAF with single spikes, reset to zero and no lower bound."""
    from sinabs.activation import MembraneReset, SingleSpike
    from sinabs.layers import IAFSqueeze
    from sinabs.nir import from_nir

    net = from_nir(graph, batch_size=len(feed))
    for module in net.modules():
        if isinstance(module, IAFSqueeze):
            module.spike_fn = SingleSpike  # read as several spikes in a step
            module.reset_fn = MembraneReset()  # read as subtract
            module.min_v_mem = None  # read as minus the threshold

    def run() -> Iterator[None]:
        net(feed.unsqueeze(1).repeat(1, steps, *[1] * (feed.ndim - 1)).flatten(0, 1))
        yield

    found = counted(net, IAFSqueeze, run)
    return {name: x[0].reshape(len(feed), steps, *x.shape[2:]).sum(1) for name, x in found.items()}


def main(name: str, folder: Path, steps: int) -> None:
    torch.set_num_threads(1)
    simulator = {"norse": norse, "spikingjelly": spikingjelly, "snntorch": snntorch, "sinabs": sinabs}[name]
    (folder / name).mkdir()
    for path in sorted(folder.glob("*.nir")):
        try:
            found = simulator(nir.read(path), torch.from_numpy(np.load(path.with_suffix(".npy"))), steps)
            np.savez(folder / name / f"{path.stem}.npz", **found)
        except Exception as error:  # noqa: BLE001  (whatever it raises is what the test asks for)
            (folder / name / f"{path.stem}.txt").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
