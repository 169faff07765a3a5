"""Policies on a linear regression for each lane: by the probability of being best, by upper bounds, by the best guess.

They share one posterior; what they differ in is how they explore. For a lane and a task with features x,
reward = theta·x + noise, theta ~ N(theta0, noise * diag(1 / precision)). The prior mean theta0 is the same regression
over all lanes together, so that a task which is hard for every lane is expected to be hard for a new one too; its
intercept is centred at the mean reward of all. The noise is one number for all lanes.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np

from cca.contracts.policy import Params, PolicySnapshot
from cca.routing.algorithm import Fitted, History
from cca.routing.gaussian import chances
from cca.routing.pacing import priced
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.posterior import FIRST, Floats, Model, Places, Posterior, triangle
from cca.routing.simple import greedy
from cca.routing.statistics import Moments

_MEAN, _MEAN_N = 0.5, 2.0
"""The mean reward before anything is known, and how many outcomes that is worth."""
_VARIANCE, _VARIANCE_N = 0.25**2, 4.0
"""The same of the noise."""
_NOISE = (1e-8, 1.0)
"""What the noise can be: rewards are quantised, and between 0 and 1."""
_LEAST = 1e-6
"""The least weight: of outcomes, which are forgotten below it, and of a prior, which nothing is shrunk by any more."""
_SOUND = 1e15
"""Sums that are larger are of no outcomes."""
_ROUNDED = 1.0 + 1e-6
_ENOUGH = 0.9
"""Compressed when that makes it this much smaller at least."""

# ------------------------------------------------------------------------------------------ fitted


def fitted(moments: Mapping[str, Moments], precision: float) -> tuple[Model, float | None]:
    """The posteriors, and the root mean squared residual of the outcomes (None when there are none).

    Args:
        moments: of each lane, by its key.
        precision: of the prior of every feature but the intercept, which has 1.

    Sums that are no sums of squares (not finite, negative) are taken for as much of them as makes sense.
    """
    lanes = tuple(sorted(lane for lane, each in moments.items() if _sound(each)))
    known = [moments[lane] for lane in lanes]
    size = len(known[0].xr) if known else len(FIRST)
    seen = sum((each.xx.diagonal() for each in known), np.zeros(size)) > 0
    slots = np.array([*FIRST, *(slot for slot in np.flatnonzero(seen).tolist() if slot not in FIRST)], np.intp)
    n = np.array([each.n for each in known])
    xx = np.zeros((len(known), len(slots), len(slots)))
    xr = np.zeros((len(known), len(slots)))
    for row, each in enumerate(known):
        xx[row], xr[row] = each.xx[np.ix_(slots, slots)], each.xr[slots]
    offset = (sum(each.r for each in known) + _MEAN * _MEAN_N) / (n.sum() + _MEAN_N)
    precision = max(precision, _LEAST)
    prior = np.full(len(slots), precision)
    prior[0] = 1.0

    centred = xr - offset * xx[:, :, 0]
    common = _inverse(xx.sum(axis=0)[None], prior)[0] @ centred.sum(axis=0)
    covariances = _inverse(xx, prior)
    away = (covariances @ (centred - xx @ common)[:, :, None])[:, :, 0]  # from the common prior
    thetas = common + away
    thetas[:, 0] += offset

    squares = np.array([each.rr for each in known]) + (thetas * ((xx @ thetas[:, :, None])[:, :, 0] - 2 * xr)).sum(1)
    squares = np.maximum(squares, 0.0)
    # Being pulled away from the prior is surprise, too: without it few outcomes of many lanes would look noiseless.
    surprise = squares.sum() + (away * away * prior).sum() + _VARIANCE * _VARIANCE_N
    noise = min(max(surprise / (n.sum() + _VARIANCE_N), _NOISE[0]), _NOISE[1])
    common[0] += offset
    upper = triangle(len(slots))
    means = np.concatenate((thetas, common[None])).T
    every = np.concatenate((covariances, np.diag(1 / prior)[None]))[:, upper[0], upper[1]].T
    loss = float(np.sqrt(squares.sum() / n.sum())) if n.sum() > 0 else None
    return _stored(lanes, n, slots, precision, float(noise), means, every), loss


def _sound(each: Moments) -> bool:
    sums = (each.r, each.rr, float(np.abs(each.xx).max()), float(np.abs(each.xr).max()))
    return _LEAST < each.n < _SOUND and all(-_SOUND < number < _SOUND for number in sums)


def _inverse(matrices: Floats, prior: Floats) -> Floats:
    """Of sums of squares (at least 0), each with the prior's precisions added: so none is more than the prior's."""
    matrices = matrices + np.diag(prior)
    try:
        np.linalg.cholesky(matrices)
        inverse = np.linalg.inv(matrices)
        sound = bool((inverse.diagonal(axis1=1, axis2=2) <= _ROUNDED / prior).all())
    except np.linalg.LinAlgError:
        sound = False
    if not sound:
        # Not sums of squares, or so large that the prior is lost in them: what is left of it must come from here.
        values, vectors = np.linalg.eigh(matrices)
        inverse = (vectors / np.maximum(values, prior.min())[:, None, :]) @ vectors.transpose(0, 2, 1)
    return (inverse + inverse.transpose(0, 2, 1)) / 2


def _stored(
    lanes: tuple[str, ...],
    n: Floats,
    slots: Places,
    precision: float,
    noise: float,
    means: Floats,
    covariances: Floats,
) -> Model:
    parts = [np.ascontiguousarray(each, "<f4").tobytes() for each in (means, covariances)]
    small = [zlib.compress(part, 1) for part in parts]
    packed = sum(map(len, small)) < _ENOUGH * sum(map(len, parts))
    counts = tuple(round(count, 9) for count in n.tolist())
    first, second = small if packed else parts
    return Model(lanes, counts, tuple(slots.tolist()), precision, float(f"{noise:.9g}"), first, second, packed)


# ------------------------------------------------------------------------------------------ how they explore

Spread = Callable[[Params, Sequence[float], Sequence[float]], tuple[Sequence[float], Sequence[float]]]
"""From what lanes are expected to earn (price deducted) and the deviations: probabilities and scores."""


def matching(
    params: Params, means: Sequence[float], deviations: Sequence[float]
) -> tuple[list[float], Sequence[float]]:
    """Each lane as often as it is likely to be the best (deviations scaled), mixed with the floor."""
    scale, rest, floor = params.variance_scale, 1.0 - params.floor, params.floor / len(means)
    best = chances(means, [deviation * scale for deviation in deviations])
    return [floor + rest * chance for chance in best], means


def upper_bounds(
    params: Params, means: Sequence[float], deviations: Sequence[float]
) -> tuple[list[float], list[float]]:
    """The lane that might be best, but for the floor."""
    bounds = [mean + params.alpha * deviation for mean, deviation in zip(means, deviations, strict=True)]
    return greedy(bounds, params.floor), bounds


def best_guess(params: Params, means: Sequence[float], _: Sequence[float]) -> tuple[list[float], Sequence[float]]:
    """The lane with the best mean, but for a share that is spread evenly: `epsilon`, and never less than the floor."""
    return greedy(means, max(params.epsilon, params.floor)), means


def untried(counts: Sequence[float], lanes: Sequence[LaneLoad], burn_in: int) -> list[float] | None:
    """Chances while some lanes have been tried too seldom: evenly among these. None when there are none.

    What a lane runs and holds counts as tried: outcomes take their time, and until they come not all tasks are to go
    to a lane of which nothing is known.
    """
    new = [count + lane.running + lane.queued < burn_in for count, lane in zip(counts, lanes, strict=True)]
    share = sum(new)
    return [each / share for each in new] if share else None


# ------------------------------------------------------------------------------------------ policies, learners


class LinearPolicy:
    """Decides between lanes by what their regressions expect, less the price of their cost."""

    def __init__(self, name: str, spread: Spread, snapshot: PolicySnapshot) -> None:
        """Raises `Unreadable` for a model that is not of this kind."""
        self.name = name
        self._spread = spread
        self._params = snapshot.params
        self._posterior = Posterior(snapshot)
        self._prices = priced(snapshot.prices, snapshot.lanes) if snapshot.prices else None

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        if len(lanes) == 1:
            return Judgement((1.0,), (0.0,))
        roster = self._posterior.roster(lanes)
        means, deviations = self._posterior.expected(case.x, lanes, roster)
        paid = means
        if self._prices is not None:
            paid = [mean - price for mean, price in zip(means, self._prices.penalty(case, lanes), strict=True)]
        probabilities, scores = self._spread(self._params, paid, deviations)
        if roster.fewest < self._params.burn_in:
            probabilities = untried(roster.counts, lanes, self._params.burn_in) or probabilities
        return Judgement(probabilities, scores, means, deviations)

    def contributions(self, case: Case, lane: LaneLoad) -> dict[str, float]:
        """By feature, in units of reward; they sum to the lane's mean."""
        return self._posterior.contributions(case.x, lane)


class _Linear:
    """The learner that these policies share."""

    summary: str
    _name: str
    _spread: Spread

    def fit(self, history: History) -> Fitted:
        """The posteriors of the lanes that have outcomes; `loss` is the root mean squared residual."""
        model, loss = fitted(history.statistics.moments(), history.params.prior_precision)
        return Fitted(msgspec.msgpack.encode(model), loss)

    def policy(self, snapshot: PolicySnapshot) -> LinearPolicy:
        """The policy. Raises `Unreadable` for a model that is not of this kind."""
        return LinearPolicy(self._name, type(self)._spread, snapshot)


class LinearPM(_Linear):
    """Probability matching: how much a lane is explored follows from how much is known."""

    summary = "Learns a regression per lane; takes each as often as it is likely to be the best (the default)."
    _name = "linear-pm/1"
    _spread = staticmethod(matching)


class LinUCB(_Linear):
    summary = "Learns a regression per lane; takes the one with the highest upper bound, but for the floor."
    _name = "linucb/1"
    _spread = staticmethod(upper_bounds)


class EpsilonGreedy(_Linear):
    summary = "Learns a regression per lane; takes the best guess, and any lane with probability epsilon."
    _name = "epsilon-greedy/1"
    _spread = staticmethod(best_guess)
