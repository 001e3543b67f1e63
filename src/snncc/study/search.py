# SPDX-License-Identifier: Apache-2.0
"""`--method auto`: the cheapest network that meets a target, found on calibration samples that are held back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from snncc.conversion import recipe as recipes
from snncc.conversion.recipe import Recipe
from snncc.conversion.request import Asked, Subject, Target
from snncc.data.dataset import Dataset
from snncc.errors import DataError, FidelityError
from snncc.reports.comparison import MethodRun, Refusal
from snncc.reports.document import rounded
from snncc.reports.trials import Search, Trial
from snncc.study.comparison import Workplace, ann_stage, one_run
from snncc.transform.base import Statistics

#: The design T that are tried.
LADDER = (1, 2, 4, 8, 16, 32, 64)
#: The samples that a trial is calibrated on and judged by, at most.
CALIBRATED, HELD_BACK = 256, 512
LEAST = 16
MAX_DROP = 1.0


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One way to convert."""

    method: str
    timesteps: int
    granularity: str
    levels: int = 1

    def recipe(self, *, whole: bool = False) -> Recipe:
        """The recipe with its options; `whole`: for targets that know whole spikes only."""
        found = recipes.with_granularity(recipes.load_method(self.method), self.granularity)
        found = recipes.without_centres(found) if whole else found
        return recipes.with_levels(found, self.levels) if self.levels > 1 else found


def ladder(longest: int | None) -> tuple[int, ...]:
    """The T to try, up to a limit, which is one of them."""
    return LADDER if longest is None else (*[t for t in LADDER if t < longest], longest)


def variants(timesteps: Sequence[int], granularity: str) -> Iterator[Candidate]:
    """Around the T that a ternary `matched` network needs: more levels, shared thresholds, the plainer method."""
    other = "channel" if granularity == "neuron" else "neuron"
    for t in timesteps:
        for levels in (2, 4):
            yield Candidate(method="matched", timesteps=t, granularity=granularity, levels=levels)
        yield Candidate(method="matched", timesteps=t, granularity=other)
        yield Candidate(method="dnisnm", timesteps=t, granularity=granularity)


def split(calibration: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """(to calibrate on, held back), a quarter held back, in random order; raises DataError for too few samples."""
    if len(calibration) < LEAST:
        raise DataError(
            f"--method auto holds samples back to choose by; {len(calibration)} are too few",
            cure=f"give at least {LEAST} calibration samples, or choose a method yourself",
        )
    order = np.random.default_rng(seed).permutation(len(calibration))
    held = min(HELD_BACK, len(order) // 4)
    return calibration.subset(np.sort(order[held : held + CALIBRATED])), calibration.subset(np.sort(order[:held]))


@dataclass(slots=True, kw_only=True)
class Attempts:
    """What has been tried; `subject` is calibrated on some samples and keeps others, held back, to be judged by."""

    subject: Subject
    asked: Asked
    whole: bool
    goal: Target
    statistics: dict[bytes, Statistics] = field(default_factory=dict)
    runs: dict[Candidate, MethodRun] = field(default_factory=dict)

    def attempt(self, candidate: Candidate) -> Trial | None:
        """Convert and measure; None where the method refuses the network."""
        asked, chosen = self.asked, candidate.recipe(whole=self.whole)
        place = Workplace(
            subject=self.subject, timesteps=(candidate.timesteps,), seed=asked.seed, progress=asked.progress
        )
        statistics = self.statistics.setdefault(ann_stage(chosen), Statistics())
        found = one_run(place, chosen, candidate.timesteps, statistics)
        if isinstance(found, Refusal):
            return None
        self.runs[candidate] = found
        return trial(candidate, found)

    def ends(self, found: Trial | None) -> bool:
        """Whether a longer T would only cost more."""
        if found is None:
            return False
        dear = self.goal.operations is not None and found.synaptic_operations > self.goal.operations
        return dear or (self.goal.max_drop is not None and found.drop <= self.goal.max_drop)

    def climb(self) -> None:
        """T = 1, 2, 4, ... with ternary spikes until the target is met, then what is around it."""
        steps, granularity = ladder(self.goal.timesteps), self.asked.granularity
        unit, reached = granularity or "neuron", steps[-1]
        for t in steps:
            if self.ends(self.attempt(Candidate(method="matched", timesteps=t, granularity=unit))):
                reached = t
                break
        around = sorted({reached, *[t for t in steps if t < reached][-1:]})
        for candidate in variants(around, unit):
            if granularity is None or candidate.granularity == granularity:
                self.attempt(candidate)

    def best(self, trials: Mapping[Candidate, Trial]) -> Candidate:
        """The cheapest that meets a drop, else the most accurate; raises FidelityError where none meets the target."""
        good = [c for c, found in trials.items() if meets(found, self.goal)]
        if not good:
            nearest = min(trials.values(), key=lambda found: found.drop, default=None)
            best = f"the nearest is {shown(nearest)}" if nearest else "nothing converts"
            wanted = wording(self.goal)
            raise FidelityError(f"no network meets {wanted}; {best}", cure="ask for less, or give more samples")

        def rank(candidate: Candidate) -> tuple[float, float]:
            order = (trials[candidate].synaptic_operations, trials[candidate].drop)
            return order if self.goal.max_drop is not None else order[::-1]

        return min(good, key=rank)


def search(given: Subject, asked: Asked, *, whole: bool = False) -> tuple[Recipe, int, Search]:
    """The recipe and T chosen, and what was tried. `whole`: for targets without constants beside spikes.

    Raises DataError for too few samples, FidelityError when nothing meets the target.
    """
    fitted, held = split(given.calibration, asked.seed)
    target = msgspec.structs.replace(asked.target or Target(), timesteps=asked.timesteps)
    goal = target if target != Target() else Target(max_drop=MAX_DROP)
    subject = replace(given, calibration=fitted, samples=held)
    tried = Attempts(subject=subject, asked=asked, whole=whole, goal=goal)
    tried.climb()
    trials = {candidate: trial(candidate, run) for candidate, run in tried.runs.items()}
    best, first = tried.best(trials), next(iter(tried.runs.values()))
    marked = [
        msgspec.structs.replace(found, front=on_front(found, trials.values()), chosen=candidate == best)
        for candidate, found in trials.items()
    ]
    found = Search(
        metric=first.curve.metric, ann=first.curve.ann, samples=len(held), target=wording(goal), trials=tuple(marked)
    )
    return best.recipe(whole=whole), best.timesteps, found


def trial(candidate: Candidate, run: MethodRun) -> Trial:
    """What a candidate gave at its design T."""
    value = run.curve.points[-1].value
    return Trial(
        method=candidate.method,
        timesteps=candidate.timesteps,
        granularity=candidate.granularity,
        levels=candidate.levels,
        value=value,
        drop=rounded(100 * (run.curve.ann - value)) or 0.0,
        synaptic_operations=run.synaptic_operations,
        firing_rate=run.firing_rate,
    )


def meets(found: Trial, target: Target) -> bool:
    """Whether a trial meets every part of the target."""
    return (
        (target.max_drop is None or found.drop <= target.max_drop)
        and (target.timesteps is None or found.timesteps <= target.timesteps)
        and (target.operations is None or found.synaptic_operations <= target.operations)
    )


def on_front(found: Trial, trials: Iterable[Trial]) -> bool:
    """Whether no other trial is as good in accuracy and in operations and better in one of them (Pareto)."""
    return not any(
        o.value >= found.value
        and o.synaptic_operations <= found.synaptic_operations
        and (o.value, -o.synaptic_operations) != (found.value, -found.synaptic_operations)
        for o in trials
    )


def wording(target: Target) -> str:
    """The target in words."""
    parts = [
        f"a drop of at most {target.max_drop:g} points" if target.max_drop is not None else "",
        f"T <= {target.timesteps}" if target.timesteps is not None else "",
        f"at most {target.operations:,.0f} synaptic operations" if target.operations is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def shown(found: Trial) -> str:
    """A trial in words."""
    return (
        f"{found.method} at T={found.timesteps} by {found.granularity} with {found.levels} level(s): "
        f"{found.drop:.2f} points lost, {found.synaptic_operations:,.0f} synaptic operations"
    )
