"""The one place that reaches below nats-py's public surface: frames out, raw messages in.

nats-py queues every incoming message for a task of its subscription and parses its headers with the email
parser; that costs more than all our own work on a message (ADR 0009). `Wire` hands messages straight to a
function instead, with headers as bytes, and writes prepared frames. Connecting, reconnecting, authentication
and the protocol itself remain nats-py's. The version is pinned for this module's sake.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from cca.errors import Busy

logger = logging.getLogger("cca.nats")

PENDING_LIMIT = 32 * 1024 * 1024


class Msg:
    """A message as it came: headers stay bytes until somebody asks."""

    __slots__ = ("_headers", "data", "raw", "reply", "subject")

    def __init__(self, subject: str, reply: str, data: bytes, raw: bytes | None) -> None:
        self.subject, self.reply, self.data, self.raw = subject, reply, data, raw
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        if self._headers is None:
            self._headers = parse_headers(self.raw) if self.raw else {}
        return self._headers

    @property
    def status(self) -> int:
        """The inline status of a server's message (404, 408, 503, …); 0 for an ordinary one."""
        raw = self.raw
        if raw is None or raw[8:9] != b" ":  # "NATS/1.0 503 No Responders"
            return 0
        code = raw[9:12]
        return int(code) if code.isdigit() else 0

    @property
    def description(self) -> str:
        """The text beside the status."""
        raw = self.raw or b""
        return raw[12 : raw.find(b"\r\n")].decode("utf-8", "replace").strip()


def parse_headers(raw: bytes) -> dict[str, str]:
    """Headers of a NATS message (`NATS/1.0 [status]` first line); of a repeated name the first wins."""
    found: dict[str, str] = {}
    for line in raw.decode("utf-8", "replace").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name, value.strip())
    return found


def header_block(headers: dict[str, str]) -> bytes:
    """Headers as they go over the wire. Line breaks in a value cannot start a header of their own."""
    lines = "".join(f"{name}: {_one_line(value)}\r\n" for name, value in headers.items())
    return b"NATS/1.0\r\n" + lines.encode() + b"\r\n"


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ") if "\n" in value or "\r" in value else value


class Wire(Client):
    """nats-py's client with a direct way in and out."""

    def __init__(self) -> None:
        super().__init__()
        self._direct: dict[int, Callable[[Msg], None]] = {}

    def write(self, subject: str, body: bytes, reply: str = "", headers: bytes | None = None) -> None:
        """Queue one message; it leaves with the next flush of the event loop. Raises `Busy` when full or closed."""
        if self.is_closed:
            raise Busy("the connection to NATS is closed")
        to = f"{subject} {reply}" if reply else subject
        if headers is None:
            frame = f"PUB {to} {len(body)}\r\n".encode() + body + b"\r\n"
        else:
            size = len(headers)
            frame = f"HPUB {to} {size} {size + len(body)}\r\n".encode() + headers + body + b"\r\n"
        self.write_frames(frame)

    def write_frames(self, frames: bytes) -> None:
        """Queue prepared frames, which must be whole."""
        if self._pending_data_size + len(frames) > PENDING_LIMIT:
            raise Busy("NATS does not take messages fast enough")
        self._pending.append(frames)
        self._pending_data_size += len(frames)
        self.kick()

    def kick(self) -> None:
        """Have what is queued sent; also after a reconnect, when nats-py leaves it until the next message."""
        queue = self._flush_queue
        if queue is not None and queue.empty() and self.is_connected:
            queue.put_nowait(asyncio.get_running_loop().create_future())

    async def sent(self) -> None:
        """Wait until everything that was queued has been handed to the socket; nats-py's flush does not."""
        await self._flush_pending(force_flush=True)

    async def listen(self, subject: str, on_message: Callable[[Msg], None], queue: str = "") -> Subscription:
        """Subscribe; `on_message` runs at once for each message and must not block."""

        async def never(_: Any) -> None:  # nats-py wants a coroutine; messages never get as far
            raise AssertionError

        subscription = await self.subscribe(subject, queue=queue, cb=never)
        self._direct[subscription._id] = on_message
        return subscription

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        on_message = self._direct.get(sid)
        if on_message is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        if sid not in self._subs:  # unsubscribed, but the server did not know yet
            return
        self.stats["in_msgs"] += 1
        self.stats["in_bytes"] += len(data)
        try:
            on_message(Msg(subject.decode(), reply.decode(), data, headers or None))
        except Exception:
            # One bad message must not end the read loop, on which every other subscription depends.
            logger.exception("a subscriber failed on %s", subject.decode(errors="replace"))

    def forget(self, subscription: Subscription) -> None:
        self._direct.pop(subscription._id, None)
