# SPDX-License-Identifier: Apache-2.0
"""Recipes: one TOML file per method, the ordered passes and their options. Checked whole before anything runs."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from snncc.errors import RecipeError
from snncc.transform.base import Transform
from snncc.transform.passes import TRANSFORMS

SIZE_LIMIT = 1 << 20
#: What `convert` and `batch` take where no method is named.
DEFAULT_METHOD = "matched"
BY_NAME: Mapping[str, Transform] = {t.name: t for t in TRANSFORMS}


class PassEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"options": "with"}):
    """One pass of a recipe: its name and options."""

    use: str
    options: dict[str, Any] = msgspec.field(default_factory=dict)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A method: what it is, where it comes from and its passes in order."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    source: str
    summary: str
    passes: Annotated[tuple[PassEntry, ...], msgspec.Meta(min_length=1, max_length=100)]

    @classmethod
    def of(cls, method: str) -> Recipe:
        """The recipe of a method that ships; raises RecipeError."""
        return load_method(method)

    def then(self, use: str, options: Mapping[str, Any] = MappingProxyType({}), *, name: str) -> Recipe:
        """The recipe `name` with one more pass at its end, which may be one of your own."""
        return msgspec.structs.replace(self, name=name, passes=(*self.passes, PassEntry(use=use, options={**options})))


@dataclass(frozen=True, slots=True)
class Step:
    """A pass that is ready to run."""

    transform: Transform
    options: msgspec.Struct


def recipes_folder() -> Path:
    """Where the recipes lie: in the checkout when installed editable, else inside the package."""
    checkout = Path(__file__).parents[3] / "passes"
    return (
        checkout
        if checkout.is_dir() and (checkout.parent / "pyproject.toml").is_file()
        else Path(__file__).parents[1] / "passes"
    )


def methods() -> dict[str, Path]:
    """The recipes that ship, by name."""
    return {path.stem: path for path in sorted(recipes_folder().glob("*.toml"))}


def nearest(name: str, known: Sequence[str], what: str) -> str:
    """A cure that offers what exists, the nearest first."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return (f"did you mean {close[0]!r}? " if close else "") + f"{what}: {', '.join(known)}"


def load_method(name: str) -> Recipe:
    """A recipe that ships; raises RecipeError with the nearest name."""
    known = methods()
    if name not in known:
        raise RecipeError(f"there is no method {name!r}", cure=nearest(name, sorted(known), "methods"))
    return load_recipe(known[name])


def load_recipe(path: Path) -> Recipe:
    """A recipe from a TOML file; raises RecipeError naming the key that is wrong."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise RecipeError(f"{path.name} is larger than 1 MiB", cure="a recipe is a few lines of TOML")
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read recipe {path.name}: {error.strerror}", cure="check the path") from None
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{path.name} is not TOML: {error}", cure="see the recipes in passes/ for the form") from None
    try:
        recipe = msgspec.convert(given, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(f"{path.name}: {error}", cure="see the recipes in passes/ for the form") from None
    steps(recipe)
    return recipe


def with_own(passes: Sequence[Transform]) -> Mapping[str, Transform]:
    """Our passes and a user's own, by name; raises RecipeError for a name that is taken."""
    known = dict(BY_NAME)
    for one in passes:
        if not isinstance(one, Transform):
            raise RecipeError(f"{one!r} is not a pass", cure="declare it with snncc.transform.transform")
        if one.name in known:
            raise RecipeError(f"there is a pass {one.name} already", cure="give yours another name")
        known[one.name] = one
    return known


def steps(recipe: Recipe, known: Mapping[str, Transform] = BY_NAME) -> tuple[Step, ...]:
    """The passes of a recipe with their options; raises RecipeError for what does not exist, fit or come in order."""
    result, given = [], set[str]()
    for i, entry in enumerate(recipe.passes):
        where = f"recipe {recipe.name}, passes[{i}]"
        if entry.use not in known:
            raise RecipeError(
                f"{where}: there is no pass {entry.use!r}", cure=nearest(entry.use, sorted(known), "passes")
            )
        found = known[entry.use]
        if missing := sorted(found.needs - given):
            givers = [t.name for t in known.values() if missing[0] in t.gives]
            raise RecipeError(
                f"{where}: {entry.use} needs {missing[0]!r}, which no earlier pass gives",
                cure=f"put {' or '.join(givers)} before it",
            )
        result.append(Step(found, found.decode(where, entry.options)))
        given |= found.gives
    if "neurons" in given and "thresholds" not in given:
        raise RecipeError(f"recipe {recipe.name}: no pass sets thresholds", cure="add balance_thresholds")
    return tuple(result)


def depends_on_timesteps(chosen: Sequence[Step]) -> bool:
    """Whether a pass depends on the design T."""
    return any(step.transform.uses_timesteps for step in chosen)


def with_options(
    recipe: Recipe, changes: Sequence[tuple[str, str, Any]], known: Mapping[str, Transform] = BY_NAME
) -> Recipe:
    """The recipe with options set: (pass, option, value). Raises RecipeError when the recipe lacks the pass."""
    passes = list(recipe.passes)
    used = [entry.use for entry in passes]
    for name, option, value in changes:
        if name not in used:
            raise RecipeError(
                f"recipe {recipe.name} has no pass {name!r}",
                cure=nearest(name, list(dict.fromkeys(used)), "its passes"),
            )
        for i, entry in enumerate(passes):
            if entry.use == name:
                passes[i] = PassEntry(use=name, options={**entry.options, option: value})
    changed = msgspec.structs.replace(recipe, passes=tuple(passes))
    steps(changed, known)
    return changed


def centred(recipe: Recipe) -> tuple[str, str] | None:
    """The pass and its option that give neurons a resting rate, which no whole spike carries."""
    name, option = "minimize_threshold_error", "centre"
    return next(((name, option) for e in recipe.passes if e.use == name and e.options.get(option, 0)), None)


def takers(recipe: Recipe, option: str, known: Mapping[str, Transform] = BY_NAME) -> list[str]:
    """The passes of a recipe that take an option."""
    used = dict.fromkeys(entry.use for entry in recipe.passes)
    return [name for name in used if name in known and option in known[name].options.__struct_fields__]


def with_levels(recipe: Recipe, levels: int, known: Mapping[str, Transform] = BY_NAME) -> Recipe:
    """The recipe whose neurons emit up to `levels` spikes in one step. Raises RecipeError where none can."""
    if not (found := takers(recipe, "levels", known)):
        raise RecipeError(f"recipe {recipe.name} has no neuron with levels", cure="leave --levels out")
    return with_options(recipe, [(name, "levels", levels) for name in found], known)


def with_granularity(recipe: Recipe, granularity: str, known: Mapping[str, Transform] = BY_NAME) -> Recipe:
    """The recipe with the granularity of its thresholds set."""
    if not (found := takers(recipe, "granularity", known)):
        raise RecipeError(f"recipe {recipe.name} has no pass with a granularity", cure="leave --granularity out")
    return with_options(recipe, [(name, "granularity", granularity) for name in found], known)


def without_centres(recipe: Recipe) -> Recipe:
    """The recipe with neurons that emit whole spikes and no constant beside them."""
    found = centred(recipe)
    return with_options(recipe, [(*found, 0.0)]) if found else recipe
