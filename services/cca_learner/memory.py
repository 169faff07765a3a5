"""What the learner knows: a function of the set of events that it has heard, in whatever order and however often."""

from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec import Struct

from cca.contracts.agent import AgentJoined
from cca.contracts.policy import Params
from cca.contracts.task import (
    TaskAttemptFailed,
    TaskCompleted,
    TaskFailed,
    TaskStarted,
    TaskSubmitted,
)
from cca.projection import Entry
from cca.routing.buckets import BUCKET
from cca.routing.statistics import KEPT, Statistics
from cca.routing.steps import Step
from cca.routing.trail import ENDINGS, Trail
from cca_learner.averages import Workloads
from cca_learner.reading import AGENTS, TASKS, UNREADABLE, TaskFact
from cca_learner.sightings import Sightings

OPEN = 100_000
"""Tasks that are kept because they are open, at most; of the others, only what is needed for the newest decisions."""


SLACK = 1_000
"""So many decisions, and a quarter, more than are wanted are kept: looking for what can be forgotten takes a while."""


_NOTED = frozenset((TaskSubmitted, TaskCompleted, TaskAttemptFailed, TaskFailed))


class Known(Struct):
    """A task. `counted` are its decisions as they stand in the sums and among those that are kept."""

    trail: Trail
    counted: tuple[Step, ...] = ()


class Memory:
    """Sums of all outcomes of the window, the newest decisions one by one, and moving averages.

    The window are the newest `KEPT` buckets of the log, counted from the newest decision. Tasks are forgotten when
    they are over and their decisions are not among the newest; whoever feeds the memory asks after each `apply`
    which tasks are `missing`, reads them from the log and hands them to `recall`.

    Attributes:
        since: events up to this position have not been heard.
        head: position of the last event that was heard.
        newest: position of the newest decision; 0 before any.
        changes: how often what can be learned from has changed.
        missing: tasks of which an event was heard that are not known, and its position.
        unreadable: how many events could not be read.
    """

    def __init__(self, params: Params, vocabulary: Sequence[str], since: int = 0) -> None:
        self.params, self.since, self.head = params, since, since
        self.statistics = Statistics(params, vocabulary)
        self.workloads = Workloads(params.ema_alpha)
        self.sightings = Sightings()
        self.missing: dict[str, int] = {}
        self.changes = 0
        self.unreadable = 0
        self.newest = 0
        self._tasks: dict[str, Known] = {}
        self._steps: dict[int, Step] = {}
        self._unsettled: dict[str, Known] = {}
        self._complete = since == 0
        self._room = params.buffer_size

    # ------------------------------------------------------------------------------------ hearing

    def apply(self, entries: Iterable[Entry]) -> None:
        """Hear events of the log; those that say nothing about routing are passed by unread."""
        tasks, missing, unsettled, head = self._tasks, self.missing, self._unsettled, self.head
        for entry in entries:
            seq, kind = entry.seq, entry.type
            if seq > head:
                head = seq
            read = TASKS.get(kind)
            if read is None:
                if kind in AGENTS:
                    self._hear_agent(entry)
                continue
            try:
                event = read(entry.body)
            except UNREADABLE:
                self.unreadable += 1
                continue
            task = event.task
            known = tasks.get(task)
            if known is None:
                if not self._complete and (task in missing or type(event) is not TaskSubmitted):
                    missing.setdefault(task, seq)
                    continue
                known = tasks[task] = Known(Trail())
            if type(event) in _NOTED:
                self._note(known.trail, event)
            known.trail.heard(event, seq, entry.time.timestamp())
            if type(event) is not TaskStarted or _says_more(known.trail, event):
                unsettled[task] = known
        self.head = head
        self._settle()

    def recall(self, task: str, entries: Iterable[Entry]) -> None:
        """Remember a task that was missing.

        Args:
            entries: all its events up to `head`, in order; later ones are left for later.
        """
        first = self.missing.pop(task, self.head + 1)
        known = self._tasks.setdefault(task, Known(Trail()))
        for entry in entries:
            read = TASKS.get(entry.type)
            if read is None or entry.seq > self.head:
                continue
            try:
                event = read(entry.body)
            except UNREADABLE:
                self.unreadable += 1
                continue
            time = entry.time.timestamp()
            if entry.seq >= first and type(event) in _NOTED:
                self._note(known.trail, event)
            known.trail.heard(event, entry.seq, time)
            if self.since < entry.seq < first:
                # It was known once, and forgotten: what was heard of it until then stands in the sums.
                known.counted = known.trail.steps()
        self._unsettled[task] = known
        self._settle()

    def _note(self, trail: Trail, event: TaskFact) -> None:
        """What an event says besides the trail, if it is heard for the first time."""
        if isinstance(event, TaskSubmitted):
            if not trail.submitted:
                self._see(event)
        elif isinstance(event, TaskCompleted | TaskAttemptFailed | TaskFailed):
            attempt = trail.attempts.get(event.attempt)
            if attempt is None or attempt.ending is None:
                self._ended(trail, event, attempt.route if attempt else 0)

    def _see(self, event: TaskSubmitted) -> None:
        see, labels = self.sightings.see, event.labels
        if event.kind:
            see(f"kind={event.kind}")
        if event.requester:
            see(f"requester={event.requester}")
        if language := labels.get("language"):
            see(f"language={language}")
        if repo := labels.get("repo"):
            see(f"repo={repo}")

    def _ended(self, trail: Trail, event: TaskCompleted | TaskAttemptFailed | TaskFailed, route: int) -> None:
        success = isinstance(event, TaskCompleted)
        lane = next((step.lane for step in trail.decisions if step.route == route), None)
        if not isinstance(event, TaskCompleted):
            if ENDINGS[event.failure.kind] == "censored":
                return
            if lane is not None:
                self.sightings.see(f"failed={lane}")
        self.workloads.ended(event.agent, lane, success, event.duration_s, event.usage)

    def _hear_agent(self, entry: Entry) -> None:
        try:
            event = AGENTS[entry.type](entry.body)
        except UNREADABLE:
            self.unreadable += 1
            return
        if isinstance(event, AgentJoined):
            self.workloads.joined(event.agent)
        else:
            self.workloads.left(event.agent)

    # ------------------------------------------------------------------------------------ counting

    def _settle(self) -> None:
        """Bring sums and kept decisions up to what was heard."""
        for known in self._unsettled.values():
            before, now = known.counted, known.trail.steps()
            if not before:
                for step in now:
                    self._count(step)
            elif now is not before:
                gone = [step for step in before if not any(step is one for one in now)]
                for step in now:
                    if not any(step is one for one in before):
                        self._count(step)
                for step in gone:
                    self._discount(step)
            known.counted = now
        self._unsettled.clear()
        if len(self._steps) > self._room + self._room // 4 + SLACK or len(self._tasks) > self._room * 2 + OPEN:
            self._forget()

    def _count(self, step: Step) -> None:
        position = step.position
        self._steps[position] = step
        self.changes += step.known
        # One without an outcome only says how far the log has come.
        if step.known or position // BUCKET > self.newest // BUCKET:
            self.statistics.add(step)
        if position > self.newest:
            self.newest = position

    def _discount(self, step: Step) -> None:
        """What is known of a decision by now is another thing; the decision itself is there already."""
        if step.known:
            self.statistics.remove(step)
            self.changes += 1
        if self._steps.get(step.position) is step:
            del self._steps[step.position]

    def _forget(self) -> None:
        """Keep the newest decisions, the tasks that they belong to, and those that are open."""
        kept = sorted(self._steps)[-self._room :]
        oldest = kept[0] if kept else 0
        over = [task for task, known in self._tasks.items() if known.trail.last < oldest and known.trail.over]
        for task in over:
            del self._tasks[task]
        too_many = len(self._tasks) - self._room - OPEN
        if too_many > 0:
            idle = sorted(self._tasks, key=lambda task: self._tasks[task].trail.last)
            over += (waiting := list(islice(idle, too_many)))
            for task in waiting:
                del self._tasks[task]
        self._complete = self._complete and not over
        self._steps = {position: self._steps[position] for position in kept}

    # ------------------------------------------------------------------------------------ what is known

    @property
    def floor(self) -> int:
        """Decisions up to this position count no longer."""
        return max(0, (self.newest // BUCKET - KEPT + 1) * BUCKET - 1)

    @property
    def covers(self) -> bool:
        """The whole window was heard."""
        return self.since <= self.floor

    def steps(self) -> list[Step]:
        """The newest decisions, oldest first, with and without outcome."""
        floor = self.floor
        newest = sorted(self._steps)[-self._room :]
        return [self._steps[position] for position in newest if position > floor]

    def digest(self) -> str:
        """SHA-256 of the sums: the same for the same events."""
        return self.statistics.digest()

    def grow(self, vocabulary: Sequence[str]) -> None:
        """The model knows further features from now on."""
        self.statistics.grow(vocabulary)

    def __len__(self) -> int:
        return len(self._tasks)


def _says_more(trail: Trail, started: TaskStarted) -> bool:
    """Whether a start changes what is known of outcomes: not if it is that of the newest decision, which is open."""
    if not trail.decisions:
        return False
    newest = trail.decisions[-1]
    attempt = trail.attempts.get(started.attempt)
    return newest.route != started.route or newest.ending is not None or attempt is None or attempt.ending is not None
