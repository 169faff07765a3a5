"""The buffer of experiences: the newest by position, in whatever order they came, drawn from without copying."""

import math
import random
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.contracts.policy import Params
from cca.routing.algorithm import History
from cca.routing.buffer import Experience, Replay, aged, experiences, places
from cca.routing.features import BASE
from cca.routing.statistics import Statistics
from cca.routing.steps import Ending, Step

CALM = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def step(position: int, task: str = "t", route: int = 1, ending: Ending | None = "completed") -> Step:
    return Step(task, route, position, float(position), "docs/a", {}, 0, (), 1.0, "uniform/1", ending=ending)


def experience(position: int, reward: float = 0.5) -> Experience:
    return Experience(step(position), reward)


def positions(replay: Replay) -> list[int]:
    return [each.step.position for each in replay]


# ------------------------------------------------------------------------------------------ what is kept


@CALM
@forall(st.lists(st.integers(0, 200), max_size=120), st.integers(1, 60))
def test_the_newest_are_kept_in_whatever_order_they_came(numbers: list[int], size: int) -> None:
    replay = Replay(size)
    for position in numbers:
        replay.add(experience(position))
        assert len(replay) <= size
    assert positions(replay) == sorted(set(numbers))[-size:]
    assert [replay[place].step.position for place in range(len(replay))] == positions(replay)
    assert len(replay) == 0 or replay[-1].step.position == max(numbers)


@CALM
@forall(st.integers(1, 300), st.integers(0, 1_500))
def test_what_is_dropped_takes_no_room(size: int, count: int) -> None:
    replay = Replay(size)
    for position in range(count):
        replay.add(experience(position))
    assert positions(replay) == list(range(max(0, count - size), count))
    assert len(replay._kept) <= size + size // 16 + 1


def test_a_corrected_outcome_replaces_the_old_one() -> None:
    replay = Replay(3)
    for position in (1, 2, 3):
        replay.add(experience(position, 0.1))
    replay.add(experience(2, 0.9))
    assert [each.reward for each in replay] == [0.1, 0.9, 0.1]


def test_what_is_older_than_all_that_a_full_buffer_keeps_does_not_come_in() -> None:
    replay = Replay(2)
    for position in (5, 6, 1):
        replay.add(experience(position))
    assert positions(replay) == [5, 6]
    with pytest.raises(IndexError):
        replay[2]
    assert [each.step.position for each in replay[0:1]] == [5]


def test_a_buffer_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Replay(0)


# ------------------------------------------------------------------------------------------ what is drawn


@CALM
@forall(st.integers(0, 500), st.integers(0, 64), st.integers(0, 2**32))
def test_as_many_different_ones_are_drawn_as_there_are(length: int, count: int, seed: int) -> None:
    drawn = places(length, count, np.random.default_rng(seed))
    assert len(drawn) == len(set(drawn)) == min(length, count)
    assert all(0 <= place < length for place in drawn)
    assert drawn == places(length, count, np.random.default_rng(seed))


def test_each_is_drawn_as_often_as_every_other() -> None:
    rng = np.random.default_rng(7)
    drawn = Counter(place for _ in range(4_000) for place in places(20, 5, rng))
    # 1,000 each, and a deviation of about 27.
    assert all(abs(drawn[place] - 1_000) < 6 * math.sqrt(1_000 * 0.75) for place in range(20))


def test_the_same_content_and_seed_give_the_same_sample_in_whatever_order_it_came() -> None:
    one, other = Replay(500), Replay(500)
    mixed = list(range(2_000))
    random.Random(3).shuffle(mixed)
    for position in range(2_000):
        one.add(experience(position))
    for position in mixed:
        other.add(experience(position))
    drawn = one.sample(32, np.random.default_rng(1))
    assert drawn == other.sample(32, np.random.default_rng(1))
    assert drawn != one.sample(32, np.random.default_rng(2))
    assert len({aged(each) for each in drawn}) == 32


class Watched(Replay):
    """A buffer that counts what is read of it."""

    read = 0

    def __getitem__(self, place: int | slice) -> Experience | list[Experience]:  # type: ignore[override]  # both forms in one
        assert isinstance(place, int), "a slice copies"
        self.read += 1
        return super().__getitem__(place)


@pytest.mark.covers("PERF-001")
def test_a_sample_of_a_million_reads_and_keeps_no_more_than_its_own_size() -> None:
    replay = Watched(1_000_000)
    replay._kept = [experience(1)] * 1_000_000  # one a million times: it is not looked into
    rng = np.random.default_rng(1)
    replay.sample(32, rng)  # what is made once is made here
    replay.read = 0
    tracemalloc.start()
    try:
        drawn = replay.sample(32, rng)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(drawn) == replay.read == 32
    assert peak < 32 * 1_024  # a list of them all would be eight million bytes


# ------------------------------------------------------------------------------------------ out of a history


def history(steps: list[Step], params: Params | None = None) -> History:
    params = params or Params()
    return History(Statistics(params, BASE), steps, params, BASE)


def test_what_follows_a_failed_attempt_is_the_next_decision_about_the_task() -> None:
    first, other = step(1, "t", 1, "failed"), step(2, "u", 1, "completed")
    second, third = step(3, "t", 2, "timeout"), step(5, "t", 3, None)
    found = list(experiences(history([third, second, other, first])))
    assert [each.step for each in found] == [first, other, second]
    assert [each.after for each in found] == [second, None, third]
    assert all(0 <= each.reward <= 1 for each in found)


def test_nothing_follows_what_was_completed_even_when_the_task_was_run_again() -> None:
    (found,) = experiences(history([step(1, "t", 1, "completed"), step(2, "t", 2, None)]))
    assert found.after is None


def test_a_decision_that_says_nothing_about_its_lane_is_no_experience_but_can_follow_one() -> None:
    steps = [step(1, "t", 1, "lost"), step(2, "t", 2, "censored"), step(3, "t", 3, "completed")]
    found = list(experiences(history(steps)))
    assert [each.step.route for each in found] == [1, 3]
    assert found[0].after == steps[1]


@pytest.mark.parametrize(("most", "kept"), [(None, 100), (40, 40), (1_000, 100)])
def test_no_more_is_kept_than_is_configured(most: int | None, kept: int) -> None:
    steps = [step(position, f"t{position}") for position in range(300)]
    found = experiences(history(steps, Params(buffer_size=100)), most)
    assert positions(found) == list(range(300 - kept, 300))
