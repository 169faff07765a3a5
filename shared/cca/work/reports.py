"""What a worker says to the router: claims, completions and failures in groups, until it is answered."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cca.contracts.agent import (
    Claim,
    Claimed,
    ClaimTasks,
    CompleteTasks,
    Completion,
    FailTasks,
    Misfortune,
    Receipt,
    Reported,
    Verdict,
)
from cca.contracts.task import Failure, Usage
from cca.errors import Refused, Unreadable
from cca.work.backlog import Run
from cca.work.desk import Desk
from cca.work.pump import Pump

logger = logging.getLogger("cca.worker")

GROUP = 500
"""The most reports in one request: the log commits at most 1,000 messages at once."""
IN_FLIGHT = 2
"""Requests on their way: while one waits for a commit of the log, what came since can be in the next."""
GROUP_BYTES = 256 * 1024
"""Results above this in sum leave in the next request, so that none exceeds what a message may hold."""
LATER_S = 0.2
"""Seconds until a report is said again that the router cannot take now."""

A = TypeVar("A", Verdict, Receipt)
T = TypeVar("T", Claim, Completion, Misfortune)


class Reports:
    """Claims, completions and failures on their way.

    Args:
        desk: whom to ask.
        next_claims: the runs that may be claimed now; called when a request can leave.
        on_verdict, on_receipt: told what the router said about each run. A receipt of None: it was not understood.
    """

    def __init__(
        self,
        desk: Desk,
        next_claims: Callable[[], Sequence[Run]],
        on_verdict: Callable[[Run, Verdict | None], None],
        on_receipt: Callable[[Run, Receipt | None], None],
    ) -> None:
        self._desk, self._on_verdict, self._on_receipt = desk, on_verdict, on_receipt
        self._loop = asyncio.get_running_loop()
        self._done: deque[tuple[Run, Completion, int]] = deque()
        self._failed: deque[tuple[Run, Misfortune]] = deque()
        self.size = 0
        """Bytes of results that wait."""
        self.claims = Pump(next_claims, self._claim, IN_FLIGHT)
        self._completing = Pump(self._take_done, self._complete, IN_FLIGHT)
        self._failing = Pump(self._take_failed, self._fail)

    def complete(self, run: Run, what: Completion, size: int) -> None:
        """Report a run as done; `size` is that of its result, in bytes."""
        self._done.append((run, what, size))
        self.size += size
        self._completing.poke()

    def fail(self, run: Run, failure: Failure, duration_s: float, usage: Usage | None = None) -> None:
        """Report a run as failed, and what it had used."""
        self._failed.append((run, Misfortune(run.work.task, run.attempt, failure, duration_s, usage)))
        self._failing.poke()

    async def stop(self) -> None:
        """Give up on what is on its way."""
        for pump in (self.claims, self._completing, self._failing):
            await pump.stop()

    # ------------------------------------------------------------------------------------ groups

    def _take_done(self) -> list[tuple[Run, Completion, int]]:
        group: list[tuple[Run, Completion, int]] = []
        size, done = 0, self._done
        while done and len(group) < GROUP and (not group or size + done[0][2] <= GROUP_BYTES):
            size += done[0][2]
            group.append(done.popleft())
        self.size -= size
        return group

    def _take_failed(self) -> list[tuple[Run, Misfortune]]:
        failed = self._failed
        return [failed.popleft() for _ in range(min(len(failed), 10))]  # a failure may be 22,000 characters long

    async def _claim(self, runs: Sequence[Run]) -> None:
        # Made once: when an answer is lost, the same claim again is answered as the first was.
        claims = [Claim(run.work.task, run.work.route, run.delivery.seq, run.delivery.delivery) for run in runs]

        async def ask(part: Sequence[Claim]) -> Sequence[Verdict]:
            return (await self._desk.insist("claim", ClaimTasks(tuple(part)), Claimed)).verdicts

        for run, verdict in zip(runs, await self._answers(claims, ask), strict=True):
            self._on_verdict(run, verdict)

    async def _complete(self, group: Sequence[tuple[Run, Completion, int]]) -> None:
        async def ask(part: Sequence[Completion]) -> Sequence[Receipt]:
            return (await self._desk.insist("complete", CompleteTasks(tuple(part)), Reported)).receipts

        for item, receipt in zip(group, await self._answers([what for _, what, _ in group], ask), strict=True):
            if receipt is not None and receipt.why == "later":
                self._loop.call_later(LATER_S, self.complete, *item)
            else:
                self._on_receipt(item[0], receipt)

    async def _fail(self, group: Sequence[tuple[Run, Misfortune]]) -> None:
        async def ask(part: Sequence[Misfortune]) -> Sequence[Receipt]:
            return (await self._desk.insist("fail", FailTasks(tuple(part)), Reported)).receipts

        for (run, what), receipt in zip(group, await self._answers([what for _, what in group], ask), strict=True):
            if receipt is not None and receipt.why == "later":
                self._loop.call_later(LATER_S, self.fail, run, what.failure, what.duration_s)
            else:
                self._on_receipt(run, receipt)

    async def _answers(
        self, items: Sequence[T], ask: Callable[[Sequence[T]], Awaitable[Sequence[A]]]
    ) -> Sequence[A | None]:
        """Ask about all at once. If that is refused, one by one, so that a bad one does not spoil the others."""
        try:
            return _fitting(await ask(items), items)
        except (Refused, Unreadable) as error:
            logger.warning("the router refuses a group of %d reports: %s", len(items), error)
        answers: list[A | None] = []
        for item in items:
            try:
                answers.append(_fitting(await ask((item,)), (item,))[0])
            except (Refused, Unreadable) as error:
                logger.warning("the router refuses a report: %s", error)
                answers.append(None)
        return answers


def _fitting(answers: Sequence[A], items: Sequence[object]) -> Sequence[A]:
    if len(answers) != len(items):
        raise Unreadable(f"{len(answers)} answers to {len(items)} reports")
    return answers
