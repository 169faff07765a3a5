"""What an outcome was worth: a number between 0 and 1, and what it is made of."""

from math import inf

from msgspec import Struct

from cca.contracts.policy import Params
from cca.routing.steps import Step

ENDLESS = 2.0**40
"""Seconds, tokens or dollars beyond this count as so many: what is reported may be any number."""


class Valued(Struct, frozen=True):
    """The worth of an outcome.

    Attributes:
        reward: the weighted mean of the components that are known; finite, between 0 and 1.
        components: each between 0 and 1, those of no weight too, so that others can be tried on them.
    """

    reward: float
    components: dict[str, float]


def value(step: Step, params: Params) -> Valued | None:
    """What a decision's outcome was worth, or None while there is none that says something about the lane.

    What a worker reports may be missing, infinite, not a number, or negative: then it is unknown, and its component
    is left out. A failed attempt was neither quick nor cheap in tokens, whatever it reports; its money is spent.
    """
    ending = step.ending
    if ending is None or ending == "censored":
        return None
    weights = params.reward
    middling = weights.references
    if step.kind is not None and weights.by_kind:
        middling = weights.by_kind.get(step.kind, middling)
    completed = ending == "completed"
    success = 1.0 if completed else 0.0
    components = {"success": success}
    total, worth = weights.success, weights.success * success
    if (quality := step.quality) is not None and -inf < quality < inf:
        components["quality"] = part = min(max(float(quality), 0.0), 1.0)
        total += weights.quality
        worth += weights.quality * part
    if not completed or -inf < step.latency_s < inf:
        # Clocks of two machines may run backwards.
        components["latency"] = part = _saving(max(step.latency_s, 0.0), middling.latency_s) if completed else 0.0
        total += weights.latency
        worth += weights.latency * part
    if step.tokens is not None and 0 <= step.tokens < inf:
        components["tokens"] = part = _saving(step.tokens, middling.tokens) if completed else 0.0
        total += weights.tokens
        worth += weights.tokens * part
    if step.cost_usd is not None and 0 <= step.cost_usd < inf:
        components["money"] = part = _saving(step.cost_usd, middling.cost_usd)
        if not params.budgets:  # else its price speaks for it, and would be paid twice
            total += weights.money
            worth += weights.money * part
    if step.in_time is not None:
        components["deadline"] = part = 1.0 if step.in_time else 0.0
        total += weights.deadline
        worth += weights.deadline * part
    # Rounding never turns an order round: with no component above 1, `worth` is not above `total`.
    return Valued(worth / total if total > 0 else success, components)


def _saving(spent: float, middling: float) -> float:
    """1 for nothing, one half for what is middling, towards 0 for ever more."""
    return middling / (middling + (spent if spent < ENDLESS else ENDLESS))
