"""What becomes of the rows about shared context, memories and jobs that index code, event by event."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from cca.contracts.code import CodeIndexEnded, CodeIndexProgressed, CodeIndexStarted
from cca.contracts.context import ContextDeleted, ContextExpired, ContextSet, SnapshotRestored, SnapshotTaken
from cca.contracts.memory import MemoryForgotten, MemoryMerged, MemoryPolicySet, MemoryRated, MemoryStored
from cca.contracts.prepared import TaskRecalled
from cca.postgres.rows import Rows
from cca.projection import Entry
from cca_projector.tables import context_rows
from cca_projector.tables.context_rows import (
    CodeJobRow,
    MemoryPolicyRow,
    MemoryRow,
    SnapshotRow,
    TaskMemoryRow,
    ValueRow,
)
from cca_projector.tables.tokens import within

_json = msgspec.json.Encoder().encode


class ContextRows:
    """The rows at hand of the tables that tell what agents share and remember."""

    def __init__(self) -> None:
        self.values, self.snapshots = context_rows.values(), context_rows.snapshots()
        self.memories, self.task_memories = context_rows.memories(), context_rows.task_memories()
        self.policies, self.jobs = context_rows.memory_policies(), context_rows.code_jobs()
        self.rows: tuple[Rows[Any], ...] = (
            *(self.values, self.snapshots, self.memories, self.task_memories),
            *(self.policies, self.jobs),
        )

    # ------------------------------------------------------------------------------------ context

    def set_value(self, at: Entry, event: ContextSet) -> None:
        name = name_of(event)
        row = ValueRow(
            name=name,
            scope=event.scope,
            key=event.key,
            value=None if event.ref is not None else _json(event.value),
            ref=event.ref,
            size=within(event.size),
            set_at=at.time,
            expires_at=None if event.expires_at is None else aware(event.expires_at),
            requester=event.requester,
            snapshot=event.snapshot,
            seq=at.seq,
        )
        there = self.values.get(name)
        if there is None:
            self.values.born(name, row)
        else:
            for column in ValueRow.__struct_fields__:
                setattr(there, column, getattr(row, column))

    def deleted(self, at: Entry, event: ContextDeleted | ContextExpired) -> None:
        self.values.gone(name_of(event))

    def taken(self, at: Entry, event: SnapshotTaken) -> None:
        row = SnapshotRow(
            snapshot=event.snapshot,
            scope=event.scope,
            ref=event.ref,
            keys=within(event.keys),
            size=within(event.size),
            revision=within(event.revision),
            note=event.note,
            requester=event.requester,
            taken_at=at.time,
            restored=0,
            restored_at=None,
            seq=at.seq,
        )
        self.snapshots.born(event.snapshot, row)

    def restored(self, at: Entry, event: SnapshotRestored) -> None:
        if (row := self.snapshots.get(event.snapshot)) is not None:
            row.restored, row.restored_at = row.restored + 1, at.time

    # ------------------------------------------------------------------------------------ memories

    def stored(self, at: Entry, event: MemoryStored) -> None:
        source = event.source
        row = MemoryRow(
            memory=event.memory,
            text=event.text,
            kind=event.kind,
            scope=event.scope,
            digest=event.digest,
            role=event.role,
            labels=_json(event.labels),
            task=source.task,
            agent=source.agent,
            source_role=source.role,
            repo=source.repo,
            requester=source.requester,
            redacted=_json(event.redacted),
            created_at=at.time if event.created_at is None else aware(event.created_at),
            stored_seq=at.seq,
            successes=within(event.successes),
            failures=within(event.failures),
            seq=at.seq,
        )
        self.memories.born(event.memory, row)

    def merged(self, at: Entry, event: MemoryMerged) -> None:
        if (row := self.memories.get(event.memory)) is not None:
            row.merged, row.seq = row.merged + 1, at.seq

    def rated(self, at: Entry, event: MemoryRated) -> None:
        row = self.memories.get(event.memory)
        if row is None:
            return
        row.successes = within(row.successes + (event.outcome == "success") - (event.was == "success"))
        row.failures = within(row.failures + (event.outcome == "failure") - (event.was == "failure"))
        row.rated_at, row.seq = at.time, at.seq

    def forgotten(self, at: Entry, event: MemoryForgotten) -> None:
        self.memories.gone(event.memory)

    def recalled(self, at: Entry, event: TaskRecalled) -> None:
        for one in event.memories:
            key = (event.task, one.memory)
            self.task_memories.born(key, TaskMemoryRow(*key, one.score, at.time, at.seq))
            if (row := self.memories.get(one.memory)) is not None:
                row.used, row.used_at, row.seq = row.used + 1, at.time, at.seq

    def policy_set(self, at: Entry, event: MemoryPolicySet) -> None:
        policy = None if event.policy is None else _json(event.policy)
        row = self.policies.get(event.role)
        if row is None:
            new = MemoryPolicyRow(event.role, policy, 0, at.time, None, None, at.seq)
            row = self.policies.born(event.role, new)
        row.policy, row.version, row.since, row.seq = policy, within(event.version), at.time, at.seq
        row.reason, row.requester = event.reason, event.requester

    # ------------------------------------------------------------------------------------ code

    def job_started(self, at: Entry, event: CodeIndexStarted) -> None:
        row = CodeJobRow(
            job=event.job,
            path=event.path,
            project=event.project,
            state="running",
            tally=b"{}",
            started_at=at.time,
            ended_at=None,
            duration_s=0.0,
            problem="",
            failures=b"{}",
            resumed=0,
            requester=event.requester,
            seq=at.seq,
        )
        self.jobs.born(event.job, row)

    def job_progressed(self, at: Entry, event: CodeIndexProgressed) -> None:
        if (row := self.jobs.get(event.job)) is not None:
            row.tally = _json(event.tally)
            row.resumed += event.resumed

    def job_ended(self, at: Entry, event: CodeIndexEnded) -> None:
        if (row := self.jobs.get(event.job)) is not None:
            row.state, row.tally, row.ended_at = event.state, _json(event.tally), at.time
            row.duration_s, row.problem, row.failures = event.duration_s, event.problem, _json(event.failures)


def name_of(event: ContextSet | ContextDeleted | ContextExpired) -> str:
    """The name of a value: its scope and key."""
    return f"{event.scope}/{event.key}"


def aware(time: datetime) -> datetime:
    """A time with its zone; one without is taken for UTC, so that no event is in the way of those behind it."""
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _need_value(rows: ContextRows, event: ContextSet | ContextDeleted | ContextExpired) -> None:
    rows.values.need(name_of(event))


def _need_memory(rows: ContextRows, event: MemoryMerged | MemoryRated | MemoryForgotten) -> None:
    rows.memories.need(event.memory)


def _need_memories(rows: ContextRows, event: TaskRecalled) -> None:
    for one in event.memories:
        rows.memories.need(one.memory)


def _need_snapshot(rows: ContextRows, event: SnapshotRestored) -> None:
    rows.snapshots.need(event.snapshot)


def _need_policy(rows: ContextRows, event: MemoryPolicySet) -> None:
    rows.policies.need(event.role)


def _need_job(rows: ContextRows, event: CodeIndexProgressed | CodeIndexEnded) -> None:
    rows.jobs.need(event.job)


def _nothing(rows: ContextRows, event: object) -> None:
    """It begins here: nothing is asked of the table."""


Need = Callable[[ContextRows, Any], None]
Handler = Callable[[ContextRows, Entry, Any], None]

HANDLERS: dict[type, tuple[Need, Handler]] = {
    ContextSet: (_need_value, ContextRows.set_value),
    ContextDeleted: (_need_value, ContextRows.deleted),
    ContextExpired: (_need_value, ContextRows.deleted),
    SnapshotTaken: (_nothing, ContextRows.taken),
    SnapshotRestored: (_need_snapshot, ContextRows.restored),
    MemoryStored: (_nothing, ContextRows.stored),
    MemoryMerged: (_need_memory, ContextRows.merged),
    MemoryRated: (_need_memory, ContextRows.rated),
    MemoryForgotten: (_need_memory, ContextRows.forgotten),
    MemoryPolicySet: (_need_policy, ContextRows.policy_set),
    TaskRecalled: (_need_memories, ContextRows.recalled),
    CodeIndexStarted: (_nothing, ContextRows.job_started),
    CodeIndexProgressed: (_need_job, ContextRows.job_progressed),
    CodeIndexEnded: (_need_job, ContextRows.job_ended),
}
"""Which rows an event is about, and what becomes of them."""
