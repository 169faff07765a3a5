"""The log: read the events of one aggregate, append to it."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from cca.message import Event, Meta, Recorded, Seq, Side, Stream


class EventLog(Protocol):
    """An append-only log with optimistic concurrency per aggregate."""

    def read(self, stream: Stream, after: Seq = Seq(0)) -> AsyncIterator[Recorded[Event]]:
        """The events of one aggregate after a position, oldest first. Raises `Unknown` on a foreign type."""
        ...

    async def append(
        self, stream: Stream, events: Sequence[Event], *, after: Seq, cause: Meta, sides: Sequence[Side] = ()
    ) -> Seq:
        """Store events durably and in order, given that `after` is still the aggregate's last position.

        `sides` become visible no later than the last of the events: an event is the proof that its side
        messages exist. Returns the new last position. Raises `Conflict` when the aggregate has moved on, and
        `Busy` when the log cannot be reached; then nothing or, outside an atomic batch, a beginning was stored.
        """
        ...
