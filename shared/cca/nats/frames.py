"""Events and side messages as they stand in the stream: headers, bodies, and the frames that carry them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct

from cca import codec
from cca.errors import Busy, Conflict, Refused
from cca.message import Event, Meta, Recorded, Seq, Side, Stream

_WRONG_LAST = (10071, 10164)
"""A lost compare-and-set: with one copy of the stream, and with several."""


class Frame(Struct, frozen=True):
    """One message to be stored. `head` is its header lines without what depends on how it is sent."""

    subject: str
    head: str
    body: bytes
    id: str
    is_event: bool


class PubAck(Struct, frozen=True):
    """The server's answer to a publish."""

    stream: str = ""
    seq: int = 0
    count: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


class Group(Struct):
    """The frames of one append, in the order in which they may become visible, and what it expects."""

    subject: str
    frames: list[Frame]
    after: Seq


@lru_cache(maxsize=256)  # the messages of one commit are of one time
def rfc3339(time: datetime) -> str:
    """A time as CloudEvents and message schedules want it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def group(stream: Stream, events: Sequence[Event], after: Seq, cause: Meta, sides: Sequence[Side]) -> Group:
    """What one append stores: the events but the last, the side messages, and last the last event.

    An event's id is the id of its cause and a number, so that the same command makes the same ids.
    """
    subject = stream.subject
    chain = f"ce-causationid: {cause.id}\r\nce-correlationid: {cause.conversation or cause.id}\r\n"
    if cause.trace:
        chain += f"traceparent: {cause.trace}\r\n"
    shared = (
        f"ce-specversion: 1.0\r\nce-source: {cause.source}\r\nce-time: {rfc3339(cause.time)}\r\n"
        f"ce-subject: {stream.key}\r\n{chain}"
    )
    frames = []
    for number, event in enumerate(events):
        id = f"{cause.id}.{stream.key}.{number}"
        head = f"ce-id: {id}\r\nce-type: {codec.tag_of(type(event))}\r\n{shared}"
        frames.append(Frame(subject, head, codec.encode(event), id, True))
    last = frames.pop()
    for side in sides:
        head = f"ce-id: {side.dedup}\r\nce-type: {side.type}\r\n{shared}Nats-Msg-Id: {side.dedup}\r\n"
        if side.at is not None:
            head += f"Nats-Schedule: @at {rfc3339(side.at)}\r\nNats-Schedule-Target: {side.target}\r\n"
        frames.append(Frame(side.subject, head, side.body, side.dedup, False))
    frames.append(last)
    return Group(subject, frames, after)


def recorded(subject: str, seq: int, headers: dict[str, str], body: bytes) -> Recorded[Event]:
    """A stored message as an event. Raises `Unknown` or `Unreadable`."""
    event = codec.decode(headers.get("ce-type", ""), body)
    assert isinstance(event, Event)
    return Recorded(event, meta_of(headers), Seq(seq), subject)


def meta_of(headers: dict[str, str]) -> Meta:
    """What the headers of a message say about it; a message without them is of now and of nobody."""
    try:
        time = datetime.fromisoformat(headers["ce-time"])
    except (KeyError, ValueError):
        time = datetime.now(UTC)
    return Meta(
        id=headers.get("ce-id", ""),
        source=headers.get("ce-source", ""),
        time=time,
        cause=headers.get("ce-causationid"),
        conversation=headers.get("ce-correlationid"),
        trace=headers.get("traceparent"),
    )


def rejection(ack: PubAck, subject: str, after: Seq) -> Exception:
    """The error that a refused publish stands for."""
    error = ack.error or {}
    number, text = error.get("err_code"), str(error.get("description", "refused"))
    if number in _WRONG_LAST:
        actual = text.rpartition(": ")[2]
        return Conflict(subject, after, Seq(int(actual)) if actual.isdigit() else None)
    if number == 10077 or "maximum" in text:  # the stream is full
        return Busy(f"the log is full: {text}")
    if "message size" in text or "payload" in text:
        return Refused("too-large", f"too large for the log: {text}")
    return Busy(f"the log refused: {text} ({number})")
