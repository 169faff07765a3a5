"""What a running task prints: replayed from the output stream, and followed until the task is over."""

import codecs
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from cca.errors import Refused
from cca.message import Seq
from cca.nats import log, names, stored, subjects
from cca_gateway import sse
from cca_gateway.call import Call
from cca_gateway.events import OVER, After
from cca_gateway.gateway import Gateway
from cca_gateway.sse import Frame

TEXT = "text/plain; charset=utf-8"
LIMIT = 16 * 1024 * 1024
"""Bytes of one plain answer; the rest is had with `after`, or as a stream."""


class OutputQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of the output: of one attempt, of one stream, after a position in the output stream."""

    attempt: Annotated[int, Meta(ge=1)] | None = None
    stream: Literal["stdout", "stderr"] | None = None
    after: After = 0


class OutputPart(Struct, frozen=True, omit_defaults=True):
    """A piece of output. A character that is cut in two comes whole in the later piece."""

    seq: int
    attempt: int
    stream: str
    text: str
    time: datetime


_encode = msgspec.json.Encoder().encode


async def of_task(gateway: Gateway, call: Call) -> web.StreamResponse:
    """The output of one task, as it was printed; or as events of type `output`."""
    gateway.see_that_bus_is_there()
    subject = subjects.output(call.task)
    if call.prefers_stream():
        return await _follow(gateway, call, subject)
    parts: list[bytes] = []
    size, position, more = 0, Seq(call.query.after), False
    async for raw in stored.scan(gateway.bus, names.OUTPUT, subject, position):
        if size >= LIMIT:
            more = True
            break
        position = raw.seq
        if _wanted(call.query, raw):
            parts.append(raw.body)
            size += len(raw.body)
    if not parts:
        await _last_event(gateway, call.task)
    headers = {"X-Content-Type-Options": "nosniff", "Cca-Next-After": str(position), "Cca-More": str(more).lower()}
    return call.answer(b"".join(parts), 200, headers, TEXT)


async def _follow(gateway: Gateway, call: Call, subject: str) -> web.StreamResponse:
    resumed = sse.last_event_id(call)
    decoders: dict[tuple[int, str], codecs.IncrementalDecoder] = {}
    over = False

    async def read(after: Seq) -> AsyncIterator[Frame]:
        nonlocal over
        # Looked at before the output: what a task printed is stored before its end is.
        over = _is_over(await _last_event(gateway, call.task))
        async for raw in stored.scan(gateway.bus, names.OUTPUT, subject, after):
            yield Frame(raw.seq, _frame(raw, decoders) if _wanted(call.query, raw) else b"")

    with gateway.open_stream():
        async with gateway.wakes.on(subject, subjects.live("task", call.task)) as sleeper:
            ended = await _last_event(gateway, call.task)
            last = await stored.last(gateway.bus, names.OUTPUT, subject)
            newest = last.seq if last else Seq(0)
            after = Seq(min(call.query.after if resumed is None else resumed, newest))
            if resumed is not None and after == newest and _is_over(ended):
                return call.answer(b"", 204)  # tells a browser not to come back
            return await sse.stream(gateway, call, sleeper, read, after, lambda: over)


async def _last_event(gateway: Gateway, task: str) -> log.Raw:
    last = await stored.last(gateway.bus, names.EVENTS, subjects.events("task", task))
    if last is None:
        raise Refused("not-found", f"there is no task {task}")
    return last


def _is_over(last: log.Raw) -> bool:
    return OVER.get(last.headers.get("ce-type", ""), False)


def _wanted(query: OutputQuery, raw: log.Raw) -> bool:
    return query.attempt in (None, _attempt(raw)) and query.stream in (None, _stream(raw))


def _attempt(raw: log.Raw) -> int:
    text = raw.headers.get("Cca-Attempt", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _stream(raw: log.Raw) -> str:
    return raw.headers.get("Cca-Stream", "stdout")


def _frame(raw: log.Raw, decoders: dict[tuple[int, str], codecs.IncrementalDecoder]) -> bytes:
    name = (_attempt(raw), _stream(raw))
    if name not in decoders:
        decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
    part = OutputPart(raw.seq, *name, decoders[name].decode(raw.body), raw.time)
    return sse.frame(raw.seq, "output", _encode(part))
