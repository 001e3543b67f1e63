# SPDX-License-Identifier: Apache-2.0
"""The backend `torch_integer`: the source of a PyTorch module of whole numbers, from bytes to sums."""

from __future__ import annotations

from snncc.backends.torch.module import emit
from snncc.errors import EmitError
from snncc.integer.executor import as_floats
from snncc.integer.network import IntegerNetwork

SUMS = """D(T) and times the unit in lowering.json, approximates the ANN's output; `forward` returns the sum."""

CLASS = '''

class IntegerNetwork(SpikingNetwork):
    """Whole numbers throughout, held in float64, which has every one below 2^53; no value here reaches 2^31.

    Proved for up to {longest} steps.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__(weights)
        for name, array in list(self.named_buffers()):
            setattr(self, name, nn.Buffer(array.to(torch.float64)))

    def forward(self, x: Tensor, timesteps: int = {timesteps}) -> {result}:  # type: ignore[override]
        """The sum of the output over `timesteps` steps, int64; x: bytes."""
        if x.dtype != torch.uint8:
            raise ValueError(f"the input must be uint8, not {{x.dtype}}")
        if timesteps > {longest}:
            raise ValueError(f"the widths are proved for at most {longest} steps, not {{timesteps}}")
        means = super().forward(x.to(torch.float64), timesteps)
        return {sums}
'''


def emit_integer(integer: IntegerNetwork, *, title: str, timesteps: int) -> str:
    """The source of a module of the integer network; raises EmitError for a read-out that begins late."""
    network = as_floats(integer.network)
    if network.schedule.readout_after:
        raise EmitError("the integer module reads out from the first step on", cure="leave delay_readout out")
    limit = network.schedule.limit
    steps = "timesteps" if limit is None else f"min(timesteps, {limit})"
    several = len(network.outputs) > 1
    one = f"torch.round({{}} * {steps}).to(torch.int64)"
    added = CLASS.format(
        longest=integer.max_timesteps,
        timesteps=min(timesteps, integer.max_timesteps),
        result="dict[str, Tensor]" if several else "Tensor",
        sums=f"{{name: {one.format('mean')} for name, mean in means.items()}}" if several else one.format("means"),
    )
    text = emit(network, title=title, timesteps=min(timesteps, integer.max_timesteps))
    for line in ("from model import {}", "network = {}()"):
        text = text.replace(line.format("SpikingNetwork"), line.format("IntegerNetwork"), 1)
    for node in integer.network.inputs:
        text = text.replace(f" {as_floats(integer.network)[node.name].dtype} [", " uint8 [", 1)
    return text.replace("D(T), approximates the ANN's output; `forward` returns this.", SUMS, 1) + added
