"""A scope of shared context as a stream: what is there, then each change. The log alone is read, so that nothing is
missed and it works while the context service is away."""

from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from cca.contracts.context import ContextDeleted, ContextEntry, ContextExpired, ContextSet
from cca.errors import Busy, Unknown, Unreadable
from cca.message import Event, Recorded, Seq
from cca.nats import log, names, stored, subjects
from cca.nats.frames import recorded
from cca_gateway import sse
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.sse import Frame

_encode = msgspec.json.Encoder().encode


async def follow(
    gateway: Gateway, call: Call, scope: str, prefix: str, values: bool, after: int | None
) -> web.StreamResponse:
    """Send the keys that begin with `prefix`, and what becomes of them; after a position, only what changed since."""
    kept = where(scope, prefix)
    subject = subjects.events("context", kept)
    first: deque[log.Raw] = deque()
    seen = Seq(0)

    async def read(position: Seq) -> AsyncIterator[Frame]:
        while first:  # what has been sent is not sent again when the bus goes away afterwards
            yield _frame(first.popleft(), prefix, values)
        async for raw in gateway.log.scan(subject, max(position, seen)):
            yield _frame(raw, prefix, values)

    with gateway.open_stream():
        async with gateway.wakes.on(subjects.live("context", kept)) as sleeper:
            newest = await gateway.log.last_seq()
            wanted = sse.last_event_id(call)
            if wanted is None and after is not None:
                wanted = Seq(after)
            if wanted is None:
                first.extend(await _present(gateway, subject, newest))
                # What stands before is not sent, and yet not passed by for whoever comes back in the middle of it.
                seen, wanted = newest, Seq(0) if first else newest
            return await sse.stream(gateway, call, sleeper, read, Seq(min(wanted, newest)), lambda: False)


def where(scope: str, prefix: str) -> str:
    """Which keys of the log have what begins with a prefix: it may be more, as a word can be begun only."""
    kind, _, name = scope.partition(":")
    head = prefix.rpartition(".")[0]
    return ".".join(part for part in (kind, name, head, ">") if part)


async def _present(gateway: Gateway, subject: str, newest: Seq) -> list[log.Raw]:
    """The events that say what there was when the log was at `newest`, or a later state of it; oldest first."""
    try:
        found = await stored.last_of_each(gateway.bus, names.EVENTS, subject)
    except Busy:  # there have been more keys than the server tells at once
        last: dict[str, log.Raw] = {}
        async for raw in gateway.log.scan(subject):
            last[raw.subject] = raw
        found = list(last.values())
    now = datetime.now(UTC)
    return sorted((raw for raw in found if raw.seq <= newest and _holds(raw, now)), key=lambda raw: raw.seq)


def _holds(raw: log.Raw, now: datetime) -> bool:
    known = _known(raw)
    if known is None or not isinstance(known.event, ContextSet):
        return False
    return known.event.expires_at is None or known.event.expires_at > now


def _known(raw: log.Raw) -> Recorded[Event] | None:
    try:
        return recorded(raw.subject, raw.seq, raw.headers, raw.body)
    except (Unknown, Unreadable):
        return None  # written by a newer version


def _frame(raw: log.Raw, prefix: str, values: bool) -> Frame:
    known = _known(raw)
    told = None if known is None else entry(known, values)
    if told is None or not told[1].key.startswith(prefix):
        return Frame(raw.seq, b"")
    what, one = told
    return Frame(raw.seq, sse.frame(raw.seq, what, _encode(one)))


def entry(known: Recorded[Event], values: bool) -> tuple[str, ContextEntry] | None:
    """What an event says of its key, and in one word what happened; None for an event of another kind.

    `set_at` is when it happened.
    """
    at = known.meta.time
    match known.event:
        case ContextSet() as event:
            return "set", ContextEntry(
                event.scope,
                event.key,
                known.seq,
                value=event.value if values else None,
                ref=event.ref,
                size=event.size,
                set_at=at,
                expires_at=event.expires_at,
                requester=event.requester,
            )
        case ContextDeleted() as event:
            one = ContextEntry(event.scope, event.key, known.seq, False, set_at=at, requester=event.requester)
            return "deleted", one
        case ContextExpired() as event:
            one = ContextEntry(event.scope, event.key, known.seq, False, set_at=at, expires_at=event.expires_at)
            return "expired", one
    return None
