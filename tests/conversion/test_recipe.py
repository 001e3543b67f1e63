# SPDX-License-Identifier: Apache-2.0
"""Recipes: what ships loads, and what is wrong is refused with its place and what exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snncc.conversion import recipe as recipes
from snncc.conversion.recipe import Recipe, load_method, load_recipe, methods, steps, with_granularity, with_options
from snncc.errors import RecipeError
from snncc.transform.passes import TRANSFORMS

HEAD = 'name = "mine"\nsource = "me"\nsummary = "a test"\n'
ORDER = ("rewrite_max_pooling", "rewrite_functions", "select_neuron", "balance_thresholds")


def entry(use: str, options: str = "") -> str:
    return f'[[passes]]\nuse = "{use}"\n' + (f"with = {{ {options} }}\n" if options else "")


def toml(*entries: str, head: str = HEAD) -> str:
    return head + "".join(entries)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_shipped_recipe_loads(name: str) -> None:
    recipe = load_method(name)
    assert recipe.name == name, "a method is called as its file"
    assert recipe.source
    assert recipe.summary.endswith(".")
    found = steps(recipe)
    assert [s.transform.name for s in found] == [p.use for p in recipe.passes]
    for step, given in zip(found, recipe.passes, strict=True):
        for option, value in given.options.items():
            assert getattr(step.options, option) == value


def test_the_methods_that_the_issues_name_exist() -> None:
    assert {"dnisnm", "rate"} <= set(methods())


def test_an_unknown_method_offers_the_nearest() -> None:
    with pytest.raises(RecipeError, match="no method 'dnisn'") as caught:
        load_method("dnisn")
    assert caught.value.cure is not None
    assert caught.value.cure.startswith("did you mean 'dnisnm'?")
    assert "rate" in caught.value.cure
    assert caught.value.exit_code == 4


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, toml(*map(entry, ORDER))))
    assert [p.use for p in recipe.passes] == list(ORDER)
    assert recipe.passes[0].options == {}


WRONG: dict[str, tuple[str | bytes, str]] = {
    # text, what the message says
    "not TOML": ("name = ", "mine.toml is not TOML: Invalid value"),
    "not text": (b"\xff\xfe\x00name", "mine.toml is not TOML"),
    "binary": (bytes(range(256)), "mine.toml is not TOML"),
    "empty": ("", "mine.toml: .*missing required field `name`"),
    "key twice": (HEAD + HEAD, "mine.toml is not TOML"),
    "too large": ("#" * ((1 << 20) + 1), "larger than 1 MiB"),
    "deep": ("a = " + "[" * 100_000, "mine.toml is not TOML"),
    "unknown key": (toml(entry("fold_batchnorm"), head=HEAD + "colour = 3\n"), r"unknown field `colour`"),
    "unknown key of a pass": (toml(entry("fold_batchnorm") + "after = 1\n"), r"`after`.*\$.passes\[0\]"),
    "name": (toml(entry("fold_batchnorm"), head=HEAD.replace("mine", "a b/..")), r"\$.name"),
    "name of a wrong type": (
        toml(entry("fold_batchnorm"), head=HEAD.replace('"mine"', "3")),
        r"Expected `str`.*\$.name",
    ),
    "no passes": (toml(head=HEAD + "passes = []\n"), r"length >= 1.*\$.passes"),
    "passes missing": (HEAD, "missing required field `passes`"),
    "too many passes": (toml(*[entry("fold_batchnorm")] * 101), r"length <= 100.*\$.passes"),
    "passes is no list": (HEAD + "passes = 3\n", r"Expected `array`.*\$.passes"),
    "with is no table": (toml(entry("fold_batchnorm") + "with = 3\n"), r"Expected `object`.*\$.passes\[0\].with"),
    "no use": (toml("[[passes]]\nwith = {}\n"), r"missing required field `use`.*\$.passes\[0\]"),
    "unknown pass": (
        toml(entry("fold_batchnorm"), entry("fold_batchnrom")),
        r"recipe mine, passes\[1\]: .*'fold_batchnrom'",
    ),
    "unknown option": (
        toml(entry("rewrite_max_pooling", "too = 1")),
        r"passes\[0\]: .* no option 'too' -> its options: to$",
    ),
    "option of a pass without": (toml(entry("fold_batchnorm", "x = 1")), "its options: none"),
    "wrong choice": (
        toml(entry("rewrite_max_pooling", 'to = "max"')),
        r"passes\[0\]: rewrite_max_pooling: .*'max'.*\$.to",
    ),
    "wrong type": (toml(entry("rewrite_max_pooling", "to = 3")), r"rewrite_max_pooling: .*\$.to"),
    "order": (
        toml(entry("rewrite_functions")),
        r"passes\[0\]: rewrite_functions needs 'pooling'.*put rewrite_max_pooling before it",
    ),
    "neurons twice removed": (
        toml(*[entry(u) for u in ORDER if u != "select_neuron"]),
        r"passes\[2\]: balance_thresholds needs 'neurons', which no .* gives -> put .*select_neuron.* before it",
    ),
    "no thresholds": (toml(*map(entry, ORDER[:3])), "no pass sets thresholds -> add balance_thresholds"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_recipe_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    text, message = WRONG[name]
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(written(tmp_path, text))
    assert caught.value.cure
    assert str(tmp_path) not in str(caught.value), "names a file, not a place on this machine"


@pytest.mark.parametrize(
    ("use", "options", "message"),
    [
        ("balance_thresholds", "percentile = 0", "> 0"),
        ("balance_thresholds", "percentile = 100.5", "<= 100"),
        ("balance_thresholds", "percentile = nan", r"\$.percentile|percentile"),
        ("balance_thresholds", "percentile = inf", "<= 100"),
        ("balance_thresholds", "percentile = 1e400", "<= 100"),
        ("balance_thresholds", "percentile = true", "percentile"),
        ("balance_thresholds", 'percentile = "99"', "percentile"),
        ("balance_thresholds", "granularity = []", "granularity"),
        ("balance_thresholds", "nonzero = 1", "nonzero"),
        ("select_neuron", "levels = 0", ">= 1"),
        ("select_neuron", "levels = 1.5", "levels"),
        ("select_neuron", "levels = 99999999999999999999999", "levels"),
        ("select_neuron", "overrides = 1", "overrides"),
        ("select_neuron", "overrides = [{}]", "`match`"),
        ("select_neuron", 'overrides = [{match = "a", kind = "lif"}]', r"overrides\[0\]\.kind|lif"),
        ("rewrite_functions", "widen = -0.1", ">= 0"),
        ("rewrite_functions", "widen = nan", "widen"),
        ("rewrite_functions", "widen = 11", "<= 10"),
    ],
)
def test_option_values(tmp_path: Path, use: str, options: str, message: str) -> None:
    text = toml(*[entry(u, options if u == use else "") for u in ORDER])
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(written(tmp_path, text))
    assert use in str(caught.value)
    assert f"passes[{ORDER.index(use)}]" in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read recipe gone.toml: No such file"):
        load_recipe(tmp_path / "gone.toml")
    with pytest.raises(RecipeError, match="cannot read recipe"):
        load_recipe(tmp_path)


def test_what_a_missing_pass_needs_is_found_for_every_transform() -> None:
    """The cure names passes that give what is missing."""
    for step in TRANSFORMS:
        if not step.needs:
            continue
        lone = Recipe(name="x", source="", summary="", passes=(recipes.PassEntry(use=step.name),))
        with pytest.raises(RecipeError, match=f"{step.name} needs") as caught:
            steps(lone)
        assert any(t.name in str(caught.value.cure) for t in TRANSFORMS if t.gives & step.needs)


# Changes on the command line.


@pytest.fixture
def base() -> Recipe:
    return load_method("dnisnm")


def options_of(recipe: Recipe, use: str) -> dict[str, Any]:
    return next(p.options for p in recipe.passes if p.use == use)


def test_with_options(base: Recipe) -> None:
    changed = with_options(base, [("balance_thresholds", "percentile", 98.5), ("select_neuron", "levels", 1)])
    before = dict(options_of(base, "balance_thresholds"))
    wanted = {**before, "percentile": 98.5}
    assert options_of(changed, "balance_thresholds") == wanted
    assert options_of(changed, "select_neuron")["levels"] == 1
    assert options_of(changed, "select_neuron")["negative"] == "signed", "the others stay"
    assert options_of(base, "balance_thresholds") == before != wanted, "the recipe given is not touched"
    assert with_options(base, []) == base


def test_with_options_changes_every_occurrence() -> None:
    twice = Recipe(
        name="x", source="", summary="", passes=tuple(recipes.PassEntry(use=u) for u in (*ORDER, "balance_thresholds"))
    )
    changed = with_options(twice, [("balance_thresholds", "percentile", 50.0)])
    assert [p.options.get("percentile") for p in changed.passes if p.use == "balance_thresholds"] == [50.0, 50.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("select_neurons", "levels", 2), "recipe dnisnm has no pass 'select_neurons' -> did you mean 'select_neuron'"),
        (("select_neuron", "level", 2), "has no option 'level'"),
        (("select_neuron", "levels", 9), "levels"),
        (("balance_thresholds", "percentile", float("nan")), "percentile"),
    ],
)
def test_with_options_that_do_not_fit(base: Recipe, change: tuple[str, str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        with_options(base, [change])


def test_with_granularity(base: Recipe) -> None:
    assert options_of(with_granularity(base, "channel"), "balance_thresholds")["granularity"] == "channel"
    with pytest.raises(RecipeError, match="granularity"):
        with_granularity(base, "pixel")
    without = Recipe(name="x", source="", summary="", passes=(recipes.PassEntry(use="fold_batchnorm"),))
    with pytest.raises(RecipeError, match="no pass with a granularity"):
        with_granularity(without, "layer")


def test_the_folder_of_recipes_is_the_checkout_or_the_package() -> None:
    folder = recipes.recipes_folder()
    assert folder.is_dir()
    assert all(path.parent == folder for path in methods().values())
