"""The store of dead letters, on stream CCA_DEAD: put, list, get, redrive."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from cca import dead
from cca.contracts.task import RetryTask, TaskView
from cca.dead import Entry, Letter, Outgoing
from cca.errors import Busy, Refused
from cca.message import Seq
from cca.nats import stored, subjects
from cca.nats.bus import Bus
from cca.nats.names import DEAD
from cca.nats.stored import Raw

TIMEOUT_S = 5.0


class _Trouble(Struct):
    description: str = "no reason given"


class _Ack(Struct):
    """The server's answer to a publish."""

    seq: int = 0
    error: _Trouble | None = None


_ack = msgspec.json.Decoder(_Ack)


class Redriven(Struct, frozen=True):
    """How an entry was sent back: it was published again on `subject`, or its `task` is tried again."""

    entry: Entry
    subject: str | None = None
    task: str | None = None


class DeadLetters:
    """Dead letters of all services."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, service: str, reason: str, letter: Letter, task: str | None = None) -> int:
        """Keep a message that cannot be handled; returns its position once it is durable.

        The same delivery put down again, after a crash for example, is one entry (within the server's window
        for duplicates). For a task that has failed for good, the letter is its last event, on
        `cca.events.task.<id>`: redriving that tries the task again. Raises `Busy` when the server does not
        confirm; then put it down again.
        """
        message = dead.entry_message(
            service, reason, letter, task=task, time=_now(), max_payload=self._bus.nc.max_payload
        )
        return await self._store(message)

    async def list(self, after: int = 0, limit: int = 100, service: str | None = None) -> list[Entry]:
        """At most `limit` entries after a position, oldest first."""
        found: list[Entry] = []
        async for entry in self.scan(after, service):
            found.append(entry)
            if len(found) >= limit:
                break
        return found

    async def scan(self, after: int = 0, service: str | None = None) -> AsyncIterator[Entry]:
        """Every entry after a position, oldest first, each with the time at which it was last sent back."""
        marks: dict[int, datetime] = {}
        async for raw in stored.scan(self._bus, DEAD, dead.MARKS):
            number = raw.headers.get(dead.REDRIVEN, "")
            if number.isdecimal():
                marks[int(number)] = raw.time
        subject = subjects.dead(service) if service else dead.ENTRIES
        async for raw in stored.scan(self._bus, DEAD, subject, Seq(after)):
            entry = _entry(raw)
            yield msgspec.structs.replace(entry, redriven=marks.get(entry.seq))

    async def get(self, seq: int) -> Entry:
        """One entry. Raises `Refused` (`not-found`)."""
        return (await self._entry_and_count(seq))[0]

    async def redrive(self, seq: int, body: bytes | None = None) -> Redriven:
        """Send an entry back to where it came from and note that on it; `body` replaces the original's.

        Raises `Refused`: `not-found`, `not-redrivable`, `cut`, or what the router says of a task.
        """
        entry, count = await self._entry_and_count(seq)
        if dead.way_back(entry) == "retry":
            if body is not None:
                raise Refused("no-body", f"dead letter {seq} is a failed task; it can only be tried again as it is")
            retry = RetryTask(task=entry.task or "", reason=f"redrive of dead letter {seq}")
            await self._bus.ask(subjects.RPC_RETRY, retry, TaskView)
            done = Redriven(entry, task=entry.task)
        else:
            message = dead.again(entry, count + 1, body)
            await self._store(message)
            done = Redriven(entry, subject=message.subject)
        await self._store(dead.mark(entry, count + 1, _now()))
        return done

    async def _entry_and_count(self, seq: int) -> tuple[Entry, int]:
        raw = await stored.at(self._bus, DEAD, seq) if seq > 0 else None
        if raw is None or "redriven" in raw.subject.split(".")[3:]:
            raise Refused("not-found", f"there is no dead letter {seq}; `cca dead list` shows which there are")
        entry = _entry(raw)
        marked = await stored.last(self._bus, DEAD, dead.mark_subject(entry.service, seq))
        if marked is None:
            return entry, 0
        count = int(marked.body) if marked.body.isdigit() else 1
        return msgspec.structs.replace(entry, redriven=marked.time), count

    async def _store(self, message: Outgoing) -> int:
        answer = await self._bus.request(message.subject, message.body, message.headers, TIMEOUT_S)
        try:
            ack = _ack.decode(answer)
        except msgspec.DecodeError as error:
            raise Busy(f"{message.subject} is no stream's: {error}") from None
        if ack.error is not None:
            raise Busy(f"the server did not store a message on {message.subject}: {ack.error.description}")
        return ack.seq


def _entry(raw: Raw) -> Entry:
    return dead.entry_of(raw.seq, raw.subject, raw.headers, raw.body, raw.time)


def _now() -> datetime:
    return datetime.now(UTC)
