"""One run of a job: look through the directory, compare with the index, read what is new, write it group by group."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from cca.code.jobs import Known, ListFiles, Made, ReadFiles
from cca.code.roots import Place, Roots, below
from cca.code.walk import Listing, Wanted
from cca.contracts.code import CodeIndexStarted, Tally
from cca.errors import Busy, Refused
from cca.pool.answers import Unforeseen
from cca.pool.pool import Pool
from cca.postgres.pool import BAD_ROWS, Connection
from cca_context import code_store
from cca_context.code_decide import added_up, plan

logger = logging.getLogger("cca_context")

AHEAD = 3
"""Groups of files that are read while others are written."""
TRIES, PAUSE_S = 5, 0.5
"""How often a group is tried when the pool is busy, and seconds between."""
FAILURES, LENGTH = 20, 500
"""Files that are named because they could not be read, at most; and characters of what is said."""
SAYS_S = 0.5
"""Seconds between two words on how far it is, at least."""

_COUNTED = {
    "chunked": "indexed",
    "same": "unchanged",
    "skipped": "skipped",
    "left": "skipped",
    "gone": "removed",
    "failed": "failed",
}

Say = Callable[[Tally], Awaitable[None]]


class Run:
    """A run of a job; the project's lock is held by who starts it.

    Attributes:
        tally, failures: what it has done so far.
    """

    def __init__(
        self, pool: Pool, roots: Roots, asked: CodeIndexStarted, before: Tally, say: Say, changed: Callable[[], None]
    ) -> None:
        self._pool, self._roots, self._asked, self._say, self._changed = pool, roots, asked, say, changed
        self.tally = before
        self.failures: dict[str, str] = {}
        self._own: frozenset[str] = frozenset()
        self._said = asyncio.get_running_loop().time()

    async def run(self, db: Connection) -> None:
        """Bring the index up to date. What is written stays, whatever ends it.

        Raises `Refused` when the directory cannot be indexed, and `Busy` when the tables cannot be written.
        """
        asked = self._asked
        place = await asyncio.to_thread(self._roots.place, asked.path)
        base, under = _base(place, await code_store.path_of(db, asked.project))
        wanted = Wanted(asked.include, asked.exclude, asked.languages)
        look = ListFiles(place.root, _relative(place, base), under, wanted)
        listing = await self._pool.done(look, Listing, large=True)
        await code_store.set_path(db, asked.project, base)
        there = await code_store.there(db, asked.project, under)
        chunks = await code_store.chunks_of(db, asked.project)
        # Comparing very many files takes long; in a thread the loop goes on.
        todo = await asyncio.to_thread(plan, listing, there, under, asked.job, asked.force, self.tally)
        self.tally, self._own = replace(todo.tally, chunks=chunks), todo.own
        for path, why in listing.unreadable.items():
            self._failed(path, why)
        await self._say(self.tally)
        if todo.gone:
            dropped = await code_store.remove(db, asked.project, todo.gone)
            self.tally = added_up(self.tally, removed=len(todo.gone), dropped=dropped, chunks=-dropped)
            self._changed()
        await self._read_all(db, place.root, look.base, todo.read)
        if not under:
            await code_store.finished(db, asked.project, datetime.now(UTC))

    async def _read_all(self, db: Connection, root: str, base: str, groups: Sequence[tuple[Known, ...]]) -> None:
        waiting: deque[asyncio.Task[tuple[Made, ...]]] = deque()
        try:
            for group in groups:
                waiting.append(asyncio.create_task(self._read(root, base, group)))
                if len(waiting) >= AHEAD:
                    await self._write(db, await waiting.popleft())
            while waiting:
                await self._write(db, await waiting.popleft())
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _read(self, root: str, base: str, group: tuple[Known, ...]) -> tuple[Made, ...]:
        """Have files read. If that kills the process or takes too long, each by itself, to find out which it is."""
        why = ""
        for _ in range(TRIES):
            try:
                job = ReadFiles(root, base, group, self._asked.languages)
                return await self._pool.done(job, tuple[Made, ...], large=True)
            except (Refused, Unforeseen) as error:
                why = str(error)
                break  # another time it would be the same
            except Busy as busy:
                why = str(busy)
                if len(group) > 1:
                    break
            await asyncio.sleep(PAUSE_S)
        if len(group) == 1:
            return (Made(group[0].path, "failed", problem=why),)
        return tuple([made for known in group for made in await self._read(root, base, (known,))])

    async def _write(self, db: Connection, made: Sequence[Made]) -> None:
        asked = self._asked
        try:
            changes = await code_store.write(db, asked.project, asked.job, made, datetime.now(UTC))
        except BAD_ROWS as error:
            if len(made) > 1:
                for one in made:
                    await self._write(db, (one,))
                return
            logger.error("the chunks of %s cannot be stored: %s", made[0].path, error)
            failed = (Made(made[0].path, "failed", problem="its chunks cannot be stored"),)
            changes, made = await code_store.write(db, asked.project, asked.job, failed, datetime.now(UTC)), failed
        self._count(made, changes)
        if changes.added or changes.dropped:
            self._changed()
        now = asyncio.get_running_loop().time()
        if now - self._said >= SAYS_S:
            self._said = now
            await self._say(self.tally)

    def _count(self, made: Sequence[Made], changes: code_store.Changes) -> None:
        tally = self.tally
        for one in made:
            state = "chunked" if one.state == "same" and one.path in self._own else one.state
            tally = added_up(tally, done=1, **{_COUNTED[state]: 1})
            if state == "chunked":
                tally = added_up(tally, bytes=one.size)
            elif one.state == "failed":
                self._failed(one.path, one.problem)
        added, kept, dropped = changes.added, changes.kept, changes.dropped
        self.tally = added_up(tally, added=added, kept=kept, dropped=dropped, chunks=added - dropped)

    def _failed(self, path: str, why: str) -> None:
        if len(self.failures) < FAILURES:
            self.failures[path[-LENGTH:]] = why[:LENGTH]


def _base(place: Place, known: str | None) -> tuple[str, str]:
    """The directory of the project, and what of it is to be looked at: all (empty), or a part that was asked for."""
    path = place.path
    own = path.rpartition("/")[0] if place.is_file else path
    if known is not None and below(path, known) is not None and below(known, place.root) is not None:
        own = known
    return own, below(path, own) or ""


def _relative(place: Place, base: str) -> str:
    return below(base, place.root) or ""
