"""The life of a work message in a worker: delivered, claimed, run, reported, acknowledged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from cca.contracts.agent import Completion, Receipt, Verdict
from cca.contracts.task import PRIORITIES, Failure
from cca.contracts.work import DoTask
from cca.nats.pull import Delivery, Pull
from cca.work.backlog import Backlog, Run
from cca.work.desk import Desk
from cca.work.outcome import checked, encode_result, failure_of, stopped
from cca.work.reports import Reports
from cca.work.task import Task
from cca.work.voice import Voice

logger = logging.getLogger("cca.worker")

SHORT_S = 0.25
"""While handlers take less than this, as many messages as there are slots are fetched ahead."""
UNREPORTED, UNREPORTED_BYTES = 10_000, 64 * 1024 * 1024
"""No new work is claimed while so much waits for the router to come back."""
CLEANUP_S = 2.0
"""How long a worker that stops at once waits for its handlers: a command is killed within this."""

_decode = msgspec.json.Decoder(DoTask).decode


class Counts(Struct):
    """What a worker has done since it started.

    Attributes:
        done, failed: attempts whose outcome is in the log.
        refused: attempts whose report came too late: canceled, timed out, or taken over.
        given_back: messages that were left to other workers unclaimed.
    """

    done: int = 0
    failed: int = 0
    refused: int = 0
    given_back: int = 0


class Engine:
    """Runs tasks in `concurrency` slots. A slot is free when its handler has ended; reporting takes none.

    Args:
        handler: what to do with a task.
        result_limit: the largest result, in bytes of JSON.
        secrets: texts that must not appear in a failure.
        on_outcome: told of each attempt that was settled: the run, and its failure if it has one.
    """

    def __init__(
        self,
        desk: Desk,
        handler: Callable[[Task], Awaitable[Any]],
        concurrency: int,
        result_limit: int,
        secrets: Sequence[str] = (),
        on_outcome: Callable[[Run], None] | None = None,
    ) -> None:
        self._desk, self._handler, self._limit = desk, handler, result_limit
        self._secrets, self._on_outcome = tuple(secrets), on_outcome
        self.concurrency = concurrency
        self.counts = Counts()
        self.runs: dict[tuple[str, int], Run] = {}
        self.busy = 0
        self.draining = False
        self.drained = asyncio.Event()
        self._reports = Reports(desk, self._next_claims, self._on_verdict, self._on_receipt)
        self._backlog = Backlog(len(PRIORITIES))
        self._pulls: Sequence[Pull] = ()
        self._claiming = 0
        self._mean_s = 2 * SHORT_S  # of recent handlers, weighted exponentially; at first nothing is fetched ahead
        self._loop = desk.loop
        self._clock = self._loop.time
        self._refilling = False

    # ------------------------------------------------------------------------------------ intake

    def feed(self, pulls: Sequence[Pull]) -> None:
        """From now on work comes from these, most urgent first."""
        self._pulls = pulls
        self._want()

    def on_delivery(self, rank: int, delivery: Delivery) -> None:
        """A work message came from the pull of this rank."""
        if self.draining:
            delivery.nak()
            return
        try:
            work = _decode(delivery.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            logger.error("work message %d cannot be read: %s", delivery.seq, error)
            delivery.term("unreadable")
            return
        now = self._clock()
        run = self.runs.get((work.task, work.route))
        if run is not None:
            # Ours still, but its lease had ended: the event loop was blocked, or the server was away.
            run.delivery, run.renewed = delivery, now
            return
        run = self.runs[work.task, work.route] = Run(work, delivery, rank, now)
        self._backlog.put(run)
        if rank < len(self._pulls):
            self._pulls[rank].want(self._room(rank))  # at once, or the pull would order one more in its place
        self._reports.claims.poke()

    def _room(self, rank: int) -> int:
        """How many more messages of a rank are welcome."""
        if self.draining:
            return 0
        ahead = self.concurrency if self._mean_s < SHORT_S else 0
        taken = self.busy + self._claiming + self._backlog.ahead_of(rank)
        return max(0, self.concurrency + ahead - taken)

    def _want(self) -> None:
        self._refilling = False
        for rank, pull in enumerate(self._pulls):
            pull.want(self._room(rank))

    def _more(self) -> None:
        """Something ended: there may be room."""
        self._reports.claims.poke()
        if not self._refilling:
            self._refilling = True
            self._loop.call_soon(self._want)

    # ------------------------------------------------------------------------------------ claims

    def _next_claims(self) -> list[Run]:
        free = self.concurrency - self.busy - self._claiming
        stuck = len(self.runs) > UNREPORTED or self._reports.size > UNREPORTED_BYTES
        if free <= 0 or stuck or self.draining:
            return []
        group = self._backlog.take(min(free, 500))
        self._claiming += len(group)
        return group

    def _on_verdict(self, run: Run, verdict: Verdict | None) -> None:
        self._claiming -= 1
        if verdict is not None and verdict.go:
            self._start(run, verdict.attempt)
            return
        why = verdict.why if verdict is not None else None
        if why in ("over", "obsolete"):
            run.delivery.ack()
        elif why == "later":
            run.delivery.nak(1.0)
        elif why is None:
            run.delivery.nak(5.0)
        # `taken`: another worker holds this very message, and to acknowledge it would end that lease.
        self._forget(run)

    # ------------------------------------------------------------------------------------ run

    def _start(self, run: Run, attempt: int) -> None:
        run.attempt, run.began = attempt, self._clock()
        run.task = task = Task(run.work, attempt, lambda: self._voice(run), lambda: run.delivery.headers, self._limit)
        self.busy += 1
        run.job = self._loop.create_task(self._execute(run, task))

    def _voice(self, run: Run) -> Voice:
        if run.voice is None:
            run.voice = Voice(self._desk, run.work.task, run.attempt, lambda: self.stop(run, "lost"), self._secrets)
        return run.voice

    async def _execute(self, run: Run, task: Task) -> None:
        run.running = True
        failure: Failure | None = None
        result = msgspec.Raw()
        seconds = run.work.timeout_s
        limit = asyncio.timeout(seconds) if seconds is not None else None
        try:
            if run.stop is not None:
                failure = stopped(run.stop)
            elif limit is None:
                result = encode_result(await self._handler(task), self._limit)
            else:
                async with limit:
                    result = encode_result(await self._handler(task), self._limit)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a handler that calls sys.exit() must not end the worker
            if run.stop is not None:
                failure = stopped(run.stop)
            elif limit is not None and limit.expired() and isinstance(error, TimeoutError):
                failure = Failure("timeout", f"not finished within {seconds:g} s")
            elif isinstance(error, asyncio.CancelledError):
                failure = stopped("itself")
            else:
                failure = failure_of(error, self._secrets)
        run.ended, run.failure, run.seconds = True, failure, round(self._clock() - run.began, 6)
        self._mean_s += (run.seconds - self._mean_s) / 16
        if task.thread is not None and not task.thread.done():
            task.thread.add_done_callback(self._free)  # a thread cannot be stopped; its slot is taken until it ends
        else:
            self._free()
        if run.voice is not None and not run.voice.idle:
            await run.voice.finish()  # what the handler said last goes before what became of it
        self._report(run, result)

    def _free(self, _: object = None) -> None:
        self.busy -= 1
        self._more()

    def _report(self, run: Run, result: msgspec.Raw) -> None:
        usage = run.task.usage if run.task is not None else None
        if run.stop == "lost":
            self._forget(run)
        elif run.failure is not None:
            self._reports.fail(run, run.failure, run.seconds, None if usage is None else checked(usage))
        else:
            done = Completion(run.work.task, run.attempt, result, usage, run.seconds)
            self._reports.complete(run, done, memoryview(result).nbytes)

    def _on_receipt(self, run: Run, receipt: Receipt | None) -> None:
        counts = self.counts
        if receipt is None:
            if run.failure is None:
                run.failure = Failure("rejected", "the router could not read the result", retryable=False)
                self._reports.fail(run, run.failure, run.seconds)
                return
            run.delivery.nak(5.0)
        elif receipt.ok:
            run.delivery.ack()
            counts.done += run.failure is None
            counts.failed += run.failure is not None
            if self._on_outcome is not None:
                self._on_outcome(run)
        else:
            counts.refused += 1
            if receipt.why == "over":
                run.delivery.ack()
            # `stale`: another worker may hold this very message, and to acknowledge it would end that lease.
        self._forget(run)

    def _forget(self, run: Run) -> None:
        self.runs.pop((run.work.task, run.work.route), None)
        run.task = run.job = None  # they hold the run, too: without this only the garbage collector would free it
        if self.draining and not self.runs:
            self.drained.set()
        self._more()

    # ------------------------------------------------------------------------------------ stop

    def stop(self, run: Run, why: str) -> None:
        """End a run before its time: `canceled`, `lost` to another, or `shutdown`."""
        if run.stop is not None or run.ended:
            return
        run.stop = why
        if run.running and run.job is not None and run.task is not None:  # otherwise it sees `stop` when it starts
            run.task.canceled.set()
            run.job.cancel()

    def cancel(self, task: str) -> None:
        """Somebody canceled a task."""
        for run in [run for run in self.runs.values() if run.work.task == task]:
            self.stop(run, "canceled")

    def give_back(self, older_than_s: float = 0.0) -> None:
        """Let others have the messages that wait for a slot."""
        for run in self._backlog.take_older(self._clock() - older_than_s):
            run.delivery.nak()
            self.counts.given_back += 1
            self._forget(run)

    def drain(self) -> None:
        """Take nothing more. `drained` is set when everything has ended and was reported."""
        self.draining = True
        self.give_back()
        self._want()
        if not self.runs:
            self.drained.set()

    async def close(self) -> None:
        """Stop at once. What was not reported is given back."""
        await self._reports.stop()
        runs = list(self.runs.values())
        jobs = [run.job for run in runs if run.job is not None]
        for run in runs:
            run.stop = "lost"  # nothing more is said of it
        for job in jobs:
            job.cancel()
        if jobs:
            await asyncio.wait(jobs, timeout=CLEANUP_S)  # a handler may refuse to be canceled
        for run in runs:
            run.delivery.nak()
        self.runs.clear()
