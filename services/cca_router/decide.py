"""What becomes of a task: one pure function per command. Asked twice, each adds nothing the second time."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from cca.codec import encode, tag_of
from cca.contracts.task import (
    CancelTask,
    DoTask,
    Due,
    Failure,
    RetryTask,
    SubmitTask,
    TaskAttemptFailed,
    TaskCanceled,
    TaskFailed,
    TaskHeld,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskSubmitted,
)
from cca.decider import Decision
from cca.errors import Refused
from cca.message import Event, Side
from cca.nats import subjects
from cca_router.policy import Choice, LaneLoad, Policy, choose, seed_of, unit
from cca_router.state import Task, evolve
from cca_router.storable import fingerprint_of, text_without_nul

AUTO = "auto"
"""The role of a task for which the router chooses among the live roles."""
NOTHING = Decision()
DUE, WORK = tag_of(Due), tag_of(DoTask)
AT_ONCE = timedelta(milliseconds=10)
"""A wait shorter than this is none: the task is routed again in the same decision."""
OVERDUE = timedelta(seconds=30)
"""When a retry is this late its timer was lost, and a repair does not wait for it any longer."""
GRACE = timedelta(seconds=5)
"""How long after its time limit a worker may still report the timeout itself."""


class Facts(Struct, frozen=True):
    """What a decision needs to know besides the task.

    Attributes:
        now: the time, aware, UTC.
        lanes: the live lanes of a role; of every role, for `auto`.
        policy: chooses among them.
    """

    now: datetime
    lanes: Callable[[str], Sequence[LaneLoad]]
    policy: Policy


# ------------------------------------------------------------------------------------------ commands


def submit(command: SubmitTask, task_id: str, facts: Facts, task: Task, role: str | None = None) -> Decision:
    """A task is asked for; `role`, when the subject says it, goes before the command's own.

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
    return then(
        facts,
        task,
        TaskSubmitted(
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
        ),
    )


def reject(task_id: str, code: str, reason: str, task: Task) -> Decision:
    """What was submitted under an id could not be used. A task that exists is not touched by it."""
    if task.state is not None:
        return NOTHING
    return Decision((TaskRejected(task_id, code, text_without_nul(reason)),))


def route(facts: Facts, task: Task) -> Decision:
    """Give the task a lane: when an agent joins, when a lane has lost its last agent, or after a crash."""
    if task.held is not None or task.unrouted:
        return _place(facts, task)
    if task.state == "routed":
        open_lanes, _ = candidates(facts, task)
        deserted = all((lane.role, lane.lane) != (task.role, task.lane) for lane in open_lanes)
        if open_lanes and deserted:
            return _place(facts, task)
    return NOTHING


def repair(facts: Facts, task: Task) -> Decision:
    """Finish what a crash has cut short; asked of every task that is not over when a router starts."""
    late = task.state == "submitted" and task.retry_at is not None and facts.now >= task.retry_at + OVERDUE
    return _place(facts, task) if late or task.unrouted else NOTHING


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


def due(command: Due, facts: Facts, task: Task) -> Decision:
    """A timer has fired. One that was set for something that is past does nothing."""
    if task.attempt != command.attempt:
        return NOTHING
    if command.what == "retry":
        waiting = task.state == "submitted" and (task.retry_at is not None or task.unrouted)
        return _place(facts, task) if waiting else NOTHING
    if task.state == "working" and task.spec is not None:
        said = f"no report within {task.spec.timeout_s:g} s" if task.spec.timeout_s else "no report in time"
        return attempt_failed(Failure("timeout", said), 0.0, facts, task)
    return NOTHING


# ------------------------------------------------------------------------------------------ parts


def then(facts: Facts, task: Task, *events: Event) -> Decision:
    """These events, and the routing that follows from them."""
    for event in events:
        task = evolve(task, event)  # type: ignore[arg-type]  # every caller passes task events
    more = _place(facts, task)
    return Decision((*events, *more.events), more.sides)


def attempt_failed(failure: Failure, duration_s: float, facts: Facts, task: Task) -> Decision:
    """The running attempt has failed: there will be another, now or later, or the task has failed."""
    spec, agent = task.spec, task.agent or ""
    if spec is None:
        return NOTHING
    if not failure.retryable or failure.kind == "rejected" or task.attempt >= task.budget:
        return Decision((TaskFailed(spec.task, task.attempt, agent, failure, duration_s),))
    wait = _backoff(task, failure)
    if wait < AT_ONCE:
        return then(facts, task, TaskAttemptFailed(spec.task, task.attempt, agent, failure, None, duration_s))
    at = facts.now + wait
    event = TaskAttemptFailed(spec.task, task.attempt, agent, failure, at, duration_s)
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


def candidates(facts: Facts, task: Task) -> tuple[list[LaneLoad], list[tuple[LaneLoad, str]]]:
    """The live lanes that may have the task, and those that may not, each with the reason."""
    spec = task.spec
    if spec is None:
        return [], []
    live = facts.lanes(spec.role)
    if spec.lane is None:
        return list(live), []
    why = f"only lane {spec.lane} was asked for"
    return [one for one in live if one.lane == spec.lane], [(one, why) for one in live if one.lane != spec.lane]


def missing(role: str, lane: str | None) -> str:
    """What a task waits for that no live worker may have."""
    whose = "any role" if role == AUTO else f"role {role}"
    return f"no live worker for {whose}" if lane is None else f"no live worker for lane {lane} of {whose}"


def not_found(task_id: str) -> Refused:
    return Refused("not-found", f"there is no task {task_id}")


def _who(command: CancelTask | RetryTask) -> str | None:
    return None if command.requester is None else text_without_nul(command.requester)


def _place(facts: Facts, task: Task) -> Decision:
    spec = task.spec
    if spec is None:
        return NOTHING
    open_lanes, masked = candidates(facts, task)
    if not open_lanes:
        reason = missing(spec.role, spec.lane)
        return NOTHING if task.held == reason else Decision((TaskHeld(spec.task, reason),))
    number = task.route + 1
    chosen = choose(facts.policy, seed_of(spec.task, number), open_lanes, masked)
    return Decision((_routed(spec, number, chosen),), (_work(spec, number, task.retries, chosen.lane),))


def _routed(spec: TaskSubmitted, number: int, chosen: Choice) -> TaskRouted:
    return TaskRouted(
        task=spec.task,
        route=number,
        role=chosen.lane.role,
        lane=chosen.lane.lane,
        policy=chosen.policy,
        propensity=chosen.propensity,
        seed=chosen.seed,
        candidates=chosen.candidates,
    )


def _work(spec: TaskSubmitted, number: int, retries: int, lane: LaneLoad) -> Side:
    work = DoTask(
        task=spec.task,
        route=number,
        role=lane.role,
        lane=lane.lane,
        description=spec.description,
        input=spec.input,
        context=spec.context,
        priority=spec.priority,
        kind=spec.kind,
        requester=spec.requester,
        labels=spec.labels,
        max_attempts=spec.max_attempts,
        timeout_s=spec.timeout_s,
    )
    return Side(
        subject=subjects.work(lane.role, lane.lane, spec.priority),
        body=encode(work),
        type=WORK,
        # A lost race may leave work behind without its event. With the lane, the decision that is made instead
        # is not taken for its duplicate; with the retries, neither is one that follows a retry by hand.
        dedup=f"{spec.task}.{number}.{retries}.{lane.role}.{lane.lane}",
    )


def _backoff(task: Task, failure: Failure) -> timedelta:
    """Exponential with full jitter; the draw follows from the task and the attempt. Who lost it waited enough."""
    spec = task.spec
    if spec is None or failure.kind == "lost":
        return timedelta()
    rule = spec.retry
    longest = min(rule.max_s, rule.initial_s * rule.factor ** min(task.attempt - 1, 300))  # floats end at 1e308
    wait = longest * unit(seed_of(spec.task, "retry", task.attempt))
    return timedelta(seconds=max(wait, failure.retry_after_s or 0.0))
