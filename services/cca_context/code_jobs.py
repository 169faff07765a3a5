"""Jobs that index code: which there are, as the log says, and the one that this process works on."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec import Struct

from cca.code.roots import Roots
from cca.contracts.code import (
    CodeDropped,
    CodeIndexEnded,
    CodeIndexProgressed,
    CodeIndexStarted,
    CodeJob,
    Tally,
)
from cca.decider import At, transact
from cca.errors import Busy, CcaError, Refused, Unknown
from cca.ids import task_id, uuid7
from cca.message import Meta, Seq
from cca.nats.bus import Bus
from cca.nats.frames import recorded
from cca.nats.log import JetStreamLog
from cca.pool.pool import Pool
from cca.postgres.tables import Tables
from cca_context import code_store
from cca_context.code_decide import FOLD, Job, end, evolve, progress, start, stream
from cca_context.code_index import Run

logger = logging.getLogger("cca_context")

KEPT = 2_000
"""Jobs that are over and still known here, at least; the log knows them all."""
LOOK_S = 3.0
"""Seconds between looks for jobs of instances that have died, and until a job is tried again."""
_ALL = stream("*").subject


class Seen(Struct):
    """A job as it was at a position in the log, and when it was asked for."""

    job: Job
    seq: Seq
    started_at: datetime

    def know(self, at: At[Job]) -> None:
        """Take what is newer."""
        if at.seq > self.seq:
            self.job, self.seq = at.state, at.seq


class Board:
    """All jobs, as this instance has read them; `refresh` reads what is new, whoever wrote it."""

    def __init__(self, bus: Bus, log: JetStreamLog) -> None:
        self._bus, self._log = bus, log
        self._seq = Seq(0)
        self._reading = asyncio.Lock()
        self.jobs: dict[str, Seen] = {}
        self.paths: dict[str, str] = {}
        """Directories by project, of those that were not dropped since."""

    async def refresh(self) -> None:
        """Read what is new. Raises `Busy`."""
        async with self._reading:
            async for raw in self._log.scan(_ALL, self._seq):
                self._seq = raw.seq
                try:
                    one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
                except Unknown:
                    continue  # a newer version has more to say; it does not change what this one does
                event = one.event
                if isinstance(event, CodeDropped):
                    self.paths.pop(event.project, None)
                elif isinstance(event, CodeIndexStarted):
                    self.jobs[event.job] = Seen(evolve(Job(), event), raw.seq, one.meta.time)
                    self.paths[event.project] = event.path
                elif isinstance(event, CodeIndexProgressed | CodeIndexEnded) and event.job in self.jobs:
                    seen = self.jobs[event.job]
                    seen.know(At(evolve(seen.job, event), raw.seq))  # what this instance said itself it knows already
            self._forget()

    async def get(self, job: str) -> Seen:
        """A job, also one of long ago. Raises `Refused` (`not-found`), `Busy`."""
        await self.refresh()
        found = self.jobs.get(job)
        if found is None:
            async for one in self._log.read(stream(task_id(job))):
                if isinstance(one.event, CodeIndexStarted):
                    found = Seen(evolve(Job(), one.event), one.seq, one.meta.time)
                elif found is not None:
                    found.know(At(evolve(found.job, one.event), one.seq))
        if found is None:
            raise Refused("not-found", f"there is no job {job}")
        return found

    def open(self) -> list[Seen]:
        """Jobs that are not over, oldest first."""
        return [seen for seen in self.jobs.values() if seen.job.is_open]

    def open_of(self, project: str) -> Seen | None:
        """The newest job of a project that is not over."""
        found = [seen for seen in self.open() if seen.job.asked is not None and seen.job.asked.project == project]
        return found[-1] if found else None

    def _forget(self) -> None:
        if len(self.jobs) > 2 * KEPT:
            for name in [name for name, seen in self.jobs.items() if not seen.job.is_open][:-KEPT]:
                del self.jobs[name]


class Jobs:
    """Works on open jobs, one at a time: the oldest that nobody else works on.

    A project has a lock in PostgreSQL, held while it is worked on and lost with the connection: of many instances one
    goes on with what a dead one left. A job that is cut short is open in the log; nothing else says so.
    """

    def __init__(
        self,
        bus: Bus,
        log: JetStreamLog,
        tables: Tables,
        pool: Pool,
        roots: Roots,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.board = Board(bus, log)
        self._log, self._tables, self._pool, self._roots, self._changed = log, tables, pool, roots, changed
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._current: tuple[str, asyncio.Task[None]] | None = None

    async def start(self) -> None:
        """Begin to work, also on what was left undone."""
        self._loop = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stop at once; the job goes on where this or another instance starts."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    def wake(self) -> None:
        """There may be something to do, or to stop."""
        self._wake.set()

    async def ask(self, event: CodeIndexStarted, cause: Meta) -> None:
        """Have a job done. Raises `Busy`."""
        await transact(self._log, stream(event.job), FOLD, partial(start, event), cause=cause, known=_nothing())
        self.wake()

    async def cancel(self, seen: Seen, requester: str | None, cause: Meta) -> None:
        """End a job as it is; one that is over stays as it is. Raises `Busy`."""
        assert seen.job.asked is not None
        job = seen.job.asked.job
        event = CodeIndexEnded(job, "canceled", seen.job.tally, _since(seen.started_at), requester=requester)
        await self._append(seen, event, cause)
        self._stop_current(job)

    # ------------------------------------------------------------------------------------ work

    async def _work(self) -> None:
        said = ""
        while True:
            try:
                self._wake.clear()
                await self.board.refresh()
                for seen in self.board.open():
                    await self._try(seen)
                    await self.board.refresh()
                said = ""
            except CcaError as error:
                logger.log(
                    logging.DEBUG if str(error) == said else logging.WARNING, "code index: %s; trying again", error
                )
                said = str(error)
                await asyncio.sleep(LOOK_S / 3)
            except Exception:
                logger.exception("code index: something unforeseen; trying again")
                await asyncio.sleep(LOOK_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_S)

    async def _try(self, seen: Seen) -> None:
        """Work on a job unless somebody else does. Raises `Busy` when that cannot be done now: it stays open."""
        asked = seen.job.asked
        assert asked is not None
        if not seen.job.is_open:
            return
        running = asyncio.create_task(self._locked(seen, asked))
        self._current = (asked.job, running)
        watching = asyncio.create_task(self._watch(asked.job))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            if not running.cancelled():
                running.cancel()  # it is we who are to stop
                await asyncio.gather(running, return_exceptions=True)
                raise
        finally:
            self._current = None
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            if not seen.job.is_open:
                self.wake()  # there may be others that were asked for meanwhile

    async def _watch(self, job: str) -> None:
        """Stop when another instance was told to cancel the job."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            with suppress(CcaError):
                await self.board.refresh()
                if not self.board.jobs[job].job.is_open:
                    self._stop_current(job)

    def _stop_current(self, job: str) -> None:
        if self._current is not None and self._current[0] == job:
            self._current[1].cancel()

    async def _locked(self, seen: Seen, asked: CodeIndexStarted) -> None:
        # Where the breaker lets one try whether the server is back, that one is to be short, and not a whole job.
        await self._tables.rows("SELECT 1")
        async with self._tables.connection() as db:
            if not await code_store.lock(db, asked.project):
                return
            await self.board.refresh()  # who had the lock before may have ended it
            if not seen.job.is_open:
                return
            before = seen.job.tally
            cause = Meta(id=uuid7(), source="cca_context", time=datetime.now(UTC))
            await self._append(seen, CodeIndexProgressed(asked.job, before, resumed=seen.job.begun), cause)

            async def say(tally: Tally) -> None:
                await self._append(seen, CodeIndexProgressed(asked.job, tally), cause)
                if not seen.job.is_open:
                    raise Refused("canceled", "the job was canceled")

            run = Run(self._pool, self._roots, asked, before, say, self._changed)
            problem = ""
            try:
                await run.run(db)
            except Refused as refused:
                if not seen.job.is_open:
                    return
                problem = str(refused)
            except Busy:
                raise
            except CcaError as error:
                problem = str(error)
            if seen.job.is_open:
                ended = CodeIndexEnded(
                    asked.job,
                    "failed" if problem else "completed",
                    run.tally,
                    _since(seen.started_at),
                    problem,
                    run.failures,
                    asked.requester,
                )
                await self._append(seen, ended, cause)

    async def _append(self, seen: Seen, event: CodeIndexProgressed | CodeIndexEnded, cause: Meta) -> None:
        decide = partial(progress, event) if isinstance(event, CodeIndexProgressed) else partial(end, event)
        at = await transact(self._log, stream(event.job), FOLD, decide, cause=cause, known=At(seen.job, seen.seq))
        seen.know(at)


def view(seen: Seen, embedded: int = 0) -> CodeJob:
    """A job as it is told."""
    job, asked = seen.job, seen.job.asked
    assert asked is not None
    ended = job.ended
    return CodeJob(
        job=asked.job,
        path=asked.path,
        project=asked.project,
        state=job.state,
        tally=job.tally,
        started_at=seen.started_at,
        ended_at=seen.started_at + timedelta(seconds=ended.duration_s) if ended is not None else None,
        duration_s=ended.duration_s if ended is not None else _since(seen.started_at),
        problem=ended.problem if ended is not None else "",
        failures=ended.failures if ended is not None else {},
        resumed=job.resumed,
        embedded=embedded,
        requester=asked.requester,
    )


def _nothing() -> At[Job]:
    return At(FOLD.initial, Seq(0))


def _since(time: datetime) -> float:
    return round(max((datetime.now(UTC) - time).total_seconds(), 0.0), 3)
