"""Policies that learn nothing: what they draw from follows from lanes, turn and table alone."""

import math
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.contracts.policy import Params, PolicySnapshot
from cca.errors import Unreadable
from cca.routing.algorithm import History, Learner
from cca.routing.features import BASE
from cca.routing.policy import Case, LaneLoad, Policy, choose, seed_of
from cca.routing.simple import (
    EXPLORATION,
    LEAST_LOADED,
    ROUND_ROBIN,
    STATIC,
    UNIFORM,
    WEIGHTED_RANDOM,
    LeastLoaded,
    RoundRobin,
    Static,
    Uniform,
    WeightedRandom,
    greedy,
)
from cca.routing.statistics import Statistics

CALM = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LANES = st.lists(
    st.builds(
        LaneLoad,
        st.sampled_from(["docs", "backend"]),
        st.sampled_from("abcdefghij"),
        capacity=st.integers(0, 10_000),
        running=st.integers(0, 20_000),
        queued=st.integers(0, 1_000_000),
    ),
    min_size=1,
    max_size=24,
    unique_by=lambda lane: lane.key,
)
WEIGHTS = st.one_of(st.just(0.0), st.floats(0, 100), st.floats(0, 1e-300))
TABLES = st.dictionaries(st.sampled_from([f"{role}/{lane}" for role in ("docs", "ops") for lane in "abcxyz"]), WEIGHTS)
TURNS = st.integers(0, 10**9)
CASE = Case({})


def lane(name: str, capacity: int = 10, running: int = 0, queued: int = 0) -> LaneLoad:
    return LaneLoad("docs", name, capacity, running, queued)


@pytest.mark.covers("STAB-001")
@CALM
@forall(LANES, TABLES, TURNS)
def test_chances_are_chances_whatever_lanes_report(lanes: list[LaneLoad], table: dict[str, float], turn: int) -> None:
    policies: list[Policy] = [WeightedRandom(), LeastLoaded(), RoundRobin(), Uniform(), Static(table)]
    for policy in policies:
        judged = policy.judge(Case({}, turn=turn), lanes)
        assert len(judged.probabilities) == len(judged.scores) == len(lanes)
        assert all(0 <= chance <= 1 for chance in judged.probabilities)
        assert math.fsum(judged.probabilities) == pytest.approx(1)
        assert all(math.isfinite(score) for score in judged.scores)
        assert choose(policy, seed_of(turn), Case({}, turn=turn), lanes).propensity > 0


# ------------------------------------------------------------------------------------------ by what is free


def test_a_lane_counts_by_its_free_capacity_and_a_full_one_a_little() -> None:
    lanes = [lane("free"), lane("half", running=3, queued=2), lane("full", running=10, queued=90)]
    judged = WeightedRandom().judge(CASE, lanes)
    assert judged.scores == [10, 5, EXPLORATION * 10]
    assert judged.probabilities == pytest.approx([10 / 15.5, 5 / 15.5, 0.5 / 15.5])


@CALM
@forall(LANES)
def test_weighted_random_never_forgets_a_lane(lanes: list[LaneLoad]) -> None:
    assert all(chance > 0 for chance in WeightedRandom().judge(CASE, lanes).probabilities)


def test_the_least_loaded_is_the_one_with_the_least_to_do_for_its_size() -> None:
    small, large = lane("small", capacity=2, running=1), lane("large", capacity=100, running=30, queued=10)
    assert LeastLoaded().judge(CASE, [small, large]).probabilities == [0, 1]
    assert LeastLoaded().judge(CASE, [large, small]).probabilities == [1, 0]


def test_lanes_that_are_equally_busy_share_evenly() -> None:
    lanes = [lane("a", 3, 1), lane("b", 6, 1, 1), lane("c", 6, 4), lane("d", 9, 3)]
    assert LeastLoaded().judge(CASE, lanes).probabilities == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])


def test_a_lane_that_can_run_nothing_comes_after_every_queue() -> None:
    gone, long = lane("gone", capacity=0), lane("long", capacity=1, queued=1_000_000)
    assert LeastLoaded().judge(CASE, [gone, long]).probabilities == [0, 1]
    assert LeastLoaded().judge(CASE, [gone]).probabilities == [1]


# ------------------------------------------------------------------------------------------ in turn and evenly


@CALM
@forall(LANES, TURNS)
def test_round_robin_takes_every_lane_once_in_as_many_turns(lanes: list[LaneLoad], turn: int) -> None:
    taken = []
    for number in range(turn, turn + len(lanes)):
        judged = RoundRobin().judge(Case({}, turn=number), lanes)
        assert sorted(judged.probabilities) == [0.0] * (len(lanes) - 1) + [1.0]
        taken.append(lanes[list(judged.probabilities).index(1)].key)
    assert sorted(taken) == sorted(each.key for each in lanes)
    in_order = [(first, second) for first, second in pairwise(taken) if second < first]
    assert len(in_order) <= 1  # from the last name back to the first


@CALM
@forall(LANES, TURNS)
def test_the_turn_goes_by_names_and_not_by_the_order_of_lanes(lanes: list[LaneLoad], turn: int) -> None:
    def chosen(lanes: list[LaneLoad]) -> str:
        return choose(RoundRobin(), 1, Case({}, turn=turn), lanes).lane.key

    assert chosen(lanes) == chosen(lanes[::-1])


def test_uniform_is_even_and_explores_nothing_since_nothing_is_best() -> None:
    lanes = [lane(name) for name in "abcd"]
    choice = choose(Uniform(), 1, CASE, lanes)
    assert choice.propensity == 0.25
    assert not choice.explored


# ------------------------------------------------------------------------------------------ by a table


def test_a_table_is_followed_and_lanes_that_are_not_in_it_get_nothing() -> None:
    table = {"docs/a": 3.0, "docs/b": 1.0, "ops/c": 50.0}
    assert Static(table).judge(CASE, [lane("a"), lane("b"), lane("c")]).probabilities == [0.75, 0.25, 0]


@pytest.mark.parametrize("table", [{}, {"ops/a": 1.0}, {"docs/a": 0.0, "docs/b": 0.0}])
def test_a_table_that_names_none_of_the_lanes_draws_evenly(table: dict[str, float]) -> None:
    assert Static(table).judge(CASE, [lane("a"), lane("b")]).probabilities == [0.5, 0.5]


def test_weights_as_small_as_numbers_get_keep_their_proportion() -> None:
    judged = Static({"docs/a": 5e-324, "docs/b": 5e-324}).judge(CASE, [lane("a"), lane("b")])
    assert judged.probabilities == [0.5, 0.5]


# ------------------------------------------------------------------------------------------ greedy


@CALM
@forall(st.lists(st.sampled_from([-1e9, -0.5, 0.0, 0.25, 1.0]), min_size=1, max_size=24), st.floats(0, 1))
def test_the_best_share_what_exploration_leaves(scores: list[float], epsilon: float) -> None:
    chances = greedy(scores, epsilon)
    assert math.fsum(chances) == pytest.approx(1)
    best = {chance for chance, score in zip(chances, scores, strict=True) if score == max(scores)}
    others = [chance for chance, score in zip(chances, scores, strict=True) if score < max(scores)]
    assert len(best) == 1
    assert all(chance == pytest.approx(epsilon / len(scores)) for chance in others)


# ------------------------------------------------------------------------------------------ as algorithms


@pytest.mark.parametrize(
    ("learner", "policy"),
    [
        (WEIGHTED_RANDOM, WeightedRandom()),
        (LEAST_LOADED, LeastLoaded()),
        (ROUND_ROBIN, RoundRobin()),
        (UNIFORM, Uniform()),
        (STATIC, Static({"docs/a": 2.0})),
    ],
)
def test_nothing_is_learned_and_another_algorithms_model_is_refused(learner: Learner, policy: Policy) -> None:
    params = Params(table={"docs/a": 2.0})
    fitted = learner.fit(History(Statistics(params, BASE), [], params, BASE))
    assert fitted.model == b""
    assert learner.summary.endswith(".")
    snapshot = PolicySnapshot(1, 1, "", "static", params, BASE, model=fitted.model)
    assert learner.policy(snapshot) == policy
    with pytest.raises(Unreadable):
        learner.policy(PolicySnapshot(1, 1, "", "static", params, BASE, model=b"\x00"))
