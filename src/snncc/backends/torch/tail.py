# SPDX-License-Identifier: Apache-2.0
"""What the emitted torch module says and does about the analog tail."""

from __future__ import annotations

from snncc.backends.torch.forward import Forward
from snncc.backends.torch.python_text import escaped, remark
from snncc.execute.analog_tail import places
from snncc.ir.analog_tail import AnalogTail

TEXT = """
The ANN goes on behind these outputs with operators whose results change their shape with the data, which no spikes
carry. `network.tail(y)` evaluates them by onnxruntime on what `forward` gave, sample by sample:

    {tail}: {outputs}
"""


def tail_text(tail: AnalogTail | None) -> str:
    """The paragraph of the module's docstring."""
    if tail is None:
        return ""
    parts = {"tail": str(tail), "outputs": ", ".join(tail.outputs)}
    return TEXT.format(**{k: remark(v, 50).replace("\\", "\\\\").replace('"', "'") for k, v in parts.items()})


def tail_lines(forward: Forward) -> list[str]:
    """The method that evaluates the tail."""
    net = forward.network
    if net.analog_tail is None:
        return []
    where = dict.fromkeys(net.analog_tail.inputs, (0, 0)) if forward.single else places(net)
    rows = [f"            {escaped(name)}: {place}," for name, place in where.items()]
    several = len(net.outputs) > 1
    given = "outputs" if several else f"{{{escaped(net.outputs[0])}: outputs}}"
    return [
        "",
        f"    def tail(self, outputs: {'dict[str, Tensor]' if several else 'Tensor'}) -> list[dict[str, Tensor]]:",
        '        """What the ANN computes behind the outputs, for each sample; needs onnxruntime."""',
        "        places = {  # of each value: the axis of the samples, and the rows of each",
        *rows,
        "        }",
        f"        given = {given}",
        f"        return analog_tail(self.{forward.buffers[net.analog_tail.model]}, given, places)",
    ]
