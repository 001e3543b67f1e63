# SPDX-License-Identifier: Apache-2.0
"""Writes one sample of a data file as a C header of the bytes that an emitted package reads.

Usage: python make_input.py PACKAGE DATA.npz INDEX > image.h
"""

import json
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """q = clip(round(x / scale + zero_point), 0, 255), with scale and zero point from the manifest."""
    package, data, index = Path(sys.argv[1]), np.load(sys.argv[2]), int(sys.argv[3])
    given = json.loads((package / "manifest.json").read_text(encoding="utf-8"))["inputs"][0]
    quantization = given["quantization"]
    x = data["x"][index : index + 1].astype(np.float64)
    shape = [-1 if axis == quantization["axis"] else 1 for axis in range(x.ndim)]
    scale, zero = (np.array(quantization[key]).reshape(shape) for key in ("scale", "zero_point"))
    q = np.clip(np.rint(x / scale + zero), 0, 255).astype(np.uint8)
    print(f"/* sample {index}, label {int(data['y'][index])} */")
    print(f"#define LABEL {int(data['y'][index])}")
    print("static const snn_input image[SNN_INPUT_SIZE] = {" + ", ".join(map(str, q.ravel().tolist())) + "};")


main()
