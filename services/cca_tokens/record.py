"""What happened to a text, told to the log: events that depend on nothing that was said before."""

from cca.errors import Busy, Conflict
from cca.message import Event, Meta, Seq, Stream
from cca.nats import names, stored
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog

TRIES = 10


class Record:
    """Appends events of texts."""

    def __init__(self, bus: Bus, log: JetStreamLog) -> None:
        self._bus, self._log = bus, log

    async def append(self, ref: str, event: Event, cause: Meta) -> None:
        """Append an event to the aggregate of a text. Raises `Busy`."""
        stream = Stream("tokens", ref)
        for _ in range(TRIES):
            last = await stored.last(self._bus, names.EVENTS, stream.subject)
            try:
                await self._log.append(stream, (event,), after=last.seq if last else Seq(0), cause=cause)
                return
            except Conflict:
                continue  # somebody else told something of the same text
        raise Busy(f"{stream.subject}: overtaken {TRIES} times in a row")
