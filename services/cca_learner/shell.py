"""The loop: hear the log, make a version when something has changed, give it to the routers."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial

from cca.config import Settings
from cca.contracts.policy import PolicySnapshot
from cca.decider import At, Decision, load, transact
from cca.errors import Busy, CcaError
from cca.ids import uuid7
from cca.message import Meta, Seq
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.follow import Doubt, Follower, last_position
from cca.nats.log import JetStreamLog
from cca.projection import Entry
from cca_learner import decide, window
from cca_learner.board import Board
from cca_learner.decide import POLICY, STREAM, Policy
from cca_learner.memory import Memory
from cca_learner.versions import Recent, Version, make
from cca_learner.window import CHUNK

logger = logging.getLogger("cca_learner")

GATHER = 0.05
"""Seconds that are waited for more events once there is one: a version is made every second, not for each event."""
IDLE = 10.0
"""Seconds after which a silent log is looked at again."""
NOTE_EVERY = 60.0
"""Seconds between two notes for the next start."""
CATCH_UP_S = 5.0
"""Seconds that who asks for a version waits for what is in the log to be heard."""
PATIENCE = 30.0
"""Seconds that a question waits for the start to be over."""


class Learner:
    """Knows what the log says about routing. Everything that it remembers is also in the log.

    Attributes:
        at: the aggregate, and its position.
        newest: the version that decides.
        recent: the newest versions.
        loss, table_size, fit_s: of the last version that was made here.
        moved: called when something was heard.
    """

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.bus = bus
        self.at: At[Policy] = At(POLICY.initial, Seq(0))
        self.newest: PolicySnapshot | None = None
        self.recent = Recent()
        self.loss: float | None = None
        self.table_size = 0
        self.fit_s = 0.0
        self.moved: list[Callable[[], None]] = []
        self._log = JetStreamLog(bus, settings.log.batch_from)
        self._board = Board(bus)
        self._memory: Memory | None = None
        self._learned: tuple[Memory | None, int] = (None, 0)
        self._turn = asyncio.Lock()  # whoever holds it may change the memory
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._next = 0.0
        self._noted = -NOTE_EVERY

    async def memory(self) -> Memory:
        """What is known, once the start is over. Raises `Busy` when that takes too long."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ready.wait()
        except TimeoutError:
            raise Busy("the learner is still reading the log") from None
        assert self._memory is not None
        return self._memory

    # ------------------------------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Learn until cancelled. Whatever goes wrong is said in the log and tried again after a while."""
        pause, said = 0.1, ""
        while True:
            begun = self._loop.time()
            try:
                await self._learn()
            except Doubt as doubt:
                logger.info("going on from the last position: %s", doubt)
            except CcaError as error:
                logger.log(logging.DEBUG if str(error) == said else logging.WARNING, "%s; trying again", error)
                said = str(error)
            except Exception:
                logger.exception("unforeseen; starting over")
                self._memory = None
                self._ready.clear()
            if self._loop.time() - begun > 30:
                pause, said = 0.1, ""
            await asyncio.sleep(pause + random.uniform(0, pause))
            pause = min(pause * 2, 5.0)

    async def _learn(self) -> None:
        async with self._turn:
            memory = await self._begin()
        follower = await Follower.start(self.bus, "learner", memory.head)
        try:
            while True:
                entries = await follower.take(CHUNK, wait_s=self._patience(), gather_s=GATHER)
                async with self._turn:
                    await self._hear(entries)
                    if self._stale and self._loop.time() >= self._next:
                        await self._renew()
                for moved in self.moved:
                    moved()
                await asyncio.sleep(0)  # a backlog is taken without waiting, and others want their turn
        finally:
            await follower.stop()

    async def _begin(self) -> Memory:
        """Know what the log says, and see to it that the routers have the newest version."""
        last, memory = await last_position(self.bus), self._memory
        if memory is not None and last < memory.head:
            logger.error("the log ends at %d, before position %d: it is another one", last, memory.head)
            memory = self._memory = None
            self.newest, self.recent = None, Recent()
            self._ready.clear()
        if memory is None:
            self.at = await self._board.read_note()
        self.at = await load(self._log, STREAM, POLICY, self.at)
        policy = self.at.state
        if memory is None:
            begun = time.perf_counter()
            memory, events = await window.remembered(self.bus, policy)
            self._memory = memory
            logger.info("read %d events in %.1f s, %d tasks", events, time.perf_counter() - begun, len(memory))
        there, _ = await self._board.newest.read()
        if there is None or there.version != policy.version or there.digest != policy.digest:
            await self._renew()
        elif self.newest is None:
            self._has(there)
            if policy.settled and memory.digest() == policy.digest:
                self._learned = (memory, memory.changes)
            else:
                await self._renew()
        self._ready.set()
        return memory

    async def _hear(self, entries: Sequence[Entry]) -> None:
        memory = self._memory
        assert memory is not None
        # A configuration may have made the memory anew meanwhile; it is never ahead of what was followed.
        memory.apply(entries)
        await window.recall(self.bus, memory)
        if any(entry.subject == STREAM.subject and entry.seq > self.at.seq for entry in entries):
            self.at = await load(self._log, STREAM, POLICY, self.at)

    @property
    def _stale(self) -> bool:
        """What is known now would make another version."""
        memory = self._memory
        return memory is not None and (not self.at.state.settled or self._learned != (memory, memory.changes))

    def _patience(self) -> float:
        return max(0.0, self._next - self._loop.time()) if self._stale else IDLE

    # ------------------------------------------------------------------------------------ versions

    async def renew(self) -> None:
        """Make a version now, of everything that was in the log when it was asked for. Raises `Busy`."""
        last = await stored.last(self.bus, names.EVENTS, subjects.EVENTS_ALL)
        memory, until = await self.memory(), self._loop.time() + CATCH_UP_S
        while last is not None and memory.head < last.seq and self._loop.time() < until:
            await asyncio.sleep(0.01)
            memory = await self.memory()
        async with self._turn:
            await self._renew()

    async def _renew(self) -> None:
        memory, policy = self._memory, self.at.state
        assert memory is not None
        self._learned = (None, 0)  # whatever comes in between, a version is due until this one is published
        if memory.params != policy.params:
            # Outcomes are worth something else now: all sums are made again.
            memory, _ = await window.remembered(self.bus, policy, memory.head)
            self._memory = memory
        proposals = memory.sightings.proposals(policy.vocabulary)
        policy = (await self.change(partial(decide.grow, proposals))).state
        memory.grow(policy.vocabulary)
        changes, begun = memory.changes, time.perf_counter()
        try:
            version = await asyncio.to_thread(make, memory, policy)
        except Exception:
            logger.exception("%s cannot learn from what is known; version %d stays", policy.algorithm, policy.version)
            version = None
        self.fit_s = time.perf_counter() - begun
        # What takes long is not done all the time: the log goes on, and is to be followed.
        self._next = self._loop.time() + max(policy.params.update_s, self.fit_s)
        if version is None:
            self._learned = (memory, changes)
            return
        await self._publish(version)
        if self.at.state.settled:  # else something was configured meanwhile
            self._learned = (memory, changes)

    async def _publish(self, version: Version) -> None:
        there, seq = await self._board.newest.read()
        least, made = there.version if there else 0, version.made
        policy = (await self.change(partial(decide.updated, made, least))).state
        if not policy.settled or (policy.digest, policy.position) != (made.digest, made.position):
            return
        self.loss, self.table_size = version.fitted.loss, version.fitted.table_size
        snapshot = version.snapshot(policy.version)
        self._has(snapshot)
        # If we end here, the next start sees that the bucket is behind, and makes a newer version.
        await self._board.newest.publish(snapshot, there, seq)
        if self._loop.time() > self._noted + NOTE_EVERY:
            self._noted = self._loop.time()
            await self._board.write_note(self.at)

    def _has(self, snapshot: PolicySnapshot) -> None:
        self.newest = snapshot
        self.recent.add(snapshot)

    async def change(self, decision: Callable[[Policy], Decision], cause: Meta | None = None) -> At[Policy]:
        """Decide about the aggregate, and append that. Raises `Busy`, and what the decision refuses."""
        at = await transact(self._log, STREAM, POLICY, decision, cause=cause or _of_now(), known=self.at)
        if at.seq > self.at.seq:
            self.at = at
        return at

    async def rest(self) -> None:
        """Leave a note for the next start."""
        try:
            await asyncio.wait_for(self._board.write_note(self.at), 2)
        except (CcaError, TimeoutError) as error:
            logger.warning("the next start will read more of the log than it must: %s", error)


def _of_now() -> Meta:
    """What is known of a decision that nobody asked for."""
    return Meta(id=uuid7(), source="cca_learner", time=datetime.now(UTC))
