"""The log, read into a memory: its newest window, up to now or up to a position."""

import asyncio
from datetime import UTC, datetime, timedelta

from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.follow import Doubt, entry, last_position
from cca.nats.tape import Tape
from cca.nats.wire import header_block
from cca.projection import Entry
from cca.routing.buckets import BUCKET
from cca.routing.statistics import KEPT
from cca_learner.decide import Era, Policy
from cca_learner.memory import Memory

CHUNK = 500
"""Events that are heard at once: some milliseconds, in which nobody else is answered."""
SLACK = 8
"""Buckets that are read beyond the window: the newest decision may be that far behind the end of the log."""
AT_ONCE = 32
"""Tasks that are asked for at once."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def remembered(bus: Bus, under: Policy | Era, until: int | None = None) -> tuple[Memory, int]:
    """What is known of the window that ends at a position (by default, at the end of the log).

    Others get their turn while it is read. Returns also how many events were read. Raises `Busy`.
    """
    if until is None:
        until = await last_position(bus)
    reach, events = (KEPT + SLACK) * BUCKET, 0
    while True:
        memory = Memory(under.params, under.vocabulary, max(0, until - reach))
        events += await hear(bus, memory, until)
        if memory.covers:
            return memory, events
        # For long nothing was routed: what counts begins further back.
        reach = until - memory.floor if memory.newest else 4 * reach


async def hear(bus: Bus, memory: Memory, until: int) -> int:
    """Hear everything up to a position; how many events that were. Raises `Busy`."""
    events = 0
    while memory.head < until:
        tape = await Tape.start(bus, memory.head)
        try:
            while tape.left and memory.head < until:
                entries = await tape.take(CHUNK)
                if entries[-1].seq > until:
                    entries = [each for each in entries if each.seq <= until]
                    tape.left = 0
                events += len(entries)
                memory.apply(entries)
                await recall(bus, memory)
                await asyncio.sleep(0)
            return events
        except Doubt:
            continue
        finally:
            await tape.stop()
    return events


async def recall(bus: Bus, memory: Memory) -> None:
    """Read the tasks that the memory misses from the log. Raises `Busy`."""
    while memory.missing:
        tasks = list(memory.missing)[:AT_ONCE]
        for task, entries in zip(tasks, await asyncio.gather(*(told(bus, task) for task in tasks)), strict=True):
            memory.recall(task, entries)


async def told(bus: Bus, task: str) -> list[Entry]:
    """All events of a task, oldest first. Raises `Busy`."""
    found = []
    async for raw in stored.scan(bus, names.EVENTS, subjects.events("task", task)):
        stored_ns = (raw.time - _EPOCH) // timedelta(microseconds=1) * 1000
        found.append(entry(raw.seq, raw.subject, header_block(raw.headers), raw.body, stored_ns))
    return found
