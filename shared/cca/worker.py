"""For agent authors: take the tasks of a role, and do them.

    import asyncio
    from cca import Worker

    async def review(task):
        await task.progress("reading", 0.1)
        return {"verdict": "fine", "words": len(task.description.split())}

    asyncio.run(Worker("reviewer", review, concurrency=4).run())

Where NATS is, and the API key, come from the environment (`CCA_NATS_URL`, `CCA_API_KEY`).
"""

import asyncio
import logging
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from types import TracebackType
from typing import Any

from msgspec import Struct

from cca import ids
from cca.client import settings_for
from cca.errors import Busy, Misconfigured
from cca.nats.bus import Bus, connect
from cca.work.backlog import Run
from cca.work.desk import Desk
from cca.work.engine import Counts as Counts
from cca.work.engine import Engine
from cca.work.handlers import adapt
from cca.work.lease import Lease
from cca.work.session import Session
from cca.work.task import Fail as Fail
from cca.work.task import Handler as Handler
from cca.work.task import Task as Task

logger = logging.getLogger("cca.worker")

RESULT_LIMIT = 1024 * 1024
"""The largest result, in bytes of JSON; half of what a message may hold, where that is less."""
LAST_WORDS_S = 5.0
"""How long a worker that stops waits for canceled handlers to end and for their reports to be heard."""


class Settled(Struct, frozen=True):
    """An attempt whose outcome is in the log; `failure` says why when it failed."""

    task: str
    attempt: int
    seconds: float
    failure: str | None = None


class Worker:
    """Takes tasks of one role and runs a handler on each. `await worker.run()`, or `async with worker:`.

    Args:
        role: whose tasks; lower-case letters, digits, `-` and `_`.
        handler: `async def handle(task)`, or a plain function, which is run in a thread. What it returns is the
            result, anything that JSON can hold, at most 1 MiB of it. An exception fails the attempt; `Fail` says
            what is to follow.
        lane: the pool inside the role that this worker belongs to.
        concurrency: how many tasks at once.
        name: of this worker; by default the host's and a random part. Two live workers must not share one.
        grace_s: seconds that running tasks have to finish when the worker is to stop; then they are canceled and
            go to others.
        url, key: of NATS, and the API key; by default from the environment.
        on_settled: called for each attempt whose outcome is in the log.

    Raises `Refused` for a bad role, lane or name, `Misconfigured` for a bad concurrency.
    """

    def __init__(
        self,
        role: str,
        handler: Handler,
        *,
        lane: str = "default",
        concurrency: int = 1,
        name: str | None = None,
        grace_s: float = 30.0,
        url: str | None = None,
        key: str | None = None,
        on_settled: Callable[[Settled], None] | None = None,
    ) -> None:
        if not 1 <= concurrency <= 10_000:
            raise Misconfigured("concurrency must be between 1 and 10000")
        self.role, self.lane = ids.word(role, "a role"), ids.word(lane, "a lane")
        self.name = ids.word(name, "a worker's name") if name else _a_name()
        self.concurrency, self.grace_s = concurrency, grace_s
        self._handler, self._url, self._key, self._on_settled = handler, url, key, on_settled
        self._draining, self._hurry = asyncio.Event(), asyncio.Event()
        self.joined = asyncio.Event()
        """Set when the router has welcomed us."""
        self._engine: Engine | None = None
        self._bus: Bus | None = None
        self._stack = AsyncExitStack()

    @property
    def counts(self) -> Counts:
        """What was done so far."""
        return self._engine.counts if self._engine is not None else Counts()

    @property
    def running(self) -> int:
        """How many tasks run now."""
        return self._engine.busy if self._engine is not None else 0

    async def run(self) -> None:
        """Work until SIGTERM, SIGINT or an order to drain; then finish what runs, and return.

        Waits for a router that is not there yet; outlives restarts of the router and of NATS. A second signal stops
        at once. Raises `Busy` when NATS cannot be reached at the start, `Refused` when it or the router does not
        accept us.
        """
        with _on_signals(self.drain):
            starting = asyncio.ensure_future(self.__aenter__())
            await _first(starting, asyncio.ensure_future(self._draining.wait()))
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                return
            await starting
            assert self._bus is not None
            try:
                await _first(*map(asyncio.ensure_future, (self._draining.wait(), self._bus.closed.wait())))
                if self._bus.closed.is_set():
                    raise Busy("the connection to NATS was closed for good")
            finally:
                await self.__aexit__(None, None, None)

    def drain(self) -> None:
        """Take nothing more, finish what runs, and leave. Asked again: at once."""
        if self._draining.is_set():
            self._hurry.set()
        else:
            logger.info("asked to stop: %d tasks may finish", self.running)
        self._draining.set()
        if self._engine is not None:
            self._engine.drain()

    async def __aenter__(self) -> "Worker":
        settings = settings_for(self._url, self._key)
        async with AsyncExitStack() as stack:
            bus = self._bus = await stack.enter_async_context(connect(settings, f"cca worker {self.role}.{self.name}"))
            desk = Desk(bus, self.role, self.name)
            limit = min(RESULT_LIMIT, bus.nc.max_payload // 2)
            secrets = [text for text in (settings.password, os.environ.get("CCA_API_KEY")) if text]
            engine = Engine(desk, adapt(self._handler, self.concurrency), self.concurrency, limit, secrets, self._tell)
            stack.push_async_callback(bus.flush)
            stack.push_async_callback(engine.close)
            session = Session(desk, self.role, self.name, self.lane, engine, self.drain)
            stack.push_async_callback(session.leave)
            welcome = await session.start()
            lease = Lease(engine, welcome.ack_wait_s)
            stack.callback(lease.stop)
            stack.push_async_callback(self._finish, engine, bus)
            self._engine = engine
            self._stack = stack.pop_all()
        self.joined.set()
        logger.info("worker %s joined role %s, lane %s", self.name, self.role, self.lane)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _finish(self, engine: Engine, bus: Bus) -> None:
        self._draining.set()
        engine.drain()
        waits = (engine.drained.wait(), self._hurry.wait(), bus.closed.wait())
        await _first(*map(asyncio.ensure_future, waits), timeout_s=self.grace_s)
        if not engine.drained.is_set() and not bus.closed.is_set():
            logger.info("%d tasks are canceled and go to others", len(engine.runs))
            for run in list(engine.runs.values()):
                engine.stop(run, "shutdown")
            await _first(asyncio.ensure_future(engine.drained.wait()), timeout_s=LAST_WORDS_S)

    def _tell(self, run: Run) -> None:
        if self._on_settled is not None:
            failure = run.failure.message if run.failure is not None else None
            self._on_settled(Settled(run.work.task, run.attempt, run.seconds, failure))


async def _first(*waits: "asyncio.Future[Any]", timeout_s: float | None = None) -> None:
    """Wait for the first of these; what started only to be waited for is stopped."""
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            if not wait.done():
                wait.cancel()


@contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on SIGTERM and SIGINT, where signals can be had: in the main thread."""
    loop, taken = asyncio.get_running_loop(), []
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                loop.add_signal_handler(number, stop)
            except (NotImplementedError, RuntimeError, ValueError):
                break
            taken.append(number)
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


def _a_name() -> str:
    """Who we are when nobody says: where we run, and something random."""
    host = re.sub(r"[^a-z0-9_-]+", "-", socket.gethostname().lower()).strip("-_")[:40] or "worker"
    return f"{host}-{os.urandom(4).hex()}"
