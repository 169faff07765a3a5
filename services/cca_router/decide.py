"""What becomes of a task: one pure function per command. Asked twice, each adds nothing the second time."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cca.codec import encode, tag_of
from cca.contracts.prepared import TaskCondensed, TaskRecalled
from cca.contracts.task import (
    CancelTask,
    Failure,
    RateTask,
    RetryTask,
    SubmitTask,
    TaskAttemptFailed,
    TaskCanceled,
    TaskFailed,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskSubmitted,
    Usage,
)
from cca.contracts.work import Due
from cca.decider import Decision
from cca.errors import Refused
from cca.message import Event, Side
from cca.nats import subjects
from cca.routing.policy import seed_of, unit
from cca.storable import text_without_nul
from cca_router import guards
from cca_router.facts import AUTO, Facts
from cca_router.place import NOTHING, place
from cca_router.state import Task, evolve, lane_of
from cca_router.storable import fingerprint_of

DUE = tag_of(Due)
AT_ONCE = timedelta(milliseconds=10)
"""A wait shorter than this is none: the task is routed again in the same decision."""
OVERDUE = timedelta(seconds=30)
"""When a retry is this late its timer was lost, and a repair does not wait for it any longer."""
GRACE = timedelta(seconds=5)
"""How long after its time limit a worker may still report the timeout itself."""


# ------------------------------------------------------------------------------------------ commands


def submit(
    command: SubmitTask,
    task_id: str,
    facts: Facts,
    task: Task,
    role: str | None = None,
    prepared: Sequence[TaskCondensed | TaskRecalled] = (),
) -> Decision:
    """A task is asked for; `role`, when the subject says it, goes before the command's own. `prepared` says what
    workers get besides, or in place of, its context.

    Raises `Refused` (`no-role`, `unreadable`, `too-large`, `key-reused`).
    """
    role = role or command.role
    if role is None:
        raise Refused("no-role", f"a task needs a role; with the role {AUTO!r} the router chooses one")
    fingerprint = fingerprint_of(command, role)
    if task.state is not None:
        if task.spec is None:
            raise Refused("key-reused", f"task {task_id} was rejected: {task.reason}; use another id")
        if task.spec.fingerprint != fingerprint:
            raise Refused("key-reused", f"task {task_id} exists, and something else was asked then")
        return route(facts, task)  # if the router was interrupted the first time
    submitted = TaskSubmitted(
        task=task_id,
        role=role,
        description=command.description,
        fingerprint=fingerprint,
        input=command.input,
        context=command.context,
        priority=command.priority,
        lane=command.lane,
        kind=command.kind,
        requester=command.requester,
        labels=command.labels,
        max_attempts=command.max_attempts,
        timeout_s=command.timeout_s,
        retry=command.retry,
        idempotency_key=command.idempotency_key,
        deadline_s=command.deadline_s,
    )
    return then(facts, task, submitted, *prepared)


def reject(task_id: str, code: str, reason: str, task: Task) -> Decision:
    """What was submitted under an id could not be used. A task that exists is not touched by it."""
    if task.state is not None:
        return NOTHING
    return Decision((TaskRejected(task_id, code, text_without_nul(reason)),))


def route(facts: Facts, task: Task) -> Decision:
    """Give the task a lane: when what it waits for may have changed, when its lane has no agent, or after a crash."""
    if task.held is not None or task.unrouted:
        return place(facts, task)
    if task.state == "routed" and task.spec is not None:
        live, _ = guards.asked_for(task.spec, facts)
        deserted = all((lane.role, lane.lane) != (task.role, task.lane) for lane in live)
        if live and deserted:
            return place(facts, task)
    return NOTHING


def repair(facts: Facts, task: Task) -> Decision:
    """Finish what a crash has cut short; asked of every task that is not over when a router starts."""
    late = task.state == "submitted" and task.retry_at is not None and facts.now >= task.retry_at + OVERDUE
    return place(facts, task) if late or task.unrouted else NOTHING


def cancel(command: CancelTask, task: Task) -> Decision:
    """Stop a task. Raises `Refused` (`not-found`)."""
    if task.state is None:
        raise not_found(command.task)
    if task.over:
        return NOTHING
    agent = task.agent if task.state == "working" else None
    return Decision((TaskCanceled(command.task, text_without_nul(command.reason), _who(command), agent),))


def retry(command: RetryTask, facts: Facts, task: Task) -> Decision:
    """Start a task again that has ended badly. Raises `Refused` (`not-found`, `already-over`, `not-retryable`)."""
    if task.state is None:
        raise not_found(command.task)
    if task.spec is None:
        raise Refused("not-retryable", f"task {command.task} was rejected unread: {task.reason}; submit it again")
    if task.state == "completed":
        raise Refused("already-over", f"task {command.task} is completed; submit another to do it again")
    if not task.over:
        return route(facts, task) if task.unrouted else NOTHING
    reason = text_without_nul(command.reason)
    return then(facts, task, TaskRetried(command.task, task.spec.max_attempts, reason, _who(command)))


def rate(command: RateTask, task: Task) -> Decision:
    """Somebody says how good the outcome is. Raises `Refused` (`not-found`, `not-over`)."""
    if task.state is None:
        raise not_found(command.task)
    if task.state not in ("completed", "failed"):
        raise Refused("not-over", f"task {command.task} is {task.state}; only what it led to can be rated")
    comment = text_without_nul(command.comment)
    rated = TaskRated(command.task, task.route, command.quality, comment, _who(command))
    return NOTHING if task.rated == rated else Decision((rated,))


def due(command: Due, facts: Facts, task: Task) -> Decision:
    """A timer has fired. One that was set for something that is past does nothing."""
    if task.attempt != command.attempt:
        return NOTHING
    if command.what == "retry":
        waiting = task.state == "submitted" and (task.retry_at is not None or task.unrouted)
        return place(facts, task) if waiting else NOTHING
    if task.state == "working" and task.spec is not None:
        said = f"no report within {task.spec.timeout_s:g} s" if task.spec.timeout_s else "no report in time"
        return attempt_failed(Failure("timeout", said), 0.0, facts, task)
    return NOTHING


# ------------------------------------------------------------------------------------------ parts


def then(facts: Facts, task: Task, *events: Event) -> Decision:
    """These events, and the routing that follows from them."""
    leaving = lane_of(task)
    for event in events:
        task = evolve(task, event)  # type: ignore[arg-type]  # every caller passes task events
    more = place(facts, task, leaving)
    return Decision((*events, *more.events), more.sides)


def attempt_failed(
    failure: Failure, duration_s: float, facts: Facts, task: Task, usage: Usage | None = None
) -> Decision:
    """The running attempt has failed: there will be another, now or later, or the task has failed."""
    spec, agent = task.spec, task.agent or ""
    if spec is None:
        return NOTHING
    if not failure.retryable or failure.kind == "rejected" or task.attempt >= task.budget:
        return Decision((TaskFailed(spec.task, task.attempt, agent, failure, duration_s, usage),))
    wait = _backoff(task, failure)
    if wait < AT_ONCE:
        return then(facts, task, TaskAttemptFailed(spec.task, task.attempt, agent, failure, None, duration_s, usage))
    at = facts.now + wait
    event = TaskAttemptFailed(spec.task, task.attempt, agent, failure, at, duration_s, usage)
    return Decision((event,), (timer(Due(spec.task, "retry", task.attempt), at),))


def timer(command: Due, at: datetime) -> Side:
    """The message that comes back as `command` at a time. A task has at most one of each sort."""
    return Side(
        subject=subjects.timer(command.task, command.what),
        body=encode(command),
        type=DUE,
        dedup=f"{command.task}.{command.what}.{command.attempt}",
        at=at,
        target=subjects.due(command.task, command.what),
    )


def not_found(task_id: str) -> Refused:
    return Refused("not-found", f"there is no task {task_id}")


def _who(command: CancelTask | RetryTask | RateTask) -> str | None:
    return None if command.requester is None else text_without_nul(command.requester)


def _backoff(task: Task, failure: Failure) -> timedelta:
    """Exponential with full jitter; the draw follows from the task and the attempt. Who lost it waited enough."""
    spec = task.spec
    if spec is None or failure.kind == "lost":
        return timedelta()
    rule = spec.retry
    longest = min(rule.max_s, rule.initial_s * rule.factor ** min(task.attempt - 1, 300))  # floats end at 1e308
    wait = longest * unit(seed_of(spec.task, "retry", task.attempt))
    return timedelta(seconds=max(wait, failure.retry_after_s or 0.0))
