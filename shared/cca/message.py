"""What travels: events, commands and replies, and what is known about each."""

from datetime import datetime
from typing import Generic, NewType, TypeVar, dataclass_transform

from msgspec import Struct, field

Seq = NewType("Seq", int)
"""A position in the log. 0 is before everything."""


# msgspec inherits `frozen` at run time; type checkers must be told.
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Message(Struct, frozen=True, tag_field="type", omit_defaults=True):
    """The body of one message. Its tag (`cca.task.routed.v1`) is its type, its version and its stored name."""


class Event(Message, frozen=True):
    """Something that happened. Stored for ever."""


class Command(Message, frozen=True):
    """Something that is asked for."""


class Reply(Message, frozen=True):
    """What the asker is told."""


class Meta(Struct, frozen=True, kw_only=True):
    """What is known about a message besides its body; it travels in CloudEvents headers.

    Attributes:
        id: unique for the message (`ce-id`).
        source: who wrote it, a service or an agent (`ce-source`).
        time: when it was written, aware, UTC (`ce-time`).
        cause: id of the message that led to it (`ce-causationid`).
        conversation: id of the first message of the chain (`ce-correlationid`).
        trace: W3C trace context (`traceparent`).
    """

    id: str
    source: str
    time: datetime
    cause: str | None = None
    conversation: str | None = None
    trace: str | None = None


class Stream(Struct, frozen=True):
    """The events of one aggregate: `Stream("task", id)` lives on `cca.events.task.<id>`."""

    category: str
    key: str

    @property
    def subject(self) -> str:
        return f"cca.events.{self.category}.{self.key}"


E_co = TypeVar("E_co", bound=Event, covariant=True)


class Recorded(Struct, Generic[E_co], frozen=True):
    """An event as it stands in the log."""

    event: E_co
    meta: Meta
    seq: Seq
    subject: str


class Side(Struct, frozen=True):
    """A message that is committed together with events but is not one: work for an agent, or a timer.

    Attributes:
        subject: where it goes; it must belong to the log's stream.
        body: the encoded message.
        type: its tag.
        dedup: `Nats-Msg-Id`; a second message with the same id within the window is dropped.
        at: when set, the server holds the message until then and delivers it to `target`.
        target: the subject on which a timer fires.
    """

    subject: str
    body: bytes
    type: str
    dedup: str
    at: datetime | None = None
    target: str | None = None
