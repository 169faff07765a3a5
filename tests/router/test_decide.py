"""What becomes of a task when it is routed, canceled, retried, due or found after a crash."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import pytest

from cca.codec import read
from cca.contracts.task import (
    CancelTask,
    Failure,
    RateTask,
    Retry,
    RetryTask,
    SubmitTask,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskSubmitted,
)
from cca.contracts.work import DoTask, Due
from cca.errors import Refused
from cca.message import Event
from cca.routing.policy import LaneLoad
from cca.testing.examples import ID, NOW, attempt_failed, routed, started, submitted
from cca.testing.given import When, given
from cca_router import decide
from cca_router.facts import Facts
from cca_router.state import TASK, Task

A, B = LaneLoad("docs", "a", capacity=4), LaneLoad("docs", "b", capacity=4)
ASKED = SubmitTask("say hello", role="docs")
HELD = TaskHeld(ID, "no live worker for role docs")


def facts(*lanes: LaneLoad, now: datetime = NOW) -> Facts:
    return Facts(now, lambda role: [lane for lane in lanes if role in (lane.role, "auto")])


def submit(command: SubmitTask, *lanes: LaneLoad, history: Sequence[Event] = ()) -> When[Task]:
    return given(TASK, *history).when(partial(decide.submit, command, ID, facts(*lanes)))


def route(*lanes: LaneLoad, history: Sequence[Event]) -> When[Task]:
    return given(TASK, *history).when(partial(decide.route, facts(*lanes)))


def work_of(when: When[Task]) -> DoTask:
    (side,) = when.sides
    assert side.type == "cca.task.work.v1"
    work = read(side.body, DoTask)
    assert side.subject == f"cca.work.{work.role}.{work.lane}.{work.priority}"
    assert side.dedup.startswith(f"{work.task}.{work.route}.")
    return work


# ------------------------------------------------------------------------------------------ route


def test_a_task_that_is_held_for_the_same_reason_stays_as_it_is() -> None:
    route(history=[submitted(), HELD]).then()


def test_a_task_that_is_held_is_routed_when_an_agent_joins() -> None:
    when = route(B, history=[submitted(), HELD]).then_kinds(TaskRouted)
    assert work_of(when).lane == "b"
    assert when.state.held is None


def test_only_the_lane_that_was_asked_for_is_chosen_and_the_others_are_recorded() -> None:
    when = submit(SubmitTask("say hello", role="docs", lane="b"), A, B)
    event = when.events[1]
    assert isinstance(event, TaskRouted)
    assert (event.lane, event.propensity) == ("b", 1.0)
    assert [(one.lane, one.probability, one.masked) for one in event.candidates] == [
        ("b", 1.0, None),
        ("a", 0.0, "only lane b was asked for"),
    ]


def test_a_queued_task_leaves_a_lane_without_workers_for_another() -> None:
    when = route(B, history=[submitted(), routed("a")]).then_kinds(TaskRouted)
    work = work_of(when)
    assert (work.route, work.lane) == (2, "b")


def test_a_queued_task_stays_where_workers_live_and_when_none_live_anywhere() -> None:
    route(A, B, history=[submitted(), routed("a")]).then()
    route(history=[submitted(), routed("a")]).then()
    route(B, history=[submitted(lane="a"), routed("a")]).then()


def test_a_task_that_runs_waits_or_is_over_is_not_routed() -> None:
    route(B, history=[submitted(), routed(), started()]).then()
    route(B, history=[submitted(), routed(), started(), attempt_failed(1, NOW)]).then()
    route(B, history=[submitted(), routed(), started(), TaskCompleted(ID, 1, "w1")]).then()
    route(B, history=[TaskRejected(ID, "unreadable", "x")]).then()
    route(B, history=[]).then()


def test_a_routing_decision_that_is_made_again_draws_the_same_lane() -> None:
    lanes = [LaneLoad("docs", name, capacity=4) for name in "abcdefgh"]
    first, second = (submit(ASKED, *lanes) for _ in range(2))
    assert first.events == second.events
    assert first.sides == second.sides


def test_for_the_role_auto_the_router_chooses_among_all_lanes_that_live() -> None:
    other = LaneLoad("backend", "a", capacity=400)
    when = submit(SubmitTask("say hello", role="auto"), A, other).then_kinds(TaskSubmitted, TaskRouted)
    event = when.events[1]
    assert isinstance(event, TaskRouted)
    assert {one.role for one in event.candidates} == {"docs", "backend"}
    assert when.state.role == event.role == work_of(when).role
    assert when.state.spec is not None
    assert when.state.spec.role == "auto"


def test_a_task_for_any_role_is_held_when_nobody_lives_and_moves_when_its_role_dies() -> None:
    auto = submitted(role="auto")
    held = submit(SubmitTask("say hello", role="auto")).then_kinds(TaskSubmitted, TaskHeld)
    assert held.state.held == "no live worker for any role"
    when = route(LaneLoad("backend", "a", 1), history=[auto, routed("a", role="docs")]).then_kinds(TaskRouted)
    assert when.state.role == "backend"


# ------------------------------------------------------------------------------------------ cancel


def cancel(*history: Event) -> When[Task]:
    return given(TASK, *history).when(partial(decide.cancel, CancelTask(ID, "no need", "ann")))


def test_a_queued_task_is_canceled_and_a_running_one_names_its_worker() -> None:
    cancel(submitted(), HELD).then(TaskCanceled(ID, "no need", "ann", None))
    cancel(submitted(), routed()).then(TaskCanceled(ID, "no need", "ann", None))
    cancel(submitted(), routed(), started()).then(TaskCanceled(ID, "no need", "ann", "w1"))
    cancel(submitted(), routed(), started(), attempt_failed(1, NOW)).then(TaskCanceled(ID, "no need", "ann", None))


def test_what_is_over_is_not_canceled_and_what_is_unknown_is_not_found() -> None:
    cancel(submitted(), routed(), started(), TaskCompleted(ID, 1, "w1")).then()
    cancel(TaskRejected(ID, "unreadable", "x")).then()
    cancel().refused("not-found")


# ------------------------------------------------------------------------------------------ retry


def retry(*history: Event) -> When[Task]:
    return given(TASK, *history).when(partial(decide.retry, RetryTask(ID, "again", "ann"), facts(A)))


def test_a_failed_or_canceled_task_starts_again_with_fresh_attempts() -> None:
    spec = submitted(max_attempts=2)
    dead = TaskFailed(ID, 2, "w1", Failure("error", "no"))
    when = retry(spec, routed(), started(), started(2), dead).then_kinds(TaskRetried, TaskRouted)
    assert when.events[0] == TaskRetried(ID, 2, "again", "ann")
    assert (when.state.attempt, when.state.budget, when.state.failure) == (2, 4, None)
    retry(spec, routed(), TaskCanceled(ID)).then_kinds(TaskRetried, TaskRouted)
    retry(spec, routed(), TaskRejected(ID, "unknown-role", "x")).then_kinds(TaskRetried, TaskRouted)


def test_what_is_completed_or_was_never_read_cannot_be_retried() -> None:
    retry(submitted(), routed(), started(), TaskCompleted(ID, 1, "w1")).refused("already-over")
    retry(TaskRejected(ID, "unreadable", "x")).refused("not-retryable")
    retry().refused("not-found")


def test_what_is_queued_or_runs_needs_no_retry() -> None:
    retry(submitted(), routed()).then()
    retry(submitted(), routed(), started()).then()
    retry(submitted(), routed(), started(), attempt_failed(1, NOW)).then()


def test_work_after_a_retry_is_no_duplicate_of_work_before_it() -> None:
    first = submit(ASKED, A)
    again = retry(submitted(), TaskCanceled(ID))  # the route never reached the log, but its work did
    assert work_of(first).route == work_of(again).route == 1
    assert first.sides[0].dedup != again.sides[0].dedup


def test_a_retry_knows_the_lanes_that_have_failed_the_task() -> None:
    no = Failure("error", "no")
    history = (submitted(), routed("a"), started(), attempt_failed(1), routed("b", 2), started(2, 2))
    when = retry(*history, TaskFailed(ID, 2, "w1", no))
    assert when.state.failed == ("docs/a",)  # both attempts were started in lane a
    story: list[Event] = [submitted(max_attempts=99)]
    for number in range(1, 12):
        story += [routed(f"l{number}", number), TaskAttemptFailed(ID, number, "w1", no)]
    story += [routed("l5", 12), TaskAttemptFailed(ID, 12, "w1", no)]
    assert TASK.over(Task(), story).failed == tuple(f"docs/l{n}" for n in (4, 6, 7, 8, 9, 10, 11, 5))
    fault = TaskFailed(ID, 1, "w1", Failure("rejected", "not for me"))
    assert TASK.over(Task(), [submitted(), routed("a"), started(), fault]).failed == ()


# ------------------------------------------------------------------------------------------ rate

DONE = (submitted(), routed(), started(), TaskCompleted(ID, 1, "w1"))
RATED = TaskRated(ID, 1, 0.8, "good", "ann")


def rate(*history: Event, quality: float = 0.8, comment: str = "good") -> When[Task]:
    return given(TASK, *history).when(partial(decide.rate, RateTask(ID, quality, comment, "ann")))


def test_an_outcome_is_rated_and_the_last_rating_counts() -> None:
    when = rate(*DONE).then(RATED)
    assert (when.state.state, when.state.rated) == ("completed", RATED)
    rate(*DONE, RATED).then()
    rate(*DONE, RATED, quality=0.2).then(TaskRated(ID, 1, 0.2, "good", "ann"))
    rate(*DONE, RATED, TaskRated(ID, 1, 0.2)).then(RATED)
    rate(*DONE, comment="a\x00b").then(TaskRated(ID, 1, 0.8, "a\ufffdb", "ann"))
    rate(submitted(), routed(), started(), TaskFailed(ID, 1, "w1", Failure("error", "no"))).then(RATED)


def test_a_rating_is_about_the_decision_that_led_to_the_outcome() -> None:
    again = (submitted(), routed(), started(), attempt_failed(1), routed(route=2), started(2, 2))
    rate(*again, TaskCompleted(ID, 2, "w1")).then(TaskRated(ID, 2, 0.8, "good", "ann"))


def test_what_has_no_outcome_cannot_be_rated() -> None:
    rate().refused("not-found")
    for history in (DONE[:1], DONE[:2], DONE[:3], (*DONE[:2], TaskCanceled(ID)), (TaskRejected(ID, "x", "y"),)):
        rate(*history).refused("not-over")


def test_a_task_that_starts_again_has_no_rating() -> None:
    failed = (*DONE[:3], TaskFailed(ID, 1, "w1", Failure("error", "no")), RATED)
    assert retry(*failed).then_kinds(TaskRetried, TaskRouted).state.rated is None


# ------------------------------------------------------------------------------------------ due


def due(command: Due, *history: Event) -> When[Task]:
    return given(TASK, *history).when(partial(decide.due, command, facts(A)))


def test_a_retry_that_is_due_is_routed_again() -> None:
    waiting = (submitted(), routed(), started(), attempt_failed(1, NOW))
    when = due(Due(ID, "retry", 1), *waiting).then_kinds(TaskRouted)
    assert work_of(when).route == 2
    assert when.state.retry_at is None


def test_a_retry_that_is_due_while_nobody_lives_waits_for_somebody() -> None:
    waiting = (submitted(), routed(), started(), attempt_failed(1, NOW))
    when = given(TASK, *waiting).when(partial(decide.due, Due(ID, "retry", 1), facts())).then(HELD)
    assert (when.state.retry_at, when.state.held) == (None, HELD.reason)


def test_timers_of_what_is_past_do_nothing() -> None:
    working = (submitted(), routed(), started(), attempt_failed(1, NOW), routed(route=2), started(2, 2))
    for history in (working, working[:4], working[:5], working[:2], (*working, TaskCanceled(ID)), ()):
        due(Due(ID, "timeout", 1), *history).then()
        due(Due(ID, "retry", 2), *history).then()
    due(Due(ID, "retry", 1), *working).then()
    due(Due(ID, "retry", 1), submitted(), routed(), started(), TaskCanceled(ID)).then()


def test_an_attempt_whose_worker_hangs_fails_by_timeout() -> None:
    history = (submitted(timeout_s=2.0, retry=Retry(initial_s=0.0)), routed(), started())
    when = due(Due(ID, "timeout", 1), *history).then_kinds(TaskAttemptFailed, TaskRouted)
    assert when.events[0] == TaskAttemptFailed(ID, 1, "w1", Failure("timeout", "no report within 2 s"))


# ------------------------------------------------------------------------------------------ repair


def repair(*history: Event, now: datetime = NOW) -> When[Task]:
    return given(TASK, *history).when(partial(decide.repair, facts(A, now=now)))


def test_what_a_crash_cut_short_is_routed() -> None:
    repair(submitted()).then_kinds(TaskRouted)
    repair(submitted(), routed(), started(), attempt_failed(1)).then_kinds(TaskRouted)
    repair(submitted(), TaskCanceled(ID), TaskRetried(ID, 3)).then_kinds(TaskRouted)


def test_what_is_whole_needs_no_repair() -> None:
    repair(submitted(), HELD).then()
    repair(submitted(), routed()).then()
    repair(submitted(), routed(), started()).then()
    repair(submitted(), routed(), started(), attempt_failed(1, NOW)).then()
    repair(submitted(), TaskCanceled(ID)).then()
    repair().then()


def test_a_retry_whose_timer_was_lost_is_routed_when_it_is_long_overdue() -> None:
    waiting = (submitted(), routed(), started(), attempt_failed(1, NOW))
    repair(*waiting, now=NOW + timedelta(seconds=29)).then()
    repair(*waiting, now=NOW + timedelta(seconds=31)).then_kinds(TaskRouted)


def test_refusals_say_what_is_wrong_in_a_sentence() -> None:
    with pytest.raises(Refused, match=f"there is no task {ID}"):
        decide.cancel(CancelTask(ID), Task())
