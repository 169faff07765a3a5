"""The log over HTTP: the history of a task, and the tail of everything; as pages or as server-sent events."""

import base64
from collections.abc import AsyncIterator, Callable
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Raw, Struct

from cca.codec import tag_of
from cca.contracts.task import (
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
)
from cca.errors import Refused
from cca.message import Seq
from cca.nats import log, names, stored, subjects
from cca.nats.frames import rfc3339
from cca_gateway import sse
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.sse import Frame

SCAN_LIMIT = 20_000
"""Messages that are read at most for one page: a rare type does not make a request endless."""
GATHER = 0.02
"""Seconds between a wake and the read in the tail of the whole log, so that a burst is read at once."""

OVER = {tag_of(kind): True for kind in (TaskCompleted, TaskFailed, TaskCanceled, TaskRejected, TaskRated)} | {
    tag_of(kind): False
    for kind in (
        TaskSubmitted,
        TaskHeld,
        TaskRouted,
        TaskStarted,
        TaskProgressed,
        TaskAttemptFailed,
        TaskRetried,
    )
}
"""Whether a task is over after an event of a type (only what is over is rated); other types say nothing about it."""

After = Annotated[int, Meta(ge=0, le=2**62, description="Only what stands after this position in the log.")]
Cursor = Annotated[int, Meta(ge=0, le=2**62, description="The `next` of the page before.")] | None
Limit = Annotated[int, Meta(ge=1, le=1_000)]
TypePattern = Annotated[
    str, Meta(pattern=r"^[a-z0-9.-]{1,100}\*?$", description="`cca.task.completed.v1`, `cca.agent.*`")
]
SubjectPattern = Annotated[
    str,
    Meta(
        pattern=r"^cca\.events(\.[A-Za-z0-9_=*-]+)*\.(>|[A-Za-z0-9_=*-]+)$",
        max_length=200,
        description="`cca.events.task.>`",
    ),
]


class Slice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events of a task; `types` may end in `*`."""

    after: After = 0
    cursor: Cursor = None
    limit: Limit = 1_000
    types: tuple[TypePattern, ...] = ()


class LogSlice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events of the log; `types` may end in `*`. A stream without a position begins now."""

    after: After | None = None
    cursor: Cursor = None
    limit: Limit = 100
    types: tuple[TypePattern, ...] = ()
    subject: SubjectPattern = subjects.EVENTS_ALL


class LoggedEvent(Struct, frozen=True, omit_defaults=True):
    """An event as it stands in the log, with the attributes of CloudEvents.

    Attributes:
        seq: its position; `after` and `Last-Event-ID` take it.
        subject: `cca.events.<kind>.<id>`.
        causationid: id of the message that led to it.
        correlationid: id of the first message of the chain.
        data: the event itself; `data_base64` when it is not JSON.
    """

    seq: int
    subject: str
    type: str
    id: str
    source: str
    time: Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
    causationid: str | None = None
    correlationid: str | None = None
    traceparent: str | None = None
    data: Raw | None = None
    data_base64: str | None = None


class EventPage(Struct, frozen=True):
    """Events, oldest first. `next`, when there are more at present, is the `cursor` of the next page; `last` is the
    position up to which was looked: what comes later has a higher one."""

    items: list[LoggedEvent]
    next: str | None
    last: int


_encode = msgspec.json.Encoder().encode
_raw_json = msgspec.json.Decoder(Raw).decode


def logged(raw: log.Raw) -> LoggedEvent:
    """A stored message as it is shown."""
    headers = raw.headers
    try:
        data, other = _raw_json(raw.body), None
    except (msgspec.DecodeError, RecursionError):
        data, other = None, base64.b64encode(raw.body).decode()
    return LoggedEvent(
        raw.seq,
        raw.subject,
        headers.get("ce-type", ""),
        headers.get("ce-id", ""),
        headers.get("ce-source", ""),
        headers.get("ce-time") or rfc3339(raw.time),
        headers.get("ce-causationid"),
        headers.get("ce-correlationid"),
        headers.get("traceparent"),
        data,
        other,
    )


def _selector(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    if not patterns:
        return lambda _: True
    exact = frozenset(one for one in patterns if not one.endswith("*"))
    prefixes = tuple(one[:-1] for one in patterns if one.endswith("*"))
    return lambda tag: tag in exact or tag.startswith(prefixes)


async def of_task(gateway: Gateway, call: Call) -> web.StreamResponse:
    """The history of one task."""
    subject = subjects.events("task", call.task)
    if call.prefers_stream():
        return await _follow_task(gateway, call, subject)
    page = await _page(gateway, subject, call.query)
    if not page.items and await stored.last(gateway.bus, names.EVENTS, subject) is None:
        raise Refused("not-found", f"there is no task {call.task}")
    return call.answer(_encode(page))


async def of_all(gateway: Gateway, call: Call) -> web.StreamResponse:
    """A page of the log, or its tail."""
    query: LogSlice = call.query
    if call.prefers_stream():
        return await _follow_log(gateway, call, query)
    return call.answer(_encode(await _page(gateway, query.subject, query)))


async def _page(gateway: Gateway, subject: str, query: Slice | LogSlice) -> EventPage:
    gateway.see_that_bus_is_there()
    after = Seq(query.after or 0 if query.cursor is None else query.cursor)
    selected = _selector(query.types)
    found: list[LoggedEvent] = []
    scanned = 0
    async for raw in gateway.log.scan(subject, after):
        if len(found) >= query.limit or scanned >= SCAN_LIMIT:
            return EventPage(found, str(after), after)
        after, scanned = raw.seq, scanned + 1
        if selected(raw.headers.get("ce-type", "")):
            found.append(logged(raw))
    return EventPage(found, None, after)


async def _follow_task(gateway: Gateway, call: Call, subject: str) -> web.StreamResponse:
    resumed = sse.last_event_id(call)
    selected = _selector(call.query.types)
    over = False

    async def read(after: Seq) -> AsyncIterator[Frame]:
        nonlocal over
        async for raw in gateway.log.scan(subject, after):
            tag = raw.headers.get("ce-type", "")
            over = OVER.get(tag, over)
            yield Frame(raw.seq, _frame(raw) if selected(tag) else b"")

    with gateway.open_stream():
        async with gateway.wakes.on(subjects.live("task", call.task)) as sleeper:
            last = await stored.last(gateway.bus, names.EVENTS, subject)
            if last is None:
                raise Refused("not-found", f"there is no task {call.task}")
            after = Seq(min(call.query.after if resumed is None else resumed, last.seq))
            if after == last.seq:
                over = OVER.get(last.headers.get("ce-type", ""), False)
                if over:  # nothing will come: 204 tells a browser not to come back
                    return call.answer(b"", 204)
            return await sse.stream(gateway, call, sleeper, read, after, lambda: over)


async def _follow_log(gateway: Gateway, call: Call, query: LogSlice) -> web.StreamResponse:
    selected = _selector(query.types)

    async def read(after: Seq) -> AsyncIterator[Frame]:
        async for raw in gateway.log.scan(query.subject, after):
            yield Frame(raw.seq, _frame(raw) if selected(raw.headers.get("ce-type", "")) else b"")

    with gateway.open_stream():
        live = query.subject.replace("cca.events", "cca.live", 1)
        async with gateway.wakes.on(live) as sleeper:
            newest = await gateway.log.last_seq()
            wanted = sse.last_event_id(call)
            if wanted is None:
                wanted = Seq(newest if query.after is None else query.after)
            return await sse.stream(gateway, call, sleeper, read, Seq(min(wanted, newest)), lambda: False, GATHER)


def _frame(raw: log.Raw) -> bytes:
    event = logged(raw)
    return sse.frame(event.seq, event.type or "message", _encode(event))
