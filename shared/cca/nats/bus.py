"""One connection to NATS: publish, ask, subscribe. It reconnects for ever and loses no request in silence."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import TypeVar

from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoServersError

from cca import codec
from cca.config import NatsSettings
from cca.errors import Busy, CcaError, Refused, Unreadable
from cca.ids import uuid7
from cca.message import Command, Reply
from cca.nats.wire import PENDING_LIMIT, Msg, Wire, header_block

logger = logging.getLogger("cca.nats")

HEADROOM = 4 * 1024
"""Bytes that headers may need within what the server takes as one message."""

R = TypeVar("R", bound=Reply)
OnMessage = Callable[[Msg], None]


class Nobody(Busy):
    """Nobody listens on the subject that was asked."""


class Subscribed:
    """A subscription; `unsubscribe()` ends it."""

    def __init__(self, wire: Wire, subscription: Subscription) -> None:
        self._wire, self._subscription = wire, subscription

    async def unsubscribe(self) -> None:
        self._wire.forget(self._subscription)
        if not self._wire.is_closed:
            await self._subscription.unsubscribe()


class Bus:
    """A connection. Make one with `connect`."""

    def __init__(self, wire: Wire, name: str) -> None:
        self.nc = wire
        self.name = name
        self.closed = asyncio.Event()
        self.reconnected: list[Callable[[], None]] = []
        self._inbox = f"_INBOX_{uuid7().replace('-', '')}"
        self._tokens = count()
        self._waiting: dict[str, Callable[[Msg | None], None]] = {}
        self._loop = asyncio.get_running_loop()

    async def _start(self) -> None:
        await self.nc.listen(f"{self._inbox}.*", self._on_reply)

    def new_inbox(self) -> str:
        """A subject of our own that nobody else can guess or, with the right permissions, listen to."""
        return f"{self._inbox}.s.{next(self._tokens)}"

    @property
    def is_connected(self) -> bool:
        return bool(self.nc.is_connected)

    # ------------------------------------------------------------------------------------ out

    def publish(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None, reply: str = "") -> None:
        """Send without waiting; kept for a while when the connection is down. Raises `Busy` when that is full."""
        self.nc.write(subject, body, reply, header_block(dict(headers)) if headers else None)

    def expect(self, on_reply: Callable[[Msg | None], None]) -> str:
        """A reply subject; `on_reply` gets each message on it, or None when the connection is lost."""
        token = str(next(self._tokens))
        self._waiting[token] = on_reply
        return f"{self._inbox}.{token}"

    def forget(self, reply: str) -> None:
        """No more replies are expected."""
        self._waiting.pop(reply.rpartition(".")[2], None)

    async def request_msg(
        self, subject: str, body: bytes, headers: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> Msg:
        """Ask and wait for one answer, at most `timeout` seconds. Raises `Busy` when none came."""
        answer: asyncio.Future[Msg] = self._loop.create_future()

        def on_reply(msg: Msg | None) -> None:
            if answer.done():
                return
            if msg is None:
                answer.set_exception(Busy(f"the connection to NATS was lost while {subject} was asked"))
            elif msg.status == 503:
                answer.set_exception(Nobody(f"nobody answers on {subject}"))
            else:
                answer.set_result(msg)

        def expire() -> None:
            if not answer.done():
                answer.set_exception(Busy(f"no answer on {subject} within {timeout:g} s"))

        reply = self.expect(on_reply)
        timer = self._loop.call_later(timeout, expire)
        try:
            self.publish(subject, body, headers, reply)
            return await answer
        finally:
            timer.cancel()
            self.forget(reply)

    async def request_many(self, subject: str, body: bytes, many: bool = True, timeout: float = 5.0) -> list[Msg]:
        """Ask for messages of a stream by direct get: all up to the end mark, or one. Raises `Busy`."""
        ended: asyncio.Future[None] = self._loop.create_future()
        found: list[Msg] = []

        def on_reply(msg: Msg | None) -> None:
            if ended.done():
                return
            if msg is None:
                ended.set_exception(Busy(f"the connection to NATS was lost while {subject} was asked"))
            elif msg.status in (204, 404):  # the end; nothing there
                ended.set_result(None)
            elif msg.status == 503:
                ended.set_exception(Nobody(f"nobody answers on {subject}"))
            elif msg.status:
                ended.set_exception(Busy(f"{subject}: {msg.status} {msg.description}"))
            else:
                found.append(msg)
                if not many:
                    ended.set_result(None)

        def expire() -> None:
            if not ended.done():
                ended.set_exception(Busy(f"no answer on {subject} within {timeout:g} s"))

        reply = self.expect(on_reply)
        timer = self._loop.call_later(timeout, expire)
        try:
            self.publish(subject, body, reply=reply)
            await ended
            return found
        finally:
            timer.cancel()
            self.forget(reply)

    async def request(
        self, subject: str, body: bytes, headers: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> bytes:
        """Ask and return the body of the answer. Raises `Busy`, and what the answerer's error headers say."""
        msg = await self.request_msg(subject, body, headers, timeout)
        raise_for_error(msg)
        return msg.data

    async def ask(
        self, subject: str, command: Command, kind: type[R], timeout: float = 5.0, trace: str | None = None
    ) -> R:
        """Ask with a command and read the answer. Raises `Refused`, `Unreadable` or `Busy`."""
        headers = {"traceparent": trace} if trace else None
        body = codec.encode(command)
        if len(body) > self.nc.max_payload - HEADROOM:
            # The server would close the connection for good (NATS.md, trap 4).
            raise Refused("too-large", f"the request is {len(body):,} bytes: too many for one message")
        return codec.read(await self.request(subject, body, headers, timeout), kind)

    async def flush(self) -> None:
        """Wait until the server has taken everything that was sent. Raises `Busy`."""
        try:
            await self.nc.sent()
            await self.nc.flush(timeout=5)
        except (TimeoutError, NatsError, OSError) as error:
            raise Busy(f"NATS does not answer: {error}") from None

    # ------------------------------------------------------------------------------------ in

    async def subscribe(self, subject: str, on_message: OnMessage, queue: str = "") -> Subscribed:
        """Listen; `on_message` is called at once for each message and must not block."""
        return Subscribed(self.nc, await self.nc.listen(subject, on_message, queue))

    def _on_reply(self, msg: Msg) -> None:
        on_reply = self._waiting.get(msg.subject.rpartition(".")[2])
        if on_reply is not None:
            on_reply(msg)

    # ------------------------------------------------------------------------------------ life

    async def _lost(self) -> None:
        if self.nc.is_closed:
            return
        logger.warning("connection to NATS lost, reconnecting")
        # nats-py would let these run into their time-outs (NATS.md, trap 28)
        waiting, self._waiting = self._waiting, {}
        for on_reply in waiting.values():
            on_reply(None)

    async def _back(self) -> None:
        logger.info("connected to NATS again")
        self.nc.kick()
        for callback in self.reconnected:
            callback()

    async def _closed(self) -> None:
        self.closed.set()


def raise_for_error(msg: Msg) -> None:
    """Raise what the error headers of a micro service's answer say; nothing when there are none."""
    if msg.raw is None or "Nats-Service-Error-Code" not in msg.headers:
        return
    number = msg.headers["Nats-Service-Error-Code"]
    code, _, text = msg.headers.get("Nats-Service-Error", "").partition(": ")
    if number == "400":
        raise Unreadable(text or code)
    if number == "503":
        raise Busy(text or code)
    raise Refused(code, text or code)


def error_headers(error: CcaError) -> dict[str, str]:
    """What an answer that is an error says in its headers (the micro services protocol, ADR-32)."""
    if isinstance(error, Unreadable):
        number, code = "400", "unreadable"
    elif isinstance(error, Refused):
        number, code = {"not-found": "404", "already-over": "409"}.get(error.code, "422"), error.code
    else:
        number, code = "503", "busy"
    return {"Nats-Service-Error-Code": number, "Nats-Service-Error": f"{code}: {error}"[:2_000]}


@asynccontextmanager
async def connect(settings: NatsSettings, name: str, wait: bool = False, echo: bool = True) -> AsyncIterator[Bus]:
    """Connect, and close at the end.

    With `wait`, a server that is not there yet is waited for (a service starts before its servers are up);
    otherwise that raises `Busy`. Without `echo`, what is published here is not heard here. Raises `Refused` for
    bad credentials.
    """
    pause = 0.1
    while True:
        try:
            bus = await _open(settings, name, echo)
            break
        except Busy as error:
            if not wait:
                raise
            logger.warning("%s; trying again", error)
            await asyncio.sleep(pause + random.uniform(0, pause))
            pause = min(pause * 2, 5.0)
    try:
        yield bus
    finally:
        await _close(bus)


async def _open(settings: NatsSettings, name: str, echo: bool) -> Bus:
    wire = Wire()
    bus = Bus(wire, name)
    errors: list[str] = []

    async def on_error(error: Exception) -> None:
        errors.append(str(error))
        if len(errors) > 50:
            del errors[:25]
        logger.warning("nats: %s", error)

    try:
        # Without reconnecting at first: nats-py would retry a dead server or a wrong password in silence.
        await asyncio.wait_for(
            wire.connect(
                settings.url,
                name=name,
                user=settings.user,
                password=settings.password,
                error_cb=on_error,
                disconnected_cb=bus._lost,
                reconnected_cb=bus._back,
                closed_cb=bus._closed,
                lame_duck_mode_cb=wire.force_reconnect,
                allow_reconnect=False,
                no_echo=not echo,
                connect_timeout=5,
                reconnect_time_wait=0.2,  # type: ignore[arg-type]  # it is only ever slept
                max_reconnect_attempts=1,
                ping_interval=20,
                max_outstanding_pings=2,
                pending_size=PENDING_LIMIT,
                inbox_prefix=bus._inbox,
            ),
            10,
        )
        if not wire.is_connected:  # nats-py may return a client that is not (NATS.md, trap 2)
            raise NoServersError
        wire.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1}
        await bus._start()
        await wire.flush(timeout=5)
    except (TimeoutError, NatsError, OSError) as error:
        await _close(bus)
        said = " ".join([*errors, str(error)]).lower()
        if "authorization" in said or "authentication" in said:
            raise Refused("not-authorized", f"NATS at {settings.url} does not accept these credentials") from None
        raise Busy(f"cannot reach NATS at {settings.url}") from None
    return bus


async def _close(bus: Bus) -> None:
    try:
        await bus.nc.close()
    except (TimeoutError, NatsError, OSError):
        pass  # the server is gone already
