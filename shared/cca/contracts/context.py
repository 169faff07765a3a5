"""Shared context: values under a scope and a key. Events are emitted by cca_context; names and fields are for ever."""

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from cca.contracts.task import Short
from cca.message import Command, Event, Reply

Scope = Annotated[
    str,
    Meta(
        pattern=r"^(task|tree|session|agent|role|project):[A-Za-z0-9_-]{1,100}$(?!\n)",
        description="Whose it is: `task:ID`, `tree:ID` (of the task at its root), `session:ID`, `agent:NAME`, "
        "`role:NAME` or `project:NAME`.",
    ),
]
ContextKey = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,9}$(?!\n)",
        max_length=200,
        description="Words of letters, digits, `-` and `_`, with dots between: `plan`, `files.main_py.summary`.",
    ),
]
Prefix = Annotated[str, Meta(pattern=r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){0,9}\.?)?$(?!\n)", max_length=200)]
Revision = Annotated[int, Meta(ge=0, description="Position in the log of a key's last change; 0: it is not there.")]
Ttl = Annotated[float, Meta(ge=1, le=31_536_000, description="Seconds that the value holds, at least 1.")]
Note = Annotated[str, Meta(max_length=2_000)]

INLINE = 64 * 1024
"""Bytes of a value, as JSON, up to which it stands in its event; a larger one is stored by the hash of its content."""
LARGEST = 3 * 1024 * 1024
"""Bytes of a value as JSON, at most: it travels in one message."""
VALUES = 100_000
"""Numbers, texts, arrays and objects in one value, at most: to read more of them takes long."""
KEYS = 1_000
"""Keys in one scope, at most."""


# ------------------------------------------------------------------------------------------ commands


class SetContext(Command, frozen=True, tag="cca.context.set-value.v1", forbid_unknown_fields=True):
    """Put a value under a key (`cca.rpc.context.set`). Answer: `ContextEntry`.

    Attributes:
        value: any JSON.
        ttl_s: it is gone after so many seconds; without, it stays until it is replaced or deleted.
        expect: only when the key is at this revision; 0: only when there is no such key. Any when None.
    """

    scope: Scope
    key: ContextKey
    value: Any
    ttl_s: Ttl | None = None
    expect: Revision | None = None
    requester: Short | None = None


class GetContext(Command, frozen=True, tag="cca.context.get.v1", forbid_unknown_fields=True):
    """Ask for a value (`cca.rpc.context.get`). Answer: `ContextEntry`. Refused (`not-found`) when there is none."""

    scope: Scope
    key: ContextKey


class DeleteContext(Command, frozen=True, tag="cca.context.delete.v1", forbid_unknown_fields=True):
    """Remove a key (`cca.rpc.context.delete`). Answer: `ContextEntry` without value. The log keeps what it held."""

    scope: Scope
    key: ContextKey
    expect: Revision | None = None
    requester: Short | None = None


class ListContext(Command, frozen=True, tag="cca.context.list.v1", forbid_unknown_fields=True):
    """Ask for the keys of a scope that begin with `prefix` (`cca.rpc.context.list`). Answer: `ContextEntries`.

    Values that are larger than `INLINE`, and all without `values`, are left out; their references are given.
    """

    scope: Scope
    prefix: Prefix = ""
    values: bool = False


class GetContextHistory(Command, frozen=True, tag="cca.context.get-history.v1", forbid_unknown_fields=True):
    """Ask what a key held before (`cca.rpc.context.history`). Answer: `ContextHistory`, newest first."""

    scope: Scope
    key: ContextKey
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class TakeSnapshot(Command, frozen=True, tag="cca.context.take-snapshot.v1", forbid_unknown_fields=True):
    """Keep how all of a scope is at one moment (`cca.rpc.context.snapshot`). Answer: `Snapshot`."""

    scope: Scope
    note: Note = ""
    requester: Short | None = None


class ListSnapshots(Command, frozen=True, tag="cca.context.list-snapshots.v1", forbid_unknown_fields=True):
    """Ask for the snapshots of a scope (`cca.rpc.context.snapshots`). Answer: `Snapshots`, newest first."""

    scope: Scope
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 50


class RestoreSnapshot(Command, frozen=True, tag="cca.context.restore-snapshot.v1", forbid_unknown_fields=True):
    """Put a scope back to how it was (`cca.rpc.context.restore`). Answer: `Restored`.

    Attributes:
        snapshot: its id; the newest of the scope when None.
        into: another scope to put it in; its own when None.
        exact: keys that the snapshot does not have are deleted.
    """

    scope: Scope
    snapshot: Annotated[str, Meta(max_length=64)] | None = None
    into: Scope | None = None
    exact: bool = False
    requester: Short | None = None


# ------------------------------------------------------------------------------------------ events


class ContextSet(Event, frozen=True, tag="cca.context.set.v1"):
    """A key has a value: `value` itself, or `ref` where its JSON is stored (`cca.contents.<ref>`).

    Attributes:
        size: bytes of the value as JSON.
        expires_at: it holds until then.
        snapshot: it was put back from there.
    """

    scope: str
    key: str
    value: Any = None
    ref: str | None = None
    size: int = 0
    expires_at: datetime | None = None
    requester: str | None = None
    snapshot: str | None = None


class ContextDeleted(Event, frozen=True, tag="cca.context.deleted.v1"):
    """Somebody removed a key; with `snapshot`, because that does not have it."""

    scope: str
    key: str
    requester: str | None = None
    snapshot: str | None = None


class ContextExpired(Event, frozen=True, tag="cca.context.expired.v1"):
    """The time of a value has passed. It was not to be had from `expires_at` on."""

    scope: str
    key: str
    expires_at: datetime


class SnapshotTaken(Event, frozen=True, tag="cca.context.snapshot-taken.v1"):
    """How a scope was when the log was at `revision`. `ref` is where the list of its keys is stored."""

    snapshot: str
    scope: str
    ref: str
    keys: int
    size: int
    revision: int
    note: str = ""
    requester: str | None = None


class SnapshotRestored(Event, frozen=True, tag="cca.context.snapshot-restored.v1"):
    """A scope was put back to how it was: so many keys were set, deleted, or were so already."""

    snapshot: str
    scope: str
    into: str
    set: int
    deleted: int
    unchanged: int
    requester: str | None = None


ContextEvent = ContextSet | ContextDeleted | ContextExpired
SnapshotEvent = SnapshotTaken | SnapshotRestored


class ContextDue(Command, frozen=True, tag="cca.context.due.v1"):
    """A timer of a key: its value is to go at `expires_at`."""

    scope: str
    key: str
    expires_at: datetime


# ------------------------------------------------------------------------------------------ replies


class ContextEntry(Reply, frozen=True, tag="cca.context.entry.v1"):
    """A key and what it holds.

    Attributes:
        revision: of the last change; a write that expects it is refused once somebody else has written.
        there: False for a key that was deleted or is gone.
        size: bytes of the value as JSON; `ref` when it is stored by the hash of its content.
    """

    scope: str
    key: str
    revision: int
    there: bool = True
    value: Any = None
    ref: str | None = None
    size: int = 0
    set_at: datetime | None = None
    expires_at: datetime | None = None
    requester: str | None = None


class ContextEntries(Reply, frozen=True, tag="cca.context.entries.v1"):
    """The keys of a scope, in order of their names."""

    scope: str
    items: tuple[ContextEntry, ...]


class ContextChange(Struct, frozen=True, omit_defaults=True):
    """What happened to a key: `set`, `deleted` or `expired`; the rest as in `ContextEntry`."""

    what: str
    revision: int
    time: datetime
    value: Any = None
    ref: str | None = None
    size: int = 0
    expires_at: datetime | None = None
    requester: str | None = None
    snapshot: str | None = None


class ContextHistory(Reply, frozen=True, tag="cca.context.history.v1"):
    """What happened to a key, newest first."""

    scope: str
    key: str
    items: tuple[ContextChange, ...]


class Snapshot(Reply, frozen=True, tag="cca.context.snapshot.v1"):
    """How a scope was at one moment. Values that had expired are not in it."""

    snapshot: str
    scope: str
    taken_at: datetime
    keys: int
    size: int
    revision: int
    note: str = ""
    requester: str | None = None


class Snapshots(Reply, frozen=True, tag="cca.context.snapshots.v1"):
    """The snapshots of a scope, newest first."""

    scope: str
    items: tuple[Snapshot, ...]


class Restored(Reply, frozen=True, tag="cca.context.restored.v1"):
    """What a restore has done; `duration_s` in seconds."""

    snapshot: str
    scope: str
    into: str
    set: int
    deleted: int
    unchanged: int
    duration_s: float


class GetContextStats(Command, frozen=True, tag="cca.context.get-stats.v1", forbid_unknown_fields=True):
    """Ask how the context service is (`cca.rpc.context.stats`). Answer: `ContextStats`."""


class ContextStats(Reply, frozen=True, tag="cca.context.stats.v1"):
    """How the context service is.

    Attributes:
        scopes, keys, bytes: that hold values now, and their sizes; None while PostgreSQL is away.
        breaker: `closed` while PostgreSQL answers, `open` while it is not asked, `half-open` when it is tried again.
        held_up_ms: milliseconds that this process was busy before it turned to the next message, at worst, since this
            was asked before.
        cache: answers of searches: hits, misses, coalesced (asked while the same was being looked for), entries.
    """

    scopes: int | None
    keys: int | None
    bytes: int | None
    breaker: str
    cache: dict[str, int]
    held_up_ms: float = 0.0
