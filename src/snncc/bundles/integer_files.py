# SPDX-License-Identifier: Apache-2.0
"""An integer network as files of a bundle, in integer/: network.json and .txt, weights.safetensors, lowering.json."""

from __future__ import annotations

from typing import Annotated

import msgspec

from snncc.bundles import manifest as manifests
from snncc.bundles.bundle import Bundle, network_bytes, network_from, read_member
from snncc.encoding import encode
from snncc.errors import BundleError
from snncc.integer.inputs import InputScale
from snncc.integer.network import IntegerNetwork, lower
from snncc.integer.weights import Precision
from snncc.integer.widths import Width
from snncc.ir.nodes import Operator
from snncc.ir.text import to_text

SCHEMA = "snncc/integer/1"
FOLDER = "integer"


def network_names() -> list[str]:
    """The files that say which integer network a bundle holds."""
    return [f"{FOLDER}/{name}" for name in ("network.json", "weights.safetensors", "lowering.json")]


class Lowered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`lowering.json`: what an `IntegerNetwork` holds besides the network."""

    schema: Annotated[str, msgspec.Meta(pattern=r"^snncc/integer/1$")] = SCHEMA
    weights: Precision
    max_timesteps: int
    input: InputScale
    output_scale: dict[str, float]
    readout: dict[str, tuple[str, tuple[Operator, ...]]]
    widths: tuple[Width, ...]


def network_files(integer: IntegerNetwork) -> dict[str, bytes]:
    """The files of an integer network by their path in the bundle."""
    document, weights = network_bytes(integer.network)
    described = Lowered(
        weights=integer.weights,
        max_timesteps=integer.max_timesteps,
        input=integer.input,
        output_scale=dict(integer.output_scale),
        readout=dict(integer.readout),
        widths=integer.widths,
    )
    return {
        f"{FOLDER}/network.json": document,
        f"{FOLDER}/network.txt": to_text(integer.network).encode(),
        f"{FOLDER}/weights.safetensors": weights,
        f"{FOLDER}/lowering.json": encode(described),
    }


def integer_network(opened: Bundle) -> IntegerNetwork:
    """The integer network that lies in a bundle, or else a new one with the default options."""
    names = network_names()
    if names[0] not in opened.manifest.files:
        return lower(opened.network, opened.samples(opened.truth()))
    # The whole folder: the C program beside it must be the same network.
    files = {name: read_member(opened.path, name) for name in opened.manifest.files if name.startswith(f"{FOLDER}/")}
    manifests.verify_hashes(opened.manifest, files)
    document, weights, lowering = (files[name] for name in names)
    try:
        found = msgspec.json.decode(lowering, type=Lowered)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BundleError(f"{names[2]} is not one of snncc: {error}", cure="emit the integer network again") from None
    return IntegerNetwork(
        network=network_from(document, weights),
        widths=found.widths,
        input=found.input,
        output_scale=found.output_scale,
        weights=found.weights,
        max_timesteps=found.max_timesteps,
        readout=found.readout,
    )
