"""A policy learns while it decides: tasks come in, outcomes come late, now and then there is a new version of it.

What decides and learns is the product's own: `Statistics.add`, `Learner.fit`, `Policy.judge`, and the draw by the seed
of the decision. Only the log and the clock are left out.
"""

import heapq
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec
import numpy as np
from msgspec import Struct, field

from cca.bench.rl.world import CAPACITY, EVENTS, ROLE, Floats, Job, World
from cca.routing.features import load
from cca.routing.policy import Case, Judgement, LaneLoad, draw, seed_of
from cca.routing.steps import Option, Step


class Player(Protocol):
    """Something that routes tasks and is told what became of them.

    Attributes:
        name: how it is called in the table.
        every: decisions between two versions.
        share: the same, as a share of all decisions so far, where that is more: for what is slow to fit.
    """

    name: str
    every: int
    share: float

    def known(self, x: dict[str, int]) -> dict[str, int]:
        """The features that it can see of these; they are recorded with the decision."""
        ...

    def judge(self, job: Job, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        """How likely each lane is to be chosen."""
        ...

    def routed(self, step: Step) -> None:
        """A decision of its own, without an outcome so far."""
        ...

    def heard(self, job: Job, step: Step) -> None:
        """The outcome of a decision."""
        ...

    def refit(self, position: int) -> None:
        """Make a new version of everything that was heard, the log being at `position`."""
        ...


class Run(Struct):
    """How a policy did on a test bed.

    Attributes:
        worth: of each task, in the order in which they came.
        attempts: lanes that were tried, per task on average.
        decide_us, fit_ms: what decisions and new versions took.
    """

    worth: Floats
    attempts: float = 1.0
    decide_us: list[float] = field(default_factory=list)
    fit_ms: list[float] = field(default_factory=list)


class _Due(Struct, order=True):
    """An outcome on its way. Ordered by when it comes, then by decision."""

    at: int
    decision: int
    task: int
    lane: int
    step: Step
    tried: tuple[int, ...]


class Game:
    """One policy on one test bed."""

    def __init__(self, world: World, player: Player) -> None:
        self.world, self.player = world, player
        self._due: list[_Due] = []
        self._busy = [0] * len(world.lanes)
        self._decisions = 0
        self._fitted: int | None = None
        self._tried: list[tuple[int, ...]] = [()] * len(world.jobs)
        self._decide_us: list[float] = []
        self._fit_ms: list[float] = []

    def play(self) -> Run:
        """Route every task, and hear of every outcome."""
        for task in range(len(self.world.jobs)):
            self._hear(task)
            self._route(task, task, ())
        self._hear(None)
        worth = np.array([self.world.worth(task, tried) for task, tried in enumerate(self._tried)])
        return Run(worth, self._decisions / len(self._tried), self._decide_us, self._fit_ms)

    def _hear(self, now: int | None) -> None:
        """Take in the outcomes that are known by now (by the end, if None), and route again what failed."""
        while self._due and (now is None or self._due[0].at <= now):
            due = heapq.heappop(self._due)
            self._busy[due.lane] -= 1
            self.player.heard(self.world.jobs[due.task], due.step)
            if due.step.ending == "failed" and len(due.tried) < self.world.attempts:
                self._route(due.task, due.at if now is None else now, due.tried)

    def _refit(self) -> None:
        """A new version, if it is time; the first one knows nothing."""
        wait = max(self.player.every, self.player.share * self._decisions)
        if self._fitted is not None and self._decisions - self._fitted < wait:
            return
        self._fitted = self._decisions
        begin = time.perf_counter()
        self.player.refit(self._decisions * EVENTS)
        self._fit_ms.append((time.perf_counter() - begin) * 1e3)

    def _route(self, task: int, now: int, tried: tuple[int, ...]) -> None:
        """Decide on a lane; its outcome is known later."""
        self._refit()
        world, player, job = self.world, self.player, self.world.jobs[task]
        there = world.open_at(task)
        lanes = [self._lane(lane) for lane in there]
        failed = tuple(dict.fromkeys(world.lanes[lane] for lane in tried))
        x = job.features(failed, len(tried) + 1)
        case = Case(player.known(x), turn=self._decisions)
        begin = time.perf_counter()
        judged = player.judge(job, case, lanes)
        self._decide_us.append((time.perf_counter() - begin) * 1e6)
        # As the router does it: what is recorded is what was drawn from.
        probabilities = [round(float(p), 9) for p in judged.probabilities]
        place = draw(probabilities, seed_of(job.id, len(tried) + 1))
        chosen = there[place]
        self._tried[task] = (*tried, chosen)
        outcome = world.outcome(task, chosen, len(tried))
        loads = [load(lane.running, lane.queued, lane.capacity) for lane in lanes]
        step = Step(
            task=job.id,
            route=len(tried) + 1,
            position=self._decisions * EVENTS,
            time=float(now),
            lane=world.lanes[chosen],
            x=case.x,
            load=loads[place],
            options=tuple(Option(lane.key, probabilities[index], loads[index]) for index, lane in enumerate(lanes)),
            propensity=probabilities[place],
            policy=player.name,
            explored=judged.scores[place] < max(judged.scores),
            kind=job.kind,
        )
        player.routed(step)
        known = msgspec.structs.replace(
            step,
            ending=outcome.ending,
            latency_s=outcome.latency_s,
            duration_s=outcome.latency_s,
            cost_usd=outcome.cost_usd,
            quality=outcome.quality,
        )
        wait = 1 + int(world.delays[task, len(tried)])
        self._busy[chosen] += 1
        heapq.heappush(self._due, _Due(now + wait, self._decisions, task, chosen, known, self._tried[task]))
        self._decisions += 1

    def _lane(self, lane: int) -> LaneLoad:
        busy = self._busy[lane]
        running = min(busy, CAPACITY)
        return LaneLoad(ROLE, self.world.lanes[lane].partition("/")[2], CAPACITY, running, busy - running)
