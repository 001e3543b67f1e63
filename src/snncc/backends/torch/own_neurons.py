# SPDX-License-Identifier: Apache-2.0
"""The sources of neurons from outside the package, which the emitted module ships as it ships ours."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from snncc.backends.torch.sources import Definition, closure, definitions
from snncc.errors import EmitError
from snncc.ir.network import Network
from snncc.ir.nodes import Neuron


def own_scans(network: Network, known: Mapping[str, Definition]) -> dict[str, Definition]:
    """The scans of such neurons and all that these use. Raises EmitError where there is no source."""
    found: dict[str, Definition] = {}
    for node in network.nodes:
        if not isinstance(node, Neuron) or node.DEFINITION is None:
            continue
        scan, kind = node.DEFINITION.scan, type(node).__name__
        try:
            own = definitions(sys.modules[scan.__module__])
        except (OSError, TypeError, KeyError):
            own = {}
        if scan.__name__ not in own:
            raise EmitError(
                f"{node.name}: {kind} has no source that a module could contain",
                cure="define its scan at the top of a module in a file",
            )
        needed = {part.name: part for part in closure([scan.__name__], own)}
        if taken := needed.keys() & known.keys():
            raise EmitError(
                f"{node.name}: the scan of {kind} needs {min(taken)}, a name that snncc uses", cure="rename it"
            )
        found |= needed
    return found
