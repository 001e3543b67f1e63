# SPDX-License-Identifier: Apache-2.0
"""Samples that leave a batch in the generated C, in floats and in whole numbers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from chains import Chain, samples
from test_engine import BUILT, built
from test_integers import T, lowered, shortcut, wide
from test_segments import between
from test_segments import built as built_of_several

from leaving import Leaving, computed, leaves_as_it_would_be
from snncc.execute.native.executor import NativeExecutor
from snncc.integer.executor import IntegerExecutor
from snncc.integer.native import NativeIntegers

LEAST = 5


@pytest.mark.parametrize("build", BUILT, ids=lambda f: f.__name__)
def test_floats(build: Callable[[Chain], str]) -> None:
    """Means over 7 steps are rounded, and a matrix product rounds otherwise for other numbers of rows."""
    net = built(build)
    executor = NativeExecutor(net, steps=3, dtype="float64", threads=2)
    leaves_as_it_would_be(net, executor, samples(net, LEAST), 7, rtol=1e-12)


def test_torch_between_segments_of_the_c() -> None:
    net = built_of_several(between)
    executor = NativeExecutor(net, steps=3, dtype="float64", threads=1)
    assert executor.engine.program.outside
    leaves_as_it_would_be(net, executor, samples(net, LEAST), 7, rtol=1e-12)


@pytest.mark.parametrize("build", [shortcut, wide], ids=lambda f: f.__name__)
def test_whole_numbers(build: Callable[[Chain], str]) -> None:
    net, integer = lowered(build)
    for executor in (NativeIntegers(integer, steps=4, threads=1), IntegerExecutor(integer, device="cpu", steps=4)):
        leaves_as_it_would_be(net, executor, samples(net, LEAST), T)


def test_steps_of_samples_that_have_left_are_not_computed() -> None:
    """The profile counts the entries of the steps that were made; the memory of the batch is used again whole."""
    net = built(next(iter(BUILT)))
    executor = NativeExecutor(net, steps=3, threads=1)
    feeds = samples(net, LEAST)
    leaving = Leaving(net, samples(net, LEAST)["x"].reshape(LEAST, -1).argmax(1) % 3 + 1)
    executor.run_early(feeds, 7, leaving)
    memory = executor.engine.kept
    made = computed(leaving.after, 7).sum()
    assert executor.engine.entries == made < 7 * LEAST
    executor.run(feeds, 7, (7,))
    assert executor.engine.entries == made + 7 * LEAST
    executor.run_early(feeds, 7, Leaving(net, leaving.after))
    executor.run(feeds, 7, (7,))
    assert memory is not None
    assert executor.engine.kept is not memory  # 3 steps at once need more room than two
    assert executor.engine.kept is not None
    assert executor.engine.kept.samples == LEAST
