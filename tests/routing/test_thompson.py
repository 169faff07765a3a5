"""Beliefs by kind of task: pulled together where little is known, told apart where much is, and never broken."""

from collections.abc import Sequence
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from msgspec.structs import replace

from cca.contracts.policy import LaneSummary, Params, PolicySnapshot, Reward
from cca.errors import Unreadable
from cca.routing.algorithm import History
from cca.routing.features import BASE, described
from cca.routing.linear import LinearPM
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.statistics import Moments, Statistics
from cca.routing.steps import Step
from cca.routing.thompson import Model, Thompson, fitted, kind_in

CALM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = (*BASE, "kind=docs", "kind=fix", "language=go")
SUCCESS = Params(reward=Reward(quality=0, latency=0, tokens=0, money=0, deadline=0), forgetting=1.0)
"""The reward is then 1 for a completed task and 0 for a failed one."""
KINDS = st.sampled_from(("docs", "fix", "unheard-of", None))


def history(outcomes: Sequence[tuple[str, str | None, bool]], params: Params = SUCCESS) -> History:
    statistics = Statistics(params, NAMES)
    for position, (lane, kind, good) in enumerate(outcomes):
        statistics.add(
            Step(
                task=f"t{position}",
                route=1,
                position=position,
                time=0.0,
                lane=f"r/{lane}",
                x=described(size=100, kind=kind, language="go"),
                load=0,
                options=(),
                propensity=0.5,
                policy="test/1",
                ending="completed" if good else "failed",
            )
        )
    return History(statistics, [], params, NAMES)


def snapshot(past: History) -> PolicySnapshot:
    return PolicySnapshot(1, 1, "", "thompson", past.params, past.vocabulary, model=Thompson().fit(past).model)


def judged(past: History, kind: str | None, *names: str) -> Judgement:
    case = Case(described(size=100, kind=kind, language="go"))
    return Thompson().policy(snapshot(past)).judge(case, [LaneLoad("r", name, 4) for name in names])


def random_outcomes(seed: int, count: int) -> list[tuple[str, str | None, bool]]:
    rng = Random(seed)
    return [(rng.choice("abc"), rng.choice(("docs", "fix", None)), rng.random() < 0.6) for _ in range(count)]


@pytest.mark.covers("STAB-001")
@CALM
@forall(st.integers(0, 1_000), st.integers(0, 60), KINDS, st.sets(st.sampled_from("abcde"), min_size=1))
def test_whatever_was_seen_it_is_a_probability_and_keeps_the_floor(
    seed: int, count: int, kind: str | None, names: set[str]
) -> None:
    found = judged(history(random_outcomes(seed, count), replace(SUCCESS, burn_in=0)), kind, *sorted(names))
    assert sum(found.probabilities) == pytest.approx(1, abs=1e-9)
    assert min(found.probabilities) >= 0.02 / len(names) * (1 - 1e-9)
    assert np.isfinite([*found.scores, *(found.means or ()), *(found.deviations or ())]).all()


def test_what_is_known_of_a_kind_is_the_mean_of_its_outcomes_pulled_to_that_of_the_lane() -> None:
    outcomes = [("a", "docs", True)] * 6 + [("a", "fix", False)] * 2
    model, _ = fitted(history(outcomes).statistics.moments(), NAMES, 2.0)
    common = (6 + 1) / (8 + 2)
    lane = (6 + common) / (8 + 1)
    belief = model.lanes["r/a"]
    assert belief.mean == pytest.approx(lane)
    assert belief.of("kind=docs")[0] == pytest.approx((6 + 2 * lane) / (6 + 2))
    assert belief.of("kind=fix")[0] == pytest.approx((0 + 2 * lane) / (2 + 2))
    assert belief.of("kind=else") == (belief.mean, belief.deviation)
    assert belief.of("kind=docs")[1] < belief.of("kind=fix")[1] < belief.deviation
    assert model.new.mean == pytest.approx(common)
    assert belief.deviation < model.new.deviation


def test_tasks_without_a_kind_are_a_kind_of_their_own() -> None:
    outcomes = [(lane, kind, (lane == "a") == (kind is None)) for lane in "ab" for kind in ("docs", None)] * 40
    past = history(outcomes)
    assert judged(past, None, "a", "b").probabilities[0] > 0.95
    assert judged(past, "docs", "a", "b").probabilities[0] < 0.05


def test_a_kind_that_nobody_has_seen_is_judged_by_the_lanes_means() -> None:
    past = history([(lane, "docs", lane == "a" or n % 2 == 0) for lane in "ab" for n in range(60)])
    found = judged(past, "unheard-of", "a", "b")
    assert found.means is not None
    assert found.means[0] > found.means[1]
    assert 0.5 < found.probabilities[0] < judged(past, "docs", "a", "b").probabilities[0]


def test_a_lane_that_was_hardly_tried_comes_first_and_one_alone_at_once() -> None:
    past = history(random_outcomes(1, 100))
    assert list(judged(past, "docs", "a", "new", "b").probabilities) == [0, 1, 0]
    assert list(judged(past, "docs", "new").probabilities) == [1.0]


def test_a_price_turns_the_choice_and_not_the_expectation() -> None:
    past = history([(lane, "docs", n % 10 < (9 if lane == "a" else 7)) for n in range(400) for lane in "ab"])
    summaries = {"r/a": LaneSummary(n=400, cost_usd=1.0), "r/b": LaneSummary(n=400, cost_usd=0.1)}
    told = replace(snapshot(past), lanes=summaries, prices={"role:r": 0.5})
    paid = Thompson().policy(told).judge(Case({"kind=docs": 4096}), [LaneLoad("r", name, 4) for name in "ab"])
    free = judged(past, "docs", "a", "b")
    assert free.probabilities[0] > 0.95 and paid.probabilities[0] < 0.05
    assert paid.means == free.means


@CALM
@forall(st.integers(0, 1_000), KINDS, st.sampled_from("abz"))
def test_contributions_sum_to_the_mean(seed: int, kind: str | None, name: str) -> None:
    past = history(random_outcomes(seed, 50))
    found = judged(past, kind, name, "c")
    told = Thompson().policy(snapshot(past)).contributions(Case(described(size=100, kind=kind)), LaneLoad("r", name, 4))
    assert found.means is not None
    assert sum(told.values()) == pytest.approx(found.means[0])


@CALM
@forall(st.integers(0, 1_000), st.randoms(use_true_random=False))
def test_the_order_of_outcomes_makes_no_difference_to_a_single_byte(seed: int, random: Random) -> None:
    outcomes = random_outcomes(seed, 60)
    shuffled = random.sample(outcomes, len(outcomes))
    # Positions differ, but all are in one bucket.
    assert Thompson().fit(history(outcomes)) == Thompson().fit(history(shuffled))


def test_the_same_snapshot_decides_the_same_to_the_last_bit() -> None:
    told = snapshot(history(random_outcomes(7, 200)))
    lanes = [LaneLoad("r", name, 4) for name in "abc"]
    stored = msgspec.json.decode(msgspec.json.encode(told), type=PolicySnapshot)
    for kind in ("docs", "fix", None):
        case = Case(described(size=100, kind=kind))
        assert repr(Thompson().policy(told).judge(case, lanes)) == repr(Thompson().policy(stored).judge(case, lanes))


def test_the_loss_is_the_root_mean_squared_distance_from_what_is_believed() -> None:
    half = [("a", "docs", True), ("a", "docs", False)] * 200
    assert Thompson().fit(history(half)).loss == pytest.approx(0.5, abs=1e-3)
    assert Thompson().fit(history([])).loss is None


def test_a_model_of_something_else_is_unreadable() -> None:
    past = history(random_outcomes(1, 50))
    told = snapshot(past)
    for model in (b"", b"nonsense", told.model[:-3], LinearPM().fit(past).model):
        with pytest.raises(Unreadable):
            Thompson().policy(replace(told, model=model))


@pytest.mark.covers("STAB-001")
@CALM
@forall(
    st.lists(st.lists(st.floats(), min_size=8, max_size=8), max_size=3),
    st.floats(1e-300, 1_000),
    KINDS,
)
def test_sums_that_make_no_sense_break_nothing(numbers: list[list[float]], precision: float, kind: str | None) -> None:
    moments = {}
    for lane, (n, r, rr, *rest) in zip("abc", numbers, strict=False):
        xx = np.zeros((len(NAMES), len(NAMES)))
        xx[0, :5] = rest
        moments[f"r/{lane}"] = Moments(n, np.fmax(xx, xx.T), np.resize(rest, len(NAMES)), r, rr)
    model, loss = fitted(moments, NAMES, precision)
    assert loss is None or np.isfinite(loss)
    told = PolicySnapshot(1, 1, "", "thompson", SUCCESS, NAMES, model=msgspec.msgpack.encode(model))
    found = (
        Thompson()
        .policy(told)
        .judge(Case(described(size=1, kind=kind)), [LaneLoad("r", name, 1, 2) for name in "abcd"])
    )
    assert sum(found.probabilities) == pytest.approx(1, abs=1e-9)
    assert np.isfinite([*found.probabilities, *found.scores, *(found.means or ()), *(found.deviations or ())]).all()


def test_the_kind_is_found_among_the_features() -> None:
    assert kind_in(described(size=5, kind="docs", language="go")) == "kind=docs"
    assert kind_in(described(size=5, language="go")) == ""
    assert Thompson().policy(snapshot(history([]))).name == "thompson/1"
    assert msgspec.msgpack.decode(Thompson().fit(history([])).model, type=Model).lanes == {}
