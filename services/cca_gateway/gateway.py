"""What the handlers share: the bus, the log, the tables, the keys, and whether the service is about to stop."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from cca import codec
from cca.errors import Busy
from cca.keys import Keyring
from cca.message import Command
from cca.nats.bus import Bus, raise_for_error
from cca.nats.log import JetStreamLog
from cca.postgres.tables import Tables
from cca_gateway import metrics, probes, queries
from cca_gateway.cached import Cached
from cca_gateway.problems import Problem
from cca_gateway.wakes import Wakes

COUNTS_AGE = 2.0
"""Seconds for which the counts over all tasks are good enough."""
STREAMS = 1_000
"""Event streams that may be open at once."""
HEADROOM = 16 * 1024
"""Bytes that headers and the router's additions need within what NATS takes as one message."""


class Gateway:
    """The gateway's connections.

    Args:
        bus: the connection to NATS.
        keys: who may come in.
        tables: what the projector keeps.

    Attributes:
        configuring: held from reading the routing parameters until some are changed, so that of two changes at the
            same time neither is lost.
    """

    def __init__(self, bus: Bus, keys: Keyring, tables: Tables) -> None:
        self.bus, self.keys, self.tables = bus, keys, tables
        self.log = JetStreamLog(bus)
        self.wakes = Wakes(bus)
        self.closing = False
        self.configuring = asyncio.Lock()
        self.counts = Cached(lambda _: COUNTS_AGE, lambda: queries.counts(tables))
        self.readiness = Cached(probes.age, lambda: probes.probe(bus, tables))
        self.metrics = Cached(lambda _: metrics.AGE, lambda: metrics.text(tables))
        self.openapi = b""
        self.docs = b""
        self._open_streams = 0
        self._waiting: set[asyncio.Task[object]] = set()

    async def ask(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None, timeout: float = 5.0
    ) -> bytes:
        """Ask the router; the body of its answer goes to the client as it is.

        Raises `Problem` `too-large`, `Refused`, `Unreadable`, or `Busy`, at once when NATS is away.
        """
        self.see_that_bus_is_there()
        self.see_that_it_fits(body)
        return await self.bus.request(subject, body, headers, timeout)

    async def ask_service(
        self, service: str, subject: str, command: Command, headers: dict[str, str] | None, timeout: float, without: str
    ) -> bytes:
        """Ask a service that tasks can do without; the body of its answer.

        Args:
            service: its name for people.
            without: what becomes of tasks meanwhile.

        Raises `Problem` `busy` when none came, and what the service refuses.
        """
        self.see_that_bus_is_there()
        body = codec.encode(command)
        self.see_that_it_fits(body)
        try:
            with self.waiting():
                msg = await self.bus.request_msg(subject, body, headers, timeout)
        except Busy as error:
            raise Problem("busy", f"the {service} does not answer ({error}); {without}") from None
        raise_for_error(msg)
        return msg.data

    def see_that_bus_is_there(self) -> None:
        """Raises `Busy` when it is not: better at once than after a time-out."""
        if not self.bus.is_connected:
            raise Busy("the connection to NATS is down")

    def see_that_it_fits(self, body: bytes) -> None:
        """Raises `Problem` `too-large` for what NATS would not take as one message."""
        if len(body) > self.bus.nc.max_payload - HEADROOM:
            raise Problem("too-large", "the request is too large for one message on the bus")

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While a request waits for an outcome: it is cut short when the service stops."""
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        finally:
            self._waiting.discard(task)

    @property
    def streams(self) -> int:
        """How many event streams are open."""
        return self._open_streams

    @property
    def waiters(self) -> int:
        """How many requests wait for an outcome."""
        return len(self._waiting)

    @contextmanager
    def open_stream(self) -> Iterator[None]:
        """While an event stream is open. Raises `Busy` when there are too many, or the bus is away."""
        self.see_that_bus_is_there()
        if self._open_streams >= STREAMS:
            raise Busy(f"{STREAMS:,} event streams are open; close one, or come back later")
        self._open_streams += 1
        try:
            yield
        finally:
            self._open_streams -= 1

    def close(self) -> None:
        """The service is about to stop: streams end, and who waits for an outcome is told to ask again."""
        self.closing = True
        self.wakes.wake_all()
        for task in self._waiting:
            task.cancel()
