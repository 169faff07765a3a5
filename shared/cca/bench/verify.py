"""After a run: does the log tell the same story of every task, and do the tables?"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable

from cca.errors import CcaError
from cca.message import Seq
from cca.nats import names
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog
from cca.postgres.pool import Pool

LIFE = ("cca.task.submitted.v1", "cca.task.routed.v1", "cca.task.started.v1", "cca.task.completed.v1")
"""What stands in the log of a task that nothing happened to, each exactly once."""


class Mismatch(CcaError):
    """The log or the tables do not hold what was measured."""


def check(told: Iterable[tuple[str, str]], tasks: int) -> None:
    """Raises `Mismatch` unless `tasks` tasks have each event of `LIFE` exactly once, in that order, and no other.

    `told`: subject and type of each event, in the order of the log.
    """
    lives: dict[str, list[str]] = {}
    for subject, kind in told:
        lives.setdefault(subject, []).append(kind)
    odd = Counter(" ".join(name.split(".")[2] for name in life) for life in lives.values() if tuple(life) != LIFE)
    if odd:
        life, count = odd.most_common(1)[0]
        raise Mismatch(f"{sum(odd.values())} of {tasks} tasks have another life in the log, {count} of them: {life}")
    if len(lives) != tasks:
        raise Mismatch(f"the log holds {len(lives)} tasks, not {tasks}")


async def check_log(log: JetStreamLog, after: Seq, tasks: int) -> None:
    """Check what the log holds of tasks after a position. Raises `Mismatch`."""
    check([(raw.subject, raw.headers["ce-type"]) async for raw in log.scan("cca.events.task.*", after)], tasks)


async def end_of_events(bus: Bus) -> Seq:
    """The position of the last event in the log: how far the tables can get."""
    request = b'{"last_by_subj":"cca.events.>"}'
    found = await bus.request_msg(f"$JS.API.DIRECT.GET.{names.EVENTS}", request)
    return Seq(int(found.headers.get("Nats-Sequence", "0")))


async def caught_up(pool: Pool, goal: Seq, within_s: float = 120.0) -> float:
    """Wait until the tables stand at a position; seconds that it took. Raises `Mismatch` after `within_s`."""
    start = time.perf_counter()
    while True:
        seq = await pool.fetchval("SELECT min(seq) FROM cca.projections")
        took = time.perf_counter() - start
        if seq is not None and seq >= goal:
            return took
        if took > within_s:
            raise Mismatch(f"the tables stand at {seq} after {within_s:g} s, the log at {goal}")
        await asyncio.sleep(0.02)


async def check_tables(pool: Pool, role: str, tasks: int) -> None:
    """Check what the tables hold of a role whose tasks have all completed at once. Raises `Mismatch`."""
    row = await pool.fetchrow(
        "SELECT count(*) FILTER (WHERE state = 'completed') AS completed, count(*) AS tasks,"
        " (SELECT count(*) FROM cca.attempts JOIN cca.tasks USING (task) WHERE role = $1) AS attempts"
        " FROM cca.tasks WHERE role = $1",
        role,
    )
    if row is None or (row["completed"], row["tasks"], row["attempts"]) != (tasks, tasks, tasks):
        raise Mismatch(f"the tables hold {dict(row) if row else 'nothing'} of {tasks} tasks for {role}")
