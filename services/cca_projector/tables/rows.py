"""The rows, as structs whose fields are the columns; what each column means stands in migrations/*.sql."""

from datetime import datetime

from msgspec import Struct

from cca.contracts.task import OVER
from cca.postgres.rows import Rows
from cca.postgres.table import Table
from cca.projection import Entry


class TaskRow(Struct, gc=False):
    """A task. `result` None leaves the result of a row as it is, and so do the columns that never change."""

    task: str
    state: str
    role: str | None
    description: str | None
    priority: str
    lane: str | None
    asked_lane: str | None
    kind: str | None
    requester: str | None
    labels: bytes | None
    input: bytes | None
    max_attempts: int
    timeout_s: float | None
    deadline_s: float | None
    agent: str | None
    attempt: int
    routes: int
    deliveries: int
    work: int | None
    delivery: int
    result: bytes | None
    failure: bytes | None
    reason: str | None
    waiting: str | None
    progress: str | None
    fraction: float | None
    retry_at: datetime | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    cost_usd: float
    duration_s: float | None
    quality: float | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    first_seq: int
    last_seq: int


def new_task(at: Entry, task: str, state: str) -> TaskRow:
    """The row of a task of which nothing but its id and state is known."""
    return TaskRow(
        task=task,
        state=state,
        role=None,
        description=None,
        priority="normal",
        lane=None,
        asked_lane=None,
        kind=None,
        requester=None,
        labels=b"{}",
        input=None,
        max_attempts=0,
        timeout_s=None,
        deadline_s=None,
        agent=None,
        attempt=0,
        routes=0,
        deliveries=0,
        work=None,
        delivery=0,
        result=None,
        failure=None,
        reason=None,
        waiting=None,
        progress=None,
        fraction=None,
        retry_at=None,
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=None,
        cache_write_tokens=None,
        cost_usd=0.0,
        duration_s=None,
        quality=None,
        created_at=at.time,
        updated_at=at.time,
        started_at=None,
        ended_at=None,
        first_seq=at.seq,
        last_seq=at.seq,
    )


class AttemptRow(Struct, gc=False):
    """An attempt, or what one event says of it; None is not known."""

    task: str
    attempt: int
    agent: str | None = None
    lane: str | None = None
    route: int | None = None
    work: int | None = None
    delivery: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    failure_kind: str | None = None
    failure_message: str | None = None
    failure_detail: str | None = None
    exit_code: int | None = None
    retry_at: datetime | None = None
    duration_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    peak_context_tokens: int | None = None
    counted_tokens: int | None = None
    cost_from: str | None = None
    start_seq: int | None = None
    end_seq: int | None = None


class DecisionRow(Struct, gc=False):
    """A choice of a lane, or what one event says of its outcome; None is not known."""

    task: str
    route: int
    role: str | None = None
    lane: str | None = None
    policy: str | None = None
    propensity: float | None = None
    seed: int | None = None
    candidates: bytes | None = None
    explored: bool | None = None
    decided_at: datetime | None = None
    outcome: str | None = None
    attempt: int | None = None
    agent: str | None = None
    ended_at: datetime | None = None
    duration_s: float | None = None
    seq: int | None = None
    version: int | None = None
    x: bytes | None = None
    quality: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None


class AgentRow(Struct, gc=False):
    """A worker by its name."""

    agent: str
    state: str
    role: str | None
    lane: str | None
    concurrency: int | None
    session: str | None
    host: str | None
    version: str | None
    joined_at: datetime | None
    left_at: datetime | None
    reason: str | None
    started: int
    completed: int
    failed: int
    canceled: int
    updated_at: datetime
    first_seq: int
    last_seq: int


class PolicyRow(Struct, gc=False):
    """A version of the routing policy."""

    version: int
    position: int
    algorithm: str
    digest: str
    decisions: int
    time: datetime
    seq: int


class PolicyChangeRow(Struct, gc=False):
    """Somebody or something changed how routing is learned."""

    seq: int
    time: datetime
    type: str
    algorithm: str | None = None
    params: bytes | None = None
    names: bytes | None = None
    position: int | None = None
    promote: bool | None = None
    reason: str | None = None
    requester: str | None = None


class OpenTasks(Rows[TaskRow]):
    """Remembers the tasks that are not over, unless one drags a long error text along."""

    def worth(self, row: TaskRow) -> bool:
        return row.state not in OVER and (row.failure is None or len(row.failure) < 1_000)


def tasks() -> Rows[TaskRow]:
    return OpenTasks(
        Table(
            "tasks",
            TaskRow,
            fixed=(
                "description",
                "priority",
                "asked_lane",
                "kind",
                "requester",
                "labels",
                "input",
                "timeout_s",
                "deadline_s",
                "created_at",
                "first_seq",
            ),
            known=("kind", "requester"),
            fill=("result",),
        ),
        keep=20_000,
    )


def attempts() -> Rows[AttemptRow]:
    return Rows(Table("attempts", AttemptRow, key=2, fill=AttemptRow.__struct_fields__[2:]))


def decisions() -> Rows[DecisionRow]:
    outcome = ("outcome", "attempt", "agent", "ended_at", "duration_s", "quality", "tokens", "cost_usd")
    fixed = [column for column in DecisionRow.__struct_fields__[2:] if column not in outcome]
    return Rows(Table("routing_decisions", DecisionRow, key=2, fixed=fixed, fill=outcome))


def agents() -> Rows[AgentRow]:
    return Rows(Table("agents", AgentRow), keep=10_000)


def policies() -> Rows[PolicyRow]:
    return Rows(Table("policies", PolicyRow, fixed=PolicyRow.__struct_fields__[1:]))


def policy_changes() -> Rows[PolicyChangeRow]:
    return Rows(Table("policy_changes", PolicyChangeRow, fixed=PolicyChangeRow.__struct_fields__[1:]))


def events() -> Rows[Entry]:
    return Rows(Table("events", Entry, fixed=Entry.__struct_fields__[1:]))
