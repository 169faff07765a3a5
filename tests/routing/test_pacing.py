"""A budget holds: money gets a price when too much is spent, and none when there is enough."""

from collections import deque
from collections.abc import Mapping
from math import exp, isfinite
from random import Random

import numpy as np
import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.policy import LaneSummary, Params
from cca.routing.features import BASE
from cca.routing.pacing import HIGHEST, Prices, pressure, priced, prices, too_dear
from cca.routing.policy import Case, LaneLoad
from cca.routing.statistics import Statistics
from cca.routing.steps import Step

Lanes = Mapping[str, tuple[float, float]]
"""How often a lane succeeds, and what it costs."""
AGENTS: Lanes = {
    "mini": (0.3, 0.01),
    "small": (0.55, 0.03),
    "large": (0.65, 0.2),
    "xl": (0.72, 0.4),
    "max": (0.74, 1.0),
}
NEIGHBOURS: Lanes = {"one": (0.5, 0.18), "other": (0.9, 0.25)}
DECISIONS = 8_000
DELAY = 60
OPUS, MINI = LaneLoad("backend", "opus", 4), LaneLoad("backend", "mini", 4)


def step(position: int, lane: str, cost: float | None, *, success: bool = True, attempt: int = 1) -> Step:
    return Step(
        task=f"t{position}",
        route=attempt,
        position=position,
        time=0.0,
        lane=lane,
        x={"attempt": 1024 * (attempt - 1)} if attempt > 1 else {},
        load=0,
        options=(),
        propensity=1.0,
        policy="p",
        requester="alice",
        ending="completed" if success else "failed",
        cost_usd=cost,
    )


def routed(
    lanes: Lanes, params: Params, *, softness: float, seed: int, later: Lanes | None = None
) -> tuple[np.ndarray, list[float]]:
    """Costs of decisions, and prices under which they were made, when scores are success minus price.

    Outcomes come 60 decisions late, prices are new every 40; `later` is how lanes are in the second half.
    """
    rng, statistics, loads = Random(seed), Statistics(params, BASE), [LaneLoad("backend", name, 4) for name in lanes]
    late: deque[Step] = deque()
    costs, charged, case, now = np.zeros(DECISIONS), [], Case({}, "alice"), Prices()
    means: dict[str, float] = {}
    for number in range(DECISIONS):
        if number % 40 == 0:
            summaries = statistics.summaries()
            now = priced(prices(statistics, params), summaries)
            means = {lane: summary.success or 0.0 for lane, summary in summaries.items()}
        penalty = now.penalty(case, loads)
        scores = [means.get(lane.key, 1.0) - taken for lane, taken in zip(loads, penalty, strict=True)]
        best = max(scores)
        if rng.random() < 0.02:
            choice = rng.choice(loads)
        elif softness:
            choice = rng.choices(loads, [exp((score - best) / softness) for score in scores])[0]
        else:
            choice = loads[scores.index(best)]
        success, cost = (later if later and number >= DECISIONS // 2 else lanes)[choice.lane]
        costs[number] = cost * exp(rng.gauss(0, 0.3) - 0.045)
        charged.append(sum(now.prices.values()))
        late.append(step(5 * number + 1, choice.key, float(costs[number]), success=rng.random() < success))
        if len(late) > DELAY:
            statistics.add(late.popleft())
    return costs, charged


@pytest.mark.parametrize("softness", [0.0, 0.05], ids=["the best always", "softly"])
@pytest.mark.parametrize("scope", ["all", "role:backend", "requester:alice"])
def test_where_it_can_be_kept_the_mean_cost_comes_to_the_budget(scope: str, softness: float) -> None:
    # Always taking the best, lanes at twenty times the budget are taken in bursts: their mean needs longer to settle.
    small = 0.05 if softness else 0.1
    for lanes, budget in ((AGENTS, small), (AGENTS, 0.2), (AGENTS, 0.4), (NEIGHBOURS, 0.21)):
        costs, _ = routed(lanes, Params(budgets={scope: budget}), softness=softness, seed=7)
        assert costs[DECISIONS // 2 :].mean() == pytest.approx(budget, rel=0.1), (lanes, budget)


def test_money_is_free_while_the_budget_is_more_than_enough() -> None:
    _, charged = routed(AGENTS, Params(budgets={"all": 5.0}), softness=0.0, seed=1)
    assert set(charged) == {0.0}


def test_money_is_free_again_after_prices_fell() -> None:
    cheaper = {name: (success, cost / 20) for name, (success, cost) in AGENTS.items()}
    costs, charged = routed(AGENTS, Params(budgets={"all": 0.2}), softness=0.0, seed=3, later=cheaper)
    assert max(charged[DECISIONS // 4 : DECISIONS // 2]) > 0
    assert charged[-1] == 0.0
    assert costs[-500:].mean() < 0.2


def test_a_budget_that_no_lane_keeps_leaves_the_cheapest() -> None:
    dear = {"one": (0.5, 1.0), "other": (0.9, 2.0)}
    costs, charged = routed(dear, Params(budgets={"all": 0.5}), softness=0.0, seed=5)
    assert costs[DECISIONS // 2 :].mean() < 1.1
    assert isfinite(charged[-1])


GRAINS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 10**9)), max_size=60)


@pytest.mark.covers("STAB-001")
@settings(deadline=None)
@forall(GRAINS, st.floats(0, 1e6, exclude_min=True))
def test_pressure_stays_within_its_bounds_whatever_was_spent(grains: list[tuple[int, int]], budget: float) -> None:
    level = pressure([(when, tasks, micro) for when, (tasks, micro) in enumerate(grains)], budget)
    assert 0.0 <= level <= HIGHEST


def test_without_tasks_there_is_no_price() -> None:
    assert prices(Statistics(Params(budgets={"all": 1.0}), BASE), Params(budgets={"all": 1.0})) == {"all": 0.0}
    assert prices(Statistics(Params(), BASE), Params()) == {}


def test_a_task_of_several_attempts_costs_what_they_cost_together() -> None:
    statistics = Statistics(Params(budgets={"all": 1.0}), BASE)
    statistics.add(step(1, "backend/mini", 0.25, success=False))
    statistics.add(step(9, "backend/opus", 0.5, attempt=2))
    assert statistics.spending("all") == [(0, 1, 750_000)]


@forall(st.permutations([step(300 * n, "backend/opus", 0.001 * n) for n in range(1, 30)]))
def test_prices_do_not_depend_on_the_order_of_outcomes(steps: list[Step]) -> None:
    params = Params(budgets={"all": 0.005, "role:backend": 0.01, "requester:alice": 0.02})
    ordered, shuffled = Statistics(params, BASE), Statistics(params, BASE)
    for each in sorted(steps, key=lambda one: one.position):
        ordered.add(each)
    for each in steps:
        shuffled.add(each)
    assert prices(shuffled, params) == prices(ordered, params)
    assert min(prices(ordered, params).values()) >= 0 < prices(ordered, params)["all"]


def test_a_lane_pays_for_every_budget_that_it_is_under() -> None:
    now = Prices({"all": 0.5, "role:backend": 1.0, "requester:alice": 2.0}, {"backend/opus": 0.1}, 0.2)
    docs = LaneLoad("docs", "mini", 1)
    assert now.penalty(Case({}, "alice"), [OPUS, docs]) == pytest.approx([0.35, 0.5])
    assert now.penalty(Case({}, "bob"), [OPUS, docs]) == pytest.approx([0.15, 0.1])
    assert now.penalty(Case({}), [OPUS, docs]) == pytest.approx([0.15, 0.1])


def test_without_a_budget_no_lane_pays() -> None:
    assert Prices(costs={"backend/opus": 5.0}).penalty(Case({}, "alice"), [OPUS, MINI]) == [0.0, 0.0]


def test_a_lane_of_unknown_cost_is_taken_for_an_average_one() -> None:
    summaries = {"backend/opus": LaneSummary(n=3, cost_usd=0.3), "backend/mini": LaneSummary(n=1, cost_usd=0.1)}
    now = priced({"all": 1.0}, {**summaries, "docs/new": LaneSummary(n=1)})
    assert now.penalty(Case({}), [OPUS, MINI, LaneLoad("docs", "new", 1)]) == pytest.approx([0.3, 0.1, 0.2])
    assert priced({"all": 1.0}, {}).penalty(Case({}), [OPUS]) == [0.0]


KNOWN = {"backend/opus": LaneSummary(n=9, cost_usd=0.61), "backend/mini": LaneSummary(n=9)}


@pytest.mark.parametrize("scope", ["all", "role:backend", "requester:alice"])
def test_a_lane_above_a_ceiling_is_too_dear_and_says_why(scope: str) -> None:
    params = Params(ceilings={scope: 0.5})
    reason = f"its mean cost of $0.61 is above the ceiling of $0.5 ({scope})"
    assert too_dear(KNOWN, params, Case({}, "alice"), OPUS) == reason


@pytest.mark.parametrize("scope", ["role:docs", "requester:bob"])
def test_a_ceiling_for_others_masks_nothing(scope: str) -> None:
    assert too_dear(KNOWN, Params(ceilings={scope: 0.5}), Case({}, "alice"), OPUS) is None


def test_a_lane_at_its_ceiling_or_of_unknown_cost_may_be_taken() -> None:
    ceilings = Params(ceilings={"all": 0.61})
    assert too_dear(KNOWN, ceilings, Case({}), OPUS) is None
    assert too_dear(KNOWN, ceilings, Case({}), MINI) is None
    assert too_dear({}, ceilings, Case({}), OPUS) is None
    assert too_dear(KNOWN, Params(), Case({}), OPUS) is None
