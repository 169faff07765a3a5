"""A test bed laid out for one seed: tasks, lanes, and what each lane would make of each task."""

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca.contracts.policy import Params
from cca.routing import features
from cca.routing.reward import value
from cca.routing.steps import Ending, Step

Floats = NDArray[np.float64]

ROLE = "bench"
"""The role that all lanes belong to."""
CAPACITY = 16
"""Tasks that a lane can run at once; what is on its way beyond that counts as queued. It changes no outcome."""
EVENTS = 5
"""Events that a task leaves in a log: its position grows by so many per decision."""


class Job(Struct, frozen=True):
    """A task as it is declared.

    Attributes:
        complexity, tokens: the two numbers, 0 to 1, that the predecessor told tasks apart by.
    """

    id: str
    size: int
    kind: str
    language: str | None = None
    repo: str | None = None
    complexity: float = 0.5
    tokens: float = 0.5

    def features(self, failed: tuple[str, ...] = (), attempt: int = 1) -> dict[str, int]:
        """Its features at the attempt of this number, after the lanes `failed` have failed it."""
        return features.described(
            size=self.size,
            kind=self.kind,
            language=self.language,
            repo=self.repo,
            attempt=attempt,
            failed=failed,
        )


class Outcome(Struct, frozen=True):
    """What a lane makes of a task in one attempt. `quality` is None where nobody rates it."""

    ending: Ending
    cost_usd: float | None = None
    latency_s: float = 0.0
    quality: float | None = None


class World(Struct):
    """All outcomes of a test bed, whatever is chosen: every policy meets the same luck.

    Arrays are by task, then by lane (in the order of `lanes`), then by attempt.

    Attributes:
        lanes: keys of the lanes, in the order in which they are candidates.
        begins: the task from which on each lane is there.
        solved: whether the attempt succeeds.
        cost_usd, latency_s: of an attempt; nan where a lane has no price.
        quality: of the result of a successful attempt; nan where nobody rates it.
        expected: expected reward of the first attempt.
        delays: how many tasks arrive before the outcome of an attempt is known.
        phases: the tasks at which the world changes, 0 first.
    """

    name: str
    seed: int
    params: Params
    lanes: tuple[str, ...]
    jobs: tuple[Job, ...]
    begins: tuple[int, ...]
    solved: NDArray[np.bool_]
    cost_usd: Floats
    latency_s: Floats
    quality: Floats
    expected: Floats
    delays: NDArray[np.int64]
    phases: tuple[int, ...] = (0,)

    @property
    def attempts(self) -> int:
        """How often a task is tried at most."""
        return int(self.solved.shape[2])

    def open_at(self, task: int) -> list[int]:
        """The lanes that are there when a task arrives."""
        return [lane for lane, begin in enumerate(self.begins) if begin <= task]

    def outcome(self, task: int, lane: int, attempt: int) -> Outcome:
        """What comes of the attempt (0 is the first)."""
        solved = bool(self.solved[task, lane, attempt])
        quality, cost = float(self.quality[task, lane]), float(self.cost_usd[task, lane])
        return Outcome(
            "completed" if solved else "failed",
            None if np.isnan(cost) else cost,
            float(self.latency_s[task, lane]),
            quality if solved and not np.isnan(quality) else None,
        )

    def worth(self, task: int, tried: tuple[int, ...]) -> float:
        """What it was worth to try these lanes in turn, between 0 and 1.

        Where one attempt is all there is, its expected reward: luck would only blur the comparison. Where there are
        several, the declared reward of all of them as if they had been one: solved or not, at the sum of their costs.
        """
        if self.attempts == 1:
            return float(self.expected[task, tried[0]])
        last = self.outcome(task, tried[-1], len(tried) - 1)
        costs, times = self.cost_usd[task, list(tried)], self.latency_s[task, list(tried)]
        total = Outcome(last.ending, float(costs.sum()), float(times.sum()), last.quality)
        return reward_of(total, self.jobs[task].kind, self.params)


def reward_of(outcome: Outcome, kind: str, params: Params) -> float:
    """What the declared reward says of an outcome."""
    step = Step(
        task="",
        route=1,
        position=0,
        time=0.0,
        lane=f"{ROLE}/lane",
        x={},
        load=0,
        options=(),
        propensity=1.0,
        policy="",
        kind=kind,
        ending=outcome.ending,
        latency_s=outcome.latency_s,
        duration_s=outcome.latency_s,
        cost_usd=outcome.cost_usd,
        quality=outcome.quality,
    )
    valued = value(step, params)
    assert valued is not None, "an outcome without a reward"
    return valued.reward


def ranks(values: Floats) -> Floats:
    """Where each value stands among all, from 0 to 1; equal ones in the order in which they come."""
    order = np.empty(len(values))
    order[np.argsort(values, kind="stable")] = np.arange(len(values))
    return order / max(len(values) - 1, 1)


def lane_keys(rng: np.random.Generator, count: int) -> tuple[str, ...]:
    """Names for lanes, in an order that says nothing about them."""
    return tuple(f"{ROLE}/lane-{letter}" for letter in rng.permutation(list("abcdefghijkl")[:count]))
