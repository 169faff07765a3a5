"""Policies that learn nothing: by free capacity, by load, in turn, evenly, or by a table that somebody wrote."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from cca.contracts.policy import Params, PolicySnapshot
from cca.errors import Unreadable
from cca.routing.algorithm import Fitted, History, Learner
from cca.routing.policy import Case, Judgement, LaneLoad, Policy

EXPLORATION = 0.05
"""The share of its capacity for which a lane counts even when it is full, so that it is never forgotten."""

NOWHERE = 1e9
"""The load of a lane that can run nothing at all: above that of any queue."""


# ------------------------------------------------------------------------------------------ from scores to shares


def even(count: int) -> list[float]:
    """The same for each of `count` (at least one)."""
    return [1 / count] * count


def greedy(scores: Sequence[float], epsilon: float = 0.0) -> list[float]:
    """Everything for the best score, evenly if several share it; only `epsilon` of it is spread over all."""
    best = max(scores)
    winners = sum(score == best for score in scores)
    spread = epsilon / len(scores)
    return [spread + (1 - epsilon) / winners if score == best else spread for score in scores]


# ------------------------------------------------------------------------------------------ policies


class WeightedRandom(Struct, frozen=True):
    """Draws a lane with a chance in proportion to its free capacity, and never less than a small one."""

    name: str = "weighted-random/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        scores = [
            float(max(lane.capacity - lane.running - lane.queued, EXPLORATION * max(lane.capacity, 1)))
            for lane in lanes
        ]
        total = sum(scores)
        return Judgement([score / total for score in scores], scores)


class LeastLoaded(Struct, frozen=True):
    """The lane that has the least to do for its size; evenly when several have equally little."""

    name: str = "least-loaded/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        scores = [-busy(lane) for lane in lanes]
        return Judgement(greedy(scores), scores)


def busy(lane: LaneLoad) -> float:
    """What a lane runs and holds for each task that it could run at once."""
    work = lane.running + lane.queued
    return work / lane.capacity if lane.capacity > 0 else NOWHERE + work


class RoundRobin(Struct, frozen=True):
    """One lane after the other, in the order of their names; which one is certain."""

    name: str = "round-robin/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        order = sorted(range(len(lanes)), key=lambda place: lanes[place].key)
        turn = order[case.turn % len(lanes)]
        certain = [float(place == turn) for place in range(len(lanes))]
        return Judgement(certain, certain)


class Uniform(Struct, frozen=True):
    """Every lane has the same chance."""

    name: str = "uniform/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        return Judgement(even(len(lanes)), [0.0] * len(lanes))


class Static(Struct, frozen=True):
    """Chances in proportion to weights by `role/lane`; even when the table names none of the lanes."""

    table: Mapping[str, float] = {}
    name: str = "static/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        weights = [self.table.get(lane.key, 0.0) for lane in lanes]
        largest = max(weights)
        if largest <= 0:
            return Judgement(even(len(lanes)), weights)
        # Scaled first: the smallest weights that floats can hold would lose their proportion in the sum.
        shares = [weight / largest for weight in weights]
        total = sum(shares)
        return Judgement([share / total for share in shares], weights)


# ------------------------------------------------------------------------------------------ as algorithms


class Unlearned(Struct, frozen=True):
    """An algorithm whose policy follows from the parameters alone; its model is empty.

    Attributes:
        summary: one sentence for people who choose.
        make: the policy for parameters.
    """

    summary: str
    make: Callable[[Params], Policy]

    def fit(self, history: History) -> Fitted:
        return Fitted(b"")

    def policy(self, snapshot: PolicySnapshot) -> Policy:
        """The policy. Raises `Unreadable` for a model that is not empty: it is of another algorithm."""
        if snapshot.model:
            raise Unreadable(f"{snapshot.algorithm} has no model, but {len(snapshot.model)} bytes came with it")
        return self.make(snapshot.params)


WEIGHTED_RANDOM: Learner = Unlearned("Draws lanes in proportion to their free capacity.", lambda _: WeightedRandom())
LEAST_LOADED: Learner = Unlearned("Takes the lane that has the least to do for its size.", lambda _: LeastLoaded())
ROUND_ROBIN: Learner = Unlearned("Takes one lane after the other.", lambda _: RoundRobin())
UNIFORM: Learner = Unlearned("Draws lanes evenly: what every other policy has to beat.", lambda _: Uniform())
STATIC: Learner = Unlearned(
    "Draws lanes by the weights of a table (`params.table`): the kill switch.", lambda params: Static(params.table)
)
