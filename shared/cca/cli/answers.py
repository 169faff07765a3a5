"""What the gateway answers, as the commands read it: fields that a newer gateway adds are passed by."""

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from cca.contracts.task import OVER, Failure, State, Usage
from cca.errors import Refused, Unreadable

T = TypeVar("T")


class TaskMemory(Struct, frozen=True):
    """A memory that was put before a task, and its score then; text and kind when they are still known."""

    memory: str
    score: float = 0.0
    kind: str | None = None
    text: str | None = None


class Task(Struct, frozen=True, kw_only=True):
    """A task as the gateway describes it: `TaskView`, and what only the tables know."""

    task: str
    state: State
    role: str | None = None
    description: str | None = None
    priority: str = "normal"
    lane: str | None = None
    kind: str | None = None
    requester: str | None = None
    labels: dict[str, str] = {}
    input: dict[str, Any] | None = None
    agent: str | None = None
    attempt: int = 0
    max_attempts: int = 3
    timeout_s: float | None = None
    result: Any = None
    failure: Failure | None = None
    usage: Usage | None = None
    reason: str | None = None
    waiting: str | None = None
    progress: str | None = None
    fraction: float | None = None
    retry_at: datetime | None = None
    duration_s: float | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    memories: tuple[TaskMemory, ...] = ()

    @property
    def over(self) -> bool:
        return self.state in OVER

    @property
    def took_s(self) -> float | None:
        """Seconds from its submission to its end, or to now; None when the times are not known."""
        if self.created_at is None or (self.over and self.ended_at is None):
            return None
        return ((self.ended_at or datetime.now(UTC)) - self.created_at).total_seconds()


class Event(Struct, frozen=True, kw_only=True):
    """An event of the log. A newer version may have written anything into `data`."""

    seq: int
    type: str = ""
    time: str = ""
    id: str = ""
    subject: str = ""
    source: str = ""
    data: Any = None

    @property
    def at(self) -> datetime | None:
        """When it was written, aware; None when that cannot be read."""
        return time_of(self.time)

    @property
    def said(self) -> dict[str, Any]:
        """Its data, if it is an object."""
        return self.data if isinstance(self.data, dict) else {}


def time_of(text: Any) -> datetime | None:
    """An aware time, written as RFC 3339; None for anything else."""
    try:
        time = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return time if time.tzinfo else None


class Page(Struct, frozen=True):
    """A page of a list; the items stay as they came."""

    items: list[msgspec.Raw]
    next: str | None = None


def read(body: bytes | str, kind: type[T]) -> T:
    """Decode an answer. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise Unreadable(f"the gateway answered something unexpected: {error}") from None


def write(value: Any) -> bytes:
    """The JSON of a value. Raises `Refused` for text that is no Unicode, as a shell can pass it on."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise Refused("bad-input", "the text is not valid UTF-8") from None
