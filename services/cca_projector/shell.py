"""The loop: take events from the log, write them to the tables, start over from the position on any doubt."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

from cca.config import PostgresSettings, Settings
from cca.errors import Busy, CcaError
from cca.nats.bus import Bus
from cca.nats.follow import Doubt, Follower
from cca.nats.micro import Service
from cca.postgres.migrate import migrate
from cca.postgres.pool import DATABASE, close_pool, connect_pool
from cca.projection import Keeper, Projection, keep
from cca_projector.identity import same_log
from cca_projector.projections import PROJECTIONS

logger = logging.getLogger("cca_projector")

BATCH = 2_000
"""Events in one transaction, at most."""
PACE, PACE_EACH, PACE_MOST = 0.01, 0.001, 0.1
"""Seconds between the beginnings of two transactions, at least: so many, more for each event of the last one, and
not more than the last. Under load the events of a task become one write of its rows that way, which costs the
database less than half; when little happens, it is in the tables at once."""
RETRY = 60.0
"""Seconds after which an event that could not be applied is tried again: the fault may have been outside of it."""
SESSION = {
    # A commit that a crash of the database takes back takes its position back with it, and is made again from the
    # log. So nothing is lost by not waiting for the disk, and the disk is left to the log.
    "synchronous_commit": "off",
    # A batch is small; what could take long here is waiting for a rebuild that swaps the tables.
    "statement_timeout": "60000",
}


async def start(settings: Settings, service: Service, bus: Bus, stack: AsyncExitStack) -> None:
    """Project in the background, for ever."""
    projector = Projector(settings.postgres, bus)
    running = asyncio.create_task(projector.run())

    async def stop() -> None:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    stack.push_async_callback(stop)


class Projector:
    """Keeps all projections. Several processes may run: one works, the others wait."""

    def __init__(
        self,
        postgres: PostgresSettings,
        bus: Bus,
        projections: Sequence[Callable[[], Projection]] = tuple(PROJECTIONS.values()),
    ) -> None:
        self._postgres, self._bus, self._projections = postgres, bus, projections

    async def run(self) -> None:
        """Project until cancelled. Whatever goes wrong is said in the log and tried again after a while."""
        pause, said = 0.1, ""
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                await self._project()
            except Doubt as doubt:
                logger.info("starting over from the position in the tables: %s", doubt)
            except (CcaError, *DATABASE) as error:
                text = str(error) or type(error).__name__
                logger.log(logging.DEBUG if text == said else logging.WARNING, "%s; trying again", text)
                said = text
            except Exception:
                logger.exception("unforeseen; trying again")
            if asyncio.get_running_loop().time() - begun > 30:
                pause, said = 0.1, ""
            await asyncio.sleep(pause + random.uniform(0, pause))
            pause = min(pause * 2, 5.0)

    async def _project(self) -> None:
        async with AsyncExitStack() as stack:
            pool = await connect_pool(self._postgres, "cca_projector", session=SESSION)
            stack.push_async_callback(close_pool, pool)
            db = await stack.enter_async_context(pool.acquire())
            await migrate(db, "cca_projector")
            keepers = []
            for make in self._projections:
                keeper = await keep(make(), db)
                if keeper is None:
                    raise Busy("another projector is at work")
                keepers.append(keeper)
                _say_version(keeper)
            await same_log(self._bus, db, keepers)
            # One that is behind, or that could not apply an event, does not hold up the others for long: it is
            # brought up to them first, and then all read the log together.
            front = max(keeper.at.seq for keeper in keepers)
            for keeper in keepers:
                if keeper.at.seq < front:
                    await self._follow([keeper], until=front)
            await self._follow(keepers)

    async def _follow(self, keepers: Sequence[Keeper], until: int | None = None) -> None:
        running = [keeper for keeper in keepers if not keeper.stopped]
        if not running:
            await asyncio.sleep(RETRY)
            raise Doubt("trying again what could not be applied")
        follower = await Follower.start(self._bus, "projector", min(keeper.at.seq for keeper in running))
        loop = asyncio.get_running_loop()
        try:
            begun = next_at = loop.time()
            while until is None or running[0].at.seq < until:
                entries = await follower.take(BATCH, wait_s=RETRY, gather_s=next_at - loop.time())
                next_at = loop.time() + min(PACE + PACE_EACH * len(entries), PACE_MOST)
                for keeper in running:
                    await keeper.apply(entries)
                if any(keeper.stopped for keeper in running):
                    if until is not None:
                        return
                    running = [keeper for keeper in running if not keeper.stopped]
                if len(running) < len(keepers) and (not running or loop.time() > begun + RETRY):
                    await asyncio.sleep(0 if running else RETRY)
                    raise Doubt("trying again what could not be applied")
        finally:
            await follower.stop()


def _say_version(keeper: Keeper) -> None:
    built, ours = keeper.at.version, keeper.projection.version
    if built != ours:
        name = keeper.at.name
        logger.warning(
            "%s was built by version %d, this is %d; `cca projections rebuild %s` renews it", name, built, ours, name
        )
