"""Follow the log from a position: every event after it, in order, none twice, none missing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from cca.errors import Busy, CcaError
from cca.ids import uuid7
from cca.nats import streams, subjects
from cca.nats.bus import Bus
from cca.nats.pull import Delivery, Pull
from cca.projection import Entry

ORDER = 512
"""Messages on order at a time."""
HIGH_WATER = 32 * 1024 * 1024
"""Bytes that may wait to be taken before no more are ordered."""
IDLE = 5.0
"""Seconds of silence after which the server is asked whether it has really nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Doubt(CcaError):
    """It is not certain that nothing was missed. Follow again from the last position that is known."""


class Follower:
    """Reads events of the log through a consumer of its own that dies with it.

    Nothing is acknowledged: the reader keeps its own position. The consumer numbers what it hands out; a gap in
    the numbers, a reconnect or a consumer that is gone raises `Doubt`.
    """

    def __init__(self, bus: Bus, name: str, after: int) -> None:
        self._bus, self._name = bus, name
        self.seq = after
        self._consumer_seq = 0
        self._waiting: list[Delivery] = []
        self._bytes = 0
        self._held = False
        self._arrived = asyncio.Event()
        self._doubt: str | None = None
        self._behind = 0
        self._enough = 1
        self._pull: Pull | None = None
        self.pending = 0
        """How many events the server had left when the last one that was taken was sent."""

    @classmethod
    async def start(
        cls, bus: Bus, name: str, after: int = 0, subject: str = subjects.EVENTS_ALL
    ) -> "Follower":
        """Begin after a position. `name` is for people who look at the server's consumers. Raises `Busy`."""
        self = cls(bus, f"{name}_{uuid7().replace('-', '')[-16:]}", after)
        config = ConsumerConfig(
            name=self._name,
            description="Follows the log; keeps its own position.",
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            ack_policy=AckPolicy.NONE,
            filter_subject=subject,
            inactive_threshold=30.0,
            mem_storage=True,
            num_replicas=1,
        )
        try:
            info = await bus.nc.jetstream(timeout=10).add_consumer(streams.EVENTS, config)
        except (TimeoutError, NatsError, OSError) as error:
            raise Busy(f"the log cannot be followed: {error}") from None
        self.pending = info.num_pending or 0
        bus.reconnected.append(self._on_reconnect)
        self._pull = await Pull.start(bus, streams.EVENTS, self._name, self._on_delivery, ORDER)
        return self

    async def stop(self) -> None:
        """Follow no longer."""
        if self._on_reconnect in self._bus.reconnected:
            self._bus.reconnected.remove(self._on_reconnect)
        if self._pull is not None:
            await self._pull.stop()
        if self._bus.is_connected:
            try:
                await self._bus.nc.jetstream(timeout=2).delete_consumer(streams.EVENTS, self._name)
            except (TimeoutError, NatsError, OSError):
                pass  # the server removes it by itself

    async def take(self, most: int, *, wait_s: float, gather_s: float = 0.0) -> Sequence[Entry]:
        """The next events, at most `most`; none if none came within `wait_s` seconds.

        Once there is one, up to `gather_s` seconds are spent on waiting for more. Raises `Doubt`.
        """
        if not self._waiting:
            await self._until(1, wait_s)
        if self._waiting and len(self._waiting) < most and gather_s > 0:
            await self._until(most, gather_s)
        if self._doubt:
            raise Doubt(self._doubt)
        if not self._waiting:
            return ()
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        entries = [self._entry(delivery) for delivery in taken]
        self.pending = taken[-1].pending + len(self._waiting)
        self._bytes -= sum(len(entry.body) + len(entry.headers) for entry in entries)
        if self._held and self._bytes < HIGH_WATER // 2:
            self._held = False
            assert self._pull is not None
            self._pull.want(ORDER)
        return entries

    async def _until(self, enough: int, seconds: float) -> None:
        """Wait for so many messages; in a long silence, make sure that it is one."""
        deadline = asyncio.get_running_loop().time() + seconds
        while len(self._waiting) < enough and self._doubt is None:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self._enough = enough
            self._arrived.clear()
            try:
                async with asyncio.timeout(min(left, IDLE)):
                    await self._arrived.wait()
            except TimeoutError:
                if left > IDLE and not self._waiting:
                    await self._check()

    async def _check(self) -> None:
        # The last message before a silence may be lost without a gap that would show it.
        if not self._bus.is_connected:
            return
        before = self._consumer_seq
        try:
            info = await self._bus.nc.jetstream(timeout=5).consumer_info(streams.EVENTS, self._name)
        except NotFoundError:
            self._raise("the server has forgotten our consumer")
            return
        except (TimeoutError, NatsError, OSError):
            return
        delivered = info.delivered.consumer_seq if info.delivered else 0
        if delivered <= before or self._waiting:
            self._behind = 0
        elif self._behind == delivered:  # twice the same: it is not on its way any more
            self._raise(f"{delivered - before} messages were sent and did not arrive")
        else:
            self._behind = delivered

    def _on_delivery(self, delivery: Delivery) -> None:
        waiting = self._waiting
        waiting.append(delivery)
        self._bytes += len(delivery.body) + len(delivery.raw_headers)
        if self._bytes > HIGH_WATER and not self._held:
            self._held = True
            assert self._pull is not None
            self._pull.want(0)
        if len(waiting) >= self._enough:
            self._arrived.set()

    def _on_reconnect(self) -> None:
        self._raise("the connection was lost in between")

    def _raise(self, why: str) -> None:
        self._doubt = why
        self._arrived.set()

    def _entry(self, delivery: Delivery) -> Entry:
        expected = self._consumer_seq + 1
        if delivery.consumer_seq != expected:
            raise Doubt(f"message {expected} of the consumer is missing; {delivery.consumer_seq} came")
        self._consumer_seq = expected
        self.seq = delivery.seq
        return entry(delivery.seq, delivery.subject, delivery.raw_headers, delivery.body, delivery.time_ns)


def entry(seq: int, subject: str, headers: bytes, body: bytes, stored_ns: int) -> Entry:
    """A stored message. Its time is `ce-time`; without a readable one, when it was stored."""
    text = _value(headers, b"\r\nce-time:")
    return Entry(
        seq,
        subject.replace("\x00", "\ufffd"),
        _value(headers, b"\r\nce-type:"),
        _value(headers, b"\r\nce-id:"),
        _time(text) if text else _EPOCH + timedelta(microseconds=stored_ns // 1000),
        headers,
        body,
    )


def _value(headers: bytes, name: bytes) -> str | None:
    start = headers.find(name)
    if start < 0:
        return None
    start += len(name)
    return headers[start : headers.find(b"\r\n", start)].strip().decode("utf-8", "replace").replace("\0", "\ufffd")


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
