# SPDX-License-Identifier: Apache-2.0
"""What a batch is to do: a folder, files, globs or a TOML manifest become jobs, checked before anything runs."""

from __future__ import annotations

import glob
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec

from snncc.conversion import recipe as recipes
from snncc.conversion.recipe import Recipe
from snncc.conversion.request import AUTO, Target
from snncc.conversion.sources import model_name
from snncc.data.dataset import Preprocessing
from snncc.errors import DataError, RecipeError, UsageError
from snncc.names import safe_name
from snncc.study.search import MAX_DROP

SUFFIXES = (".onnx", ".pt2")
SIZE_LIMIT = 4 << 20
MOST = 100_000
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Steps = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds that a model must meet; None: not asked for.

    max_drop: the metric of the ANN minus that of the SNN, a fraction. min_accuracy: a fraction. max_t: the first T
    measured from which on the SNN stays within one point of the ANN.
    """

    max_drop: Fraction | None = None
    min_accuracy: Fraction | None = None
    max_t: Steps | None = None


class Choices(Gates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is converted and measured, as [defaults] of a manifest and the command line give it."""

    method: str | None = None
    recipe: str | None = None
    options: dict[str, dict[str, Any]] = {}
    granularity: str | None = None
    timesteps: Steps | None = None
    calib: str | None = None
    data: str | None = None
    shapes: dict[str, tuple[Annotated[int, msgspec.Meta(ge=1)] | str, ...]] = {}
    preprocessing: Preprocessing | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)] | None = None
    time_limit: Annotated[float, msgspec.Meta(gt=0, le=1e7)] | None = None
    memory_limit: Annotated[float, msgspec.Meta(gt=0, le=1e6)] | None = None


class Entry(Choices, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the [[models]] of a manifest: a file or a glob, relative to the manifest, and what differs for it."""

    path: str
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$")] | None = None


class ZooFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manifest."""

    defaults: Choices = Choices()
    models: Annotated[tuple[Entry, ...], msgspec.Meta(min_length=1)]


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model and everything that its conversion depends on. time_limit: seconds; memory_limit: GiB.

    search: what `--method auto` must meet; it chooses the recipe then, of `granularity` if that is given.
    """

    name: str
    title: str
    model: str
    recipe: Recipe
    timesteps: int | None
    calib: str | None
    data: str | None
    shapes: dict[str, tuple[int | str, ...]]
    preprocessing: Preprocessing
    seed: int
    gates: Gates
    time_limit: float
    memory_limit: float
    search: Target | None = None
    granularity: str | None = None

    @property
    def method(self) -> str:
        """What was asked for."""
        return self.recipe.name if self.search is None else AUTO


BUILT_IN = Choices(preprocessing=Preprocessing(), seed=0, time_limit=3600.0, memory_limit=8.0)


def decoded(data: bytes, where: str) -> ZooFile:
    """A manifest from its bytes; raises UsageError with the key that is wrong."""
    try:
        return msgspec.convert(tomllib.loads(data.decode()), ZooFile)
    except (msgspec.ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError, DataError) as error:
        raise UsageError(f"{safe_name(where)}: {error}", cure="see docs/batch.md for the form") from None
    except (ValueError, OverflowError) as error:  # numbers beyond what Python converts
        raise UsageError(
            f"{safe_name(where)}: {safe_name(str(error))}", cure="see docs/batch.md for the form"
        ) from None


def read_manifest(path: Path) -> ZooFile:
    """A manifest; raises UsageError."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"{safe_name(path.name)} is larger than 4 MiB", cure="list globs instead of files")
        return decoded(path.read_bytes(), path.name)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise UsageError(f"{safe_name(str(path))}: {reason}", cure="check the path") from None


def first(key: str, *choices: Choices) -> Any:
    """The value of the first that has one; {} counts as none."""
    for choice in choices:
        value = getattr(choice, key)
        if value is not None and value != {}:
            return value
    return getattr(BUILT_IN, key)


def below(folder: str | None, path: str | None) -> str | None:
    """A path that a manifest in `folder` names."""
    return path if path is None or folder is None else str(Path(folder) / Path(path).expanduser())


def located(choices: Choices, folder: str) -> Choices:
    """The choices of a manifest with its paths made absolute."""
    paths = {key: below(folder, getattr(choices, key)) for key in ("calib", "data", "recipe")}
    return msgspec.structs.replace(choices, **paths)


def chosen_recipe(levels: Sequence[Choices], where: str) -> tuple[Recipe, bool]:
    """The recipe of a job and whether to search instead; raises RecipeError or UsageError that names the model."""
    try:
        for level in levels:
            if level.method is not None and level.recipe is not None:
                raise UsageError(f"{where}: a method and a recipe file are given", cure="give one of them")
        origin = next((c for c in levels if c.method is not None or c.recipe is not None), Choices())
        if origin.method == AUTO:
            if first("options", *levels):
                raise UsageError(f"{where}: --method auto chooses the options", cure="leave them out, or name a method")
            return recipes.load_method(recipes.DEFAULT_METHOD), True
        if origin.recipe is not None:
            found = recipes.load_recipe(Path(origin.recipe))
        else:
            found = recipes.load_method(origin.method or recipes.DEFAULT_METHOD)
        options = first("options", *levels)
        changes = [(use, option, value) for use, given in options.items() for option, value in given.items()]
        found = recipes.with_options(found, changes)
        granularity = first("granularity", *levels)
        return (recipes.with_granularity(found, granularity) if granularity else found), False
    except RecipeError as error:
        raise RecipeError(f"{where}: {error.message}", cure=error.cure) from None


def job(path: Path, name: str, levels: Sequence[Choices]) -> Job:
    """The job of one model; its data is by default the .npz beside it that has its name."""
    calib, beside = first("calib", *levels), path.with_suffix(".npz")
    if calib is None and beside.is_file():
        calib = str(beside)
    data = first("data", *levels)
    recipe, searching = chosen_recipe(levels, name)
    drop = first("max_drop", *levels)
    target = Target(max_drop=MAX_DROP if drop is None else 100 * drop) if searching else None
    return Job(
        name=name,
        title=path.name,
        model=str(path.absolute()),
        recipe=recipe,
        search=target,
        granularity=first("granularity", *levels) if searching else None,
        calib=None if calib is None else str(Path(calib).absolute()),
        data=None if data is None else str(Path(data).absolute()),
        gates=Gates(**{key: first(key, *levels) for key in Gates.__struct_fields__}),
        **{
            key: first(key, *levels)
            for key in ("timesteps", "shapes", "preprocessing", "seed", "time_limit", "memory_limit")
        },
    )


def models_below(folder: Path, out: Path) -> Iterator[tuple[Path, str]]:
    """The models in a folder, and their names: the path in it. What batch or convert wrote there is left out."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part.endswith(".snn") for part in parts[:-1])
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden and out not in path.absolute().parents:
            yield path, "__".join((*(model_name(Path(f"{p}.x")) for p in parts[:-1]), model_name(path)))


def expanded(source: str, out: Path) -> list[tuple[Path, str]]:
    """The models that a folder, a file or a glob names."""
    path = Path(source)
    if path.is_dir():
        return list(models_below(path, out))
    if not glob.has_magic(source) or path.exists():
        return [(path, model_name(path))]
    matches = sorted(glob.glob(source, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)
    return [(p, model_name(p)) for p in map(Path, matches) if p.is_file()]


def unique(found: Sequence[tuple[Path, str, Sequence[Choices]]]) -> list[tuple[Path, str, Sequence[Choices]]]:
    """The same with a name each; models that differ in their suffix alone get it. Raises UsageError for the rest."""
    counts = Counter(name for _, name, _ in found)
    kinds = Counter((name, path.suffix.lower()) for path, name, _ in found)
    named = []
    for path, name, levels in found:
        alike = counts[name] == kinds[name, path.suffix.lower()]
        named.append((path, name if alike else f"{name}_{path.suffix[1:].lower()}", levels))
    repeated = [name for name, count in Counter(name.casefold() for _, name, _ in named).items() if count > 1]
    if repeated:
        raise UsageError(f"several models are called {repeated[0]!r}", cure="give them a `name` each in a manifest")
    return named


def plan(sources: Sequence[Path | str], given: Choices, out: Path) -> list[Job]:
    """The jobs of a batch, in order. An entry of a manifest goes before `given`, that before [defaults].

    Raises UsageError or RecipeError for whatever is wrong with the request itself; what is wrong with a model is found
    when it is converted.
    """
    try:
        return _plan(sources, given, out)
    except (OSError, ValueError) as error:  # names that no file can have
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"batch: {safe_name(reason)}", cure="check the paths") from None


def _plan(sources: Sequence[Path | str], given: Choices, out: Path) -> list[Job]:
    found: list[tuple[Path, str, Sequence[Choices]]] = []
    out = out.absolute()
    for source in map(str, sources):
        if source.lower().endswith(".toml"):
            manifest, folder = read_manifest(Path(source)), str(Path(source).absolute().parent)
            defaults = located(manifest.defaults, folder)
            for entry in manifest.models:
                matches = expanded(below(folder, entry.path) or "", out)
                if entry.name is not None and len(matches) > 1:
                    raise UsageError(f"{entry.name!r} names {len(matches)} models", cure="leave `name` out for a glob")
                refuse_none(matches, entry.path)
                levels = (located(entry, folder), given, defaults)
                found += [(path, entry.name or name, levels) for path, name in matches]
        else:
            matches = expanded(source, out)
            if not Path(source).suffix and all(not path.exists() for path, _ in matches):
                matches = []  # a folder whose name is mistyped, not a model that is missing
            refuse_none(matches, source)
            found += [(path, name, (given,)) for path, name in matches]
    if len(found) > MOST:
        raise UsageError(f"{len(found):,} models are more than {MOST:,}", cure="split the batch")
    return [job(path, name, levels) for path, name, levels in unique(found)]


def refuse_none(matches: Sequence[Any], source: str) -> None:
    """Raise UsageError where nothing was found."""
    if not matches:
        raise UsageError(
            f"{safe_name(source)}: no model ({' or '.join(SUFFIXES)}) found", cure="give a folder, a glob or a manifest"
        )


def given_choices(values: Mapping[str, Any]) -> Choices:
    """What the caller asked for, checked; raises UsageError."""
    try:
        plain = {key: str(v) if isinstance(v, Path) else v for key, v in values.items() if v is not None}
        return msgspec.convert(plain, Choices)
    except msgspec.ValidationError as error:
        raise UsageError(f"batch: {error}", cure="see `snncc batch --help`") from None
