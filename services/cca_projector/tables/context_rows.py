"""The rows of what agents share and remember, as structs whose fields are columns; see migrations/0004_context.sql."""

from datetime import datetime

from msgspec import Struct

from cca.postgres.rows import Rows
from cca.postgres.table import Table


class ValueRow(Struct, gc=False):
    """A key of a scope, and what it holds."""

    name: str
    scope: str
    key: str
    value: bytes | None
    ref: str | None
    size: int
    set_at: datetime
    expires_at: datetime | None
    requester: str | None
    snapshot: str | None
    seq: int


class SnapshotRow(Struct, gc=False):
    """How a scope was."""

    snapshot: str
    scope: str
    ref: str
    keys: int
    size: int
    revision: int
    note: str
    requester: str | None
    taken_at: datetime
    restored: int
    restored_at: datetime | None
    seq: int


class MemoryRow(Struct, gc=False):
    """A memory, and what counts for and against it."""

    memory: str
    text: str | None
    kind: str | None
    scope: str | None
    digest: str | None
    role: str | None
    labels: bytes | None
    task: str | None
    agent: str | None
    source_role: str | None
    repo: str | None
    requester: str | None
    redacted: bytes | None
    created_at: datetime | None
    stored_seq: int | None
    successes: int = 0
    failures: int = 0
    merged: int = 0
    used: int = 0
    used_at: datetime | None = None
    rated_at: datetime | None = None
    seq: int = 0


class TaskMemoryRow(Struct, gc=False):
    """A memory that was put before a task."""

    task: str
    memory: str
    score: float
    at: datetime
    seq: int


class MemoryPolicyRow(Struct, gc=False):
    """What is remembered of a role's tasks; `policy` None when nothing is any more."""

    role: str
    policy: bytes | None
    version: int
    since: datetime
    reason: str | None
    requester: str | None
    seq: int


class CodeJobRow(Struct, gc=False):
    """A job that indexes code."""

    job: str
    path: str
    project: str
    state: str
    tally: bytes
    started_at: datetime
    ended_at: datetime | None
    duration_s: float
    problem: str
    failures: bytes
    resumed: int
    requester: str | None
    seq: int


def values() -> Rows[ValueRow]:
    return Rows(Table("context_values", ValueRow), keep=1_000)


def snapshots() -> Rows[SnapshotRow]:
    return Rows(Table("context_snapshots", SnapshotRow))


def memories() -> Rows[MemoryRow]:
    columns = MemoryRow.__struct_fields__
    return Rows(Table("memories", MemoryRow, fixed=columns[1 : columns.index("stored_seq") + 1]), keep=1_000)


def task_memories() -> Rows[TaskMemoryRow]:
    return Rows(Table("task_memories", TaskMemoryRow, key=2))


def memory_policies() -> Rows[MemoryPolicyRow]:
    return Rows(Table("memory_policies", MemoryPolicyRow))


def code_jobs() -> Rows[CodeJobRow]:
    return Rows(Table("code_jobs", CodeJobRow, fixed=("path", "project", "started_at", "requester", "seq")))
