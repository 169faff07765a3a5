"""Keeps words and vectors in step with the texts: in the background, in groups, from wherever it was stopped.

Nothing is noted of what is done: what is missing is what has no row. So a process can be killed anywhere and another
goes on, and two of them never do harm, only the same work twice, which a lock prevents.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from cca.errors import CcaError
from cca.postgres.pool import DATABASE
from cca.postgres.tables import Tables
from cca_context import embedders, targets
from cca_context.groups import PROBE, SETTLE_S, Groups, Progress
from cca_context.targets import Target
from cca_context.vectors import Vectors

logger = logging.getLogger("cca_context")

LOOK_S, SOON_S = 2.0, 0.05
"""Seconds between looks for new texts; and after a wake, when what it is about may not be in the tables yet."""
PAUSE_S, LONGEST_S = 1.0, 15.0
"""Seconds until PostgreSQL is tried again after it failed: the first time, and at most."""
COUNT_S, SHARE = 30.0, 20.0
"""Seconds between counts when nothing seems to change. One that took so long is not repeated for so many times that."""


class _Lane:
    """One of the two things that go on at a time, so that words never wait for a slow endpoint.

    Attributes:
        round: does a part of the work. Whether there was anything to do.
        quiet: all there is, is done.
        problem: why not.
    """

    def __init__(self, name: str, round: Callable[["_Lane"], Awaitable[bool]]) -> None:
        self.name, self.round = name, round
        self.woken, self.quiet = asyncio.Event(), asyncio.Event()
        self.problem: str | None = None


class Embedding:
    """The loop for one corpus.

    Args:
        changed: is called when what searches find may have changed, here or in another process.
    """

    def __init__(self, tables: Tables, vectors: Vectors, changed: Callable[[], None] = lambda: None) -> None:
        self._tables, self._vectors, self._changed = tables, vectors, changed
        self._corpus = vectors.corpus
        self._groups = Groups(tables, vectors.corpus)
        self._progress: dict[int, Progress] = {}
        self._words, self._meaning = _Lane("words", self._make_words), _Lane("vectors", self._make_vectors)
        self._declared, self._declaring = False, Progress()
        self._changes, self._counted = -1, -1
        self._count_at = self._drop_at = 0.0
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin. It waits for PostgreSQL, the tables and the endpoint by itself, and goes on without end."""
        for lane in (self._words, self._meaning):
            self._running.append(asyncio.create_task(self._run(lane), name=f"{self._corpus.name} {lane.name}"))

    async def stop(self) -> None:
        """End, at once: what was being made is made again next time."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
        await self._vectors.close()

    def wake(self) -> None:
        """Texts were added or removed: look now, and once more when the tables have surely followed."""
        at = _now() + SETTLE_S
        for progress in self._progress.values():
            progress.sweep_at = min(progress.sweep_at, at)
        for lane in (self._words, self._meaning):
            lane.quiet.clear()
            lane.woken.set()

    async def settled(self) -> None:
        """Wait until all that is there now is in step."""
        self.wake()
        for lane in (self._words, self._meaning):
            await lane.quiet.wait()

    async def _run(self, lane: _Lane) -> None:
        wait, pause = SOON_S, PAUSE_S
        while True:
            try:
                busy = await lane.round(lane)
                wait, pause = 0.0 if busy else min(max(wait * 2, SOON_S), LOOK_S), PAUSE_S
            except (CcaError, *DATABASE) as error:
                if lane.problem is None:
                    logger.warning("%s: %s; trying again", self._corpus.name, error or type(error).__name__)
                lane.problem = str(error) or type(error).__name__
                wait, pause = pause, min(pause * 2, LONGEST_S)
            except Exception:
                logger.exception("%s: %s are not kept in step; trying again", self._corpus.name, lane.name)
                lane.problem = "something unforeseen happened; it is logged"
                wait = LONGEST_S
            self._vectors.problem = self._words.problem or self._meaning.problem
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await lane.woken.wait()
                lane.woken.clear()
                wait = SOON_S

    # ------------------------------------------------------------------------------------ the two lanes

    async def _make_words(self, lane: _Lane) -> bool:
        await self._vectors.refresh()
        if self._vectors.changes != self._changes:
            self._changes = self._vectors.changes
            self._changed()
        worked = await self._work([targets.words(self._corpus)] if self._corpus.own_terms else [], lane)
        lane.problem = None
        return worked

    async def _make_vectors(self, lane: _Lane) -> bool:
        await self._vectors.refresh()
        if not self._declared:
            await self._declare(lane)
        await self._drop()
        await self._count(_now() >= self._count_at)
        worked = await self._work(self._vector_targets(), lane)
        if self._declared or self._vectors.embedder is None:
            lane.problem = None
        else:
            lane.quiet.clear()
        return worked

    async def _work(self, wanted: list[Target], lane: _Lane) -> bool:
        """One group of each. Whether there was anything to do."""
        worked = False
        for target in wanted:
            progress = self._progress.setdefault(target.n, Progress())
            if progress.rest_until <= _now():
                worked |= await self._groups.group(target, progress)
        if not worked and all(self._progress[target.n].settled(_now()) for target in wanted):
            if lane is self._meaning:
                await self._count(self._counted != self._vectors.changes)
            lane.quiet.set()
        return worked

    def _vector_targets(self) -> list[Target]:
        """First what searches use, then what is to take its place."""
        vectors = self._vectors
        tables = sorted((table for table in vectors.known if table.state != "retired"), key=lambda table: table.state)
        return [
            targets.vectors(self._corpus, table, maker)
            for table in tables
            if (maker := vectors.maker(table)) is not None
        ]

    # ------------------------------------------------------------------------------------ now and then

    async def _declare(self, lane: _Lane) -> None:
        """Once, say which embedder is wanted here."""
        embedder = self._vectors.embedder
        if embedder is None or self._declaring.rest_until > _now():
            return
        try:
            if not embedder.dimension:
                await embedder.embed([PROBE], "document")  # it learns its dimension from the first answer
        except Exception as error:
            logger.warning("%s: %s; trying again", embedder.id, error or type(error).__name__)
            self._declaring.failed(_now())
            lane.problem = str(error) or type(error).__name__
            return
        await embedders.declare(self._tables, self._corpus, embedder)
        self._declared = True
        await self._vectors.refresh()

    async def _drop(self) -> None:
        if self._drop_at <= _now() and any(table.state == "retired" for table in self._vectors.known):
            self._drop_at = _now() + embedders.RETIRED_S / 4
            await embedders.drop_retired(self._tables, self._corpus)

    async def _count(self, due: bool) -> None:
        """How many texts there are, and how many are done."""
        if not due:
            return
        began, changes = _now(), self._vectors.changes
        known = [table for table in self._vectors.known if table.state != "retired"]
        (row,) = await self._tables.rows(targets.counts(self._corpus, known))
        self._vectors.documents = row[0]
        self._vectors.embedded = {table.n: count for table, count in zip(known, row[1:], strict=True)}
        still = changes == self._counted
        self._count_at = _now() + max(SHARE * (_now() - began), COUNT_S if still else 1.0)
        self._counted = changes


def _now() -> float:
    return asyncio.get_running_loop().time()
