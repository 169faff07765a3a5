"""What another policy would have earned on logged decisions: importance weights, and a model that they correct.

Estimators after Dudík, Langford and Li, "Doubly Robust Policy Evaluation and Learning" (2011), cross-fitted as in
Chernozhukov et al., "Double/Debiased Machine Learning" (2018): no decision is predicted by a model that has seen it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from cca.contracts.learner import Estimate, Evaluation
from cca.contracts.policy import Algorithm, Params, PolicySnapshot
from cca.routing import algorithms
from cca.routing.algorithm import History
from cca.routing.features import BASE, INTERCEPT, LOAD, ONE
from cca.routing.pacing import prices
from cca.routing.policy import Case, LaneLoad, Policy
from cca.routing.reward import value
from cca.routing.statistics import Statistics, vector
from cca.routing.steps import Option, Step

ENOUGH = 50.0
"""An effective sample size below this allows no verdict."""
UNTRIED = 0.01
"""So much of what a candidate would choose may be lanes that the log never gave a chance."""
WITHIN = 1.96
"""Standard errors to either side of a 95 % interval."""

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_INTERCEPT, _LOAD = BASE.index(INTERCEPT), BASE.index(LOAD)
_CAPACITY = 4 * ONE
"""Large enough that a load which is made out of a quantised one is quantised to the same."""


class Logged(Struct, frozen=True):
    """Decisions of which propensity and outcome are known, as arrays: n decisions, at most k options each.

    Attributes:
        x: (n, d) features by slot in units of 1, intercept included and load left out.
        options: (n, k) which lane each option is, counted from 0; -1 where there is none.
        loads, probabilities: (n, k) of the options, when the decision was made.
        chosen: (n,) which option was chosen.
        rewards: (n,) what it earned.
        tasks: (n,) whose decision it was, counted from 0; those of one task may go well or badly together.
    """

    x: Floats
    options: Integers
    loads: Floats
    probabilities: Floats
    chosen: Integers
    rewards: Floats
    tasks: Integers

    @property
    def deterministic(self) -> bool:
        """Wherever there was a choice, it was certain: what else would have happened, nothing tells."""
        several = (self.options >= 0).sum(axis=1) > 1
        return bool((self.at_chosen(self.probabilities)[several] > 1 - 1e-6).all())

    def at_chosen(self, of_options: Floats) -> Floats:
        """(n,) of (n, k): what belongs to the lanes that were chosen."""
        taken: Floats = np.take_along_axis(of_options, self.chosen[:, None], axis=1)[:, 0]
        return taken


class Values(Struct, frozen=True):
    """What each of n decisions says about a candidate; their means are the estimates.

    Attributes:
        weights: how much likelier the candidate would have chosen the same lane than what decided.
        candidate: doubly robust: what it would have earned.
        advantage: by how much that is more than what decided would earn in the same cases, which the model predicts
            for every option too, so that neither the luck of the draw nor that of easy tasks is in it.
        untried: share of the candidate's choices that the log gave no chance.
    """

    weights: Floats
    candidate: Floats
    advantage: Floats
    untried: float

    @property
    def ess(self) -> float:
        """Effective sample size (Kish): how many of the candidate's own decisions these are worth."""
        squares = float((self.weights**2).sum())
        return float(self.weights.sum()) ** 2 / squares if squares > 0 else 0.0


# ------------------------------------------------------------------------------------------ from steps to arrays


def usable(step: Step, params: Params) -> bool:
    """It can be learned from by weighting: its outcome is known, and so is how likely the choice was."""
    return step.propensity > 0 and value(step, params) is not None and _place(step) is not None


def logged(steps: Sequence[Step], params: Params, vocabulary: Sequence[str]) -> Logged:
    """Arrays of steps, all of which are `usable`."""
    n, k = len(steps), max((len(step.options) for step in steps), default=1)
    slots = {name: slot for slot, name in enumerate(vocabulary)}
    lanes: dict[str, int] = {}
    tasks: dict[str, int] = {}
    x, options = np.zeros((n, len(slots))), np.full((n, k), -1, np.int64)
    loads, probabilities = np.zeros((n, k)), np.zeros((n, k))
    chosen, rewards, whose = np.zeros(n, np.int64), np.zeros(n), np.zeros(n, np.int64)
    for row, step in enumerate(steps):
        for slot, size in vector(step.x, 0, slots):
            x[row, slot] = size / ONE
        for place, option in enumerate(step.options):
            options[row, place] = lanes.setdefault(option.lane, len(lanes))
            loads[row, place] = option.load / ONE
            probabilities[row, place] = option.probability
        place_chosen, valued = _place(step), value(step, params)
        assert place_chosen is not None and valued is not None
        chosen[row], rewards[row] = place_chosen, valued.reward
        probabilities[row, place_chosen] = step.propensity
        whose[row] = tasks.setdefault(step.task, len(tasks))
    return Logged(x, options, loads, probabilities, chosen, rewards, whose)


def probabilities(policy: Policy, steps: Sequence[Step], turn: int = 0) -> Floats:
    """(n, k) how likely the policy would choose each option; `turn` decisions were made before."""
    judged = np.zeros((len(steps), max((len(step.options) for step in steps), default=1)))
    for row, step in enumerate(steps):
        case = Case(step.x, step.requester, turn + row)
        judged[row, : len(step.options)] = policy.judge(case, [lane(one) for one in step.options]).probabilities
    return judged


def lane(option: Option) -> LaneLoad:
    """A lane that is as busy as an option was. How many tasks it can run was not kept: all can run the same."""
    role, _, name = option.lane.partition("/")
    idle = ONE - option.load
    busy = round(option.load * _CAPACITY / idle) if idle > 0 else 2 * ONE * _CAPACITY
    return LaneLoad(role, name, _CAPACITY, min(busy, _CAPACITY), max(busy - _CAPACITY, 0))


def _place(step: Step) -> int | None:
    return next((place for place, option in enumerate(step.options) if option.lane == step.lane), None)


# ------------------------------------------------------------------------------------------ estimates


def valued(log: Logged, target: Floats, precision: float = 2.0) -> Values:
    """What decisions say about a policy that would choose with the probabilities `target` (n, k).

    Args:
        precision: of the model's prior, on features; the intercept's is 1.
    """
    q = expected(log, precision)
    weights = log.at_chosen(target) / log.at_chosen(log.probabilities)
    residual = log.rewards - log.at_chosen(q)
    candidate = (target * q).sum(axis=1) + weights * residual
    live = (log.probabilities * q).sum(axis=1) + residual
    untried = target[(log.options >= 0) & (log.probabilities <= 0)].sum() / max(len(target), 1)
    return Values(weights, candidate, candidate - live, float(untried))


def expected(log: Logged, precision: float) -> Floats:
    """(n, k) what each option would have earned, says a ridge regression per lane that has seen other tasks only."""
    q = np.zeros(log.options.shape)
    own = np.take_along_axis(log.options, log.chosen[:, None], axis=1)[:, 0]
    own_x = log.x.copy()
    own_x[:, _LOAD] = log.at_chosen(log.loads)
    prior = np.diag(np.where(np.arange(log.x.shape[1]) == _INTERCEPT, 1.0, precision))
    for half in (0, 1):
        asked = log.tasks % 2 == half
        middling = log.rewards[~asked].mean() if (~asked).any() else 0.5
        q[asked] = middling
        for number in range(int(log.options.max(initial=-1)) + 1):
            seen = ~asked & (own == number)
            a = own_x[seen]
            theta = np.linalg.solve(a.T @ a + prior, a.T @ (log.rewards[seen] - middling))
            rows, places = np.nonzero((log.options == number) & asked[:, None])
            x = log.x[rows]
            x[:, _LOAD] = log.loads[rows, places]
            q[rows, places] += x @ theta
    return np.clip(q, 0.0, 1.0)


def estimate(method: Literal["logged", "ips", "snips", "dr"], terms: Floats, tasks: Integers) -> Estimate:
    """The mean of what the decisions say, and how far off it may be; those of one task count as one witness."""
    mean = float(terms.mean())
    return _estimate(method, mean, terms - mean, tasks)


def estimates(log: Logged, values: Values) -> tuple[Estimate, ...]:
    """By each estimator, and what was really earned (`logged`) beside it. At least two tasks are needed."""
    weighted = values.weights * log.rewards
    found = [estimate("logged", log.rewards, log.tasks), estimate("ips", weighted, log.tasks)]
    if (total := float(values.weights.mean())) > 0:
        mean = float(weighted.mean()) / total
        found.append(_estimate("snips", mean, values.weights * (log.rewards - mean) / total, log.tasks))
    return (*found, estimate("dr", values.candidate, log.tasks))


def _estimate(
    method: Literal["logged", "ips", "snips", "dr"], mean: float, residuals: Floats, tasks: Integers
) -> Estimate:
    sums = np.bincount(tasks, residuals)
    witnesses = int(np.count_nonzero(np.bincount(tasks)))
    error = float(np.sqrt(witnesses / max(witnesses - 1, 1) * (sums**2).sum())) / len(residuals)
    return Estimate(method, mean, error, mean - WITHIN * error, mean + WITHIN * error)


def doubt(log: Logged, values: Values) -> str | None:
    """Why these decisions allow no verdict about the candidate; None when they do."""
    if values.untried > UNTRIED:
        why = "what decided left nothing to chance" if log.deterministic else "the log gave it no chance"
        return f"no verdict: {values.untried:.0%} of what it would choose was never tried, for {why}"
    if values.ess < ENOUGH:
        return f"no verdict: the effective sample size is {values.ess:.0f}, and {ENOUGH:.0f} are needed"
    return None


def verdict(log: Logged, values: Values) -> str:
    """In words, whether the candidate would have earned more than what decided."""
    said = doubt(log, values)
    if said is not None:
        return said
    found = estimate("dr", values.advantage, log.tasks)
    by = f"{found.value:+.4f} per decision ({found.low:+.4f} to {found.high:+.4f} with 95 % confidence)"
    if found.low > 0:
        return f"better than what decided: {by}"
    return f"worse than what decided: {by}" if found.high < 0 else f"no difference can be told: {by}"


# ------------------------------------------------------------------------------------------ a candidate


@contextmanager
def trained(
    algorithm: str, statistics: Statistics, steps: Sequence[Step], params: Params, vocabulary: Sequence[str]
) -> Iterator[Policy]:
    """The policy that an algorithm makes of a history. Raises `Refused` for one that there is not."""
    learner, names = algorithms.learner_of(algorithm), tuple(vocabulary)
    fitted = learner.fit(History(statistics, steps, params, names))
    policy = learner.policy(
        PolicySnapshot(
            version=0,
            position=steps[-1].position if steps else 0,
            digest="",
            # A challenger is valued like the others, though it cannot decide live.
            algorithm=cast(Algorithm, algorithm),
            params=params,
            vocabulary=names,
            lanes=statistics.summaries(),
            prices=prices(statistics, params),
            model=fitted.model,
        )
    )
    try:
        yield policy
    finally:
        if (close := getattr(policy, "close", None)) is not None:
            close()  # a challenger's model is memory of another library


def evaluate(algorithm: str, history: History, params: Params) -> Evaluation:
    """Train a candidate on the earlier half of the decisions whose outcome is known, and value it on the later half.

    Raises `Refused` for an algorithm that there is not.
    """
    ordered = sorted(history.steps, key=lambda step: step.position)
    known = [step for step in ordered if usable(step, params)]
    later = known[len(known) // 2 :]
    if len({step.task for step in later}) < 2 or len(later) == len(known):
        algorithms.learner_of(algorithm)
        return Evaluation(algorithm, len(later), 0, 0.0, (), "no verdict: there are too few decisions with an outcome")
    earlier = [step for step in ordered if step.position < later[0].position]
    statistics = Statistics(params, history.vocabulary)
    for step in earlier:
        statistics.add(step)
    with trained(algorithm, statistics, earlier, params, history.vocabulary) as policy:
        target = probabilities(policy, later)
    log = logged(later, params, history.vocabulary)
    values = valued(log, target, params.prior_precision)
    return Evaluation(
        algorithm=algorithm,
        decisions=len(later),
        trained_on=len(known) - len(later),
        ess=values.ess,
        estimates=estimates(log, values),
        verdict=verdict(log, values),
    )
