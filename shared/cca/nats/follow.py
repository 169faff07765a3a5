"""Follow the log from a position: every event after it, in order, none twice, none missing."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from cca.errors import Busy, CcaError
from cca.ids import uuid7
from cca.nats import names, subjects
from cca.nats.bus import Bus
from cca.nats.pull import Delivery, Pull
from cca.projection import Entry
from cca.storable import text_without_nul

ORDER = 256
"""Messages on order at a time."""
HIGH_WATER = 32 * 1024 * 1024
"""Bytes that may wait to be taken before no more are ordered."""
IDLE = 5.0
"""Seconds of silence after which the server is asked whether it has really nothing."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Doubt(CcaError):
    """It is not certain that nothing was missed. Follow again from the last position that is known."""


class _Gone(Busy):
    """There is no such thing; there may be again."""


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
    async def start(cls, bus: Bus, name: str, after: int = 0, subject: str = subjects.EVENTS_ALL) -> "Follower":
        """Begin after a position. `name` is for people who look at the server's consumers. Raises `Busy`."""
        self = cls(bus, f"{name}_{uuid7().replace('-', '')[-16:]}", after)
        self.pending = await _pulled(bus, self._name, after, subject)
        bus.reconnected.append(self._on_reconnect)
        self._pull = await Pull.start(bus, names.EVENTS, self._name, self._on_delivery, ORDER)
        return self

    async def stop(self) -> None:
        """Follow no longer."""
        if self._on_reconnect in self._bus.reconnected:
            self._bus.reconnected.remove(self._on_reconnect)
        if self._pull is not None:
            await self._pull.stop()
        if self._bus.is_connected:
            await forget(self._bus, self._name)

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
            info = await _api(self._bus, f"CONSUMER.INFO.{names.EVENTS}.{self._name}", timeout=5)
        except _Gone:
            self._raise("the server has forgotten our consumer")
            return
        except Busy:
            return
        delivered = info["delivered"]["consumer_seq"]
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
        self.seq, stored_ns = numbered(delivery.ack_subject, self._consumer_seq + 1)
        self._consumer_seq += 1
        return entry(self.seq, delivery.subject, delivery.raw_headers, delivery.body, stored_ns)


def numbered(reply: str, expected: int) -> tuple[int, int]:
    """Position in the stream, and time of storing in nanoseconds, of a consumer's message number `expected`.

    Raises `Doubt` when it is another one: there is a gap.
    """
    # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>[.<token>], with
    # <domain>.<account hash> before the stream in the longer form.
    tokens = reply.split(".")
    if len(tokens) > 9:
        tokens = tokens[2:]
    if int(tokens[6]) != expected:
        raise Doubt(f"message {expected} of the consumer is missing, {tokens[6]} came")
    return int(tokens[5]), int(tokens[7])


async def behind(bus: Bus, after: int, subject: str = subjects.EVENTS_ALL) -> int:
    """How many events the log has after a position. Raises `Busy`."""
    name = f"count_{uuid7().replace('-', '')[-16:]}"
    count = await _pulled(bus, name, after, subject)
    await forget(bus, name)
    return count


async def last_position(bus: Bus) -> int:
    """The position of the last message of the log, whatever it is. Raises `Busy`."""
    info = await _api(bus, f"STREAM.INFO.{names.EVENTS}")
    return int(info["state"]["last_seq"])


async def id_at(bus: Bus, seq: int) -> str | None:
    """The `ce-id` of the message at a position; None without one, or without a message. Raises `Busy`."""
    request = json.dumps({"seq": seq}).encode()
    message = await bus.request_msg(f"$JS.API.DIRECT.GET.{names.EVENTS}", request, timeout=10)
    return None if message.status == 404 else _value(message.raw or b"", b"\r\nce-id:")


async def _pulled(bus: Bus, name: str, after: int, subject: str) -> int:
    """Make a consumer to pull from; how many messages it has to deliver."""
    made = await consumer(bus, name, after, subject, description="Follows the log; keeps its own position.")
    return int(made["num_pending"])


async def consumer(bus: Bus, name: str, after: int, subject: str, **more: Any) -> Any:
    """Make a consumer of our own that dies with us; what the server says of it. Nothing is acknowledged to it.

    Raises `Busy`. `more` is the rest of its configuration.
    """
    config = {
        "name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": after + 1,
        "ack_policy": "none",
        "filter_subject": subject,
        "inactive_threshold": 30_000_000_000,  # nanoseconds; it goes when we do
        "mem_storage": True,
        "num_replicas": 1,
    }
    request = {"stream_name": names.EVENTS, "config": config | more, "action": "create"}
    return await _api(bus, f"CONSUMER.CREATE.{names.EVENTS}.{name}.{subject}", request)


async def forget(bus: Bus, name: str) -> None:
    """Remove a consumer of our own, if that can be done now."""
    with suppress(Busy, _Gone):  # the server removes it by itself
        await _api(bus, f"CONSUMER.DELETE.{names.EVENTS}.{name}", timeout=2)


async def _api(bus: Bus, subject: str, request: dict[str, Any] | None = None, timeout: float = 10) -> Any:
    """Ask JetStream. Raises `Busy`, and `_Gone` for what does not exist.

    Not through nats-py, whose requests can swallow a cancellation (`asyncio.wait_for` before Python 3.12 does).
    """
    body = json.dumps(request).encode() if request else b""
    answer = json.loads(await bus.request(f"$JS.API.{subject}", body, timeout=timeout))
    if error := answer.get("error"):
        text = f"the log cannot be read: {error.get('description')}"
        raise _Gone(text) if error.get("code") == 404 else Busy(text)
    return answer


def entry(seq: int, subject: str, headers: bytes, body: bytes, stored_ns: int) -> Entry:
    """A stored message. Its time is `ce-time`; without a readable one, when it was stored."""
    said = _value(headers, b"\r\nce-time:")
    time = _time(said) if said else None
    if time is None:
        time = _EPOCH + timedelta(microseconds=stored_ns // 1000)
    return Entry(
        seq,
        text_without_nul(subject),
        _value(headers, b"\r\nce-type:"),
        _value(headers, b"\r\nce-id:"),
        time,
        headers,
        body,
    )


def _value(headers: bytes, name: bytes) -> str | None:
    # Of a block of a dozen headers three are wanted, of every event: parsing them all costs more than the rest.
    start = headers.find(name)
    if start < 0:
        return None
    start += len(name)
    if headers[start] == 32:
        start += 1
    text = str(headers[start : headers.find(b"\r\n", start)], "utf-8", "replace")
    return text_without_nul(text)


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is UTC:
            return time
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
