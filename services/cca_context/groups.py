"""How one table follows the texts it is made of: group by group, and now and then by a comparison of all there is."""

import asyncio
import contextlib
import logging
from typing import Any

from cca.errors import CcaError
from cca.postgres.pool import Connection
from cca.postgres.tables import Row, Tables
from cca_context import embedders, targets
from cca_context.corpus import Corpus
from cca_context.targets import Target

logger = logging.getLogger("cca_context")

SWEEP_S, SETTLE_S = 120.0, 0.4
"""Seconds between comparisons of all there is; and from a wake to the next one."""
SHARE = 20.0
"""When the statements of one took so long, it is not repeated within so many times that long."""
SMALLEST, LARGEST = 16, 512
"""Texts of a group. They grow while a group takes less than `BRISK_S`, and shrink when it takes more than `SLOW_S`."""
BRISK_S, SLOW_S = 0.5, 2.0
PAUSE_S, LONGEST_S = 1.0, 30.0
"""Seconds until an embedder that failed is tried again: the first time, and at most."""
PATIENCE_S = 4.0
"""The pause from which on a single text that fails, while others do not, is taken to be at fault itself."""
PROBE = "a text that any model takes"

_LOCK = "SELECT pg_try_advisory_lock($1, $2)"


class Progress:
    """How far one table is.

    Attributes:
        after: texts up to this version were looked at since the last comparison of all there is began.
        whole: that one is over, and everything was in step.
        sweep_at: when the next one is due; `not_before`: it would take too large a share of the time.
        size: texts of the next group.
        rest_until: who makes it has failed, and is left alone until then; `pause`: for how long the next time.
        refused: texts of which nothing can be made; they are tried again by the next process.
    """

    def __init__(self) -> None:
        self.after, self.whole = -1, True
        self.sweep_at = self.not_before = 0.0
        self.size, self.rest_until, self.pause = SMALLEST, 0.0, PAUSE_S
        self.refused: set[Any] = set()

    def due(self, now: float) -> bool:
        """Whether to begin another comparison."""
        return self.whole and max(self.sweep_at, self.not_before) <= now

    def settled(self, now: float) -> bool:
        """Whether nothing is left to do, and no comparison is about to begin."""
        return self.whole and self.sweep_at > now + SETTLE_S and self.rest_until <= now

    def worked(self, took: float, texts: int) -> None:
        """A group was written, in so many seconds."""
        if took > SLOW_S:
            self.size = max(self.size // 2, min(self.size, SMALLEST))
        elif took < BRISK_S and texts >= self.size:
            self.size = min(self.size * 2, LARGEST)

    def failed(self, now: float) -> None:
        """A group was not made."""
        self.size = max(self.size // 2, 1)
        self.rest_until, self.pause = now + self.pause, min(self.pause * 2, LONGEST_S)


class Groups:
    """Does the work on the tables of one corpus."""

    def __init__(self, tables: Tables, corpus: Corpus) -> None:
        self._tables, self._corpus = tables, corpus

    async def group(self, target: Target, progress: Progress) -> bool:
        """Make what is missing for some texts. Whether there was anything to do.

        What fails for the sake of who makes it is told in `cca.embedders`; raises `Busy` when PostgreSQL fails.
        """
        now = asyncio.get_running_loop().time
        began = now()
        async with self._tables.connection() as db:
            # Returned to the pool, or lost, the connection gives the lock back.
            if not await db.fetchval(_LOCK, self._corpus.lock, target.n):
                return False
            sweep = progress.due(began)
            removed = sweep and await self._begin(db, target, progress)
            rows = await db.fetch(target.page, progress.after, progress.size)
            if sweep:
                progress.not_before = now() + SHARE * (now() - began)
            todo = [row for row in rows if row["key"] not in progress.refused]
            if todo and not await self._write(db, target, progress, todo):
                return False
            if rows:
                progress.after = rows[-1]["version"]
                progress.worked(now() - began, len(rows))
                return True
            swap = target.building and not progress.whole
            progress.whole = True
            if swap:
                await embedders.swap(db, self._corpus, target.n)
            return swap or removed

    async def _begin(self, db: Connection, target: Target, progress: Progress) -> bool:
        """Look at everything again, and remove what has no text any more. Whether there was any of that."""
        removed = (await db.execute(target.remove)) != "DELETE 0"
        if removed:
            await db.execute(embedders.CHANGED, self._corpus.name)
        progress.after, progress.whole = -1, False
        progress.sweep_at = asyncio.get_running_loop().time() + SWEEP_S
        return removed

    async def _write(self, db: Connection, target: Target, progress: Progress, rows: list[Row]) -> bool:
        """Make and write. False when that fails, and is to be tried again later."""
        try:
            made = await target.make([row["text"] for row in rows])
        except Exception as error:  # of who makes it, not of the database: that must not open its breaker
            if not isinstance(error, CcaError):
                logger.warning("%s: it cannot be made", target.table, exc_info=True)
            return await self._failed(db, target, progress, rows, str(error) or type(error).__name__)
        async with db.transaction():
            await db.execute(target.write, *targets.values(rows, made))
            await db.execute(embedders.CHANGED, self._corpus.name)
        progress.pause = PAUSE_S
        if target.problem is not None:
            await db.execute(embedders.PROBLEM, target.n, None)
        return True

    async def _failed(self, db: Connection, target: Target, progress: Progress, rows: list[Row], problem: str) -> bool:
        """Smaller groups next time: in the end a text that alone is at fault is alone, and is passed by. Then True."""
        if len(rows) == 1 and progress.pause >= PATIENCE_S:
            with contextlib.suppress(Exception):
                await target.make([PROBE])
                logger.warning("%s: %s is passed by: %s", target.table, rows[0]["key"], problem)
                progress.refused.add(rows[0]["key"])
                return True
        logger.warning("%s: %s; trying again", target.table, problem)
        progress.failed(asyncio.get_running_loop().time())
        await db.execute(embedders.PROBLEM, target.n, problem)
        return False
