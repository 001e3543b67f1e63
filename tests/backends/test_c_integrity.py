# SPDX-License-Identifier: Apache-2.0
"""What a firmware relies on: corruption is noticed, names do no harm, nothing is needed, RAM is what is stated."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from c_programs import built, made, write
from integer_networks import Builder, integer, residual, zou

from snncc import api
from snncc.backends.c.compile import compile_network
from snncc.backends.c.golden import golden_bytes
from snncc.backends.c.memory import shortened
from snncc.backends.c.package import package
from snncc.bundles.bundle import open_bundle
from snncc.bundles.integer_files import integer_network
from snncc.errors import BundleError
from snncc.integer import lower
from snncc.integer.weights import Precision
from snncc.ir.network import Network

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(integer(zou(), 6), tmp_path_factory.mktemp("package"), steps=6)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def flipped(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(bytes(data))


def test_same_input_same_bytes() -> None:
    feeds = {"image": np.arange(64).reshape(1, 1, 8, 8) % 256}
    one, other = (package(integer(zou(), 6), feeds, name="n", method="m", timesteps=6) for _ in range(2))
    assert one == other


@pytest.mark.parametrize(
    "name", ["weights.bin", "manifest.json", "golden.bin", "snn_model.c", "snn_weights.c", "snn_rt.h"]
)
def test_make_notices_every_changed_file(emitted: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(emitted, tmp_path / "p"))
    flipped(folder / name, -20)
    result = run(folder, "make", "check")
    assert result.returncode != 0
    assert f"{name}: FAILED" in result.stdout


def test_program_notices_changed_weights_and_vectors(emitted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(emitted, tmp_path / "p"))
    assert built(folder).endswith("passed\n")
    flipped(folder / "golden.bin", 8 + 64 + 3)  # a bit of the events of the first layer
    result = run(folder, "./snn_test")
    assert result.returncode != 0
    assert "layer 0 differs" in result.stdout
    text = (folder / "snn_weights.c").read_text()
    first = re.search(r"0x(..),", text)
    assert first is not None
    (folder / "snn_weights.c").write_text(text.replace(first[0], f"0x{int(first[1], 16) ^ 1:02x},", 1))
    assert run(folder, "make", "-s", "snn_test").returncode == 0
    assert run(folder, "./snn_test").returncode != 0


def test_c_library_only_needs_what_compilers_call_themselves(emitted: Path, tmp_path: Path) -> None:
    if shutil.which("clang") is None:
        pytest.skip("clang is not installed")
    sources = [str(emitted / name) for name in ("snn_model.c", "snn_rt.c", "snn_weights.c")]
    includes = {line for name in sources for line in re.findall(r"#include [<\"](.*)[>\"]", Path(name).read_text())}
    assert includes == {"snn_rt.h", "snn_model.h"}
    assert re.findall("#include <(.*)>", (emitted / "snn_rt.h").read_text()) == ["stdint.h"]
    bare = [
        "-std=c99",
        "-Os",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-pedantic",
        "--target=thumbv7em-none-eabi",
        "-ffreestanding",
    ]
    assert run(tmp_path, "clang", *bare, "-c", *sources).returncode == 0
    names = run(tmp_path, "nm", "-u", "snn_model.o", "snn_rt.o", "snn_weights.o").stdout.split()
    undefined = {name for name in names if not name.endswith(":") and name != "U"}
    ours = {name for name in undefined if name.startswith("snn_")}
    assert undefined - ours <= {"memset", "memcpy", "memmove"}, undefined
    stated = json.loads((emitted / "manifest.json").read_text())
    sizes = run(tmp_path, "size", "snn_model.o", "snn_rt.o", "snn_weights.o").stdout.splitlines()[1:]
    text, data, bss = (sum(int(line.split()[i]) for line in sizes) for i in range(3))
    assert data == 0
    assert stated["ram_bytes"] <= bss <= stated["ram_bytes"] + 64
    assert stated["rom_bytes"] <= text <= stated["rom_bytes"] + 8192


def hostile() -> Network:
    b = Builder(5)
    x = b.input(1, 4, 4, name='*/ int x = 1; /*??/\n"\\')
    y = b.linear(b.fire(b.linear(b.flat(x), 5), threshold=4000), 3)
    network = b.done(y)
    names = {node.name: f"#include <{node.name}> */ %s {{}} é\n" for node in network.nodes if node.inputs}
    nodes = tuple(
        msgspec.structs.replace(
            node, name=names.get(node.name, node.name), inputs=tuple(names.get(n, n) for n in node.inputs)
        )
        for node in network.nodes
    )
    return Network(nodes=nodes, outputs=(names[y],), arrays=network.arrays, stage="integer")


def test_names_of_the_model_do_no_harm(tmp_path: Path) -> None:
    folder = made(integer(hostile(), 4), tmp_path, steps=4)
    assert built(folder).endswith("passed\n")
    source = (folder / "snn_model.c").read_bytes()
    assert source.isascii()
    assert b"int x = 1" not in source
    assert re.findall(rb"#include .*", source) == [b'#include "snn_model.h"']


@pytest.mark.parametrize(("schedule", "made_steps"), [({}, 1), ({"readout_after": 3}, 4), ({"kind": "once"}, 8)])
def test_early_exit_is_taken_where_it_is_proved(schedule: dict[str, Any], made_steps: int, tmp_path: Path) -> None:
    b = Builder(6)
    y = b.linear(b.fire(b.linear(b.flat(b.input(1, 3, 3)), 4), threshold=9000), 3)
    b.arrays[f"{y}/w"] = np.sign(b.arrays[f"{y}/w"]).astype(np.int8)
    b.arrays[f"{y}/b"] = np.array([0, 9, 0], np.int32)  # more than all spikes of a step together can make up for
    assert np.abs(b.arrays[f"{y}/w"]).sum(1).max() * 2 < 9
    out = built(made(integer(b.done(y, **schedule), 8), tmp_path, steps=8))
    found = re.search(r"early exit: (\d+) of 32 steps made, arg max equal", out)
    assert found is not None
    assert int(found[1]) == 4 * made_steps if made_steps < 8 else int(found[1]) > 4


def test_margin_and_errors_of_the_interface(tmp_path: Path) -> None:
    folder = made(integer(residual(), 8), tmp_path, steps=8)
    (folder / "user.c").write_text(
        """
        #include <stdio.h>
        #include "snn_model.h"
        static snn_input image[SNN_INPUT_SIZE];
        int main(void) {
            int full, early, third;
            printf("%d ", snn_run(image, 4));
            for (uint32_t i = 0; i < SNN_INPUT_SIZE; i++) image[i] = (snn_input)(i * 37u);
            printf("%d ", snn_load(0, 0));
            printf("%d ", snn_check());
            snn_reset();
            for (int t = 0; t < 3; t++) snn_step(t == 1 ? 0 : image); /* the same image again changes nothing */
            third = (int)snn_output()[2];
            full = snn_run(image, 3); /* 0: no error */
            printf("%d %d ", full, third == (int)snn_output()[2]);
            early = snn_run_early(image, 8, 1);
            printf("%d %d ", early >= 1 && early <= 8, snn_decided(0, 1));
            printf("%d\\n", snn_run(image, SNN_MAX_TIMESTEPS + 1u));
            return 0;
        }
        """
    )
    sources = ["user.c", "snn_model.c", "snn_rt.c", "snn_weights.c"]
    assert run(folder, "gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-o", "user", *sources).returncode == 0
    assert run(folder, "./user").stdout.split() == ["-1", "0", "0", "0", "1", "1", "1", "-3"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("digits") / "digits.snn"
    api.convert(ROOT / "examples" / "digits" / "digits.onnx", timesteps=8, emit="integer", out=out)
    return out


@pytest.mark.parametrize("target", ["gcc-O2", "gcc-sanitizers", "arm-O2"])
def test_digits(digits: Path, tmp_path: Path, target: str) -> None:
    folder = Path(shutil.copytree(digits / "integer", tmp_path / "p"))
    assert "golden vectors: 4 samples, 8 steps, 6 layers: equal" in built(folder, target)


@pytest.mark.parametrize(("weights", "bits"), [("int4", 4), ("ternary", 2)])
def test_digits_with_fewer_bits(digits: Path, tmp_path: Path, weights: Precision, bits: int) -> None:
    opened = open_bundle(digits)
    samples = opened.samples(opened.truth())
    lowered = lower(opened.network, samples, weights=weights)
    folder = write(tmp_path, package(lowered, next(samples.batches(4)), name="d", method="m", timesteps=8))
    layers = json.loads((folder / "manifest.json").read_text())["layers"]
    assert {layer["weights_bits"] for layer in layers if layer["kind"] == "weights"} == {bits}
    assert (folder / "weights.bin").stat().st_size < (digits / "integer" / "weights.bin").stat().st_size
    assert "8 steps, 6 layers: equal" in built(folder)


@pytest.mark.parametrize("steps", [1, 8, 40])
def test_digits_on_random_bytes(digits: Path, tmp_path: Path, steps: int) -> None:
    lowered = integer_network(open_bundle(digits))
    program = compile_network(lowered.network, lowered.widths, max_timesteps=lowered.max_timesteps)
    rng = np.random.default_rng(steps)
    images = rng.integers(0, 256, (6, 1, 8, 8)).astype(np.uint8) * np.array([1, 1, 1, 0, 1, 1])[:, None, None, None]
    images[4], images[5] = 255, rng.choice([0, 255], (1, 8, 8))
    vectors = golden_bytes(lowered.network, shortened(program), {"image": images.astype(np.uint8)}, steps)
    folder = Path(shutil.copytree(digits / "integer", tmp_path / "p"))
    (folder / "random.bin").write_bytes(vectors)
    assert run(folder, "make", "-s", "snn_test").returncode == 0
    result = run(folder, "./snn_test", "random.bin")
    assert f"golden vectors: 6 samples, {steps} steps, 6 layers: equal" in result.stdout


@pytest.mark.parametrize("name", ["weights.bin", "manifest.json", "snn_model.c"])
def test_changed_package_is_refused_by_the_engine(digits: Path, tmp_path: Path, name: str) -> None:
    bundle = Path(shutil.copytree(digits, tmp_path / "digits.snn"))
    assert api.simulate(bundle, engine="integer").accuracy["8"] > 0.9
    flipped(bundle / "integer" / name, 100)
    with pytest.raises(BundleError, match=name):
        api.simulate(bundle, engine="integer")


def test_package_without_a_bundle_still_says_what_it_is(digits: Path, tmp_path: Path) -> None:
    manifest = json.loads((write(tmp_path, {}) and digits / "integer" / "manifest.json").read_text())
    assert manifest["timesteps"] == 8
    assert manifest["max_timesteps"] == 256
    assert ">=" in manifest["fire_rule"]
    assert {w["quantity"] for w in manifest["widths"]} >= {"value", "membrane", "count"}
    blob = (digits / "integer" / "weights.bin").read_bytes()
    assert manifest["rom_bytes"] == len(blob)
