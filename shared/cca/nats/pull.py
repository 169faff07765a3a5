"""A continuous pull consumer: keeps messages coming, notices what is lost, survives a restart of the server."""

import asyncio
import json
import logging
from collections.abc import Callable

from cca.errors import Busy
from cca.nats.bus import Bus, Subscribed
from cca.nats.wire import Msg

logger = logging.getLogger("cca.nats")

EXPIRES = 30.0
"""Seconds after which the server forgets an unfilled pull."""
HEARTBEAT = 2.0
"""Seconds between the server's signs of life on an idle pull; two missing ones are a lost pull."""

_GONE = ("consumer deleted", "consumer is push based", "bad request", "consumer not found")


class Delivery:
    """One delivery of one message. What is not acknowledged in time is delivered again."""

    __slots__ = ("_bus", "_msg", "_tokens")

    def __init__(self, bus: Bus, msg: Msg) -> None:
        self._bus, self._msg = bus, msg
        self._tokens: list[str] | None = None

    @property
    def _meta(self) -> list[str]:
        # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>, or with
        # <domain>.<account hash> before the stream
        if self._tokens is None:
            self._tokens = self._msg.reply.split(".")
            if len(self._tokens) >= 11:
                self._tokens = self._tokens[:2] + self._tokens[4:]
        return self._tokens

    @property
    def subject(self) -> str:
        return self._msg.subject

    @property
    def body(self) -> bytes:
        return self._msg.data

    @property
    def raw_headers(self) -> bytes:
        return self._msg.raw or b""

    @property
    def headers(self) -> dict[str, str]:
        return self._msg.headers

    @property
    def delivery(self) -> int:
        """How often the server has delivered this message, this time included."""
        return int(self._meta[4])

    @property
    def seq(self) -> int:
        """Its position in the stream."""
        return int(self._meta[5])

    @property
    def consumer_seq(self) -> int:
        """Its position among the deliveries of the consumer; contiguous as long as nothing was lost."""
        return int(self._meta[6])

    @property
    def time_ns(self) -> int:
        """When it was stored, in nanoseconds since 1970."""
        return int(self._meta[7])

    @property
    def pending(self) -> int:
        """How many more the server has for this consumer."""
        return int(self._meta[8])

    def ack(self) -> None:
        """Done: never deliver it again."""
        self._say(b"+ACK")

    def in_progress(self) -> None:
        """Still at it: the lease starts anew."""
        self._say(b"+WPI")

    def nak(self, delay_s: float = 0.0) -> None:
        """Not now: deliver it again, after a while."""
        self._say(b'-NAK {"delay": %d}' % int(delay_s * 1e9) if delay_s else b"-NAK")

    def term(self, reason: str = "") -> None:
        """Never deliver it again, although it was not done."""
        self._say(b"+TERM " + reason.encode()[:200] if reason else b"+TERM")

    def _say(self, verb: bytes) -> None:
        try:
            self._bus.publish(self._msg.reply, verb)
        except Busy:
            pass  # the connection is closed for good; the server will deliver the message again

    @property
    def ack_subject(self) -> str:
        return self._msg.reply


class Pull:
    """Pulls from a durable consumer and hands each delivery to a function, which must not block.

    `on_message` runs at once. At most `batch` messages are on order; `want(n)` changes that, and 0 stops
    ordering. `error` says why a pull ended by itself (its consumer was deleted), and `ended` is set then.
    """

    def __init__(self, bus: Bus, stream: str, consumer: str, on_message: Callable[[Delivery], None], batch: int):
        self._bus, self._on_message, self._batch = bus, on_message, batch
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._ordered = 0
        self._heard = 0.0
        self._loop = asyncio.get_running_loop()
        self._inbox = bus.new_inbox()
        self._subscription: Subscribed | None = None
        self._watch: asyncio.Task[None] | None = None
        self.error: str | None = None
        self.ended = asyncio.Event()

    @classmethod
    async def start(
        cls, bus: Bus, stream: str, consumer: str, on_message: Callable[[Delivery], None], batch: int = 256
    ) -> "Pull":
        """Begin to pull."""
        self = cls(bus, stream, consumer, on_message, batch)
        self._subscription = await bus.subscribe(self._inbox, self._on_msg)
        bus.reconnected.append(self._again)
        self._order()
        self._watch = asyncio.create_task(self._look())
        return self

    def want(self, batch: int) -> None:
        """Have at most so many messages on order from now on; more are ordered at once."""
        self._batch = batch
        self._order()

    def _order(self) -> None:
        # Refilled at half, so that orders are few.
        missing = self._batch - self._ordered
        if missing <= 0 or self._ordered > self._batch // 2 or self.ended.is_set():
            return
        request = {"batch": missing, "expires": int(EXPIRES * 1e9), "idle_heartbeat": int(HEARTBEAT * 1e9)}
        self._heard = self._loop.time()
        try:
            self._bus.publish(self._subject, json.dumps(request).encode(), reply=self._inbox)
            self._ordered += missing
        except Busy:
            pass  # the watch orders again

    def _again(self) -> None:
        """The server knows nothing of our orders any more."""
        self._ordered = 0
        self._order()

    def _on_msg(self, msg: Msg) -> None:
        self._heard = self._loop.time()
        if msg.status:
            self._on_status(msg)
            return
        self._ordered -= 1
        self._on_message(Delivery(self._bus, msg))
        self._order()

    def _on_status(self, msg: Msg) -> None:
        status, text = msg.status, msg.description.lower()
        if status == 100:  # a heartbeat
            return
        if any(gone in text for gone in _GONE):
            self.error = f"{status} {text}"
            self.ended.set()
            logger.error("pull from %s ended: %s", self._subject.rpartition(".")[2], self.error)
            return
        if status == 503 or "leadership" in text or "shutdown" in text:
            # All orders are void. Not at once: the server is busy with itself, and the watch would see it anyway.
            self._ordered = 0
            self._loop.call_later(0.25, self._order)
            return
        # 408 expired, 409 limits: what is left of one order is void.
        self._ordered = max(0, self._ordered - int(msg.headers.get("Nats-Pending-Messages", self._ordered)))
        self._order()

    async def _look(self) -> None:
        while not self.ended.is_set():
            await asyncio.sleep(HEARTBEAT / 2)
            silent = self._loop.time() - self._heard > 2 * HEARTBEAT
            if self._batch and self._bus.is_connected and (silent or self._ordered <= 0):
                self._ordered = 0
                self._order()

    async def stop(self) -> None:
        """Stop pulling. What was ordered and comes later is delivered again, to others."""
        self.ended.set()
        if self._again in self._bus.reconnected:
            self._bus.reconnected.remove(self._again)
        if self._watch is not None:
            self._watch.cancel()
        if self._subscription is not None:
            await self._subscription.unsubscribe()
