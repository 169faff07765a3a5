"""How learning went: groups of successive decisions, and how well the expected rewards were earned."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from cca.contracts.learner import CalibrationPoint, HistoryPoint, PolicyHistory
from cca.contracts.policy import Params
from cca.routing.reward import value
from cca.routing.steps import Step

BINS = 10
"""Into so many equal parts the range of expected rewards is cut."""


def charted(steps: Sequence[Step], params: Params, points: int = 50, role: str | None = None) -> PolicyHistory:
    """At most `points` groups of about the same size, oldest first, and the calibration over all of them.

    Args:
        steps: in any order; with and without outcome.
        params: say what an outcome was worth.
        role: only decisions for this role.
    """
    ordered = sorted((step for step in steps if role is None or step.role == role), key=lambda step: step.position)
    groups = min(points, len(ordered))
    marks = [len(ordered) * number // max(groups, 1) for number in range(groups + 1)]
    return PolicyHistory(
        points=tuple(_point(ordered[begin:end], params) for begin, end in pairwise(marks)),
        calibration=calibration(ordered, params),
    )


def calibration(steps: Sequence[Step], params: Params) -> tuple[CalibrationPoint, ...]:
    """Decisions by what was expected of the chosen lane; parts of the range that none fell into are left out."""
    bins: list[list[tuple[float, float]]] = [[] for _ in range(BINS)]
    for step in steps:
        mean = next((option.mean for option in step.options if option.lane == step.lane), None)
        valued = value(step, params)
        if mean is not None and valued is not None:
            expected = min(max(mean, 0.0), 1.0)
            bins[min(int(expected * BINS), BINS - 1)].append((expected, valued.reward))
    return tuple(
        CalibrationPoint(
            expected=sum(expected for expected, _ in pairs) / len(pairs),
            earned=sum(earned for _, earned in pairs) / len(pairs),
            decisions=len(pairs),
        )
        for pairs in bins
        if pairs
    )


def _point(group: Sequence[Step], params: Params) -> HistoryPoint:
    last = group[-1]
    rewards = [valued.reward for step in group if (valued := value(step, params)) is not None]
    successes = [float(step.ending == "completed") for step in group if step.known]
    costs = [step.cost_usd for step in group if step.known and step.cost_usd is not None]
    lanes = Counter(step.lane for step in group)
    return HistoryPoint(
        position=last.position,
        time=last.time,
        decisions=len(group),
        reward=_mean(rewards),
        success=_mean(successes),
        cost_usd=_mean(costs),
        explored=sum(step.explored for step in group) / len(group),
        shares={lane: count / len(group) for lane, count in sorted(lanes.items())},
    )


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
