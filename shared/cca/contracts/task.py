"""The life of a task. Events are emitted by cca_router; the names and fields are stored for ever."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from cca.contracts.prepared import TaskCondensed, TaskRecalled
from cca.message import Command, Event, Reply

Text = Annotated[str, Meta(max_length=100_000)]
Description = Annotated[str, Meta(min_length=1, max_length=100_000, description="What is to be done.")]
# In Python `$` alone admits a line break at the end, and the word becomes part of a subject.
Word = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$(?!\n)")]
Short = Annotated[str, Meta(max_length=200)]
Key = Annotated[str, Meta(min_length=1, max_length=200)]
Seconds = Annotated[float, Meta(gt=0, le=604_800)]
Priority = Literal["low", "normal", "high", "critical"]
State = Literal["submitted", "routed", "working", "input-required", "completed", "failed", "canceled", "rejected"]
FailureKind = Literal["error", "timeout", "lost", "rate-limited", "rejected"]

PRIORITIES: tuple[Priority, ...] = ("critical", "high", "normal", "low")
OVER: frozenset[str] = frozenset(("completed", "failed", "canceled", "rejected"))
"""The states that a task does not leave by itself."""


class Retry(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How long to wait before the next attempt: exponential backoff with full jitter.

    The wait before attempt n+1 is uniform in [0, min(max_s, initial_s * factor ** (n - 1))] seconds
    (Brooker, "Exponential Backoff And Jitter", 2015).
    """

    initial_s: Annotated[float, Meta(ge=0, le=86_400)] = 1.0
    factor: Annotated[float, Meta(ge=1, le=10)] = 2.0
    max_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0


class Usage(Struct, frozen=True, omit_defaults=True):
    """What an attempt used, as the worker measured it.

    Attributes:
        input_tokens: neither read from nor written to a cache; `output_tokens`: the model's thoughts included.
        cost_usd: `cost_from` is `reported` by the worker, the price `table`, or None, as the router finds out.
        model: as its provider spells it; the one that cost most when there were several.
        cache_read_tokens, cache_write_tokens: input that came from, or went to, the provider's cache.
        peak_context_tokens: input of the largest single request, whatever it came from.
        counted_tokens: what our own counter had said of all that input, uncorrected: estimates are corrected by it.
    """

    input_tokens: Annotated[int, Meta(ge=0)] = 0
    output_tokens: Annotated[int, Meta(ge=0)] = 0
    cost_usd: Annotated[float, Meta(ge=0)] = 0.0
    model: Short | None = None
    cache_read_tokens: Annotated[int, Meta(ge=0)] = 0
    cache_write_tokens: Annotated[int, Meta(ge=0)] = 0
    peak_context_tokens: Annotated[int, Meta(ge=0)] = 0
    counted_tokens: Annotated[int, Meta(ge=0)] = 0
    cost_from: Literal["reported", "table"] | None = None


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why an attempt failed.

    `kind` is `error` (the handler or command failed), `timeout`, `lost` (the worker vanished), `rate-limited` (come
    back after `retry_after_s` seconds) or `rejected` (the task is at fault). `message` is a sentence, `detail` the end
    of standard error or a traceback. When not `retryable`, another attempt cannot help.
    """

    kind: FailureKind
    message: Annotated[str, Meta(max_length=2_000)]
    retryable: bool = True
    exit_code: int | None = None
    detail: Annotated[str, Meta(max_length=20_000)] = ""
    retry_after_s: Annotated[float, Meta(ge=0, le=604_800)] | None = None


class Candidate(Struct, frozen=True, omit_defaults=True):
    """A lane that was considered: what was known of it, and how likely it was to be chosen.

    `masked` says why it could not be chosen at all; its probability is then 0. `role` is given when lanes of
    several roles were considered. `mean` and `deviation` are of the expected reward, where the policy has one.
    """

    lane: str
    score: float
    probability: float
    features: dict[str, float] = {}
    masked: str | None = None
    role: str | None = None
    mean: float | None = None
    deviation: float | None = None


# ------------------------------------------------------------------------------------------ commands


class SubmitTask(Command, frozen=True, tag="cca.task.submit.v1", forbid_unknown_fields=True):
    """Ask for a task. Published to `cca.tasks.<role>`, sent to `cca.rpc.tasks.submit`, or POSTed to `/tasks`.

    Attributes:
        description: what is to be done, for a person or a model to read.
        role: who is to do it; on `cca.tasks.<role>` the subject says it.
        id: a UUID chosen by the submitter; the same id again is answered with what is known of it.
        idempotency_key: any text in place of an id, unique per requester, for ever.
        input: structured input for the handler.
        context: further text that the agent should know.
        priority: order within a lane.
        lane: only this lane of the role.
        kind: the declared sort of task (`refactor`, `review`, …).
        requester: on whose behalf.
        labels: for filters.
        max_attempts: how often it may be started; a worker that vanishes counts.
        timeout_s: the longest that one attempt may take, in seconds; none by default.
        retry: the wait between attempts.
        deadline_s: it is to be over so many seconds after its submission; missing it only lowers the reward.
    """

    description: Description
    role: Word | None = None
    id: Annotated[str, Meta(max_length=64)] | None = None
    idempotency_key: Key | None = None
    input: dict[str, Any] | None = None
    context: Text | None = None
    priority: Priority = "normal"
    lane: Word | None = None
    kind: Short | None = None
    requester: Short | None = None
    labels: Annotated[dict[Short, Short], Meta(max_length=50)] = {}
    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3
    timeout_s: Seconds | None = None
    retry: Retry = Retry()
    deadline_s: Seconds | None = None


class RunTask(Command, frozen=True, tag="cca.task.run.v1", forbid_unknown_fields=True):
    """Submit and wait for the outcome, at most `wait_s` seconds; answered with `TaskView`."""

    task: SubmitTask
    wait_s: Annotated[float, Meta(gt=0, le=86_400)] = 60.0


class GetTask(Command, frozen=True, tag="cca.task.get.v1", forbid_unknown_fields=True):
    """Ask what is known of a task; with `wait_s`, wait that long for its outcome first. Answer: `TaskView`."""

    task: str
    wait_s: Annotated[float, Meta(ge=0, le=86_400)] = 0.0


class CancelTask(Command, frozen=True, tag="cca.task.cancel.v1", forbid_unknown_fields=True):
    """Ask that a queued or running task be stopped. Answer: `TaskView`."""

    task: str
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class RetryTask(Command, frozen=True, tag="cca.task.retry.v1", forbid_unknown_fields=True):
    """Ask for a failed or canceled task to be tried again, with a fresh number of attempts. Answer: `TaskView`."""

    task: str
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class RateTask(Command, frozen=True, tag="cca.task.rate.v1", forbid_unknown_fields=True):
    """Say how good the result of a task is, between 0 and 1; a later rating replaces it. Answer: `TaskView`."""

    task: str
    quality: Annotated[float, Meta(ge=0, le=1)]
    comment: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


# ------------------------------------------------------------------------------------------ events


class TaskSubmitted(Event, frozen=True, tag="cca.task.submitted.v1"):
    """The task exists. `fingerprint` is the SHA-256 of what was asked, to tell a repeated request from another."""

    task: str
    role: str
    description: str
    fingerprint: str
    input: dict[str, Any] | None = None
    context: str | None = None
    priority: Priority = "normal"
    lane: str | None = None
    kind: str | None = None
    requester: str | None = None
    labels: dict[str, str] = {}
    max_attempts: int = 3
    timeout_s: float | None = None
    retry: Retry = Retry()
    idempotency_key: str | None = None
    deadline_s: float | None = None


class TaskRejected(Event, frozen=True, tag="cca.task.rejected.v1"):
    """The task will not be done. `code` is stable (`unreadable`, `unknown-role`, …); `reason` is a sentence."""

    task: str
    code: str
    reason: str


class TaskHeld(Event, frozen=True, tag="cca.task.held.v1"):
    """The task waits in the log: for a live worker of its role or lane, for room there, or for a cheaper one."""

    task: str
    reason: str


class TaskRouted(Event, frozen=True, tag="cca.task.routed.v1"):
    """A lane was chosen. With candidates, propensity and seed the choice can be re-made and learned from.

    Attributes:
        route: 1 for the first decision about this task, then 2, …
        lane: the chosen lane of `role`; the work message is on `cca.work.<role>.<lane>.<priority>`.
        policy: name and version of the way in which it was decided (`linear-pm/1`).
        propensity: the probability with which this lane was chosen; `explored`: it is not the one with the best score.
        seed: of the draw; derived from the task id and `route`.
        version: of the learned policy (`policy.updated`); 0 when none was used.
        x: the features of the task that were known to it, in units of 2**-12.
        turn: how many decisions this router had made before.
    """

    task: str
    route: int
    role: str
    lane: str
    policy: str
    propensity: float
    seed: int
    candidates: tuple[Candidate, ...]
    explored: bool = False
    version: int = 0
    x: dict[str, int] = {}
    turn: int = 0


class TaskStarted(Event, frozen=True, tag="cca.task.started.v1"):
    """A worker owns the task. `attempt` is the fencing token: reports with another number are refused.

    `work` and `delivery` name the delivery of the work message by which it was claimed (sequence in the log,
    and how often the server had delivered it).
    """

    task: str
    attempt: int
    route: int
    agent: str
    lane: str
    work: int
    delivery: int


class TaskProgressed(Event, frozen=True, tag="cca.task.progressed.v1"):
    """What the worker says of its progress. `fraction` is between 0 and 1."""

    task: str
    attempt: int
    message: str
    fraction: float | None = None


class TaskCompleted(Event, frozen=True, tag="cca.task.completed.v1"):
    """The task is done. `duration_s` is the time that the successful attempt took, in seconds."""

    task: str
    attempt: int
    agent: str
    result: Any = None
    usage: Usage | None = None
    duration_s: float = 0.0


class TaskAttemptFailed(Event, frozen=True, tag="cca.task.attempt-failed.v1"):
    """One attempt failed and there will be another: at `retry_at`, or at once."""

    task: str
    attempt: int
    agent: str
    failure: Failure
    retry_at: datetime | None = None
    duration_s: float = 0.0
    usage: Usage | None = None


class TaskFailed(Event, frozen=True, tag="cca.task.failed.v1"):
    """The task failed for good: `failure` is the last attempt's."""

    task: str
    attempt: int
    agent: str
    failure: Failure
    duration_s: float = 0.0
    usage: Usage | None = None


class TaskCanceled(Event, frozen=True, tag="cca.task.canceled.v1"):
    """Somebody stopped the task. `agent` was running it."""

    task: str
    reason: str = ""
    requester: str | None = None
    agent: str | None = None


class TaskRetried(Event, frozen=True, tag="cca.task.retried.v1"):
    """A task that had ended starts again: `attempts` more may be made."""

    task: str
    attempts: int
    reason: str = ""
    requester: str | None = None


class TaskRated(Event, frozen=True, tag="cca.task.rated.v1"):
    """Somebody says how good the outcome of a routing decision is, between 0 and 1. The last rating counts."""

    task: str
    route: int
    quality: float
    comment: str = ""
    requester: str | None = None


TaskEvent = (
    TaskSubmitted
    | TaskCondensed
    | TaskRecalled
    | TaskRejected
    | TaskHeld
    | TaskRouted
    | TaskStarted
    | TaskProgressed
    | TaskCompleted
    | TaskAttemptFailed
    | TaskFailed
    | TaskCanceled
    | TaskRetried
    | TaskRated
)


# ------------------------------------------------------------------------------------------ replies


class TaskAccepted(Reply, frozen=True, tag="cca.task.accepted.v1"):
    """The task is in the log, durably. `created` is False when it had been there before."""

    task: str
    state: State
    created: bool = True


class TaskView(Reply, frozen=True, tag="cca.task.view.v1"):
    """What the log knows of a task. `waiting` says what a task that is not over waits for."""

    task: str
    state: State
    role: str
    description: str
    priority: Priority = "normal"
    lane: str | None = None
    kind: str | None = None
    requester: str | None = None
    labels: dict[str, str] = {}
    agent: str | None = None
    attempt: int = 0
    max_attempts: int = 3
    result: Any = None
    failure: Failure | None = None
    usage: Usage | None = None
    reason: str | None = None
    waiting: str | None = None
    progress: str | None = None
    retry_at: datetime | None = None
    quality: float | None = None
    seq: int = 0
