"""What the memory is asked, and what it learns by itself."""

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace

from cca import codec
from cca.config import ContextSettings
from cca.contracts.memory import (
    ForgetMemory,
    GetMemory,
    GetMemoryPolicies,
    GetMemoryStats,
    ListMemories,
    MemoryHits,
    MemoryPolicies,
    MemoryStats,
    MemoryStored,
    MemoryView,
    RateMemory,
    Recalled,
    RecallMemories,
    Remembered,
    SearchMemories,
    SetMemoryPolicy,
    StoreMemory,
)
from cca.contracts.memory import Memories as Page
from cca.decider import At
from cca.errors import Busy, Unreadable
from cca.ids import uuid7
from cca.message import Meta
from cca.nats import subjects
from cca.nats.bus import Bus, Subscribed
from cca.nats.log import JetStreamLog
from cca.nats.wire import Msg
from cca.postgres.tables import Tables
from cca_context import memory_decide
from cca_context.cache import Answers
from cca_context.harvest import Harvest
from cca_context.lessons import Tale, lesson
from cca_context.memory_aggregates import Aggregates, view
from cca_context.memory_decide import Memory, is_id, make_room, missing
from cca_context.memory_policies import MEMORIES, MemoryPolicyBoard
from cca_context.memory_rows import MemoryRows
from cca_context.memory_storing import Storing, clean, cleaned
from cca_context.recall import CANDIDATES, Recall, weighed
from cca_context.search import Searcher
from cca_context.upkeep import Upkeep
from cca_context.vectors import Vectors
from cca_context.where import Where

logger = logging.getLogger("cca_context")

MOST_FOUND = 200
"""Hits that are weighed by their use, at most."""
KEPT = 300
"""Answers of searches that are kept, at most: one may hold many texts."""
LAG_S = 1.0
"""Seconds after a rating in which answers are not kept: the tables may not show it yet."""

_STORED = codec.tag_of(MemoryStored)


class Memories:
    """One method for each question; `start` begins what goes on without being asked.

    Attributes:
        answers: of searches, while nothing has changed.
        board: the policies.
    """

    def __init__(
        self,
        bus: Bus,
        log: JetStreamLog,
        tables: Tables,
        searcher: Searcher,
        vectors: Vectors,
        settings: ContextSettings,
    ) -> None:
        self._bus, self._searcher, self._vectors = bus, searcher, vectors
        self._aggregates, self._rows = Aggregates(log), MemoryRows(tables)
        self.answers: Answers[MemoryHits] = Answers(settings.cache_s, KEPT)
        self.board = MemoryPolicyBoard(bus, log, MEMORIES)
        self._storing = Storing(self._aggregates, searcher, vectors, self.board)
        self._recall = Recall(searcher, self._rows)
        self._harvest = Harvest(bus, self.board.current, self._learn)
        self._upkeep = Upkeep(self._rows, self.board.current, self._make_room)
        self._running: list[asyncio.Task[object]] = []
        self._hearing: Subscribed | None = None
        self._loop = asyncio.get_running_loop()
        self._settled = 0.0

    async def start(self) -> None:
        """Hear what others change, learn from tasks, and forget what is too much, until `stop`."""
        self._hearing = await self._bus.subscribe(subjects.live("memory", ">"), self._on_change)
        self._bus.reconnected.append(self._changed)
        for work in (self.board.keep_repairing(), self._harvest.run(), self._upkeep.run()):
            self._running.append(asyncio.create_task(work))

    async def stop(self) -> None:
        """End all that."""
        running, self._running = self._running, []
        for work in running:
            work.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if running:
            await self._harvest.rest()
        if self._changed in self._bus.reconnected:
            self._bus.reconnected.remove(self._changed)
        if self._hearing is not None:
            await self._hearing.unsubscribe()
            self._hearing = None

    # ------------------------------------------------------------------------------------ one memory

    async def store(self, command: StoreMemory, meta: Meta) -> Remembered:
        """Answered when it is in the log, without its secrets."""
        remembered = await self._storing.store(command, meta)
        # A new one is found once its words and its vector are there, which is a change of its own.
        self.answers.clear() if remembered.created else self._changed()
        self._upkeep.wake()
        return remembered

    async def get(self, command: GetMemory, meta: Meta) -> MemoryView:
        at = await self._aggregates.load(command.memory)
        if at.state.there is None:
            raise missing(command.memory)
        return await self._shown(command.memory, at)

    async def rate(self, command: RateMemory, meta: Meta) -> MemoryView:
        decision = partial(
            memory_decide.rate,
            command.memory,
            command.outcome,
            task=None if command.task is None else clean(command.task),
            comment=clean(command.comment),
            requester=cleaned(command.requester),
        )
        at = await self._aggregates.change(command.memory, decision, meta)
        self._changed()
        return await self._shown(command.memory, at)

    async def forget(self, command: ForgetMemory, meta: Meta) -> MemoryView:
        said = replace(command, reason=clean(command.reason), requester=cleaned(command.requester))
        at = await self._aggregates.change(command.memory, partial(memory_decide.forget, said), meta)
        self._changed()
        return await self._shown(command.memory, at)

    # ------------------------------------------------------------------------------------ many

    async def list(self, command: ListMemories, meta: Meta) -> Page:
        return await self._rows.page(command)

    async def search(self, command: SearchMemories, meta: Meta) -> MemoryHits:
        """What was found a moment ago is found again without a question to the tables, unless something has changed."""
        begun = self._loop.time()
        key = (command, self._vectors.changes)
        hits, cached = await self.answers.get(key, partial(self._find, command))
        return replace(hits, cached=cached, took_ms=round((self._loop.time() - begun) * 1e3, 3))

    async def stats(self, command: GetMemoryStats, meta: Meta) -> MemoryStats:
        return await self._rows.stats(self._vectors.info())

    async def recall(self, command: RecallMemories, meta: Meta) -> Recalled:
        return await self._recall.recall(command, await self.board.current(), datetime.now(UTC))

    # ------------------------------------------------------------------------------------ policies

    async def policies(self, command: GetMemoryPolicies, meta: Meta) -> MemoryPolicies:
        return (await self.board.current()).snapshot()

    async def set_policy(self, command: SetMemoryPolicy, meta: Meta) -> MemoryPolicies:
        """Answered when routers can read it."""
        said = replace(command, reason=clean(command.reason), requester=cleaned(command.requester))
        policies = await self.board.set(said, meta)
        self._upkeep.wake()
        return policies.snapshot()

    # ------------------------------------------------------------------------------------ searching

    async def _shown(self, memory: str, at: At[Memory]) -> MemoryView:
        try:
            return view(at, *await self._rows.used(memory))
        except Busy:
            return view(at)  # the log knows all but how often it was used

    async def _find(self, command: SearchMemories) -> MemoryHits:
        where = Where(
            equal={} if command.scope is None else {"scope": command.scope},
            among={
                column: tuple(value or None for value in values)
                for column, values in (("role", command.roles), ("kind", command.kinds))
                if values
            },
            since=command.since,
            until=command.until,
        )
        wanted = min(max(command.limit * 2, CANDIDATES), MOST_FOUND)
        found = await self._searcher.search(command.query, where, wanted, command.mode)
        known = await self._rows.some([one.key for one in found.items])
        hits = weighed(found.items, known, self.board.known, datetime.now(UTC))
        good = [hit for hit in hits if hit.score >= command.min_score]
        if self._loop.time() < self._settled:
            self.answers.clear()  # among them this one, which may show what was
        return MemoryHits(tuple(good[: command.limit]), found.mode, found.embedder, found.note)

    def _on_change(self, msg: Msg) -> None:
        try:
            stored = codec.tag_in(msg.data) == _STORED
        except Unreadable:
            stored = False
        if stored:
            self.answers.clear()  # it is found once its words and vector are there, which is a change of its own
        else:
            self._changed()

    def _changed(self) -> None:
        self._settled = self._loop.time() + LAG_S
        self.answers.clear()

    # ------------------------------------------------------------------------------------ by itself

    async def _learn(self, tale: Tale) -> None:
        """Count the outcome of a task for what it was given, and remember what it has shown."""
        outcome, submitted = tale.outcome, tale.submitted
        if outcome is None or submitted is None:
            return
        cause = _of_now()
        for one in tale.recalled.memories if tale.recalled else ():
            if is_id(one.memory):
                decision = partial(memory_decide.rate, one.memory, outcome, task=submitted.task, required=False)
                await self._aggregates.change(one.memory, decision, cause)
                self._changed()
        policy = (await self.board.current()).of(submitted.role)
        if policy is None or not policy.store:
            return
        learned = lesson(tale)
        if learned is not None and (await self._storing.store(learned, cause, own=True)).created:
            self.answers.clear()
            self._upkeep.wake()

    async def _make_room(self, memory: str) -> None:
        await self._aggregates.change(memory, partial(make_room, memory), _of_now())


def _of_now() -> Meta:
    """What is known of a decision that nobody asked for."""
    return Meta(id=uuid7(), source="cca_context", time=datetime.now(UTC))
