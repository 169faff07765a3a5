"""How long an answer takes, asked for the first time and again, and what it costs PostgreSQL (PERF-008)."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from cca.bench.spread import percentile
from cca.contracts.context import ContextStats, GetContextStats
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.postgres.pool import Pool

SETTLE_S = 12.0
"""Seconds until the database shows what was done in it: a session that rests tells after ten."""
REPEATS = 20
"""How often each question is asked again."""
_DONE = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


class Answer(Protocol):
    """What is known of an answer, of memories or of code."""

    @property
    def cached(self) -> bool: ...


Search = Callable[[str], Awaitable[Answer]]


class Timed(Struct, frozen=True):
    """Searches one after the other, in milliseconds as whoever asks sees them.

    Attributes:
        cached: the share that was answered from before.
        hits, misses: so many more the service counts.
        transactions: in the database for each, without those that there are anyway; None where that was not counted.
    """

    asked: int
    p50_ms: float
    p95_ms: float
    cached: float
    hits: int
    misses: int
    transactions: float | None = None


class Speed(Struct, frozen=True):
    """Of one subject: questions that were never asked before, and the same ones again."""

    subject: str
    cold: Timed
    again: Timed


async def speed(
    bus: Bus, pool: Pool, subject: str, texts: Sequence[str], search: Search, *, transactions: bool = True
) -> Speed:
    """Ask each text once, then all of them again and again. It takes half a minute more to count transactions."""
    counting = _Counting(pool) if transactions else None
    if counting is not None:
        await counting.start()
    cold = await _timed(bus, texts, search, counting)
    again = await _timed(bus, list(texts) * REPEATS, search, counting)
    return Speed(subject, cold, again)


async def _timed(bus: Bus, texts: Sequence[str], search: Search, counting: "_Counting | None") -> Timed:
    before = await _figures(bus)
    took: list[float] = []
    cached = 0
    for text in texts:
        began = time.perf_counter()
        cached += (await search(text)).cached
        took.append(1e3 * (time.perf_counter() - began))
    after = await _figures(bus)
    return Timed(
        asked=len(texts),
        p50_ms=percentile(took, 50),
        p95_ms=percentile(took, 95),
        cached=cached / len(texts),
        hits=after.get("hits", 0) - before.get("hits", 0),
        misses=after.get("misses", 0) - before.get("misses", 0),
        transactions=None if counting is None else await counting.since() / len(texts),
    )


async def _figures(bus: Bus) -> dict[str, int]:
    return (await bus.ask(subjects.RPC_CONTEXT_STATS, GetContextStats(), ContextStats, timeout=10)).cache


class _Counting:
    """Transactions of the whole database beyond those that services make while nobody asks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rate = 0.0
        self._last, self._at = 0, 0.0

    async def start(self) -> None:
        """See how many there are while nobody asks."""
        await self._look(SETTLE_S)
        self._rate = await self._look(SETTLE_S)

    async def since(self) -> float:
        """How many there were more since the last look; not below 0."""
        began = self._at
        rate = await self._look(SETTLE_S)
        return max((rate - self._rate) * (self._at - began), 0.0)

    async def _look(self, after_s: float) -> float:
        """Transactions a second between the last look and this one."""
        await asyncio.sleep(after_s)
        count: int = await self._pool.fetchval(_DONE)
        now = time.perf_counter()
        rate = (count - self._last) / (now - self._at)
        self._last, self._at = count, now
        return rate
