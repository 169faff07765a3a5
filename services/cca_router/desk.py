"""Where tasks are decided on: each in its turn, on the newest state, with what was decided made durable."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from cca.decider import At, Decision, transact
from cca.errors import Busy, Conflict
from cca.message import Meta, Seq, Stream
from cca.nats.log import JetStreamLog
from cca_router.state import TASK, Task
from cca_router.waiters import Waiters

CLOSED_LIMIT = 1_000
"""How many ended tasks are remembered, for the reports and questions that follow at once."""

Decide = Callable[[Task], Decision]
Moved = Callable[[str, Task, Task], None]

NOTHING: At[Task] = At(Task(), Seq(0))


class Entry(Struct, eq=False):
    """What is remembered of one task. While `busy`, a decision about it is on its way to the log."""

    at: At[Task] = NOTHING
    first: Seq = Seq(0)
    trace: str | None = None
    conversation: str | None = None
    busy: bool = False
    queue: deque[asyncio.Future[None]] | None = None


class Desk:
    """The tasks that are not over, and how decisions about them reach the log.

    Memory is only a shortcut: every append states the position that it was decided on, and a refused one is
    decided again on what the log says. So several routers may serve the same tasks.

    Args:
        log: where events go.
        decided: called with a task's id and its states before and after, when the change is on its way to the log;
            with the states exchanged if it did not get there.
        moved: called in the same way, later, once the change is durable.
    """

    def __init__(self, log: JetStreamLog, decided: Moved, moved: Moved) -> None:
        self._log, self._decided, self._moved = log, decided, moved
        self._open: dict[str, Entry] = {}
        self._closed: OrderedDict[str, Entry] = OrderedDict()
        self._waiters = Waiters()
        self._loop = asyncio.get_running_loop()
        self._slow: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------------------------------ decisions

    def change(self, task: str, decide: Decide, cause: Meta, new: bool = False) -> "asyncio.Future[Task]":
        """Decide about a task and make it durable; the future has its state then.

        `decide` may be called again on a newer state; what it raises, the future raises. `new` says that the
        task is probably not in the log yet, so that it need not be looked for first.
        """
        result: asyncio.Future[Task] = self._loop.create_future()
        entry = self._find(task)
        if entry is None and new:
            entry = self._open[task] = Entry()
        if entry is None or entry.busy:
            self._later(task, decide, cause, result)
            return result
        try:
            decision = decide(entry.at.state)
        except Exception as error:
            self._drop_if_empty(task, entry)
            result.set_exception(error)
            return result
        if not decision.events:
            self._drop_if_empty(task, entry)
            result.set_result(entry.at.state)
            return result
        entry.busy = True
        stored = self._log.commit(
            Stream("task", task),
            decision.events,
            after=entry.at.seq,
            cause=self._caused(entry, cause),
            sides=decision.sides,
        )
        after = TASK.over(entry.at.state, decision.events)
        self._decided(task, entry.at.state, after)
        stored.add_done_callback(partial(self._stored, task, entry, decide, after, cause, result))
        return result

    def _stored(
        self,
        task: str,
        entry: Entry,
        decide: Decide,
        after: Task,
        cause: Meta,
        result: "asyncio.Future[Task]",
        stored: "asyncio.Future[Seq]",
    ) -> None:
        self._free(entry)
        error = stored.exception()
        if error is None:
            self._advance(task, entry, At(after, stored.result()))
            _settle(result, after)
            return
        self._decided(task, after, entry.at.state)
        if isinstance(error, Conflict):
            self._later(task, decide, cause, result)
        else:
            self._drop_if_empty(task, entry)
            _fail(result, error)

    def _later(self, task: str, decide: Decide, cause: Meta, result: "asyncio.Future[Task]") -> None:
        """The slow way: when it is its turn, read what is new in the log, and decide."""

        async def work() -> None:
            try:
                _settle(result, await self._change_slowly(task, decide, cause))
            except Exception as error:
                _fail(result, error)

        running = self._loop.create_task(work())
        self._slow.add(running)
        running.add_done_callback(self._slow.discard)

    async def _change_slowly(self, task: str, decide: Decide, cause: Meta) -> Task:
        entry = self._find(task) or self._open.setdefault(task, Entry())
        await self._turn(entry)
        under_way: tuple[Task, Task] | None = None

        def give_up() -> None:
            nonlocal under_way
            if under_way is not None:
                before, after = under_way
                under_way = None
                self._decided(task, after, before)

        def decide_anew(state: Task) -> Decision:
            nonlocal under_way
            give_up()
            decision = decide(state)
            if decision.events:
                under_way = (state, TASK.over(state, decision.events))
                self._decided(task, *under_way)
            return decision

        try:
            at = await self._newest(task, entry)
            at = await transact(
                self._log, Stream("task", task), TASK, decide_anew, cause=self._caused(entry, cause), known=at
            )
            give_up()  # it is counted with everything else that the log says now
            self._learn(task, entry, at)
            return at.state
        finally:
            give_up()
            self._free(entry)
            self._drop_if_empty(task, entry)

    async def refresh(self, task: str) -> Task:
        """The state of a task as the log has it now, whatever is remembered; an unknown one has no state."""
        return await self._change_slowly(task, lambda _: Decision(), Meta(id="", source="", time=datetime.now(UTC)))

    async def get(self, task: str) -> Task:
        """The state of a task."""
        entry = self._find(task)
        return entry.at.state if entry is not None and entry.at.seq else await self.refresh(task)

    def seq(self, task: str) -> Seq:
        """The position in the log that the remembered state of a task is from."""
        entry = self._find(task)
        return entry.at.seq if entry else Seq(0)

    async def _newest(self, task: str, entry: Entry) -> At[Task]:
        at = entry.at
        async for recorded in self._log.read(Stream("task", task), after=at.seq):
            if not entry.first:
                entry.first, entry.trace = recorded.seq, recorded.meta.trace
                entry.conversation = recorded.meta.conversation
            at = At(TASK.evolve(at.state, recorded.event), recorded.seq)
        if at is not entry.at:
            self._learn(task, entry, at)
        return at

    @staticmethod
    def _caused(entry: Entry, cause: Meta) -> Meta:
        """All events of a task belong to the trace and the conversation in which it was submitted."""
        if not entry.first:
            entry.trace, entry.conversation = cause.trace, cause.conversation or cause.id
            return cause
        return replace(cause, trace=entry.trace, conversation=entry.conversation)

    # ------------------------------------------------------------------------------------ turns

    async def _turn(self, entry: Entry) -> None:
        while entry.busy:
            turn: asyncio.Future[None] = self._loop.create_future()
            if entry.queue is None:
                entry.queue = deque()
            entry.queue.append(turn)
            await turn
        entry.busy = True

    @staticmethod
    def _free(entry: Entry) -> None:
        entry.busy = False
        while entry.queue:
            turn = entry.queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    # ------------------------------------------------------------------------------------ memory

    def _find(self, task: str) -> Entry | None:
        return self._open.get(task) or self._closed.get(task)

    def _drop_if_empty(self, task: str, entry: Entry) -> None:
        if not entry.at.seq and not entry.busy and not entry.queue:
            self._open.pop(task, None)

    def _learn(self, task: str, entry: Entry, at: At[Task]) -> None:
        """The log says more of a task than was remembered."""
        if at.seq != entry.at.seq:
            self._decided(task, entry.at.state, at.state)
            self._advance(task, entry, at)

    def _advance(self, task: str, entry: Entry, at: At[Task]) -> None:
        before = entry.at.state
        entry.at = at
        if not entry.first:
            entry.first = at.seq  # a little late for a group of events, and never too late: see `low`
        if at.state.over:
            if self._open.pop(task, None) is not None:
                self._closed[task] = entry
                if len(self._closed) > CLOSED_LIMIT:
                    self._closed.popitem(last=False)
            self._waiters.tell(task, at.state)
        elif self._closed.pop(task, None) is not None or task not in self._open:
            self._open[task] = entry
        self._moved(task, before, at.state)

    def adopt(self, task: str, at: At[Task], first: Seq, meta: Meta) -> None:
        """Remember a task that was found in the log at start."""
        entry = Entry(first=first, trace=meta.trace, conversation=meta.conversation)
        self._open[task] = entry
        self._learn(task, entry, at)

    def open_tasks(self) -> Iterator[tuple[str, Task]]:
        """The tasks that are not over."""
        return ((task, entry.at.state) for task, entry in list(self._open.items()))

    def low(self) -> Seq | None:
        """From here on the log must be read at start to find every open task; None when there is none."""
        return min((entry.first for entry in self._open.values() if entry.first), default=None)

    # ------------------------------------------------------------------------------------ waiting

    async def wait(self, task: str, seconds: float) -> Task:
        """The state of a task when it is over, or after so many seconds."""
        state = await self.get(task)
        if state.over or state.state is None or seconds <= 0:
            return state
        return await self._waiters.wait(task, seconds) or await self.refresh(task)

    def send_waiting_away(self) -> None:
        """Nobody may wait here any longer: they ask again, and another router or the next start answers."""
        self._waiters.send_away(Busy("the router stops; ask again"))

    def heard(self, task: str) -> None:
        """Another router has announced something about a task: look, if somebody here waits for it."""
        if task in self._waiters:
            running = self._loop.create_task(self._look(task))
            self._slow.add(running)
            running.add_done_callback(self._slow.discard)

    async def _look(self, task: str) -> None:
        await self.refresh(task)

    async def drain(self) -> None:
        """Wait for decisions that are on their way."""
        while self._slow:
            await asyncio.wait(set(self._slow), timeout=5)
        await self._log.appender.drain()


def _settle(future: "asyncio.Future[Task]", state: Task) -> None:
    if not future.done():
        future.set_result(state)


def _fail(future: "asyncio.Future[Task]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
