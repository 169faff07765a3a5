"""What came out, run by run, and what it amounts to: means over seeds, and how sure they are."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from msgspec import Struct

from cca.bench.rl.hindsight import Marks
from cca.bench.rl.play import Run
from cca.bench.spread import median, percentile

SETTLED = 500
"""From this task on a policy is compared with the best fixed lane: by then it should have found it."""

MARKS = ("random", "fixed", "linear", "oracle")
"""What every policy is compared with, as `hindsight.Marks` names it."""


class Result(Struct, frozen=True):
    """One policy on one test bed with one seed.

    Attributes:
        reward: mean worth of the tasks, between 0 and 1.
        normalised: 0 is what chance earns, 1 the linear policy in hindsight.
        regret: what was missed of the per-task oracle, as a share of what chance misses.
        settled: mean worth from task 500 on, as a share of that of the best fixed lane; 0 when there are fewer.
        attempts: lanes tried per task.
        decide_p50_us, decide_p99_us: of a decision.
        fit_ms: of a new version, on average.
    """

    bed: str
    seed: int
    policy: str
    reward: float
    normalised: float
    regret: float
    settled: float
    attempts: float = 1.0
    decide_p50_us: float = 0.0
    decide_p99_us: float = 0.0
    fit_ms: float = 0.0

    @classmethod
    def of(cls, bed: str, seed: int, policy: str, run: Run, marks: Marks) -> "Result":
        chance, best = float(marks.random.mean()), float(marks.linear.mean())
        reward = float(run.worth.mean())
        missed = float((marks.oracle - marks.random).sum())
        settled = run.worth[SETTLED:]
        return cls(
            bed,
            seed,
            policy,
            reward,
            (reward - chance) / (best - chance) if best > chance else 0.0,
            float((marks.oracle - run.worth).sum()) / missed if missed > 0 else 0.0,
            float(settled.mean() / marks.fixed[SETTLED:].mean()) if len(settled) else 0.0,
            run.attempts,
            percentile(run.decide_us, 50) if run.decide_us else 0.0,
            percentile(run.decide_us, 99) if run.decide_us else 0.0,
            float(np.mean(run.fit_ms)) if run.fit_ms else 0.0,
        )


class Mean(Struct, frozen=True):
    """A mean over seeds, and its standard error (0 for one seed)."""

    value: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """Of at least one value. Summed exactly, so that the order of the seeds makes no difference."""
        count = len(values)
        mean = math.fsum(values) / count
        if count == 1:
            return cls(mean, 0.0)
        return cls(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count))


class Cell(Struct, frozen=True):
    """A policy on a test bed, over all seeds."""

    reward: Mean
    normalised: Mean
    regret: Mean
    settled: Mean
    attempts: Mean

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Cell":
        return cls(*(Mean.of([getattr(one, name) for one in results]) for name in cls.__struct_fields__))


class Timing(Struct, frozen=True):
    """What a policy takes: the medians over its runs, of decisions in µs and of new versions in ms."""

    p50_us: float
    p99_us: float
    fit_ms: float

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Timing":
        names = ("decide_p50_us", "decide_p99_us", "fit_ms")
        return cls(*(median([getattr(one, name) for one in results]) for name in names))


def baselines(bed: str, seed: int, marks: Marks) -> list[Result]:
    """The marks themselves, as results."""
    return [Result.of(bed, seed, name, Run(getattr(marks, name)), marks) for name in MARKS]


def by_policy(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Grouped, each group by seed; policies in the order in which they first appear."""
    found: dict[str, list[Result]] = {}
    for one in results:
        found.setdefault(one.policy, []).append(one)
    for group in found.values():
        group.sort(key=lambda one: one.seed)
    return found
