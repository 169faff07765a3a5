"""How the service is: what it holds, whether PostgreSQL answers, what its caches are worth, whether it is held up."""

import asyncio
import time
from collections.abc import Callable

from cca.contracts.context import ContextStats, GetContextStats
from cca.errors import Busy
from cca.message import Meta
from cca.postgres.tables import Tables

_HELD = "SELECT count(DISTINCT scope), count(*), coalesce(sum(size), 0)::bigint FROM cca.contexts"
TICK_S = 0.02
"""Seconds between looks whether the event loop comes round in time."""


class FiguresOfService:
    """Answers `cca.rpc.context.stats`.

    Args:
        caches: the figures of each cache; they are added up.
    """

    def __init__(self, tables: Tables, *caches: Callable[[], dict[str, int]]) -> None:
        self._tables, self._caches = tables, caches
        self._worst = 0.0
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look whether the event loop is held up."""
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def stats(self, command: GetContextStats, meta: Meta) -> ContextStats:
        """How it is now. Without PostgreSQL what it holds is not known."""
        scopes = keys = size = None
        try:
            ((scopes, keys, size),) = await self._tables.rows(_HELD)
        except Busy:
            pass  # the state of the breaker says so
        total: dict[str, int] = {}
        for figures in self._caches:
            for name, count in figures().items():
                total[name] = total.get(name, 0) + count
        worst, self._worst = self._worst, 0.0
        return ContextStats(scopes, keys, size, self._tables.breaker.state, total, round(worst * 1e3, 1))

    async def _watch(self) -> None:
        """How late the loop comes round; what the machine gave to others in the meantime does not count."""
        loop = asyncio.get_running_loop()
        while True:
            due, worked = loop.time() + TICK_S, time.thread_time()
            await asyncio.sleep(TICK_S)
            self._worst = max(self._worst, min(loop.time() - due, time.thread_time() - worked))
