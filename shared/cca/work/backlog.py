"""Work that was delivered and waits for a slot: most urgent first."""

import asyncio
from collections import deque

from cca.contracts.task import Failure
from cca.contracts.work import DoTask
from cca.nats.pull import Delivery
from cca.work.task import Task
from cca.work.voice import Voice


class Run:
    """One work message from its delivery until it is settled.

    `stop` says why it must not go on: `canceled` (somebody asked; report it), `lost` (the attempt belongs to
    another; say nothing), `shutdown` (give the message back).
    """

    __slots__ = (
        "attempt",
        "began",
        "delivery",
        "ended",
        "failure",
        "job",
        "rank",
        "renewed",
        "running",
        "seconds",
        "seen",
        "stop",
        "task",
        "voice",
        "work",
    )

    def __init__(self, work: DoTask, delivery: Delivery, rank: int, now: float) -> None:
        self.work, self.delivery, self.rank = work, delivery, rank
        self.seen = self.renewed = now
        self.attempt = 0
        self.began = self.seconds = 0.0
        self.running = self.ended = False
        self.stop: str | None = None
        self.failure: Failure | None = None
        self.job: asyncio.Task[None] | None = None
        self.task: Task | None = None
        self.voice: Voice | None = None


class Backlog:
    """A queue per priority."""

    def __init__(self, ranks: int) -> None:
        self._queues: tuple[deque[Run], ...] = tuple(deque() for _ in range(ranks))

    def __len__(self) -> int:
        return sum(map(len, self._queues))

    def put(self, run: Run) -> None:
        self._queues[run.rank].append(run)

    def take(self, most: int) -> list[Run]:
        """The most urgent ones, first come first."""
        taken: list[Run] = []
        for queue in self._queues:
            while queue and len(taken) < most:
                taken.append(queue.popleft())
        return taken

    def ahead_of(self, rank: int) -> int:
        """How many wait that are at least as urgent as this rank."""
        count = 0
        for queue in self._queues:
            count += len(queue)
            if rank == 0:
                break
            rank -= 1
        return count

    def take_older(self, than: float) -> list[Run]:
        """Those that were delivered before a time."""
        taken: list[Run] = []
        for queue in self._queues:
            while queue and queue[0].seen < than:
                taken.append(queue.popleft())
        return taken
