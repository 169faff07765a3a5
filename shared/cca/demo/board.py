"""What has become of each task, folded from the log; pure."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct, field

from cca.contracts.task import (
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRejected,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
)
from cca.message import Message

ENDS = (TaskCompleted, TaskFailed, TaskCanceled, TaskRejected)


class Card(Struct):
    """One task. `ends` counts how often it ended: once is right."""

    role: str
    state: str = "published"
    agent: str = ""
    attempts: int = 0
    lost: int = 0
    failed: int = 0
    ends: int = 0


class Row(Struct):
    """A role at a glance. `redelivered` are attempts that were made again because their worker had vanished."""

    role: str
    tasks: int = 0
    done: int = 0
    running: int = 0
    queued: int = 0
    attempts: int = 0
    redelivered: int = 0
    failed: int = 0


class Tick(Struct, frozen=True):
    """A line of the ticker."""

    time: datetime
    text: str
    important: bool = False


class Board(Struct):
    """Every task that was published, and what the log has said of it so far."""

    cards: dict[str, Card]
    ticks: list[Tick] = field(default_factory=list)
    last_seq: int = 0

    @classmethod
    def of(cls, published: Iterable[tuple[str, str]]) -> "Board":
        """A board of tasks that nothing is known of yet: id and role of each."""
        return cls({task: Card(role) for task, role in published})

    def hear(self, event: Message, seq: int, time: datetime) -> None:
        """Take in an event of the log; one of another task or of no task changes nothing."""
        self.last_seq = max(self.last_seq, seq)
        card = self.cards.get(getattr(event, "task", ""))
        if card is None:
            return
        match event:
            case TaskSubmitted():
                card.state = "submitted"
            case TaskRouted():
                card.state, card.agent = "routed", ""
            case TaskStarted(agent=agent, attempt=attempt):
                card.state, card.agent, card.attempts = "working", agent, card.attempts + 1
                if attempt > 1:
                    text = f"{card.role}: {agent} takes over {event.task}, attempt {attempt}"
                    self.ticks.append(Tick(time, text, important=True))
            case TaskAttemptFailed(failure=failure):
                card.state, card.agent = "submitted", ""
                if failure.kind == "lost":
                    card.lost += 1
                else:
                    card.failed += 1
                    self.ticks.append(Tick(time, f"{card.role}: {failure.kind}: {failure.message}", important=True))
            case TaskCompleted(agent=agent, duration_s=seconds):
                card.state, card.ends = "completed", card.ends + 1
                self.ticks.append(Tick(time, f"{card.role}: {agent} completed {event.task} in {seconds * 1e3:.0f} ms"))
            case TaskFailed(failure=failure):
                card.state, card.ends, card.failed = "failed", card.ends + 1, card.failed + 1
                self.ticks.append(Tick(time, f"{card.role}: failed: {failure.message}", important=True))
            case TaskCanceled() | TaskRejected():
                card.state, card.ends = "canceled" if isinstance(event, TaskCanceled) else "rejected", card.ends + 1
            case _:
                pass

    @property
    def over(self) -> int:
        """How many tasks have ended."""
        return sum(card.ends > 0 for card in self.cards.values())

    @property
    def all_over(self) -> bool:
        return self.over == len(self.cards)

    def held_by(self, agent: str) -> list[str]:
        """The tasks that an agent works on now."""
        return [task for task, card in self.cards.items() if card.state == "working" and card.agent == agent]

    def rows(self) -> list[Row]:
        """The roles, in the order in which they were published."""
        rows: dict[str, Row] = {}
        for card in self.cards.values():
            row = rows.setdefault(card.role, Row(card.role))
            row.tasks += 1
            row.done += card.ends > 0
            row.running += card.state == "working"
            row.queued += card.state in ("published", "submitted", "routed")
            row.attempts += card.attempts
            row.redelivered += max(card.attempts - 1 - card.failed, 0)
            row.failed += card.state in ("failed", "canceled", "rejected")
        return list(rows.values())

    def not_once(self) -> list[str]:
        """The tasks that did not end exactly once, or not as completed."""
        return [task for task, card in self.cards.items() if card.ends != 1 or card.state != "completed"]
