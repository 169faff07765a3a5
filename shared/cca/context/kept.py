"""How a key of shared context is: what follows from its last event, and what the bucket has of it."""

from datetime import datetime
from typing import assert_never

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from cca.contracts.context import ContextDeleted, ContextEntry, ContextEvent, ContextExpired, ContextSet
from cca.message import Seq
from cca.nats.kv import Cell


class Kept(Struct, frozen=True, omit_defaults=True):
    """A key. As JSON it is the body of the key's value in the bucket, which has no other.

    Attributes:
        revision: position in the log of its last event; 0 before any.
        there: False when it was removed, or its time has passed and that is in the log.
        value: its JSON; unset when it is stored by its hash: `ref`.
        size: bytes of the value as JSON.
    """

    revision: int = 0
    there: bool = False
    value: Raw | UnsetType = UNSET
    ref: str | None = None
    size: int = 0
    set_at: datetime | None = None
    expires_at: datetime | None = None
    requester: str | None = None

    def live(self, now: datetime) -> bool:
        """Whether it can be had: from `expires_at` on it cannot, whatever the log says by then."""
        return self.there and (self.expires_at is None or self.expires_at > now)


_read = msgspec.json.Decoder(Kept).decode
_value = msgspec.json.Decoder().decode


def after(event: ContextEvent, seq: Seq, time: datetime) -> Kept:
    """How a key is after an event: nothing before it matters."""
    match event:  # a new event in the union is a type error at the bottom
        case ContextSet():
            return Kept(
                revision=seq,
                there=True,
                value=UNSET if event.ref is not None else raw(event.value),
                ref=event.ref,
                size=event.size,
                set_at=time,
                expires_at=event.expires_at,
                requester=event.requester,
            )
        case ContextDeleted() | ContextExpired():
            return Kept(revision=seq)
    assert_never(event)


def read(cell: Cell) -> Kept:
    """What the bucket has of a key. What cannot be read, or is of others, is as if there were nothing."""
    if cell.body is None or not cell.revision:
        return Kept(revision=cell.revision)
    try:
        kept = _read(cell.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Kept()
    return kept if kept.revision == cell.revision else Kept()


def body(kept: Kept) -> bytes:
    """The body of a key's value in the bucket."""
    return msgspec.json.encode(kept)


def raw(value: object) -> Raw:
    """JSON of a value, ready to stand in a message. Raises what msgspec raises for what JSON cannot hold."""
    return value if isinstance(value, Raw) else Raw(msgspec.json.encode(value))


def entry(scope: str, key: str, kept: Kept, now: datetime, value: Raw | None = None) -> ContextEntry:
    """What is told of a key. `value`: its JSON, which goes into the message as it is; None to leave it out."""
    if not kept.live(now):
        return ContextEntry(scope, key, kept.revision, there=False)
    return ContextEntry(
        scope=scope,
        key=key,
        revision=kept.revision,
        value=value,
        ref=kept.ref,
        size=kept.size,
        set_at=kept.set_at,
        expires_at=kept.expires_at,
        requester=kept.requester,
    )


def inline(kept: Kept) -> Raw | None:
    """The value, unless it is stored by its hash."""
    return None if isinstance(kept.value, UnsetType) else kept.value


def told(scope: str, key: str, kept: Kept) -> ContextEntry:
    """The same for who reads it in this process: the value as Python has it, and no look at the clock."""
    if not kept.there:
        return ContextEntry(scope, key, kept.revision, there=False)
    value = inline(kept)
    return ContextEntry(
        scope=scope,
        key=key,
        revision=kept.revision,
        value=None if value is None else _value(value),
        ref=kept.ref,
        size=kept.size,
        set_at=kept.set_at,
        expires_at=kept.expires_at,
        requester=kept.requester,
    )
