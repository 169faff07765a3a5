"""The aggregate of a key of shared context: what follows from a command; of what was, the last event alone counts."""

from datetime import datetime

from msgspec import Raw, Struct

from cca.codec import encode, tag_of
from cca.context.kept import Kept, inline
from cca.context.scopes import key_name
from cca.contracts.context import VALUES, ContextDeleted, ContextDue, ContextExpired, ContextSet
from cca.decider import Decision
from cca.errors import Refused
from cca.json_text import LEVELS, has_more, is_deep
from cca.message import Side
from cca.nats import subjects

NOTHING = Decision()
DUE = tag_of(ContextDue)
DEEPEST = LEVELS
"""Levels of a value, at most: readers of JSON give up somewhere, and an event must be readable for ever."""


class Value(Struct, frozen=True):
    """A value that is to be put: its JSON, or where that is stored; `size` in bytes of it."""

    json: Raw | None
    ref: str | None
    size: int


def put(
    scope: str,
    key: str,
    value: Value,
    expires_at: datetime | None,
    requester: str | None,
    snapshot: str | None,
    expect: int | None,
    now: datetime,
    kept: Kept,
) -> Decision:
    """Put a value; what is so already changes nothing. Raises `Refused` (`revision-mismatch`)."""
    see_expected(expect, now, kept)
    if kept.live(now) and kept.expires_at == expires_at and same(kept, value):
        return NOTHING
    if expires_at is not None and expires_at <= now:
        return NOTHING
    event = ContextSet(
        scope=scope,
        key=key,
        value=value.json if value.ref is None else None,
        ref=value.ref,
        size=value.size,
        expires_at=expires_at,
        requester=requester,
        snapshot=snapshot,
    )
    sides = () if expires_at is None else (timer(scope, key, expires_at, kept.revision),)
    return Decision((event,), sides)


def delete(
    scope: str,
    key: str,
    requester: str | None,
    snapshot: str | None,
    expect: int | None,
    now: datetime,
    kept: Kept,
) -> Decision:
    """Remove a key; one that is not there stays so. Raises `Refused` (`revision-mismatch`)."""
    see_expected(expect, now, kept)
    if not kept.live(now):
        return NOTHING  # if its time has passed, a timer says so
    return Decision((ContextDeleted(scope, key, requester, snapshot),))


def due(command: ContextDue, now: datetime, kept: Kept) -> Decision:
    """A timer has fired. One of a value that has been replaced, or is to be had for longer by now, does nothing."""
    if not kept.there or kept.live(now) or kept.expires_at is None:
        return NOTHING
    return Decision((ContextExpired(command.scope, command.key, kept.expires_at),))


def timer(scope: str, key: str, expires_at: datetime, revision: int) -> Side:
    """The message that comes back as `ContextDue`. A key has one timer: the newest replaces the one before it.

    Args:
        revision: of the key before; a decision that is made again after another's needs a timer of its own.
    """
    name = key_name(scope, key)
    return Side(
        subject=subjects.context_timer(name),
        body=encode(ContextDue(scope, key, expires_at)),
        type=DUE,
        dedup=f"context.{name}.{revision}.{expires_at.isoformat()}",
        at=expires_at,
        target=subjects.context_due(name),
    )


def see_expected(expect: int | None, now: datetime, kept: Kept) -> None:
    """Raises `Refused` (`revision-mismatch`) unless the key is as expected; 0 stands for a key that is not there."""
    if expect is None:
        return
    found = kept.revision if kept.live(now) else 0
    if found != expect:
        wanted = f"revision {expect}" if expect else "no such key"
        is_so = f"it is at revision {found}" if found else "there is no such key"
        raise Refused("revision-mismatch", f"expected {wanted}, and {is_so}")


def same(kept: Kept, value: Value) -> bool:
    """Whether a key has this value: byte for byte as JSON, so that 1 and 1.0 are two."""
    if value.ref is not None or kept.ref is not None:
        return kept.ref == value.ref
    there = inline(kept)
    return there is not None and value.json is not None and bytes(there) == bytes(value.json)


def see_that_it_is_read_soon(body: bytes) -> None:
    """Before a command is decoded: raises `Refused` (`too-deep`, `too-large`) for JSON that would hold up others."""
    if is_deep(body, DEEPEST + 1):  # one level is the command's own
        raise Refused("too-deep", f"the value has more than {DEEPEST} levels")
    if has_more(body, VALUES):
        text = f"the value is of more than {VALUES:,} numbers, texts, arrays and objects; store it as one text"
        raise Refused("too-large", text)
