"""The log in memory, for decisions that are to be tried without a server."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from cca.errors import Conflict
from cca.ids import uuid7
from cca.message import Event, Meta, Recorded, Seq, Side, Stream


class MemoryLog:
    """An `EventLog` that forgets: one list for all aggregates, as a stream is. `sides` is what went with them."""

    def __init__(self) -> None:
        self.recorded: list[Recorded[Event]] = []
        self.sides: list[Side] = []

    async def read(self, stream: Stream, after: Seq = Seq(0)) -> AsyncIterator[Recorded[Event]]:
        for one in list(self.recorded):
            if one.subject == stream.subject and one.seq > after:
                yield one

    async def append(
        self, stream: Stream, events: Sequence[Event], *, after: Seq, cause: Meta, sides: Sequence[Side] = ()
    ) -> Seq:
        last = max((one.seq for one in self.recorded if one.subject == stream.subject), default=Seq(0))
        if last != after:
            raise Conflict(stream.subject, after, last)
        known = {side.dedup for side in self.sides}
        self.sides += [side for side in sides if side.dedup not in known]
        conversation = cause.conversation or cause.id
        for event in events:
            meta = replace(cause, id=uuid7(), time=datetime.now(UTC), cause=cause.id, conversation=conversation)
            last = Seq(len(self.recorded) + 1)
            self.recorded.append(Recorded(event, meta, last, stream.subject))
        return last
