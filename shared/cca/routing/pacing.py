"""What a dollar costs, so that the mean cost of a task comes out near its budget; and which lanes are too dear."""

from collections.abc import Mapping, Sequence
from math import exp, expm1, sqrt

from msgspec import Struct

from cca.contracts.policy import LaneSummary, Params
from cca.routing.policy import Case, LaneLoad
from cca.routing.statistics import Statistics

GAIN = 0.003
"""How much the pressure of a budget rises for a task whose excess is a usual one."""
DAMPING = 0.3
"""Pressure for a usual excess of late: it holds back before the sum of all says so, else prices swing with the delay
of outcomes."""
LATE = 60.0
"""Tasks over which `late` is an average."""
LEAK = 5e-5
"""Share of the pressure that is lost with each task: what the window of buckets no longer shows must not matter."""
HIGHEST = 5.0
"""The greatest pressure, so that a price soon comes down again after a time in which no lane was cheap enough."""
GENTLE = 0.05
"""Price of a budget's worth up to which pressure counts evenly; above, it counts by factors."""
SMALLEST = 1e-6
"""The smallest budget, in USD: money is counted in such units."""
LEAST = 0.1
"""Excess that is usual at least, as a share of the budget."""


class Prices(Struct, frozen=True):
    """What a decision has to know about money.

    Attributes:
        prices: reward that a dollar costs, by the scope of the budget.
        costs: mean cost of an outcome of a lane, in USD, by its key.
        default: that of a lane of which none is known.
    """

    prices: Mapping[str, float] = {}
    costs: Mapping[str, float] = {}
    default: float = 0.0

    def penalty(self, case: Case, lanes: Sequence[LaneLoad]) -> list[float]:
        """How much reward each lane's expected cost takes away, in the order of the lanes."""
        if not self.prices:
            return [0.0] * len(lanes)
        price = self.prices.get
        common = price("all", 0.0) + (price(f"requester:{case.requester}", 0.0) if case.requester else 0.0)
        cost = self.costs.get
        return [(common + price(f"role:{lane.role}", 0.0)) * cost(lane.key, self.default) for lane in lanes]


def priced(prices: Mapping[str, float], summaries: Mapping[str, LaneSummary]) -> Prices:
    """Prices beside the costs of lanes; a lane whose cost is not known is taken to cost what lanes cost on average."""
    costs = {lane: summary.cost_usd for lane, summary in summaries.items() if summary.cost_usd is not None}
    return Prices(dict(prices), costs, sum(costs.values()) / len(costs) if costs else 0.0)


def prices(statistics: Statistics, params: Params) -> dict[str, float]:
    """What a dollar costs now under each budget, in units of reward. A pure function of what was spent when.

    A task that costs more than the budget puts pressure on, one that costs less takes it off, in proportion; the sum
    leaks a little and is never below 0. The price grows with it, evenly at first and then by factors, so that it finds
    its height whatever lanes cost and earn. Where the sum comes to rest, tasks cost on average what the budget says;
    where it rests at 0, they cost less than it allows, and money is free.
    """
    return {
        scope: GENTLE * expm1(pressure(statistics.spending(scope), budget)) / max(budget, SMALLEST)
        for scope, budget in params.budgets.items()
    }


def pressure(spending: Sequence[tuple[int, int, int]], budget: float) -> float:
    """The pressure on a budget (USD per task) after (when, tasks, micro-dollars), oldest first.

    A proportional-integral controller without wind-up. Excess is measured in what is usual (its root mean square), so
    that one lane at a hundred times the budget does not throw it about, and lanes just above it are not ignored.
    """
    tasks = sum(many for _, many, _ in spending)
    if tasks <= 0:
        return 0.0
    micros = 1e6 * max(budget, SMALLEST)
    excess = [micro / micros - many for _, many, micro in spending]
    squares = sum(over * over / max(many, 1) for over, (_, many, _) in zip(excess, spending, strict=True))
    usual = max(sqrt(squares / tasks), LEAST)
    level = late = 0.0
    for over, (_, many, _) in zip(excess, spending, strict=True):
        level = min(max(level * exp(-LEAK * many) + GAIN * over / usual, 0.0), HIGHEST)
        fading = exp(-many / LATE)
        late = late * fading + (1 - fading) * over / (usual * max(many, 1))
    return min(max(level + DAMPING * late, 0.0), HIGHEST)


def too_dear(summaries: Mapping[str, LaneSummary], params: Params, case: Case, lane: LaneLoad) -> str | None:
    """Why a lane may not be taken: its mean cost is above a ceiling that applies. None when it may, or is not known."""
    if not params.ceilings:
        return None
    summary = summaries.get(lane.key)
    if summary is None or summary.cost_usd is None:
        return None
    for scope in ("all", f"role:{lane.role}", f"requester:{case.requester}"):
        ceiling = params.ceilings.get(scope)
        if ceiling is not None and summary.cost_usd > ceiling:
            return f"its mean cost of ${summary.cost_usd:.4g} is above the ceiling of ${ceiling:.4g} ({scope})"
    return None
