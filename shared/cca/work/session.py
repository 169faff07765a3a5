"""A worker's standing with the router: joining, heartbeats, orders, leaving."""

import asyncio
import logging
import socket
from collections.abc import Callable

from cca import __version__, codec
from cca.contracts.agent import Control, Heard, Heartbeat, Join, Leave, Welcome
from cca.contracts.task import PRIORITIES
from cca.errors import CcaError, Refused, Unreadable
from cca.ids import uuid7
from cca.nats import subjects
from cca.nats.bus import Subscribed
from cca.nats.pull import Delivery, Pull
from cca.nats.wire import Msg
from cca.work.desk import Desk
from cca.work.engine import Engine

logger = logging.getLogger("cca.worker")


class Session:
    """One start of a worker: joins, feeds the engine from the consumers that it is told of, and obeys."""

    def __init__(self, desk: Desk, role: str, agent: str, lane: str, engine: Engine, drain: Callable[[], None]) -> None:
        self._desk, self._engine, self._drain = desk, engine, drain
        self._role, self._agent, self._lane = role, agent, lane
        self._session = uuid7()
        self._orders: list[Subscribed] = []
        self._pulls: dict[str, Pull] = {}
        self._beating: asyncio.Task[None] | None = None
        self._misread = 0

    async def start(self) -> Welcome:
        """Listen to orders, join (waits for the router), and begin to take work. Raises `Refused`."""
        for subject in (
            subjects.control(self._role, self._agent),
            subjects.control(self._role),
            subjects.control(),
        ):
            self._orders.append(await self._desk.bus.subscribe(subject, self._on_order))
        welcome = await self._join()
        self._beating = asyncio.create_task(self._beat(welcome.heartbeat_s))
        return welcome

    async def _join(self) -> Welcome:
        command = Join(
            session=self._session,
            lane=self._lane,
            concurrency=self._engine.concurrency,
            host=socket.gethostname()[:200],
            version=__version__,
        )
        welcome = await self._desk.insist("join", command, Welcome)
        if not self._engine.draining:
            await self._pull(welcome)
        return welcome

    async def _pull(self, welcome: Welcome) -> None:
        for name in [
            name for name, pull in self._pulls.items() if pull.ended.is_set() or name not in welcome.consumers
        ]:
            await self._pulls.pop(name).stop()
        for rank, name in enumerate(welcome.consumers):
            if name not in self._pulls:

                def on_message(delivery: Delivery, rank: int = min(rank, len(PRIORITIES) - 1)) -> None:
                    self._engine.on_delivery(rank, delivery)

                self._pulls[name] = await Pull.start(self._desk.bus, welcome.stream, name, on_message, batch=0)
        self._engine.feed([self._pulls[name] for name in welcome.consumers])

    async def _beat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                beat = Heartbeat(session=self._session, running=self._engine.busy)
                heard = await self._desk.ask("heartbeat", beat, Heard, timeout_s=max(every_s, 2.0))
                if not heard.known or any(pull.ended.is_set() for pull in self._pulls.values()):
                    await self._join()
                    logger.info("joined again")
            except (Refused, Unreadable) as error:
                logger.warning("the router refuses a heartbeat: %s", error)
            except CcaError as error:
                logger.info("no answer to a heartbeat: %s", error)

    def _on_order(self, msg: Msg) -> None:
        try:
            order = codec.read(msg.data, Control)
        except Unreadable as error:
            self._misread += 1
            if self._misread == 1:
                logger.warning("ignored an order that cannot be read: %s", error)
            return
        match order.verb:
            case "cancel" if order.task is not None:
                self._engine.cancel(order.task)
            case "drain":
                logger.info("asked to drain")
                self._drain()
            case "broadcast":
                logger.info("broadcast: %r", order.text[:500])

    async def leave(self, reason: str = "drained") -> None:
        """Say goodbye. The router finds out by itself if it does not hear it."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        try:
            await self._desk.ask("leave", Leave(session=self._session, reason=reason), Heard, timeout_s=2.0)
        except CcaError as error:
            logger.info("left without a goodbye: %s", error)
        # Only now: what arrived while draining was given back at once instead of after its lease.
        for pull in self._pulls.values():
            await pull.stop()
        for subscribed in self._orders:
            await subscribed.unsubscribe()
