"""A policy gives every candidate a probability; the choice is drawn from them with a seed, so that it can be redone."""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from msgspec import Struct

from cca.contracts.policy import LaneSummary
from cca.contracts.task import Candidate
from cca.routing.features import Features


class LaneLoad(Struct, frozen=True):
    """A lane of a role, and how much it has to do.

    Attributes:
        capacity: how many tasks its live agents can run at once.
        running, queued: how many tasks they run, and how many wait for them.
        agents: how many live agents it has.
    """

    role: str
    lane: str
    capacity: int
    running: int = 0
    queued: int = 0
    agents: int = 1

    @property
    def key(self) -> str:
        return f"{self.role}/{self.lane}"

    def features(self) -> dict[str, float]:
        return {
            "capacity": float(self.capacity),
            "running": float(self.running),
            "queued": float(self.queued),
            "agents": float(self.agents),
        }


class Case(Struct, frozen=True):
    """What is known of the task when its lane is chosen.

    Attributes:
        x: its features (`features.described`, as far as the policy knows them).
        requester: on whose behalf, for budgets.
        turn: how many decisions were made before, for policies that take turns.
    """

    x: Features
    requester: str | None = None
    turn: int = 0


class Judgement(Struct, frozen=True):
    """What a policy thinks of the candidates, in their order.

    Attributes:
        probabilities: how likely each is to be chosen; none is negative, they sum to 1.
        scores: what was compared; higher is better.
        means, deviations: of the expected reward, before any price; None where the policy expects nothing.
    """

    probabilities: Sequence[float]
    scores: Sequence[float]
    means: Sequence[float] | None = None
    deviations: Sequence[float] | None = None


class Policy(Protocol):
    """Decides between lanes. Pure: the same case, the same lanes, the same parameters, the same judgement."""

    @property
    def name(self) -> str:
        """Name and version, as they stand in the log: a new way to decide is a new version."""
        ...

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        """How likely each of the lanes (at least one) is to be chosen, and why."""
        ...


class Explains(Protocol):
    """A policy that can say what each feature contributes to the mean of a lane."""

    def contributions(self, case: Case, lane: LaneLoad) -> dict[str, float]:
        """By feature, in units of reward; they sum to the lane's mean."""
        ...


class Choice(Struct, frozen=True):
    """What was chosen, how likely that was, and everything that is needed to choose it again."""

    lane: LaneLoad
    policy: str
    propensity: float
    seed: int
    candidates: tuple[Candidate, ...]
    explored: bool = False


def choose(
    policy: Policy,
    seed: int,
    case: Case,
    lanes: Sequence[LaneLoad],
    masked: Sequence[tuple[LaneLoad, str]] = (),
    summaries: "dict[str, LaneSummary] | None" = None,
) -> Choice:
    """Choose one of `lanes` (at least one); `masked` are recorded with the reason why they were left out.

    `summaries` are what is known of lanes by their keys; they are recorded with the candidates.
    """
    judged = policy.judge(case, lanes)
    # Rounded before the draw: what is recorded is what was drawn from.
    probabilities = [round(float(p), 9) for p in judged.probabilities]
    index = draw(probabilities, seed)
    several = len({lane.role for lane in (*lanes, *(lane for lane, _ in masked))}) > 1
    known = summaries or {}
    scores = [round(float(score), 9) for score in judged.scores]
    candidates = [
        Candidate(
            lane.lane,
            scores[place],
            probabilities[place],
            seen(lane, known.get(lane.key)),
            role=lane.role if several else None,
            mean=None if judged.means is None else round(float(judged.means[place]), 6),
            deviation=None if judged.deviations is None else round(float(judged.deviations[place]), 6),
        )
        for place, lane in enumerate(lanes)
    ]
    candidates += [
        Candidate(lane.lane, 0.0, 0.0, seen(lane, known.get(lane.key)), why, lane.role if several else None)
        for lane, why in masked
    ]
    explored = scores[index] < max(scores)
    return Choice(lanes[index], policy.name, probabilities[index], seed, tuple(candidates), explored)


def seen(lane: LaneLoad, summary: LaneSummary | None) -> dict[str, float]:
    """What is known of a lane when it is a candidate: its load, and how its tasks have gone."""
    features = lane.features()
    if summary is not None and summary.n:
        features["age"] = float(summary.age)
        # Spelt out: this is done for every candidate of every decision.
        if summary.success is not None:
            features["success"] = summary.success
        if summary.latency_s is not None:
            features["latency_s"] = summary.latency_s
        if summary.tokens is not None:
            features["tokens"] = summary.tokens
        if summary.cost_usd is not None:
            features["cost_usd"] = summary.cost_usd
    return features


def draw(probabilities: Sequence[float], seed: int) -> int:
    """The index that a seed draws; what cannot be chosen has probability 0 and is never drawn."""
    marks = list(accumulate(probabilities))
    index = bisect_right(marks, unit(seed) * marks[-1])
    if index < len(marks):
        return index
    # The largest seeds are rounded up to the very end: that is the last index which can be drawn at all.
    return bisect_right(marks, marks[-1] * (1 - 1e-9))


def seed_of(*parts: object) -> int:
    """A number of 63 bits made of names: the same names, the same number."""
    text = ":".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def unit(seed: int) -> float:
    """A seed as a number between 0 and 1."""
    return seed / 2**63
