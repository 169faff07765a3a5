"""The output of tasks on `cca.output.<task>`: written in order, stored, bounded; read early or late."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable

from cca.errors import CcaError
from cca.message import Seq
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.work.pump import Backoff
from cca.work.task import DONE

logger = logging.getLogger("cca.worker")

CHUNK = 64 * 1024
"""The most bytes in one message."""
ROOM = 1024 * 1024
"""Bytes on their way, above which a writer who waits is made to."""
MOST = 4 * ROOM
"""Bytes on their way, above which what a writer who does not wait writes is dropped."""
TRIES_S = 15.0
"""Seconds for which a message is tried again before it is given up; those after it have one try each."""


class Output:
    """The output of one attempt. One message is on its way at a time; what waits meanwhile is joined."""

    def __init__(self, bus: Bus, task: str, attempt: int) -> None:
        self._bus, self._task, self._attempt = bus, task, attempt
        self._subject = subjects.output(task)
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._sent = 0
        self._dropped = 0
        self._patience = TRIES_S
        self._room: asyncio.Future[None] | None = None
        self._sender: asyncio.Task[None] | None = None

    def write(self, data: bytes, stream: str = "stdout") -> Awaitable[None]:
        """Send bytes as they are. The answer, when awaited, waits for room."""
        if not data:
            return DONE
        if self._size + len(data) > MOST:
            self._dropped += len(data)
        else:
            if self._dropped:
                self._confess()
            self._put(stream, data)
        if self._size < ROOM:
            return DONE
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._room)

    def _put(self, stream: str, data: bytes) -> None:
        self._waiting.append((stream, data))
        self._size += len(data)
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send())

    def _confess(self) -> None:
        note, self._dropped = f"\n[{self._dropped} bytes of output were dropped]\n", 0
        self._put("stderr", note.encode())

    def _take(self) -> tuple[str, bytes]:
        stream, data = self._waiting.popleft()
        if len(data) > CHUNK:
            self._waiting.appendleft((stream, data[CHUNK:]))
            return stream, data[:CHUNK]
        parts, size = [data], len(data)
        while self._waiting and self._waiting[0][0] == stream and size + len(self._waiting[0][1]) <= CHUNK:
            parts.append(self._waiting.popleft()[1])
            size += len(parts[-1])
        return stream, b"".join(parts)

    async def _send(self) -> None:
        await asyncio.sleep(0)  # what is written in the same breath leaves together
        while self._waiting:
            stream, data = self._take()
            if not await self._store(stream, data):
                self._dropped += len(data)
            self._size -= len(data)
            if self._size < ROOM and self._room is not None:
                self._room.set_result(None)
                self._room = None
        self._sender = None

    async def _store(self, stream: str, data: bytes) -> bool:
        self._sent += 1
        headers = {
            "Cca-Attempt": str(self._attempt),
            "Cca-Stream": stream,
            "Nats-Msg-Id": f"{self._task}.{self._attempt}.{self._sent}",
        }
        loop = asyncio.get_running_loop()
        until, backoff = loop.time() + self._patience, Backoff()
        while True:
            try:
                ack = json.loads(await self._bus.request(self._subject, data, headers))
                if "error" not in ack:
                    self._patience = TRIES_S
                    return True
                said = str(ack["error"].get("description", ""))
            except (CcaError, ValueError) as error:
                said = str(error)
            if loop.time() > until:
                logger.warning("task %s: %d bytes of output could not be stored: %s", self._task, len(data), said)
                self._patience = 0.0
                return False
            await backoff.wait()

    @property
    def idle(self) -> bool:
        """Everything is stored."""
        return self._sender is None and not self._dropped

    async def finish(self, timeout_s: float = 5.0) -> None:
        """Wait until everything is stored, at most so long; the rest goes on its way in the background."""
        if self._dropped:
            self._confess()
        if self._sender is not None:
            await asyncio.wait({self._sender}, timeout=timeout_s)


class Chunk(bytes):
    """A piece of output: bytes that know their `attempt`, their `stream` (`stdout`, `stderr`) and position `seq`."""

    attempt: int
    stream: str
    seq: int

    @classmethod
    def made(cls, data: bytes, attempt: int, stream: str, seq: int) -> "Chunk":
        chunk = cls(data)
        chunk.attempt, chunk.stream, chunk.seq = attempt, stream, seq
        return chunk


async def read_output(bus: Bus, task: str, after: int = 0) -> AsyncIterator[Chunk]:
    """The stored output of a task after a position, oldest first. Raises `Busy`."""
    async for raw in stored.scan(bus, names.OUTPUT, subjects.output(task), Seq(after)):
        attempt, stream = raw.headers.get("Cca-Attempt", ""), raw.headers.get("Cca-Stream", "stdout")
        yield Chunk.made(raw.body, int(attempt) if attempt.isdecimal() else 0, stream, raw.seq)
