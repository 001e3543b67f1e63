# SPDX-License-Identifier: Apache-2.0
"""What a bundle holds comes back as it was; what was forged is refused, and code in it never runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import snncc
from small_models import normal, parsed
from snncc.bundles.bundle import network_bytes, network_from, open_bundle
from snncc.encoding import sha256
from snncc.errors import BundleError
from snncc.frontend.files.load import load
from snncc.frontend.normal.normalize import normalize
from snncc.frontend.normal.samples import samples_first
from snncc.frontend.operators.lower import lowered_network

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = "agraph (float[N, 4] x) => (float[N, 3] y) { h = MatMul(x, w)  r = Relu(h)  s = Sigmoid(r)  y = MatMul(s, v) }"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    model = parsed(TEXT, w=normal(1, 4, 8), v=normal(2, 8, 3))
    snncc.convert(model, method="rate", timesteps=2, out=tmp_path / "net.snn")
    return tmp_path / "net.snn"


def test_a_recurrent_network_comes_back() -> None:
    network = lowered_network(normalize(samples_first(load(EXAMPLES / "lstm" / "lstm.onnx"), None)))
    assert network_from(*network_bytes(network)) == network


def node(document: Any, kind: str) -> Any:
    return next(n for n in document["nodes"] if n["type"] == kind)


FORGERIES: dict[str, Callable[[Any], object]] = {
    "another shape": lambda d: node(d, "IF").update(shape=[1, 9]),
    "an array that is not there": lambda d: node(d, "IF").update(threshold="gone"),
    "no output": lambda d: d.update(outputs=[]),
    "an output twice": lambda d: d.update(outputs=["y", "y"]),
    "an argument without a range": lambda d: node(d, "Differential").update(low=[]),
    "a node that reads itself": lambda d: node(d, "IF").update(inputs=[node(d, "IF")["name"]]),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_network_with_sound_hashes_is_refused(bundle: Path, name: str) -> None:
    document = json.loads((bundle / "network.json").read_bytes())
    FORGERIES[name](document)
    data = json.dumps(document).encode()
    (bundle / "network.json").write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["files"]["network.json"] = sha256(data)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="the network cannot be read"):
        open_bundle(bundle)


def test_a_link_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "weights.safetensors").rename(tmp_path / "elsewhere")
    (bundle / "weights.safetensors").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="link"):
        open_bundle(bundle)


def test_code_in_a_bundle_does_not_run(bundle: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    (bundle / "model.py").write_text(f"open({str(witness)!r}, 'w')")
    snncc.load(bundle)
    snncc.simulate(bundle)
    assert not witness.exists()
