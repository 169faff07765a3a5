"""The test beds are what they claim to be: real where they say so, changing where they say so, fair to all."""

from importlib import metadata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.bench.rl import BEDS, drift, escalation, hindsight, prompts
from cca.bench.rl.world import World, ranks, reward_of

try:
    metadata.distribution(prompts.PACKAGE)
    MISSING = ""
except metadata.PackageNotFoundError:
    MISSING = "the extra `rl` is not installed"

needs_prompts = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def bed(name: str, seed: int = 3, tasks: int | None = 300) -> World:
    if name == "prompts" and MISSING:
        pytest.skip(MISSING)
    return BEDS[name](seed, tasks)


@pytest.mark.parametrize("name", BEDS)
def test_a_seed_lays_out_the_same_bed_again(name: str) -> None:
    one, other = bed(name), bed(name)
    assert one.lanes == other.lanes and one.jobs == other.jobs and one.begins == other.begins
    for field in ("solved", "cost_usd", "latency_s", "quality", "expected", "delays"):
        assert np.array_equal(getattr(one, field), getattr(other, field), equal_nan=True)


@pytest.mark.parametrize("name", BEDS)
def test_neither_place_nor_name_of_a_lane_tells_how_good_it_is(name: str) -> None:
    costs = [bed(name, seed).cost_usd.mean(0) for seed in range(8)]
    assert len({int(np.argmax(cost)) for cost in costs}) > 1
    names = [bed(name, seed).lanes for seed in range(8)]
    assert len(set(names)) > 1


@pytest.mark.parametrize("name", BEDS)
def test_everything_is_worth_something_between_0_and_1(name: str) -> None:
    world = bed(name)
    for task in range(0, len(world.jobs), 7):
        for lane in range(len(world.lanes)):
            assert 0 <= world.worth(task, (lane,)) <= 1


@pytest.mark.parametrize("name", BEDS)
def test_hindsight_knows_more_the_more_it_may_look_at(name: str) -> None:
    marks = hindsight.marks(bed(name, tasks=1_500))
    random, fixed, linear, oracle = (getattr(marks, mark).mean() for mark in ("random", "fixed", "linear", "oracle"))
    assert random < fixed <= linear <= oracle


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_ranks_keep_the_order_and_fill_the_range(values: list[float]) -> None:
    found = ranks(np.array(values))
    assert found.min() == 0 and (len(values) == 1 or found.max() == 1)
    assert all(
        found[one] < found[other]
        for one in range(len(values))
        for other in range(len(values))
        if values[one] < values[other]
    )


# ------------------------------------------------------------------------------------------- prompts


@needs_prompts
def test_all_prompts_of_the_package_are_there_with_three_models_each() -> None:
    found = prompts.prompts()
    assert len(found) == 3_609
    assert {tuple(one.arms) for one in found} == {tuple(found[0].arms)}
    assert len(found[0].arms) == 3
    assert {"gsm8k", "mmlu", "mbpp"} <= {one.source for one in found}


@needs_prompts
def test_the_declared_reward_of_an_answer_is_its_utility() -> None:
    world = bed("prompts")
    for task in range(50):
        for lane in range(3):
            outcome = world.outcome(task, lane, 0)
            assert reward_of(outcome, world.jobs[task].kind, world.params) == pytest.approx(world.expected[task, lane])


@given(st.floats(0, 1), st.floats(1e-9, 10), st.floats(1, 100))
def test_a_dearer_answer_is_never_worth_more(reward: float, cost: float, times: float) -> None:
    cheap, dear = prompts.utility(np.array([reward, reward]), np.array([cost, cost * times]))
    assert 0 <= dear <= cheap <= reward
    assert cheap - dear <= prompts.PRICE + 1e-9


def test_ten_micro_dollars_are_free_and_ten_cents_cost_the_whole_price() -> None:
    found = prompts.utility(np.ones(3), np.array([1e-5, 1e-3, 1e-1]))
    assert found.tolist() == pytest.approx([1.0, 1 - prompts.PRICE / 2, 1 - prompts.PRICE])


# ------------------------------------------------------------------------------------------- drift


def test_the_best_lane_gets_worse_after_a_third_and_the_one_after_it_dearer_after_two() -> None:
    world = drift.world(5)
    first, second, third = world.phases
    always = [lane for lane, begin in enumerate(world.begins) if begin == 0]
    before, between, after = (
        world.expected[rows].mean(0)[always]
        for rows in (slice(first, second), slice(second, third), slice(third, None))
    )
    best = int(np.argmax(before))
    assert between[best] < before[best] - 0.05
    then = int(np.argmax(between))
    assert after[then] < between[then]
    assert world.cost_usd[third:, always[then]].mean() > 3 * world.cost_usd[:third, always[then]].mean()


def test_a_strong_lane_is_added_after_two_thirds() -> None:
    world = drift.world(5)
    late = [lane for lane, begin in enumerate(world.begins) if begin]
    assert [world.begins[lane] for lane in late] == [4_000]
    assert late[0] not in world.open_at(3_999)
    assert late[0] in world.open_at(4_000)
    assert world.expected[4_000:, late[0]].mean() > np.median(world.expected[4_000:].mean(0))


def test_outcomes_earn_on_average_what_is_expected_of_them() -> None:
    world = drift.world(5)
    earned = [
        [reward_of(world.outcome(task, lane, 0), world.jobs[task].kind, world.params) for lane in range(8)]
        for task in range(0, 6_000, 3)
    ]
    assert np.abs(np.mean(earned, 0) - world.expected[::3].mean(0)).max() < 0.03


def test_drift_is_as_hard_as_in_the_study_that_chose_the_policy() -> None:
    found = [hindsight.marks(drift.world(seed, 900)) for seed in range(40)]
    for mark, then in (("random", 0.621), ("fixed", 0.737), ("oracle", 0.834)):
        assert np.mean([getattr(marks, mark).mean() for marks in found]) == pytest.approx(then, abs=0.04)


def test_outcomes_come_about_sixty_tasks_late_and_nothing_else_is_different() -> None:
    now, late = drift.world(5), drift.late(5)
    assert not now.delays.any()
    assert late.delays.mean() == pytest.approx(60, rel=0.05)
    assert np.array_equal(now.expected, late.expected)
    assert np.array_equal(now.solved, late.solved)


# ------------------------------------------------------------------------------------------- escalation


def test_the_strong_lane_is_the_best_single_attempt_and_the_cheap_one_the_best_beginning() -> None:
    world = escalation.world(1)
    cheap, _, strong, _ = np.argsort(world.cost_usd.mean(0))[[0, 1, 3, 2]]
    easy = [task for task, job in enumerate(world.jobs) if job.kind == "docs"]

    def mean(*plan: int) -> float:
        total = 0.0
        for task in easy:
            tried: tuple[int, ...] = ()
            for attempt, lane in enumerate(plan):
                tried = (*tried, int(lane))
                if world.solved[task, lane, attempt]:
                    break
            total += world.worth(task, tried)
        return total / len(easy)

    assert world.solved[easy][:, strong, 0].mean() > world.solved[easy][:, cheap, 0].mean() + 0.1
    assert mean(cheap, strong, strong) > mean(strong, strong, strong) + 0.02


def test_a_lane_that_has_failed_a_task_is_likely_to_fail_it_again() -> None:
    world = escalation.world(1)
    solved = world.solved[:, int(np.argmin(world.cost_usd.mean(0)))]
    again = solved[~solved[:, 0], 1].mean()
    assert again < solved[:, 1].mean() - 0.1


def test_several_attempts_are_worth_what_they_led_to_at_what_they_cost_together() -> None:
    world = escalation.world(1, 200)
    strong = int(np.argmax(world.cost_usd.mean(0)))
    task = next(task for task in range(200) if world.solved[task, strong].all())
    assert world.worth(task, (strong,)) > world.worth(task, (strong, strong)) > 0.5
