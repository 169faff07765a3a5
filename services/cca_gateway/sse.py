"""Server-sent events (WHATWG HTML, 9.2) read from a stream: each client at its own pace, resumed by position."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator

from aiohttp import web
from msgspec import Struct

from cca.errors import Busy
from cca.message import Seq
from cca_gateway.call import EVENT_STREAM, Call
from cca_gateway.gateway import Gateway
from cca_gateway.problems import Problem

logger = logging.getLogger("cca_gateway")

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent, and the stream is looked at in any case."""
STUCK = 60.0
"""Seconds that a client may take nothing before it is given up."""
CHUNK = 64 * 1024
"""Bytes that are collected before they are written."""
TROUBLE = 1.0
"""Seconds between looks while the bus is away."""
AGAIN = (0.02, 0.05, 0.1, 0.25, 0.5)
"""Seconds until another look when a wake was followed by nothing: a copy of the stream may be a little behind."""
RECONNECT = b"retry: 1000\n\n"
"""Milliseconds after which a browser comes back."""


class Frame(Struct, frozen=True):
    """What is sent for one message; `bytes` is empty for a message that only moves the position."""

    seq: Seq
    bytes: bytes


Read = Callable[[Seq], AsyncIterator[Frame]]


def frame(seq: int, event: str, data: bytes) -> bytes:
    """One event. Line breaks in JSON are only white space; in a type they would begin a field of their own."""
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\n", b" ").replace(b"\r", b" ")
    name = event.replace("\n", " ").replace("\r", " ")
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, name.encode(), data)


def last_event_id(call: Call) -> Seq | None:
    """The position of the `Last-Event-ID`, or None without one. Raises `Problem`."""
    text = call.request.headers.get("Last-Event-ID")
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Problem("bad-header", "Last-Event-ID must be a position in the log, as sent in `id:`")
    return Seq(int(text))


async def stream(
    gateway: Gateway,
    call: Call,
    sleeper: asyncio.Event,
    read: Read,
    after: Seq,
    is_over: Callable[[], bool],
    gather: float = 0.0,
) -> web.StreamResponse:
    """Send what `read` gives after a position, then what is new each time that `sleeper` is set.

    Ends when `is_over`, when the service stops, or when the client is gone. While the bus is away it waits.
    `gather` is the time in seconds between a wake and the read, so that a burst is read at once.
    """
    response = web.StreamResponse(
        headers={
            "Content-Type": EVENT_STREAM,
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
            "X-Request-Id": call.id,
            "Server": "cca",
        }
    )
    sender = _Sender(response, read, after)
    again: Iterator[float] = iter(())
    try:
        await response.prepare(call.request)
        await sender.write(RECONNECT)
        while True:
            sleeper.clear()
            try:
                if await sender.send_new():
                    again = iter(())
            except Busy:
                await sender.write(b": the log cannot be read at the moment\n\n")
                if gateway.closing:
                    break
                await asyncio.sleep(TROUBLE)
                continue
            if gateway.closing or is_over():
                break
            pause = next(again, None)
            if await _woken(sleeper, KEEP_ALIVE if pause is None else pause):
                again = iter(AGAIN)
                await asyncio.sleep(gather)
            elif pause is None:
                await sender.write(b": keep-alive\n\n")
        await response.write_eof()
    except (ConnectionError, TimeoutError):
        _break_off(call)  # the client is gone, or takes nothing; it can come back with the last position it has seen
    except Exception:
        logger.exception("request %s: the stream broke", call.id)
        _break_off(call)  # so that it does not look like an end
    return response


def _break_off(call: Call) -> None:
    if call.request.transport is not None:
        call.request.transport.abort()


class _Sender:
    """What one client has been sent so far."""

    def __init__(self, response: web.StreamResponse, read: Read, after: Seq) -> None:
        self._response, self._read, self._after = response, read, after

    async def send_new(self) -> bool:
        """Send what is new; whether there was anything. Raises `Busy`; what was read until then has been sent."""
        before = self._after
        waiting: list[bytes] = []
        size = 0
        try:
            async for one in self._read(before):
                self._after = one.seq
                waiting.append(one.bytes)
                size += len(one.bytes)
                if size >= CHUNK:
                    chunk, waiting, size = b"".join(waiting), [], 0
                    await self.write(chunk)
        finally:
            if size:
                await self.write(b"".join(waiting))
        return self._after != before

    async def write(self, data: bytes) -> None:
        async with asyncio.timeout(STUCK):
            await self._response.write(data)


async def _woken(sleeper: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await sleeper.wait()
    except TimeoutError:
        return False
    return True
