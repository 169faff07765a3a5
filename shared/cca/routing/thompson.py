"""Thompson sampling by declared kind of task, with probabilities instead of draws.

What is believed of a lane for one kind is a Gaussian around the mean of its rewards for that kind, pulled towards the
lane's mean of all kinds as far as outcomes are few; that one is pulled towards the mean of all lanes. Nothing else of
the task is looked at.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from cca.contracts.policy import PolicySnapshot
from cca.errors import Unreadable
from cca.routing.algorithm import Fitted, History
from cca.routing.features import INTERCEPT, ONE, Features, field_of
from cca.routing.linear import matching, untried
from cca.routing.pacing import priced
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.statistics import Moments

KIND = "kind"
"""The field whose values are told apart."""

_MEAN, _MEAN_N = 0.5, 2.0
"""The mean reward before anything is known, and how many outcomes that is worth."""
_VARIANCE, _VARIANCE_N = 0.25**2, 4.0
"""The same of the noise."""
_NOISE = (1e-8, 1.0)
"""What the noise can be: rewards are quantised, and between 0 and 1."""
_LEAST = 1e-6
"""The least weight: outcomes that weigh less have been forgotten."""
_SOUND = 1e15
"""Sums that are larger are of no outcomes."""


class Belief(Struct, frozen=True, array_like=True):
    """What is believed of a lane.

    Attributes:
        n: weight of its outcomes.
        mean, deviation: of its reward for a kind of which nothing is known.
        kinds: mean and deviation of the others, by the name of the feature; of tasks without one by "".
    """

    n: float
    mean: float
    deviation: float
    kinds: dict[str, tuple[float, float]]

    def of(self, feature: str) -> tuple[float, float]:
        """Mean and deviation for one kind."""
        return self.kinds.get(feature) or (self.mean, self.deviation)


class Model(Struct, frozen=True, forbid_unknown_fields=True, tag="thompson/1", tag_field="of"):
    """Beliefs by lane, and the one about a lane that is not known."""

    lanes: dict[str, Belief]
    new: Belief


# ------------------------------------------------------------------------------------------ fitted


class _Group(Struct, frozen=True):
    """The outcomes of a lane that share a kind: their weight, and the sum of their rewards."""

    n: float
    r: float


def fitted(moments: Mapping[str, Moments], vocabulary: Sequence[str], precision: float) -> tuple[Model, float | None]:
    """Beliefs, and the root mean squared distance of outcomes from them (None without outcomes).

    Args:
        moments: of each lane, by its key.
        vocabulary: names of their slots.
        precision: how many outcomes the lane's mean is worth, when one of its kinds is judged.
    """
    precision = max(precision, _LEAST)
    slots = [(name, slot) for slot, name in enumerate(vocabulary) if field_of(name) == KIND]
    groups = {lane: _groups(each, slots) for lane, each in sorted(moments.items()) if _sound(each)}
    total = sum(moments[lane].n for lane in groups)
    common = (sum(moments[lane].r for lane in groups) + _MEAN * _MEAN_N) / (total + _MEAN_N)
    centres: dict[str, float] = {}
    means: dict[str, dict[str, float]] = {}
    squares = 0.0
    for lane, own in groups.items():
        each = moments[lane]
        centres[lane] = centre = (each.r + common) / (each.n + 1)
        means[lane] = {name: (group.r + precision * centre) / (group.n + precision) for name, group in own.items()}
        explained = sum(mean * (2 * own[name].r - mean * own[name].n) for name, mean in means[lane].items())
        squares += max(0.0, each.rr - explained)
    noise = min(max((squares + _VARIANCE * _VARIANCE_N) / (total + _VARIANCE_N), _NOISE[0]), _NOISE[1])

    def deviation(lane_n: float, n: float) -> float:
        pulled = precision / (n + precision)
        return math.sqrt(noise * (1 / (n + precision) + pulled * pulled / (lane_n + 1)))

    lanes = {
        lane: Belief(
            n=_short(moments[lane].n),
            mean=_short(centres[lane]),
            deviation=_short(deviation(moments[lane].n, 0.0)),
            kinds={
                name: (_short(means[lane][name]), _short(deviation(moments[lane].n, group.n)))
                for name, group in own.items()
            },
        )
        for lane, own in groups.items()
    }
    new = Belief(0.0, _short(common), _short(deviation(0.0, 0.0)), {})
    return Model(lanes, new), math.sqrt(squares / total) if total > 0 else None


def _groups(each: Moments, slots: Sequence[tuple[str, int]]) -> dict[str, _Group]:
    """Outcomes by kind. A kind's feature is 1, so its products with the intercept count them."""
    found = {
        name: _Group(float(each.xx[0, slot]), float(each.xr[slot])) for name, slot in slots if each.xx[0, slot] > _LEAST
    }
    rest = each.n - sum(group.n for group in found.values())
    if rest > _LEAST:
        found[""] = _Group(rest, each.r - sum(group.r for group in found.values()))
    return found


def _sound(each: Moments) -> bool:
    sums = (each.r, each.rr, float(abs(each.xx).max()), float(abs(each.xr).max()))
    return _LEAST < each.n < _SOUND and all(-_SOUND < number < _SOUND for number in sums)


def _short(number: float) -> float:
    """To nine digits: what differs between machines is rounded away."""
    return float(f"{number:.9g}")


# ------------------------------------------------------------------------------------------ asked


class ThompsonPolicy:
    """Takes each lane as often as it is likely to be the best for the kind of the task."""

    name = "thompson/1"

    def __init__(self, snapshot: PolicySnapshot) -> None:
        """Raises `Unreadable` for a model that is not of this kind."""
        try:
            self._model = msgspec.msgpack.decode(snapshot.model, type=Model)
        except msgspec.DecodeError as wrong:
            raise Unreadable(f"not beliefs by kind: {wrong}") from None
        self._params = snapshot.params
        self._prices = priced(snapshot.prices, snapshot.lanes) if snapshot.prices else None

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        if len(lanes) == 1:
            return Judgement((1.0,), (0.0,))
        kind = kind_in(case.x)
        beliefs = [self._model.lanes.get(lane.key, self._model.new) for lane in lanes]
        means, deviations = map(list, zip(*(belief.of(kind) for belief in beliefs), strict=True))
        paid = means
        if self._prices is not None:
            paid = [mean - price for mean, price in zip(means, self._prices.penalty(case, lanes), strict=True)]
        probabilities, scores = matching(self._params, paid, deviations)
        counts = [belief.n for belief in beliefs]
        return Judgement(untried(counts, lanes, self._params.burn_in) or probabilities, scores, means, deviations)

    def contributions(self, case: Case, lane: LaneLoad) -> dict[str, float]:
        """The lane's own mean, and what the kind of the task adds; they sum to the mean."""
        belief = self._model.lanes.get(lane.key, self._model.new)
        kind = kind_in(case.x)
        mean, _ = belief.of(kind)
        return {INTERCEPT: belief.mean, kind or KIND: mean - belief.mean}


def kind_in(x: Features) -> str:
    """The feature that names the kind of the task; empty when it has none."""
    return next((name for name, size in x.items() if size == ONE and field_of(name) == KIND), "")


class Thompson:
    """The learner of these beliefs."""

    summary = "Learns a mean per lane and kind of task; takes each as often as it is likely to be the best."

    def fit(self, history: History) -> Fitted:
        """Beliefs about the lanes that have outcomes; `loss` is the root mean squared distance from them."""
        moments = history.statistics.moments()
        model, loss = fitted(moments, history.vocabulary, history.params.prior_precision)
        return Fitted(msgspec.msgpack.encode(model), loss)

    def policy(self, snapshot: PolicySnapshot) -> ThompsonPolicy:
        """The policy. Raises `Unreadable` for a model that is not of this kind."""
        return ThompsonPolicy(snapshot)
