"""What a router does first: find the tasks that are open, and finish what a crash has cut short."""

import logging
from datetime import UTC, datetime

from msgspec import Struct

from cca import codec
from cca.contracts.agent import AgentJoined
from cca.contracts.task import TaskSubmitted
from cca.decider import At
from cca.errors import Unknown, Unreadable
from cca.ids import uuid7
from cca.message import Meta, Seq, Stream
from cca.nats import names, stored
from cca.nats.bus import Bus
from cca.nats.frames import recorded
from cca.nats.log import JetStreamLog
from cca_router.desk import Desk
from cca_router.state import TASK, Task

logger = logging.getLogger("cca_router.recovery")


class Found(Struct):
    """A task as the log tells it, while the log is read."""

    at: At[Task]
    first: Seq
    meta: Meta


async def open_tasks(log: JetStreamLog, low: Seq) -> dict[str, Found]:
    """The tasks that are not over, from the events after `low`. Raises `Unknown` for a newer version's events."""
    found: dict[str, Found] = {}
    async for raw in log.scan("cca.events.task.>", low):
        one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
        task = raw.subject.rpartition(".")[2]
        known = found.get(task)
        if known is None:
            if not isinstance(one.event, TaskSubmitted):
                known = await _whole(log, task)
            if known is None:
                state = TASK.evolve(TASK.initial, one.event)
                found[task] = Found(At(state, raw.seq), raw.seq, one.meta)
            elif not known.at.state.over:
                found[task] = known
            continue
        if raw.seq > known.at.seq:
            known.at = At(TASK.evolve(known.at.state, one.event), raw.seq)
        if known.at.state.over:
            del found[task]
    return found


async def _whole(log: JetStreamLog, task: str) -> Found | None:
    """A task that began before the place from which the log is read."""
    found: Found | None = None
    async for one in log.read(Stream("task", task)):
        if found is None:
            found = Found(At(TASK.evolve(TASK.initial, one.event), one.seq), one.seq, one.meta)
        else:
            found.at = At(TASK.evolve(found.at.state, one.event), one.seq)
    return found


async def live_agents(bus: Bus) -> list[AgentJoined]:
    """The agents whose last event says that they are there: one request, the last message of each subject."""
    found: list[AgentJoined] = []
    for raw in await stored.last_of_each(bus, names.EVENTS, "cca.events.agent.*"):
        try:
            event = codec.decode(raw.headers.get("ce-type", ""), raw.body)
        except (Unknown, Unreadable) as error:
            logger.warning("an agent's event cannot be read: %s", error)
            continue
        if isinstance(event, AgentJoined):
            found.append(event)
    return found


class Mark:
    """From where the log must be read at the next start; kept in a bucket, written when it has moved."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._written = bus, Seq(0)

    async def read(self) -> Seq:
        noted = await stored.last(self._bus, f"KV_{names.STATE}", _SUBJECT)
        if noted is not None and noted.body.isdigit():
            self._written = Seq(int(noted.body))
        return self._written

    async def write(self, desk: Desk, last: Seq) -> None:
        """Note the place before the first event of the oldest open task, or the end of the log."""
        low = desk.low()
        mark = Seq(max(0, (last if low is None else min(low, last)) - 1))
        if mark != self._written:
            await self._bus.request(_SUBJECT, str(mark).encode())
            self._written = mark


_SUBJECT = f"$KV.{names.STATE}.router.low"


def of_now(trace: str | None = None) -> Meta:
    """What is known of a decision that nobody asked for."""
    return Meta(id=uuid7(), source="cca_router", time=datetime.now(UTC), trace=trace)
