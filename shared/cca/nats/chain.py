"""Messages that are stored one after the other: each is sent when the one before it is durable."""

from collections.abc import Callable

import msgspec

from cca.errors import Busy
from cca.message import Seq
from cca.nats.bus import Bus
from cca.nats.frames import Group, PubAck, rejection
from cca.nats.wire import Msg

read_ack = msgspec.json.Decoder(PubAck).decode


class Uncertain(Busy):
    """The answer of the log was lost: what was sent may or may not be stored."""


Ended = Callable[["Chain", Seq | None, Exception | None], None]


class Chain:
    """One group on its way. Callbacks and no coroutine: under `interval` this is the hot path of every append.

    `ended` is called once, with the position of the last event, or with `Conflict`, `Busy`, `Refused` or `Uncertain`.
    """

    __slots__ = ("_after", "_bus", "_ended", "_index", "_reply", "deadline", "group")

    def __init__(self, bus: Bus, group: Group, deadline: float, ended: Ended) -> None:
        self.group, self.deadline = group, deadline
        self._bus, self._ended = bus, ended
        self._index, self._after = 0, group.after
        self._reply = bus.expect(self._on_reply)

    def send(self) -> None:
        """Send the next message. Only an event carries the expectation, and moves it."""
        frame = self.group.frames[self._index]
        lines = f"Nats-Expected-Last-Subject-Sequence: {self._after}\r\n" if frame.is_event else ""
        try:
            self._bus.nc.write(frame.subject, frame.body, self._reply, f"NATS/1.0\r\n{lines}{frame.head}\r\n".encode())
        except Busy as error:
            self._end(None, error)

    def _on_reply(self, msg: Msg | None) -> None:
        if msg is None:
            self._end(None, Uncertain("the connection to NATS was lost during an append"))
        elif msg.status:
            self._end(None, Uncertain("the log is not available"))
        else:
            self._on_ack(read_ack(msg.data))

    def _on_ack(self, ack: PubAck) -> None:
        frame = self.group.frames[self._index]
        if ack.error is not None:
            self._end(None, rejection(ack, frame.subject, self._after))
            return
        if frame.is_event:
            self._after = Seq(ack.seq)
        self._index += 1
        if self._index == len(self.group.frames):
            self._end(self._after, None)
        else:
            self.send()

    def expire(self) -> None:
        """No answer came in time."""
        self._end(None, Uncertain("no answer from the log in time"))

    def _end(self, seq: Seq | None, error: Exception | None) -> None:
        self._bus.forget(self._reply)
        self._ended(self, seq, error)
