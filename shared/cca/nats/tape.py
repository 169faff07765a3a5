"""A span of the log, played as fast as the server sends it.

A start and every version that is made again read some hundred thousand events. `Follower` orders them by the hundred,
and the server waits in between; here it sends ahead, as far as flow control lets it (32 MiB), through an ordered
consumer that dies with us: nothing is acknowledged, and a gap in its numbers raises `Doubt`.
"""

import asyncio
from datetime import UTC, datetime

from cca.ids import uuid7
from cca.nats import subjects
from cca.nats.bus import Bus, Subscribed
from cca.nats.follow import Doubt, consumer, entry, forget, numbered
from cca.nats.wire import Msg
from cca.projection import Entry

HEARTBEAT = 2.0
"""Seconds between signs of life of a server that has nothing to send."""
BEATS = 3
"""So many of them in a row, while events are missing, are a loss."""
SILENCE = 10.0
"""Seconds without any are a lost consumer."""


class Tape:
    """Plays what the log has after a position when it is started.

    Attributes:
        left: how many events are still to be taken.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._name = f"tape_{uuid7().replace('-', '')[-16:]}"
        self._waiting: list[Msg] = []
        self._flow: list[str] = []
        self._enough = 1
        self._arrived = asyncio.Event()
        self._number = self._beats = 0
        self._lost = False
        self._subscription: Subscribed | None = None
        self.left = 0

    @classmethod
    async def start(cls, bus: Bus, after: int) -> "Tape":
        """Begin after a position. Raises `Busy`."""
        self, inbox = cls(bus), bus.new_inbox()
        bus.reconnected.append(self._on_reconnect)
        self._subscription = await bus.subscribe(inbox, self._on_msg)
        try:
            made = await consumer(
                bus,
                self._name,
                after,
                subjects.EVENTS_ALL,
                description="Plays the log.",
                deliver_subject=inbox,
                max_deliver=1,
                flow_control=True,
                idle_heartbeat=int(HEARTBEAT * 1e9),
            )
        except BaseException:
            await self.stop()
            raise
        # It may have sent some of them already.
        self.left = int(made["num_pending"]) + int(made["delivered"]["consumer_seq"])
        return self

    async def stop(self) -> None:
        """Play no more."""
        self._bus.reconnected.remove(self._on_reconnect)
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        if self._bus.is_connected:
            await forget(self._bus, self._name)

    async def take(self, most: int) -> list[Entry]:
        """The next `most` events, or all that are left if these are fewer. Raises `Doubt`."""
        most = min(most, self.left)
        while len(self._waiting) < most and not self._lost:
            self._keep_pace()
            self._enough = most
            self._arrived.clear()
            try:
                async with asyncio.timeout(SILENCE):
                    await self._arrived.wait()
            except TimeoutError:
                self._lost = True
        if self._lost:
            raise Doubt("the log was not sent to its end")
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        entries = [self._entry(msg) for msg in taken]
        self.left -= most
        if len(self._waiting) < most:
            self._keep_pace()
        return entries

    def _keep_pace(self) -> None:
        for reply in self._flow:
            self._bus.publish(reply, b"")
        self._flow.clear()

    def _on_msg(self, msg: Msg) -> None:
        if not msg.status:
            self._beats = 0
            self._waiting.append(msg)
            if len(self._waiting) >= self._enough:
                self._arrived.set()
            return
        if reply := msg.reply or msg.headers.get("Nats-Consumer-Stalled", ""):
            self._flow.append(reply)  # the question whether we keep pace, which is answered when we do
        elif len(self._waiting) < self._enough:
            # The server has nothing to send, but we know of more: what it has sent did not all arrive.
            self._beats += 1
            self._lost = self._beats >= BEATS
        self._arrived.set()

    def _on_reconnect(self) -> None:
        self._lost = True
        self._arrived.set()

    def _entry(self, msg: Msg) -> Entry:
        self._number += 1
        seq, stored_ns = numbered(msg.reply, self._number)
        headers = msg.raw or b""
        try:
            # Type and time are all that is asked for, and nearly always there as we write them.
            time = datetime.fromisoformat(_value(headers, b"\r\nce-time:"))
            if time.tzinfo is UTC:
                return Entry(seq, msg.subject, _value(headers, b"\r\nce-type:"), None, time, b"", msg.data)
        except ValueError:
            pass  # it is somebody else's
        return entry(seq, msg.subject, headers, msg.data, stored_ns)


def _value(headers: bytes, name: bytes) -> str:
    """The value of a header. Raises ValueError when there is none."""
    start = headers.index(name) + len(name)
    return headers[start : headers.index(b"\r", start)].decode().strip()
