"""What people are told of a task."""

from datetime import UTC, datetime

import pytest

from cca.contracts.task import (
    Failure,
    TaskAccepted,
    TaskAttemptFailed,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRated,
    TaskRejected,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    TaskView,
    Usage,
)
from cca.errors import Refused
from cca.message import Event, Seq
from cca.routing.policy import LaneLoad
from cca_router.facts import Facts
from cca_router.state import TASK, Task
from cca_router.views import accepted, view

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ASKED = TaskSubmitted("t", "docs", "hello", "f", kind="review", requester="ann", labels={"a": "b"}, priority="high")
ROUTED = TaskRouted("t", 1, "docs", "a", "p/1", 1.0, 7, ())
STARTED = TaskStarted("t", 1, 1, "w1", "a", 10, 1)
NO = Failure("error", "no")


def seen(*events: Event, facts: Facts | None = None) -> TaskView:
    return view("t", TASK.over(Task(), events), Seq(9), facts)


def test_a_task_is_shown_with_what_was_asked_and_how_it_ended() -> None:
    usage = Usage(input_tokens=1)
    assert seen(ASKED, ROUTED, STARTED, TaskCompleted("t", 1, "w1", {"a": 1}, usage)) == TaskView(
        task="t",
        state="completed",
        role="docs",
        description="hello",
        priority="high",
        lane="a",
        kind="review",
        requester="ann",
        labels={"a": "b"},
        agent="w1",
        attempt=1,
        max_attempts=3,
        result={"a": 1},
        usage=usage,
        seq=9,
    )


def test_a_task_is_shown_with_the_last_word_on_its_quality() -> None:
    done = [ASKED, ROUTED, STARTED, TaskCompleted("t", 1, "w1")]
    assert seen(*done).quality is None
    assert seen(*done, TaskRated("t", 1, 0.5), TaskRated("t", 1, 0.0)).quality == 0.0


def test_a_failed_task_is_shown_with_what_its_last_attempt_used() -> None:
    usage = Usage(output_tokens=7)
    assert seen(ASKED, ROUTED, STARTED, TaskFailed("t", 1, "w1", NO, 0.5, usage)).usage == usage


def test_a_task_says_what_it_waits_for() -> None:
    held = "no live worker for role docs"
    assert seen(ASKED, TaskHeld("t", held)).waiting == held
    assert seen(ASKED, ROUTED).waiting == "queued in lane a"
    assert seen(ASKED, ROUTED, STARTED).waiting is None
    retrying = seen(ASKED, ROUTED, STARTED, TaskAttemptFailed("t", 1, "w1", NO, NOW))
    assert retrying.waiting == "retry at 2026-01-01T12:00:00.000+00:00"
    assert (retrying.retry_at, retrying.failure, retrying.agent) == (NOW, NO, None)
    assert seen(ASKED).waiting == "a lane"


def test_a_queued_task_says_that_its_lane_has_died() -> None:
    def alive(*lanes: LaneLoad) -> Facts:
        return Facts(NOW, lambda _: lanes)

    assert seen(ASKED, ROUTED, facts=alive(LaneLoad("docs", "a", 1))).waiting == "queued in lane a"
    dead = seen(ASKED, ROUTED, facts=alive(LaneLoad("docs", "b", 1))).waiting
    assert dead == "no live worker for lane a of role docs"


def test_a_running_task_shows_its_worker_and_its_progress() -> None:
    running = seen(ASKED, ROUTED, STARTED, TaskProgressed("t", 1, "half way", 0.5))
    assert (running.agent, running.progress, running.attempt) == ("w1", "half way", 1)


def test_a_task_that_was_rejected_unread_has_only_its_reason() -> None:
    rejected = seen(TaskRejected("t", "unreadable", "not JSON"))
    assert (rejected.state, rejected.reason, rejected.description) == ("rejected", "not JSON", "")


def test_a_task_that_nobody_knows_is_not_found() -> None:
    with pytest.raises(Refused) as refusal:
        seen()
    assert refusal.value.code == "not-found"


def test_an_accepted_task_is_told_with_its_state() -> None:
    assert accepted("t", TASK.over(Task(), [ASKED, ROUTED]), created=True) == TaskAccepted("t", "routed", True)
