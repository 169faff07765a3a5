"""Stored messages of any stream by direct gets: no consumer is created, however many clients read."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec

from cca.errors import Busy
from cca.message import Seq
from cca.nats.bus import Bus
from cca.nats.log import Raw
from cca.nats.wire import Msg

PAGE = 64
PAGE_BYTES = 4 * 1024 * 1024
TIMEOUT = 5.0
"""Seconds for one answer."""

_encode = msgspec.json.Encoder().encode


async def last(bus: Bus, stream: str, subject: str) -> Raw | None:
    """The last message of a subject. Raises `Busy`."""
    msg = await bus.request_msg(_direct(stream), _encode({"last_by_subj": subject}), timeout=TIMEOUT)
    if msg.status == 404:
        return None
    if msg.status:
        raise Busy(f"stream {stream} cannot be read: {msg.status} {msg.description}")
    return _raw(msg)


async def scan(bus: Bus, stream: str, subject: str, after: Seq) -> AsyncIterator[Raw]:
    """The messages of a subject after a position, oldest first. Raises `Busy`."""
    while True:
        page, more = await _page(bus, stream, subject, after)
        for raw in page:
            yield raw
        if not more or not page:
            return
        after = page[-1].seq


async def _page(bus: Bus, stream: str, subject: str, after: Seq) -> tuple[list[Raw], bool]:
    answers: asyncio.Queue[Msg | None] = asyncio.Queue()
    page: list[Raw] = []
    reply = bus.expect(answers.put_nowait)
    question = {"seq": after + 1, "next_by_subj": subject, "batch": PAGE, "max_bytes": PAGE_BYTES}
    try:
        bus.publish(_direct(stream), _encode(question), reply=reply)
        while True:
            async with asyncio.timeout(TIMEOUT):
                msg = await answers.get()
            if msg is None:
                raise Busy(f"the connection to NATS was lost while {stream} was read")
            if msg.status in (204, 404):  # end of the page; nothing there
                return page, msg.status == 204 and msg.headers.get("Nats-Num-Pending", "0") != "0"
            if msg.status:
                raise Busy(f"stream {stream} cannot be read: {msg.status} {msg.description}")
            page.append(_raw(msg))
    except TimeoutError:
        raise Busy(f"stream {stream} did not answer within {TIMEOUT:g} s") from None
    finally:
        bus.forget(reply)


def _direct(stream: str) -> str:
    return f"$JS.API.DIRECT.GET.{stream}"


def _raw(msg: Msg) -> Raw:
    headers = msg.headers
    whole, _, fraction = headers["Nats-Time-Stamp"].rstrip("Z").partition(".")
    time = datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}").replace(tzinfo=UTC)
    return Raw(Seq(int(headers["Nats-Sequence"])), headers["Nats-Subject"], headers, msg.data, time)
