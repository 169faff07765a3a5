"""What an outcome is worth: between 0 and 1, whatever a worker reports."""

from math import isfinite

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.policy import Params, References, Reward
from cca.routing.reward import value
from cca.routing.steps import Ending, Step

CALM = settings(deadline=None)
ANY = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -1.0, 1e308, 5e-324])
WEIGHTS = st.floats(0, 100)
REFERENCES = st.builds(
    References,
    latency_s=st.floats(0, 604_800, exclude_min=True),
    tokens=st.floats(0, 1e9, exclude_min=True),
    cost_usd=st.floats(0, 1_000_000, exclude_min=True),
)
REWARDS = st.builds(
    Reward,
    success=WEIGHTS,
    quality=WEIGHTS,
    latency=WEIGHTS,
    tokens=WEIGHTS,
    money=WEIGHTS,
    deadline=WEIGHTS,
    references=REFERENCES,
    by_kind=st.dictionaries(st.sampled_from(["review", "docs"]), REFERENCES),
)
PARAMS = st.builds(Params, reward=REWARDS, budgets=st.dictionaries(st.just("all"), st.just(1.0)))
ENDINGS: st.SearchStrategy[Ending] = st.sampled_from(["completed", "failed", "timeout", "lost"])


def step(
    ending: Ending | None = "completed",
    *,
    kind: str | None = None,
    latency_s: float = 60.0,
    tokens: int | None = None,
    cost_usd: float | None = None,
    quality: float | None = None,
    in_time: bool | None = None,
) -> Step:
    return Step(
        task="t",
        route=1,
        position=1,
        time=0.0,
        lane="backend/opus",
        x={},
        load=0,
        options=(),
        propensity=1.0,
        policy="p",
        kind=kind,
        ending=ending,
        latency_s=latency_s,
        tokens=tokens,
        cost_usd=cost_usd,
        quality=quality,
        in_time=in_time,
    )


STEPS = st.builds(
    step,
    ENDINGS,
    kind=st.sampled_from([None, "review", "other"]),
    latency_s=ANY,
    tokens=st.none() | st.integers() | st.just(10**400),
    cost_usd=st.none() | ANY,
    quality=st.none() | ANY,
    in_time=st.none() | st.booleans(),
)


def worth(outcome: Step, params: Params | None = None) -> float:
    valued = value(outcome, params or Params())
    assert valued is not None
    return valued.reward


def only(component: str, **rest: object) -> Params:
    """Parameters under which nothing but one component counts."""
    names = ("success", "quality", "latency", "tokens", "money", "deadline")
    return Params(reward=Reward(**{name: float(name == component) for name in names}), **rest)  # type: ignore[arg-type]  # any parameters


@pytest.mark.covers("STAB-001")
@CALM
@forall(STEPS, PARAMS)
def test_whatever_a_worker_reports_the_reward_is_between_0_and_1(outcome: Step, params: Params) -> None:
    valued = value(outcome, params)
    assert valued is not None
    for number in (valued.reward, *valued.components.values()):
        assert isfinite(number) and 0 <= number <= 1


@pytest.mark.parametrize("ending", [None, "censored"])
def test_an_outcome_that_says_nothing_about_the_lane_is_worth_nothing_known(ending: Ending | None) -> None:
    assert value(step(ending), Params()) is None


def test_the_reward_is_the_weighted_mean_of_what_is_known() -> None:
    valued = value(step(latency_s=60.0, tokens=20_000, cost_usd=0.5, quality=0.8, in_time=True), Params())
    assert valued is not None
    parts = {"success": 1.0, "quality": 0.8, "latency": 0.5, "tokens": 0.5, "money": 0.5, "deadline": 1.0}
    assert valued.components == parts
    weights = {"success": 0.6, "quality": 0.15, "latency": 0.1, "tokens": 0.0, "money": 0.15, "deadline": 0.1}
    assert valued.reward == pytest.approx(sum(weights[name] * parts[name] for name in parts) / sum(weights.values()))


def test_what_is_not_known_has_no_say() -> None:
    valued = value(step(latency_s=0.0), Params())
    assert valued is not None
    assert valued.components == {"success": 1.0, "latency": 1.0}
    assert valued.reward == 1.0


def test_a_component_without_weight_is_told_all_the_same() -> None:
    valued = value(step(tokens=20_000), only("success"))
    assert valued is not None
    assert valued.components["tokens"] == 0.5 and valued.reward == 1.0


@pytest.mark.parametrize("ending", ["failed", "timeout", "lost"])
def test_a_failed_attempt_earns_nothing_by_being_quick(ending: Ending) -> None:
    quick = step(ending, latency_s=0.001, tokens=1)
    assert worth(quick, only("latency")) == worth(quick, only("tokens")) == worth(quick, only("success")) == 0.0


def test_a_failed_attempt_has_cost_what_it_cost() -> None:
    assert worth(step("failed", cost_usd=0.5), only("money")) == 0.5


def test_a_failed_attempt_whose_tokens_are_unknown_has_no_component_for_them() -> None:
    valued = value(step("failed"), Params())
    assert valued is not None and set(valued.components) == {"success", "latency"}


def test_money_has_no_weight_while_there_is_a_budget() -> None:
    dear, cheap = step(cost_usd=1_000.0), step(cost_usd=0.0)
    assert worth(dear) < worth(cheap)
    budget = Params(budgets={"role:docs": 0.1})
    assert worth(dear, budget) == worth(cheap, budget)


def test_a_sort_of_task_has_references_of_its_own() -> None:
    slow = References(latency_s=600.0)
    params = Params(reward=Reward(success=0, quality=0, money=0, deadline=0, by_kind={"migration": slow}))
    assert worth(step(kind="migration", latency_s=600.0), params) == 0.5
    assert worth(step(kind="review", latency_s=600.0), params) == pytest.approx(1 / 11)


def test_without_any_weight_success_alone_counts() -> None:
    nothing = Params(reward=Reward(0, 0, 0, 0, 0, 0))
    assert worth(step("completed", quality=0.1), nothing) == 1.0
    assert worth(step("failed", quality=0.9), nothing) == 0.0


@pytest.mark.parametrize("report", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_not_known(report: float) -> None:
    valued = value(step(latency_s=report, cost_usd=report, quality=report), Params())
    assert valued is not None and set(valued.components) == {"success"}


def test_less_than_nothing_cannot_be_spent() -> None:
    valued = value(step(tokens=-1, cost_usd=-0.1, latency_s=-5.0), Params())
    assert valued is not None and valued.components == {"success": 1.0, "latency": 1.0}


@CALM
@forall(STEPS, PARAMS, st.floats(0, 1), st.floats(0, 1))
def test_a_better_rating_is_never_worth_less(outcome: Step, params: Params, one: float, other: float) -> None:
    low, high = sorted((one, other))
    rated = [step(outcome.ending, kind=outcome.kind, latency_s=outcome.latency_s, quality=q) for q in (low, high)]
    assert worth(rated[0], params) <= worth(rated[1], params)
