"""Jobs that index code: which there are, as the log says, and the one that this process works on."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from cca.code.roots import Roots
from cca.contracts.code import (
    CodeIndexEnded,
    CodeIndexProgressed,
    CodeIndexStarted,
    Tally,
)
from cca.decider import At, transact
from cca.errors import Busy, CcaError, Refused
from cca.ids import uuid7
from cca.message import Meta, Seq
from cca.nats.log import JetStreamLog
from cca.pool.pool import Pool
from cca.postgres.pool import UNREACHABLE
from cca.postgres.tables import Tables
from cca_context import code_store
from cca_context.code_board import Board, Seen, since
from cca_context.code_decide import FOLD, Job, end, progress, start, stream
from cca_context.code_index import Run

logger = logging.getLogger("cca_context")

LOOK_S = 3.0
"""Seconds between looks for jobs of instances that have died, and until a job is tried again."""


class Jobs:
    """Works on open jobs, one at a time: the oldest that nobody else works on.

    A project has a lock in PostgreSQL, held while it is worked on and lost with the connection: of many instances one
    goes on with what a dead one left. A job that is cut short is open in the log; nothing else says so.
    """

    def __init__(
        self,
        log: JetStreamLog,
        tables: Tables,
        pool: Pool,
        roots: Roots,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.board = Board(log)
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
        event = CodeIndexEnded(job, "canceled", seen.job.tally, since(seen.started_at), requester=requester)
        await self._append(seen, event, cause)
        self._stop_current(job)

    # ------------------------------------------------------------------------------------ work

    async def _work(self) -> None:
        said = ""
        while True:
            try:
                self._wake.clear()
                await self.board.refresh()
                trouble: Busy | None = None
                for seen in self.board.open():
                    try:
                        await self._try(seen)
                    except Busy as busy:
                        trouble = busy  # of this job, perhaps; others are not to wait for it
                    await self.board.refresh()
                if trouble is not None:
                    raise trouble
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
            except (Busy, *UNREACHABLE):
                raise  # it stays open, and is tried again
            except Exception:
                logger.exception("code index: job %s failed", asked.job)
                problem = "something unforeseen happened; it is logged"
            if seen.job.is_open:
                ended = CodeIndexEnded(
                    asked.job,
                    "failed" if problem else "completed",
                    run.tally,
                    since(seen.started_at),
                    problem,
                    run.failures,
                    asked.requester,
                )
                await self._append(seen, ended, cause)

    async def _append(self, seen: Seen, event: CodeIndexProgressed | CodeIndexEnded, cause: Meta) -> None:
        decide = partial(progress, event) if isinstance(event, CodeIndexProgressed) else partial(end, event)
        at = await transact(self._log, stream(event.job), FOLD, decide, cause=cause, known=At(seen.job, seen.seq))
        seen.know(at)


def _nothing() -> At[Job]:
    return At(FOLD.initial, Seq(0))
