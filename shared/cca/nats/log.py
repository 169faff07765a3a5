"""The log on JetStream: batched direct reads, appends with optimistic concurrency and group commit."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial

from cca.errors import Busy, Conflict
from cca.message import Event, Meta, Recorded, Seq, Side, Stream
from cca.nats import names, stored
from cca.nats.appender import Appender
from cca.nats.bus import Bus
from cca.nats.frames import Group, group, recorded
from cca.nats.stored import Raw as Raw

PATIENCE = 30.0
"""Seconds that an append whose answer was lost waits for the log to come back."""


class JetStreamLog:
    """The log of the stream `CCA_EVENTS`.

    Args:
        bus: the connection.
        batch_from: waiting messages from which an atomic batch is cheaper than single publishes; 0 for never.
        announce: publish each committed event on `cca.live.<kind>.<id>`.
    """

    def __init__(self, bus: Bus, batch_from: int = 12, announce: bool = False) -> None:
        self._bus, self._announce = bus, announce
        self.appender = Appender(bus, batch_from, self._resolve)

    # ------------------------------------------------------------------------------------ append

    async def append(
        self, stream: Stream, events: Sequence[Event], *, after: Seq, cause: Meta, sides: Sequence[Side] = ()
    ) -> Seq:
        """See `cca.log.EventLog.append`."""
        return await self.commit(stream, events, after=after, cause=cause, sides=sides)

    def commit(
        self, stream: Stream, events: Sequence[Event], *, after: Seq, cause: Meta, sides: Sequence[Side] = ()
    ) -> asyncio.Future[Seq]:
        """As `append`, without a coroutine of its own: the future has the position or the error."""
        what = group(stream, events, after, cause, sides)
        done = self.appender.append(what)
        if self._announce:
            bodies = [frame.body for frame in what.frames if frame.is_event]
            done.add_done_callback(partial(self._tell, f"cca.live.{stream.category}.{stream.key}".encode(), bodies))
        return done

    def _tell(self, subject: bytes, bodies: list[bytes], done: asyncio.Future[Seq]) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        try:
            self._bus.nc.write_frames(b"".join(b"PUB %b %d\r\n%b\r\n" % (subject, len(body), body) for body in bodies))
        except Busy:
            pass  # an announcement is a courtesy; who waits for long reads the log

    async def _resolve(self, what: Group, error: Exception) -> Seq | None:
        """What became of an append whose answer was lost or was a conflict, perhaps with its own first try.

        Reads what stands after its expectation: all of it → its position; a beginning → the rest is to be sent;
        nothing, and nobody else's → send all again; somebody else's → `Conflict`.
        """
        ids = [frame.id for frame in what.frames if frame.is_event]
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                found = [raw async for raw in self.scan(what.subject, what.after)]
                break
            except Busy:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(0.1)
        there = [raw.headers.get("ce-id") for raw in found]
        if there[: len(ids)] == ids:
            return found[len(ids) - 1].seq
        if there == ids[: len(there)]:
            if isinstance(error, Conflict) and not there:
                raise error  # the server says that there is something that a read does not show yet
            kept = set(ids[len(there) :])
            what.frames = [frame for frame in what.frames if not frame.is_event or frame.id in kept]
            what.after = found[-1].seq if found else what.after
            return None
        raise Conflict(what.subject, what.after, found[-1].seq)

    # ------------------------------------------------------------------------------------ read

    async def read(self, stream: Stream, after: Seq = Seq(0)) -> AsyncIterator[Recorded[Event]]:
        """See `cca.log.EventLog.read`."""
        async for raw in self.scan(stream.subject, after):
            yield recorded(raw.subject, raw.seq, raw.headers, raw.body)

    def scan(self, subject: str, after: Seq = Seq(0)) -> AsyncIterator[Raw]:
        """The stored messages of a subject or a wildcard after a position, oldest first. Raises `Busy`."""
        return stored.scan(self._bus, names.EVENTS, subject, after)

    async def last_seq(self) -> Seq:
        """The last position of the whole log. Raises `Busy`."""
        answer = json.loads(await self._bus.request(f"$JS.API.STREAM.INFO.{names.EVENTS}", b""))
        if "state" not in answer:
            raise Busy(f"the log is not available: {answer.get('error', {}).get('description', 'no answer')}")
        return Seq(answer["state"]["last_seq"])
