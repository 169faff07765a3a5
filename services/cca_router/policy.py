"""How one of several lanes is chosen, so that the choice can be made again and learned from."""

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from msgspec import Struct

from cca.contracts.task import Candidate

EXPLORATION = 0.05
"""The share of its capacity for which a lane counts even when it is full, so that it is never forgotten."""


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

    def features(self) -> dict[str, float]:
        return {
            "capacity": float(self.capacity),
            "running": float(self.running),
            "queued": float(self.queued),
            "agents": float(self.agents),
        }


class Policy(Protocol):
    """Gives every lane a score, and every score a probability."""

    @property
    def name(self) -> str:
        """Name and version, as they stand in the log: a new way to decide is a new version."""
        ...

    def scores(self, lanes: Sequence[LaneLoad]) -> list[float]:
        """How good each lane is, in the same order. Higher is better; what it means is the policy's own."""
        ...

    def probabilities(self, scores: Sequence[float]) -> list[float]:
        """How likely each is to be chosen; none is negative, and they sum to 1."""
        ...


class WeightedRandom(Struct, frozen=True):
    """Draws a lane with a chance in proportion to its free capacity, and never less than a small one."""

    name: str = "weighted-random/1"

    def scores(self, lanes: Sequence[LaneLoad]) -> list[float]:
        return [max(lane.capacity - lane.running - lane.queued, EXPLORATION * max(lane.capacity, 1)) for lane in lanes]

    def probabilities(self, scores: Sequence[float]) -> list[float]:
        total = sum(scores)
        return [score / total for score in scores]


class Choice(Struct, frozen=True):
    """What was chosen, how likely that was, and everything that is needed to choose it again."""

    lane: LaneLoad
    policy: str
    propensity: float
    seed: int
    candidates: tuple[Candidate, ...]


def choose(policy: Policy, seed: int, lanes: Sequence[LaneLoad], masked: Sequence[tuple[LaneLoad, str]] = ()) -> Choice:
    """Choose one of `lanes` (at least one); `masked` are recorded with the reason why they were left out."""
    scores = policy.scores(lanes)
    # Rounded before the draw: what is recorded is what was drawn from.
    probabilities = [round(p, 9) for p in policy.probabilities(scores)]
    index = draw(probabilities, seed)
    several = len({lane.role for lane in lanes}) > 1
    candidates = [
        Candidate(lane.lane, round(score, 9), probability, lane.features(), role=lane.role if several else None)
        for lane, score, probability in zip(lanes, scores, probabilities, strict=True)
    ]
    candidates += [Candidate(lane.lane, 0.0, 0.0, lane.features(), why) for lane, why in masked]
    return Choice(lanes[index], policy.name, probabilities[index], seed, tuple(candidates))


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
