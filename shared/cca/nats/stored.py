"""Stored messages by direct gets: no consumer is created, however many read (the server allows 1,000 a stream)."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from msgspec import Struct

from cca.errors import Busy
from cca.message import Seq
from cca.nats.bus import Bus, Nobody
from cca.nats.wire import Msg

PAGE = 256
PAGE_BYTES = 8 * 1024 * 1024
"""What one request brings at most, in messages and in bytes of bodies."""

_OURS = frozenset(
    ("Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence")
)
"""Headers that the server adds on the way out."""


class Raw(Struct, frozen=True):
    """A stored message as it is: `headers` are those that it was published with, `time` is when it was stored."""

    seq: Seq
    subject: str
    headers: dict[str, str]
    body: bytes
    time: datetime


async def scan(bus: Bus, stream: str, subject: str, after: Seq = Seq(0)) -> AsyncIterator[Raw]:
    """The messages of a subject or a wildcard after a position, oldest first. Raises `Busy`."""
    while True:
        request: dict[str, object] = {"seq": after + 1, "next_by_subj": subject, "batch": PAGE, "max_bytes": PAGE_BYTES}
        page = await _many(bus, stream, request)
        for msg in page:
            yield _raw(msg)
        # Each says how many of its subject follow it in the stream.
        if not page or page[-1].headers["Nats-Num-Pending"] == "0":
            return
        after = Seq(int(page[-1].headers["Nats-Sequence"]))


async def last(bus: Bus, stream: str, subject: str) -> Raw | None:
    """The last message of a subject. Raises `Busy`."""
    return await _one(bus, stream, {"last_by_subj": subject})


async def at(bus: Bus, stream: str, seq: int) -> Raw | None:
    """The message at a position, if there is one. Raises `Busy`."""
    return await _one(bus, stream, {"seq": seq})


async def last_of_each(bus: Bus, stream: str, subjects: str) -> list[Raw]:
    """The last message of every subject that matches, at most 1,024 of them. Raises `Busy`."""
    return [_raw(msg) for msg in await _many(bus, stream, {"multi_last": [subjects]})]


async def _one(bus: Bus, stream: str, request: dict[str, object]) -> Raw | None:
    try:
        msg = await bus.request_msg(_direct(stream), json.dumps(request).encode())
    except Nobody:
        raise _missing(stream) from None
    if msg.status == 404:
        return None
    if msg.status:
        raise Busy(f"stream {stream} cannot be read: {msg.status} {msg.description}")
    return _raw(msg)


async def _many(bus: Bus, stream: str, request: dict[str, object]) -> list[Msg]:
    try:
        return await bus.request_many(_direct(stream), json.dumps(request).encode())
    except Nobody:
        raise _missing(stream) from None


def _missing(stream: str) -> Busy:
    return Busy(f"there is no stream {stream}: has a service been started on this server?")


def _direct(stream: str) -> str:
    return f"$JS.API.DIRECT.GET.{stream}"


def _raw(msg: Msg) -> Raw:
    headers = msg.headers
    return Raw(
        Seq(int(headers["Nats-Sequence"])),
        headers["Nats-Subject"],
        {name: value for name, value in headers.items() if name not in _OURS},
        msg.data,
        _time(headers["Nats-Time-Stamp"]),
    )


def _time(text: str) -> datetime:
    """The server's times have up to nine decimals; ours have six."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}").replace(tzinfo=UTC)
