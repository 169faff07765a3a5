"""How fast the log takes events, and how fast the tables follow: each part alone."""

import asyncio
import time
from datetime import UTC, datetime

from cca.bench.raw import TEXT
from cca.bench.verify import Mismatch
from cca.contracts.task import TaskProgressed
from cca.ids import uuid7
from cca.message import Meta, Seq, Stream
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog
from cca.postgres.pool import Pool


async def append_rate(bus: Bus, events: int, in_flight: int) -> float:
    """Events per second of a log with `in_flight` writers, each of which appends one event at a time.

    Every writer has an aggregate of its own and the expectation that nobody else wrote to it.
    """
    log = JetStreamLog(bus)
    left = iter(range(events))

    async def writer() -> None:
        stream, seq = Stream("bench", uuid7()), Seq(0)
        for _ in left:
            cause = Meta(id=uuid7(), source="cca_bench", time=datetime.now(UTC))
            seq = await log.append(stream, [TaskProgressed(stream.key, 1, TEXT)], after=seq, cause=cause)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(writer())
    return events / (time.perf_counter() - start)


async def projection_rate(pool: Pool, goal: Seq, within_s: float = 300.0) -> float:
    """Events per second of a projector that was just started and is behind: from its first commit to `goal`."""
    query = "SELECT min(seq) AS seq, min(events) AS events FROM cca.projections"
    start = await pool.fetchrow(query)
    first: tuple[float, int] | None = None
    begun = time.perf_counter()
    while time.perf_counter() - begun < within_s:
        now, row = time.perf_counter(), await pool.fetchrow(query)
        if row is not None and start is not None and row["seq"] > start["seq"]:
            if first is None:
                first = now, row["events"]
            elif row["seq"] >= goal:
                return float((row["events"] - first[1]) / (now - first[0]))
        await asyncio.sleep(0.005)
    raise Mismatch(f"the tables did not reach position {goal} within {within_s:g} s")
