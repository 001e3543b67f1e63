# SPDX-License-Identifier: Apache-2.0
"""Short names: what exporters repeat is left out, and two layers never share one."""

import pytest

from snncc.reports.text import short_name, short_names


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("relu_1", "relu_1"),
        ("/layer1/layer1.0/Relu_1_output_0", "layer1.0/Relu_1"),
        ("/Relu_output_0", "Relu"),
        ("logits", "logits"),
        ("model/activation/Relu:0", "model/activation/Relu:0"),
        ("/encoder/encoder.layers/encoder.layers.3/mlp/act/Relu_output_0", "…/mlp/act/Relu"),
        ("/", "/"),
        ("a\x1b[2J", "a\\x1b[2J"),
    ],
)
def test_short_name(name: str, short: str) -> None:
    assert short_name(name) == short


def test_names_that_would_be_the_same_stay_whole() -> None:
    names = ["/a/a.1/Relu_output_0", "a.1/Relu", "/b/Relu_output_0"]
    found = short_names(names)
    assert found == {names[0]: names[0], names[1]: names[1], names[2]: "b/Relu"}
