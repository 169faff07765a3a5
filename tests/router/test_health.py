"""The breaker's memory: lanes that fail too often rest, one task tries them, and a success makes them well."""

from datetime import datetime, timedelta

from cca.contracts.policy import Params
from cca.contracts.task import Failure, TaskAttemptFailed, TaskCanceled, TaskCompleted, TaskFailed
from cca.message import Event
from cca.testing.examples import ID, NOW, routed, started, submitted
from cca_router import health
from cca_router.facts import LaneHealth
from cca_router.health import Health
from cca_router.state import TASK, Task

PARAMS = Params(breaker_failures=3, breaker_s=30.0)
WORKING = TASK.over(Task(), [submitted(), routed(), started()])
LANE = "docs/a"
FAILURES = [Failure("error", "no"), Failure("timeout", "no"), Failure("lost", "no"), Failure("rate-limited", "no")]


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Lane:
    """What happens in one lane, and what is known of it then."""

    def __init__(self) -> None:
        self.health = Health()

    def ends(self, event: Event, seconds: float = 0.0, task: str = ID) -> "Lane":
        self.health.moved(task, WORKING, TASK.evolve(WORKING, event), at(seconds), PARAMS)
        return self

    def fails(self, times: int = 1, seconds: float = 0.0, failure: Failure = FAILURES[0], task: str = ID) -> "Lane":
        for _ in range(times):
            self.ends(TaskFailed(ID, 1, "w1", failure), seconds, task)
        return self

    def tried(self, task: str, seconds: float) -> "Lane":
        self.health.routed(task, LANE, at(seconds))
        return self

    @property
    def known(self) -> LaneHealth:
        return self.health.lanes.get(LANE, LaneHealth())


def test_failures_in_a_row_of_whatever_sort_let_a_lane_rest() -> None:
    lane = Lane()
    for number, failure in enumerate(FAILURES[:3]):
        assert lane.known.rests_until is None
        lane.fails(1, number, failure)
    assert lane.known == LaneHealth(3, rests_until=at(2 + 30))
    assert Lane().fails(3, failure=FAILURES[3]).known.rests_until == at(30)


def test_a_success_in_between_starts_the_count_again() -> None:
    lane = Lane().fails(2).ends(TaskCompleted(ID, 1, "w1")).fails(2)
    assert lane.known == LaneHealth(2)
    assert Lane().fails(3).ends(TaskCompleted(ID, 1, "w1")).health.lanes == {}


def test_a_task_that_is_at_fault_itself_says_nothing_of_the_lane() -> None:
    assert Lane().fails(9, failure=Failure("rejected", "not for me")).health.lanes == {}


def test_what_was_begun_before_a_rest_does_not_make_it_longer() -> None:
    assert Lane().fails(3).fails(5, seconds=20).known == LaneHealth(8, rests_until=at(30))


def test_one_task_tries_a_lane_after_its_rest() -> None:
    lane = Lane().fails(3)
    assert lane.tried("t1", 29).known.trying is None
    assert lane.tried("t1", 30).tried("t2", 31).known.trying == "t1"
    assert lane.ends(TaskCompleted(ID, 1, "w1"), 40, "t1").health.lanes == {}


def test_a_trial_that_fails_lets_the_lane_rest_again() -> None:
    lane = Lane().fails(3).tried("t1", 30).fails(1, 40, task="t1")
    assert lane.known == LaneHealth(4, rests_until=at(70))


def test_a_trial_that_says_nothing_of_the_lane_makes_place_for_another() -> None:
    for event in (TaskCanceled(ID), TaskFailed(ID, 1, "w1", Failure("rejected", "not for me"))):
        assert Lane().fails(3).tried("t1", 30).ends(event, 40, "t1").tried("t2", 41).known.trying == "t2"
    lane = Lane().fails(3).tried("t1", 30)
    lane.health.given_up("t2", LANE, at(30))
    assert lane.known.trying == "t1"
    lane.health.given_up("t1", LANE, at(30))
    assert lane.known.trying is None


def test_a_provider_that_names_a_time_is_left_alone_until_then() -> None:
    def slow(seconds: float) -> Failure:
        return Failure("rate-limited", "slow down", retry_after_s=seconds)

    lane = Lane().fails(9, 0, slow(60)).fails(1, 1, slow(5))
    assert lane.known == LaneHealth(limited_until=at(60))
    assert lane.ends(TaskCompleted(ID, 1, "w1"), 2).known == LaneHealth(limited_until=at(60))
    assert lane.fails(1, 61).known == LaneHealth(1)


def test_a_failure_counts_where_it_happened_even_if_the_task_has_gone_on() -> None:
    lane = Lane()
    after = TASK.over(WORKING, [TaskAttemptFailed(ID, 1, "w1", FAILURES[0]), routed("b", 2)])
    lane.health.moved(ID, WORKING, after, NOW, PARAMS)
    assert lane.health.lanes == {LANE: LaneHealth(1)}
    lane.health.moved(ID, Task(), after, NOW, PARAMS)  # read from the log at start: it is long past
    assert lane.health.lanes == {LANE: LaneHealth(1)}


def test_what_was_handed_out_stays_as_it_was() -> None:
    lane = Lane().fails(1)
    seen = lane.health.lanes
    lane.fails(1)
    assert seen == {LANE: LaneHealth(1)}


def test_only_so_many_ailing_lanes_are_remembered() -> None:
    memory = Health()
    for number in range(health.KNOWN_LANES + 5):
        before = TASK.over(Task(), [submitted(), routed(f"l{number}")])
        memory.moved(ID, before, TASK.evolve(before, TaskFailed(ID, 1, "w1", FAILURES[0])), NOW, PARAMS)
    assert len(memory.lanes) == health.KNOWN_LANES
    assert "docs/l0" not in memory.lanes
