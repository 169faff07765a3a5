"""What decisions remember of one task, and how it follows from the task's events."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, assert_never, cast

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.prepared import TaskCondensed, TaskRecalled
from cca.contracts.task import (
    OVER,
    Failure,
    State,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskEvent,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.decider import Fold
from cca.message import Event

FAILED_LANES = 8
"""How many of the lanes that have failed a task are remembered: the last ones."""


class Task(Struct, frozen=True):
    """One task, as far as its next decision needs it.

    Attributes:
        state: None while nothing is known of the task.
        spec: what was asked; None also for a task that was rejected unread.
        role: who does it now: the asked role, or the one that was chosen for `auto`.
        route: number of the last routing decision.
        lane: where it waits or runs.
        attempt: number of the last attempt that was started.
        budget: the highest attempt number that may be started.
        retries: how often it was started again after it had ended.
        agent: who started the last attempt; it runs the task only while the state is `working`.
        work, delivery: by which delivery of which work message that attempt was claimed.
        held: what an unrouted task waits for.
        retry_at: when the next attempt is due, while one is waited for.
        failure: of the last attempt that failed.
        reason: why it was canceled or rejected.
        failed: the lanes (`role/lane`) in which an attempt has failed, the last one at the end.
        rated: the last word on how good the outcome is.
        condensed: its context as workers get it, when that was over its role's budget.
        recalled: what is remembered of tasks like this one, which workers get before it.
    """

    state: State | None = None
    spec: TaskSubmitted | None = None
    role: str = ""
    route: int = 0
    lane: str | None = None
    attempt: int = 0
    budget: int = 0
    retries: int = 0
    agent: str | None = None
    work: int = 0
    delivery: int = 0
    held: str | None = None
    retry_at: datetime | None = None
    failure: Failure | None = None
    result: Any = None
    usage: Usage | None = None
    reason: str | None = None
    progress: str | None = None
    fraction: float | None = None
    failed: tuple[str, ...] = ()
    rated: TaskRated | None = None
    condensed: TaskCondensed | None = None
    recalled: TaskRecalled | None = None

    @property
    def over(self) -> bool:
        """It has ended; only a retry can start it again."""
        return self.state in OVER

    @property
    def unrouted(self) -> bool:
        """It should have been routed or held, but the router was interrupted before it said which."""
        return self.state == "submitted" and self.held is None and self.retry_at is None

    def owned_by(self, agent: str, attempt: int) -> bool:
        """This agent is running this attempt: its reports count."""
        return self.state == "working" and self.attempt == attempt and self.agent == agent


def evolve(task: Task, event: TaskEvent) -> Task:
    """The task after one more event. Never fails: what is in the log has happened."""
    match event:  # a new event in the union is a type error at the bottom
        case TaskRouted():
            return replace(
                task,
                state="routed",
                role=event.role,
                lane=event.lane,
                route=event.route,
                held=None,
                retry_at=None,
            )
        case TaskStarted():
            return replace(
                task,
                state="working",
                lane=event.lane,
                attempt=event.attempt,
                agent=event.agent,
                work=event.work,
                delivery=event.delivery,
                held=None,
                retry_at=None,
                progress=None,
                fraction=None,
            )
        case TaskCompleted():
            return replace(task, state="completed", result=event.result, usage=event.usage, failure=None, retry_at=None)
        case TaskSubmitted():
            return replace(
                task, state="submitted", spec=event, role=event.role, budget=task.attempt + event.max_attempts
            )
        case TaskProgressed():
            return replace(task, progress=event.message, fraction=event.fraction)
        case TaskAttemptFailed():
            return replace(
                task,
                state="submitted",
                lane=None,
                held=None,
                retry_at=event.retry_at,
                failure=event.failure,
                failed=_failed(task, event.failure),
            )
        case TaskHeld():
            return replace(task, state="submitted", lane=None, held=event.reason, retry_at=None)
        case TaskFailed():
            return replace(
                task,
                state="failed",
                failure=event.failure,
                usage=event.usage,
                held=None,
                retry_at=None,
                failed=_failed(task, event.failure),
            )
        case TaskCanceled():
            return replace(task, state="canceled", reason=event.reason, held=None, retry_at=None)
        case TaskRejected():
            return replace(task, state="rejected", reason=event.reason, held=None, retry_at=None)
        case TaskRetried():
            return replace(
                task,
                state="submitted",
                lane=None,
                budget=task.attempt + event.attempts,
                retries=task.retries + 1,
                agent=None,
                held=None,
                retry_at=None,
                failure=None,
                usage=None,
                reason=None,
                progress=None,
                fraction=None,
                rated=None,
            )
        case TaskRated():
            return replace(task, rated=event)
        case TaskCondensed():
            return replace(task, condensed=event)
        case TaskRecalled():
            return replace(task, recalled=event)
    assert_never(event)


def lane_of(task: Task) -> str | None:
    """The lane (`role/lane`) in which a task is queued or running."""
    return f"{task.role}/{task.lane}" if task.state in ("routed", "working") else None


def _failed(task: Task, failure: Failure) -> tuple[str, ...]:
    """The lanes that have failed the task, with the present one; a task that is at fault itself says nothing of it."""
    if task.lane is None or failure.kind == "rejected":
        return task.failed
    here = f"{task.role}/{task.lane}"
    return (*(lane for lane in task.failed if lane != here), here)[-FAILED_LANES:]


TASK: Fold[Task] = Fold(Task(), cast("Callable[[Task, Event], Task]", evolve))
