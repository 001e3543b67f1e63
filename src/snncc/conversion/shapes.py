# SPDX-License-Identifier: Apache-2.0
"""Every declared shape of a network is compared with the one that its node's function gives."""

from __future__ import annotations

from snncc.errors import InvariantBroken
from snncc.execute.torch.network import TorchNetwork
from snncc.ir.network import Network


def check_shapes(net: Network, after: str, samples: int = 2) -> None:
    """Evaluate the network's stateless part without data and compare every shape with the one declared."""
    for node, found in TorchNetwork(net, device="meta").shapes(samples):
        expected = tuple(d * samples if i == node.batch else d for i, d in enumerate(node.shape))
        if found != expected:
            raise InvariantBroken(
                f"after {after}: {node.name} ({type(node).__name__}) has shape {list(found)}, declared {list(expected)}"
            )
