"""Tasks teach: what finished ones have shown is remembered, and counted for or against what they were given."""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec import Struct

from cca import codec
from cca.contracts.prepared import TaskRecalled
from cca.contracts.task import TaskCompleted, TaskFailed, TaskRated, TaskSubmitted
from cca.errors import Busy, CcaError, Unknown, Unreadable
from cca.message import Event, Stream
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.follow import Doubt, Follower, last_position
from cca.projection import Entry
from cca_context.lessons import Tale
from cca_context.memory_decide import STREAM, Policies

logger = logging.getLogger("cca_context")

NOTE = subjects.state("memory.harvest")
TASKS = subjects.events("task", "*")
CHUNK = 256
"""Events that are looked at together."""
NO_POLICY_S = 1.0
"""Seconds between looks for a first policy."""
IDLE = 10.0
"""Seconds after which a silent log is looked at again."""
NOTE_EVERY = 5.0
"""Seconds between two notes of how far it is."""
OPEN = 100_000
"""Tasks that are kept in mind while they run, at most; of others the log is asked."""
AT_ONCE = 16
"""Tasks that are learned from at the same time."""
TRIES = 3
"""A task that cannot be learned from, for a reason that nobody foresaw, is passed by after so many."""

Learn = Callable[[Tale], Awaitable[None]]
"""Remembers what a task has shown, and counts its outcome. The same again changes nothing. Raises `CcaError`."""

_SUBMITTED, _RECALLED = codec.tag_of(TaskSubmitted), codec.tag_of(TaskRecalled)
_ENDS = frozenset(map(codec.tag_of, (TaskCompleted, TaskFailed, TaskRated)))


class _Note(Struct, frozen=True):
    seq: int


class _Role(Struct):
    """As much of `TaskSubmitted` as is needed of each: it may be large."""

    role: str = ""


_role_of = msgspec.json.Decoder(_Role).decode


class Open:
    """Which tasks are of interest when they end, as far as they were seen to begin. It forgets the oldest."""

    def __init__(self, most: int = OPEN) -> None:
        self._tasks: OrderedDict[str, bool] = OrderedDict()
        self._most = most

    def note(self, task: str, interesting: bool) -> None:
        """A task was heard of; once interesting, it stays so."""
        self._tasks[task] = interesting or self._tasks.get(task, False)
        if len(self._tasks) > self._most:
            self._tasks.popitem(last=False)

    def interesting(self, task: str) -> bool:
        """Whether it may teach something: it does not only if that is known."""
        return self._tasks.get(task, True)


class Harvest:
    """Follows the tasks of the log from where it was; several may do so at the same time, and count nothing twice.

    What a task shows follows from all of its events, whenever it is asked: an event heard again changes nothing.

    Args:
        policies: those of now. Raises `Busy`.
        learn: what is done with a task that has ended or was rated.
    """

    def __init__(self, bus: Bus, policies: Callable[[], Awaitable[Policies]], learn: Learn) -> None:
        self._bus, self._policies, self._learn = bus, policies, learn
        self._open = Open()
        self._seq: int | None = None
        self._noted, self._noted_at = 0, 0.0
        self._loop = asyncio.get_running_loop()
        self.learned = 0
        """Tasks that were learned from, in this process."""

    async def run(self) -> None:
        """Learn until cancelled. Whatever goes wrong is said and tried again after a while."""
        pause, said = 0.1, ""
        while True:
            begun = self._loop.time()
            try:
                await self._follow()
            except Doubt as doubt:
                logger.info("memories of tasks: going on from the last position: %s", doubt)
            except CcaError as error:
                logger.log(logging.DEBUG if str(error) == said else logging.WARNING, "%s; trying again", error)
                said = str(error)
            except Exception:
                logger.exception("memories of tasks: unforeseen; starting over")
            if self._loop.time() - begun > 30:
                pause, said = 0.1, ""
            await asyncio.sleep(pause + random.uniform(0, pause))
            pause = min(pause * 2, 5.0)

    async def rest(self) -> None:
        """Note where it is, for the next start."""
        try:
            async with asyncio.timeout(2):
                await self._write_note()
        except (CcaError, TimeoutError) as error:
            logger.warning("the next start will look at more tasks than it must: %s", error)

    # ------------------------------------------------------------------------------------ following

    async def _follow(self) -> None:
        while not (await self._policies()).version:
            await asyncio.sleep(NO_POLICY_S)  # until there is a first one nothing is to be learned from any task
        if self._seq is None:
            self._seq = await self._begin()
        follower = await Follower.start(self._bus, "harvest", self._seq, TASKS)
        try:
            while True:
                entries = await follower.take(CHUNK, wait_s=IDLE)
                await self.hear(entries)
                if entries:
                    self._seq = entries[-1].seq
                if self._loop.time() > self._noted_at + NOTE_EVERY:
                    await self._write_note()
                await asyncio.sleep(0)
        finally:
            await follower.stop()

    async def _begin(self) -> int:
        """Where to begin: as noted; else with the first policy ever set: what was before is not remembered."""
        last = await last_position(self._bus)
        raw = await stored.last(self._bus, f"KV_{names.STATE}", NOTE)
        if raw is not None:
            try:
                seq = msgspec.json.decode(raw.body, type=_Note).seq
            except msgspec.DecodeError:
                seq = last + 1
            if seq <= last:
                return seq
            logger.warning("memories of tasks: it was noted how far another log was read, not this one")
        async for policy in stored.scan(self._bus, names.EVENTS, STREAM.subject):
            return policy.seq
        return last

    async def _write_note(self) -> None:
        self._noted_at = self._loop.time()
        if self._seq is not None and self._seq != self._noted:
            await self._bus.request(NOTE, msgspec.json.encode(_Note(self._seq)))
            self._noted = self._seq

    # ------------------------------------------------------------------------------------ learning

    async def hear(self, entries: Sequence[Entry]) -> None:
        """Learn from what these events say. Raises `Busy`; the same can then be heard again."""
        if not entries:
            return
        policies: Policies | None = None
        due: dict[str, None] = {}
        for entry in entries:
            task = entry.subject.rpartition(".")[2]
            if entry.type == _SUBMITTED:
                policies = policies or await self._policies()
                self._open.note(task, _stores(policies, entry))
            elif entry.type == _RECALLED:
                self._open.note(task, True)
            elif entry.type in _ENDS and self._open.interesting(task):
                due[task] = None
        tasks = list(due)
        for start in range(0, len(tasks), AT_ONCE):
            results = await asyncio.gather(*map(self._tell, tasks[start : start + AT_ONCE]), return_exceptions=True)
            for error in results:
                if isinstance(error, BaseException):
                    raise error

    async def _tell(self, task: str) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                tale = await self._read(task)
                if tale.submitted is not None:
                    # Seen to begin or not, it need not be read again when it ends a second time.
                    self._open.note(task, True)
                    await self._learn(tale)
                    self.learned += 1
                return
            except Busy:
                raise
            except CcaError as error:
                logger.warning("nothing is learned from task %s: %s", task, error)
                return
            except Exception:
                if attempt == TRIES:
                    # Without its text: the traceback of an error may show what the task was about.
                    logger.error("nothing is learned from task %s: unforeseen, %d times", task, TRIES)
                    return

    async def _read(self, task: str) -> Tale:
        tale = Tale()
        async for raw in stored.scan(self._bus, names.EVENTS, Stream("task", task).subject):
            try:
                event = codec.decode(raw.headers.get("ce-type", ""), raw.body)
            except (Unknown, Unreadable):
                continue  # written by a newer version, or not by us
            if isinstance(event, Event):
                tale.hear(event)
        return tale


def _stores(policies: Policies, entry: Entry) -> bool:
    try:
        policy = policies.of(_role_of(entry.body).role)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return policy is not None and policy.store
