"""How a lane is drawn from probabilities, so that the draw can be made again from the log."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca import codec
from cca.contracts.task import TaskRouted
from cca.routing.policy import Case, LaneLoad, choose, draw, seed_of, unit
from cca.routing.simple import WeightedRandom

CALM = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 2**63 - 1)
CASE = Case({})
LANES = st.lists(
    st.builds(
        LaneLoad,
        st.just("docs"),
        st.sampled_from("abcdefghij"),
        capacity=st.integers(0, 10_000),
        running=st.integers(0, 20_000),
        queued=st.integers(0, 1_000_000),
        agents=st.integers(1, 100),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda lane: lane.lane,
)


@CALM
@forall(LANES, LANES, SEEDS)
def test_a_recorded_choice_can_be_made_again_from_the_log(
    lanes: list[LaneLoad], others: list[LaneLoad], seed: int
) -> None:
    choice = choose(WeightedRandom(), seed, CASE, lanes, [(lane, "not asked for") for lane in others])
    event = TaskRouted(
        "t", 1, "docs", choice.lane.lane, choice.policy, choice.propensity, choice.seed, choice.candidates
    )
    stored = codec.decode("cca.task.routed.v1", codec.encode(event))
    assert stored == event
    assert isinstance(stored, TaskRouted)
    again = stored.candidates[draw([one.probability for one in stored.candidates], stored.seed)]
    assert again.lane == stored.lane
    assert again.masked is None
    assert again.probability == stored.propensity


@CALM
@forall(LANES, SEEDS)
def test_probabilities_sum_to_one_and_no_lane_is_ever_forgotten(lanes: list[LaneLoad], seed: int) -> None:
    choice = choose(WeightedRandom(), seed, CASE, lanes)
    assert sum(one.probability for one in choice.candidates) == pytest.approx(1, abs=1e-7)
    assert choice.propensity > 0
    assert all(one.probability > 0 for one in choice.candidates)


@CALM
@forall(LANES, LANES, SEEDS)
def test_every_candidate_is_recorded_with_what_was_known_of_it(
    lanes: list[LaneLoad], others: list[LaneLoad], seed: int
) -> None:
    choice = choose(WeightedRandom(), seed, CASE, lanes, [(lane, "why") for lane in others])
    assert [one.lane for one in choice.candidates] == [lane.lane for lane in [*lanes, *others]]
    assert [one.features for one in choice.candidates] == [lane.features() for lane in [*lanes, *others]]
    assert [one.masked for one in choice.candidates] == [None] * len(lanes) + ["why"] * len(others)
    assert all(one.probability == 0 for one in choice.candidates if one.masked)


def test_a_lane_counts_by_its_free_capacity() -> None:
    free = LaneLoad("docs", "free", capacity=10)
    half = LaneLoad("docs", "half", capacity=10, running=3, queued=2)
    full = LaneLoad("docs", "full", capacity=10, running=10, queued=90)
    judged = WeightedRandom().judge(CASE, [free, half, full])
    assert judged.scores == [10, 5, 0.5]
    assert judged.probabilities == pytest.approx([10 / 15.5, 5 / 15.5, 0.5 / 15.5])


def test_over_many_tasks_lanes_are_chosen_as_often_as_their_propensity_says() -> None:
    lanes = [LaneLoad("docs", "a", capacity=6), LaneLoad("docs", "b", capacity=3), LaneLoad("docs", "c", 1)]
    chosen = [choose(WeightedRandom(), seed_of("task", number), CASE, lanes).lane.lane for number in range(20_000)]
    for lane, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)):
        assert chosen.count(lane) / 20_000 == pytest.approx(share, abs=0.015)


def test_what_cannot_be_chosen_is_never_drawn_not_even_at_the_ends() -> None:
    for seed in (0, 1, 2**62, 2**63 - 1):
        assert draw([0.0, 1.0, 0.0], seed) == 1
        assert draw([0.0, 0.5, 0.5, 0.0], seed) in (1, 2)
    assert draw([1.0], 2**63 - 1) == 0


def test_what_is_recorded_is_rounded_and_what_was_drawn_from() -> None:
    lanes = [LaneLoad("docs", name, capacity=1) for name in "abc"]
    assert {one.probability for one in choose(WeightedRandom(), 1, CASE, lanes).candidates} == {0.333333333}
    assert draw([0.3, 0.3], int(0.45 * 2**63)) == 0  # shares of their sum, whatever it is


def test_seeds_follow_from_names_and_fit_into_63_bits() -> None:
    seeds = [seed_of("task", number) for number in range(1_000)]
    assert seeds == [seed_of("task", number) for number in range(1_000)]
    assert len(set(seeds)) == 1_000
    assert all(0 <= seed < 2**63 and 0 <= unit(seed) <= 1 for seed in seeds)


def test_roles_are_recorded_only_when_several_were_considered() -> None:
    docs, backend = LaneLoad("docs", "a", 1), LaneLoad("backend", "a", 1)
    assert [one.role for one in choose(WeightedRandom(), 1, CASE, [docs]).candidates] == [None]
    assert [one.role for one in choose(WeightedRandom(), 1, CASE, [docs, backend]).candidates] == ["docs", "backend"]
