"""Dead letters: what is written down about a message that could not be handled, and how it goes back."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct

from cca.errors import Refused
from cca.nats import subjects
from cca.nats.names import EVENTS

REASON = "Cca-Dead-Reason"
STREAM = "Cca-Dead-Stream"
SEQ = "Cca-Dead-Seq"
SUBJECT = "Cca-Dead-Subject"
TIME = "Cca-Dead-Time"
SIZE = "Cca-Dead-Size"
REDRIVEN = "Cca-Dead-Redriven"
TASK = "Cca-Task"
ORIGINAL = "Cca-Orig-"
MESSAGE_ID = "Nats-Msg-Id"

ENTRIES = "cca.dead.*"
"""Where the entries of every service are; marks are one level deeper."""
MARKS = "cca.dead.*.redriven.*"

NO_REASON = "no reason was given"
HEADER_ROOM = 16 * 1024
"""How much of the original's headers is kept, in bytes: they count against the server's limit per message."""

_NAME = re.compile(r"[!-9;-~]+\Z")  # printable ASCII without the colon
_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


class Letter(Struct, frozen=True, kw_only=True):
    """A message as it was delivered. `stream` and `seq` say where it is stored, if it came from a stream."""

    subject: str
    body: bytes
    headers: Mapping[str, str] = {}
    stream: str | None = None
    seq: int | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """A dead letter.

    Attributes:
        seq: its position among the dead letters; what `cca dead show` and `cca dead redrive` are given.
        service: who could not handle it.
        reason: why, in a sentence.
        time: when it was put here, aware, UTC.
        letter: the original. Its body is cut when it left no room for the headers; `size` is its full length.
        task: the task that it was about, when known.
        redriven: when it last went back; None while it is open.
    """

    seq: int
    service: str
    reason: str
    time: datetime
    letter: Letter
    size: int
    task: str | None = None
    redriven: datetime | None = None

    @property
    def cut(self) -> bool:
        """Whether a part of the body is missing."""
        return len(self.letter.body) < self.size

    @property
    def status(self) -> Literal["open", "redriven"]:
        return "redriven" if self.redriven else "open"


class Outgoing(Struct, frozen=True):
    """A message to be published to a stream."""

    subject: str
    body: bytes
    headers: dict[str, str]


def line(text: str, limit: int = 2_000) -> str:
    """The text as a header value: one line, valid UTF-8, at most `limit` characters."""
    text = _BREAKS.sub(" ", text).strip().encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def entry_message(
    service: str, reason: str, letter: Letter, *, task: str | None, time: datetime, max_payload: int
) -> Outgoing:
    """What is stored for a letter. `max_payload` is the server's limit for headers and body, in bytes."""
    headers = {
        REASON: line(reason) or "no reason was given",
        TIME: time.isoformat(),
        SUBJECT: line(letter.subject),
    }
    if letter.stream is not None and letter.seq is not None:
        headers[STREAM], headers[SEQ] = letter.stream, str(letter.seq)
    if task is not None:
        headers[TASK] = line(task, 200)
    if key := message_id(service, letter, task):
        headers[MESSAGE_ID] = key
    headers |= _originals(letter.headers)
    room = max_payload - _wire_size(headers) - 64
    if len(letter.body) > room:
        headers[SIZE] = str(len(letter.body))
    return Outgoing(subjects.dead(service), letter.body[: max(room, 0)], headers)


def message_id(service: str, letter: Letter, task: str | None) -> str | None:
    """The same for the same delivery, so that a letter put down twice is one entry; None outside streams."""
    if letter.stream is not None and letter.seq is not None:
        return f"dead:{service}:{letter.stream}:{letter.seq}"
    if task is not None:
        return f"dead:{service}:{task}:{hashlib.sha256(letter.body).hexdigest()[:32]}"
    return None


def entry_of(seq: int, subject: str, headers: Mapping[str, str], body: bytes, stored: datetime) -> Entry:
    """The entry that a stored message is; nothing missing or odd in its headers is fatal."""
    size, origin = headers.get(SIZE, ""), headers.get(SEQ, "")
    return Entry(
        seq=seq,
        service=subject.removeprefix("cca.dead.").split(".")[0],
        reason=headers.get(REASON, NO_REASON),
        time=_time(headers.get(TIME)) or stored,
        task=headers.get(TASK),
        size=int(size) if size.isdecimal() else len(body),
        letter=Letter(
            subject=headers.get(SUBJECT, ""),
            body=body,
            headers={name[len(ORIGINAL) :]: value for name, value in headers.items() if name.startswith(ORIGINAL)},
            stream=headers.get(STREAM),
            seq=int(origin) if origin.isdecimal() else None,
        ),
    )


def way_back(entry: Entry) -> Literal["publish", "retry"]:
    """How an entry goes back: its message is published again, or its task is tried again.

    Raises `Refused` (`not-redrivable`) for what must not be repeated: a second copy of an event would change
    the log, and nobody waits any more for the answer to a request.
    """
    letter = entry.letter
    if entry.task is not None and letter.subject == subjects.events("task", entry.task):
        return "retry"
    if letter.stream == EVENTS and letter.subject.startswith("cca.events."):
        raise Refused(
            "not-redrivable",
            f"dead letter {entry.seq} is an event, and stays in the log: mend its reader, then rebuild its "
            "tables with `cca projections rebuild`",
        )
    if letter.stream is None or not letter.subject:
        subject = letter.subject or "an unknown subject"
        raise Refused(
            "not-redrivable",
            f"dead letter {entry.seq} was a request on {subject}: its sender was told and may ask again",
        )
    return "publish"


def again(entry: Entry, nth: int, body: bytes | None = None) -> Outgoing:
    """The original message, to be published again for the `nth` time, with another body if one is given.

    Headers that were meant for the server (`Nats-…`) are left out, as is the id of a task that was rejected. The new
    message id is the same for the same `nth`, so that a redrive that is interrupted and repeated sends one message.
    Raises `Refused` (`cut`) when the body is incomplete and no other is given.
    """
    if entry.cut and body is None:
        raise Refused(
            "cut",
            f"dead letter {entry.seq} holds {len(entry.letter.body)} of {entry.size} bytes: give the whole "
            "body with --body",
        )
    letter = entry.letter
    # The task of an intake message that could not be read was rejected, and its id is used up.
    dropped = ("nats-", "cca-task-id") if letter.subject.startswith("cca.tasks.") else ("nats-",)
    headers = {name: value for name, value in letter.headers.items() if not name.lower().startswith(dropped)}
    headers[MESSAGE_ID] = f"redrive:{entry.seq}:{nth}"
    return Outgoing(letter.subject, letter.body if body is None else body, headers)


def mark(entry: Entry, nth: int, time: datetime) -> Outgoing:
    """The note that an entry went back for the `nth` time; the entry itself is never changed."""
    headers = {REDRIVEN: str(entry.seq), TIME: time.isoformat(), MESSAGE_ID: f"redriven:{entry.seq}:{nth}"}
    return Outgoing(mark_subject(entry.service, entry.seq), str(nth).encode(), headers)


def mark_subject(service: str, seq: int) -> str:
    """Where the notes about one entry are."""
    return f"{subjects.dead(service)}.redriven.{seq}"


def _originals(headers: Mapping[str, str]) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = HEADER_ROOM
    for name, value in headers.items():
        value = line(value, HEADER_ROOM)
        room -= len(ORIGINAL) + len(name) + len(value.encode()) + 4
        if room < 0:
            break
        if _NAME.match(name):
            kept[ORIGINAL + name] = value
    return kept


def _wire_size(headers: Mapping[str, str]) -> int:
    return 12 + sum(len(name) + len(value.encode()) + 4 for name, value in headers.items())


def _time(text: str | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return time if time.tzinfo else None
