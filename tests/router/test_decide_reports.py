"""Whose reports count, and what follows from a failure."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from cca.codec import read
from cca.contracts.agent import Completion, Misfortune, Progress, Receipt
from cca.contracts.task import (
    Failure,
    Retry,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRetried,
    TaskRouted,
    Usage,
)
from cca.contracts.work import Due
from cca.message import Event
from cca.routing.policy import LaneLoad
from cca.testing.examples import ID, NO, NOW, routed, started, submitted
from cca.testing.given import When, given
from cca_router import claims
from cca_router.facts import Facts
from cca_router.state import TASK, Task

HERE = LaneLoad("docs", "a", capacity=4)
LOST = Failure("lost", "the worker stopped renewing its lease")
OK = Receipt(ID, ok=True)

QUEUED: Sequence[Event] = (submitted(), routed())
WORKING: Sequence[Event] = (*QUEUED, started())
WAITING: Sequence[Event] = (*WORKING, TaskAttemptFailed(ID, 1, "w1", NO, NOW + timedelta(seconds=1)))
DONE: Sequence[Event] = (*WORKING, TaskCompleted(ID, 1, "w1", "r"))
CANCELED: Sequence[Event] = (*WORKING, TaskCanceled(ID, agent="w1"))
AGAIN: Sequence[Event] = (*WAITING, routed(route=2), started(2, 2, agent="w2"))


def facts(*lanes: LaneLoad) -> Facts:
    return Facts(NOW, lambda _: lanes)


# ------------------------------------------------------------------------------------------ complete


def complete(
    history: Sequence[Event], attempt: int = 1, agent: str = "w1", result: Any = "r", usage: Usage | None = None
) -> When[Task]:
    item = Completion(ID, attempt, result, usage, 0.5)
    return given(TASK, *history).when(partial(claims.complete, item, agent))


def test_the_owner_completes_its_task() -> None:
    usage = Usage(input_tokens=3)
    when = complete(WORKING, usage=usage).then(TaskCompleted(ID, 1, "w1", "r", usage, 0.5)).answering(OK)
    assert (when.state.state, when.state.result, when.state.usage) == ("completed", "r", usage)


def test_a_completion_that_is_said_twice_is_heard_once() -> None:
    complete(DONE).then().answering(OK)
    complete(DONE, result="something else").then().answering(OK)


def test_late_reports_of_losers_are_refused() -> None:
    stale, over, unknown = (Receipt(ID, ok=False, why=why) for why in ("stale", "over", "unknown"))
    complete(WORKING, agent="w2").then().answering(stale)
    complete(WORKING, attempt=2).then().answering(stale)
    complete(AGAIN).then().answering(stale)
    complete(WAITING).then().answering(stale)
    complete(QUEUED).then().answering(stale)
    complete(DONE, agent="w2").then().answering(over)
    complete(CANCELED).then().answering(over)
    complete(()).then().answering(unknown)


def test_a_nul_in_a_result_does_not_lose_the_result() -> None:
    when = complete(WORKING, result={"out\x00": ["a\x00b", 1, None]})
    when.then(TaskCompleted(ID, 1, "w1", {"out�": ["a�b", 1, None]}, None, 0.5))


def test_a_result_that_nobody_could_read_back_fails_the_task_with_a_reason() -> None:
    deep: Any = 1
    for _ in range(65):
        deep = [deep]
    when = complete(WORKING, result=deep).then_kinds(TaskFailed).answering(OK)
    assert when.state.failure == Failure("error", "the result is nested more than 64 levels deep", retryable=False)
    complete(WORKING, result=deep[0]).then_kinds(TaskCompleted)


# ------------------------------------------------------------------------------------------ fail


def fail(
    history: Sequence[Event], failure: Failure = NO, attempt: int = 1, agent: str = "w1", alive: bool = True
) -> When[Task]:
    item = Misfortune(ID, attempt, failure, 0.5)
    seen = facts(HERE) if alive else facts()
    return given(TASK, *history).when(partial(claims.fail, item, agent, seen))


def test_what_a_failed_attempt_used_is_kept() -> None:
    usage = Usage(input_tokens=3, cost_usd=0.5)
    for history, kind in ((WORKING, TaskAttemptFailed), ((submitted(max_attempts=1), *WORKING[1:]), TaskFailed)):
        item = Misfortune(ID, 1, NO, 0.5, usage)
        event = given(TASK, *history).when(partial(claims.fail, item, "w1", facts(HERE))).then_kinds(kind).events[0]
        assert isinstance(event, TaskAttemptFailed | TaskFailed)
        assert event.usage == usage


def test_a_failed_attempt_is_tried_again_after_a_while_by_a_timer_in_the_log() -> None:
    when = fail(WORKING).then_kinds(TaskAttemptFailed).answering(OK)
    event, (side,) = when.events[0], when.sides
    assert isinstance(event, TaskAttemptFailed)
    assert event.retry_at is not None
    assert NOW < event.retry_at <= NOW + timedelta(seconds=1)
    assert side.at == event.retry_at
    assert (side.subject, side.target) == (f"cca.timer.task.{ID}.retry", f"cca.due.task.{ID}.retry")
    assert (side.type, side.dedup) == ("cca.task.due.v1", f"{ID}.retry.1")
    assert read(side.body, Due) == Due(ID, "retry", 1)


def test_the_wait_is_drawn_from_the_task_and_the_attempt_alone() -> None:
    assert fail(WORKING).events == fail(WORKING).events


def test_without_a_wait_the_task_is_routed_again_at_once_or_held() -> None:
    history = (submitted(retry=Retry(initial_s=0.0)), routed(), started())
    fail(history).then_kinds(TaskAttemptFailed, TaskRouted)
    fail(history, alive=False).then_kinds(TaskAttemptFailed, TaskHeld)


@pytest.mark.parametrize(("factor", "attempt"), [(2.0, 3), (10.0, 1_000), (1.0, 7)])
def test_the_wait_grows_and_never_exceeds_its_limit(factor: float, attempt: int) -> None:
    spec = submitted(max_attempts=10_000, retry=Retry(initial_s=1.0, factor=factor, max_s=60.0))
    event = fail((spec, routed(), started(attempt)), attempt=attempt).events[0]
    assert isinstance(event, TaskAttemptFailed)
    longest = min(60.0, factor ** min(attempt - 1, 300))
    assert event.retry_at is None or event.retry_at <= NOW + timedelta(seconds=longest)


def test_a_provider_that_names_a_time_is_not_asked_before_it() -> None:
    event = fail(WORKING, Failure("rate-limited", "slow down", retry_after_s=30.0)).events[0]
    assert isinstance(event, TaskAttemptFailed)
    assert event.retry_at == NOW + timedelta(seconds=30)


def test_a_failure_that_another_attempt_cannot_help_is_final() -> None:
    for hopeless in (Failure("error", "bad input", retryable=False), Failure("rejected", "not for me")):
        fail(WORKING, hopeless).then(TaskFailed(ID, 1, "w1", hopeless, 0.5)).with_sides().answering(OK)


def test_the_last_attempt_that_fails_fails_the_task() -> None:
    history = (submitted(max_attempts=1), routed(), started())
    fail(history).then(TaskFailed(ID, 1, "w1", NO, 0.5))


def test_a_retry_by_hand_gives_attempts_back() -> None:
    dead = TaskFailed(ID, 1, "w1", NO)
    again = (submitted(max_attempts=1), routed(), started(), dead, TaskRetried(ID, 2), routed(route=2))
    fail((*again, started(2, 2)), attempt=2).then_kinds(TaskAttemptFailed)
    fail((*again, started(3, 2)), attempt=3).then_kinds(TaskFailed)


def test_a_failure_that_is_said_twice_is_heard_once() -> None:
    fail(WAITING).then().answering(OK)
    fail((*WAITING, routed(route=2))).then().answering(OK)
    fail((*WORKING, TaskFailed(ID, 1, "w1", NO))).then().answering(OK)


def test_a_repeated_failure_finishes_what_was_cut_short() -> None:
    fail((*WORKING, TaskAttemptFailed(ID, 1, "w1", NO))).then_kinds(TaskRouted).answering(OK)


def test_failures_that_are_not_the_owners_change_nothing() -> None:
    stale, over = Receipt(ID, ok=False, why="stale"), Receipt(ID, ok=False, why="over")
    fail(WORKING, agent="w2").then().answering(stale)
    fail(AGAIN).then().answering(stale)
    fail(WAITING, Failure("error", "another")).then().answering(stale)
    fail(DONE).then().answering(over)
    fail(CANCELED).then().answering(over)
    fail(()).then().answering(Receipt(ID, ok=False, why="unknown"))


def test_a_nul_in_standard_error_does_not_lose_the_failure() -> None:
    failure = Failure("error", "exit\x00", retryable=False, detail="\x00core")
    when = fail(WORKING, failure).then_kinds(TaskFailed)
    assert when.state.failure == Failure("error", "exit�", retryable=False, detail="�core")


# ------------------------------------------------------------------------------------------ progress, lost


def test_progress_of_the_owner_is_recorded_and_of_others_refused() -> None:
    say = Progress(ID, 1, "half\x00way", 0.5)
    when = given(TASK, *WORKING).when(partial(claims.progress, say, "w1"))
    when.then(TaskProgressed(ID, 1, "half�way", 0.5)).answering(OK)
    assert when.state.progress == "half�way"
    other = given(TASK, *WORKING).when(partial(claims.progress, say, "w2"))
    other.then().answering(Receipt(ID, ok=False, why="stale"))
    late = given(TASK, *DONE).when(partial(claims.progress, say, "w1"))
    late.then().answering(Receipt(ID, ok=False, why="over"))


def test_what_a_vanished_worker_was_running_is_routed_again_or_held_at_once() -> None:
    gone = Failure("lost", "silent for 10 s")
    lost = given(TASK, *WORKING).when(partial(claims.lose, "w1", "silent for 10 s", facts(HERE)))
    lost.then_kinds(TaskAttemptFailed, TaskRouted)
    assert lost.events[0] == TaskAttemptFailed(ID, 1, "w1", gone)
    alone = given(TASK, *WORKING).when(partial(claims.lose, "w1", "silent for 10 s", facts()))
    alone.then_kinds(TaskAttemptFailed, TaskHeld)
    last = given(TASK, submitted(max_attempts=1), routed(), started())
    last.when(partial(claims.lose, "w1", "silent for 10 s", facts())).then(TaskFailed(ID, 1, "w1", gone))


def test_what_a_vanished_worker_was_not_running_is_left_alone() -> None:
    for history in (QUEUED, WAITING, DONE, AGAIN, ()):
        given(TASK, *history).when(partial(claims.lose, "w1", "silent", facts(HERE))).then()
