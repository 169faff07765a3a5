"""How learning went, in groups of decisions; and whether what was expected was earned."""

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.policy import Params
from cca.routing.chart import charted
from cca.routing.reward import value
from cca.routing.steps import Ending, Option, Step

PARAMS = Params()


def step(
    position: int, lane: str = "docs/a", ending: Ending | None = "completed", mean: float | None = 0.5, **more: object
) -> Step:
    options = (Option("docs/a", 0.5, 0, mean), Option("docs/b", 0.5, 0, mean), Option("code/a", 0.5, 0, mean))
    given: dict[str, object] = {"latency_s": 60.0, "propensity": 0.5, "policy": "p/1", **more}
    return Step(str(position), 1, position, position / 2, lane, {}, 0, options, ending=ending, **given)  # type: ignore[arg-type]  # fields by name


STEPS = st.lists(
    st.builds(
        step,
        st.integers(1, 10_000),
        st.sampled_from(["docs/a", "docs/b", "code/a"]),
        st.sampled_from(["completed", "failed", "censored", None]),
        st.one_of(st.none(), st.floats(-1, 2)),
        explored=st.booleans(),
        cost_usd=st.one_of(st.none(), st.floats(0, 10)),
    ),
    max_size=60,
    unique_by=lambda step: step.position,
)


@settings(deadline=None)
@forall(STEPS, st.integers(1, 20))
def test_every_decision_is_in_one_group_whatever_their_order(steps: list[Step], points: int) -> None:
    chart = charted(steps, PARAMS, points)
    sizes = [point.decisions for point in chart.points]
    assert sum(sizes) == len(steps)
    assert len(sizes) == min(points, len(steps))
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert [point.position for point in chart.points] == sorted(point.position for point in chart.points)
    assert charted(steps[::-1], PARAMS, points) == chart
    for point in chart.points:
        assert sum(point.shares.values()) == pytest.approx(1)
        assert 0 <= point.explored <= 1
    told = [step for step in steps if step.options[0].mean is not None and value(step, PARAMS) is not None]
    assert sum(point.decisions for point in chart.calibration) == len(told)
    assert all(0 <= point.expected <= 1 and 0 <= point.earned <= 1 for point in chart.calibration)


def test_a_group_tells_how_its_decisions_went() -> None:
    steps = [
        step(1, cost_usd=0.5, explored=True),
        step(2, ending="failed", lane="docs/b"),
        step(3, ending=None),
        step(4, ending="censored", cost_usd=7.0),
    ]
    (point,) = charted(steps, PARAMS, 1).points
    worth = [valued.reward for one in steps if (valued := value(one, PARAMS)) is not None]
    assert (point.position, point.time, point.decisions) == (4, 2.0, 4)
    assert point.reward == pytest.approx(sum(worth) / 2)
    assert (point.success, point.cost_usd, point.explored) == (0.5, 0.5, 0.25)
    assert point.shares == {"docs/a": 0.75, "docs/b": 0.25}


def test_what_is_not_known_of_a_group_is_not_made_up() -> None:
    (point,) = charted([step(1, ending=None)], PARAMS).points
    assert (point.reward, point.success, point.cost_usd) == (None, None, None)
    assert charted([], PARAMS).points == ()


def test_only_the_decisions_of_a_role_are_told_when_one_is_asked_for() -> None:
    chart = charted([step(1), step(2, lane="code/a"), step(3)], PARAMS, role="docs")
    assert [point.position for point in chart.points] == [1, 3]


def test_calibration_compares_what_was_expected_of_the_chosen_lane_with_what_it_earned() -> None:
    chart = charted([step(1, mean=0.91), step(2, mean=0.97), step(3, ending="failed", mean=0.12)], PARAMS)
    low, high = chart.calibration
    good, bad = value(step(1), PARAMS), value(step(3, ending="failed"), PARAMS)
    assert good is not None and bad is not None
    assert (low.expected, low.earned, low.decisions) == pytest.approx((0.12, bad.reward, 1))
    assert (high.expected, high.earned, high.decisions) == pytest.approx((0.94, good.reward, 2))


def test_an_expectation_beyond_what_can_be_earned_falls_into_the_last_part() -> None:
    (point,) = charted([step(1, mean=1.3), step(2, mean=1.0)], PARAMS).calibration
    assert (point.expected, point.decisions) == (1.0, 2)
