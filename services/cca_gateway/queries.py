"""Every question to PostgreSQL. Values are parameters, always; only our own words are put together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from cca_gateway.tables import Row, Tables


class Attempt(Struct, frozen=True, omit_defaults=True):
    """One start of a task by a worker. `outcome` is `completed`, `failed`, `lost` or `canceled`; none while it runs."""

    attempt: int
    agent: str | None = None
    lane: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    failure_kind: str | None = None
    failure_message: str | None = None
    duration_s: float | None = None


DETAIL = """
SELECT input, timeout_s, deadline_s, fraction, duration_s, created_at, updated_at, started_at, ended_at
FROM cca.tasks WHERE task = $1
"""

ATTEMPTS = """
SELECT attempt, agent, lane, started_at, ended_at, outcome, failure_kind, failure_message, duration_s
FROM cca.attempts WHERE task = $1 ORDER BY attempt
"""

PREVIEW = 200
"""Characters of a description in a list."""

LIST = f"""
SELECT task, state, role, priority, lane, kind, requester, labels, agent, attempt, max_attempts, reason, waiting,
    progress, fraction, retry_at, duration_s, created_at, updated_at, started_at, ended_at, quality, first_seq,
    failure::jsonb - 'detail' AS failure,
    CASE WHEN length(description) <= {PREVIEW} THEN description ELSE left(description, {PREVIEW} - 1) || '…' END
        AS description
FROM cca.tasks
"""

CONDITIONS = {
    "state": "state = ANY({})",
    "role": "role = {}",
    "lane": "lane = {}",
    "kind": "kind = {}",
    "requester": "requester = {}",
    "agent": "agent = {}",
    "labels": "labels @> {} AND labels <> '{{}}'",
    "since": "created_at >= {}",
    "until": "created_at < {}",
    "text": r"description ILIKE {} ESCAPE '\'",
    "before": "first_seq < {}",
}
"""What a list may be narrowed by, each with a place for its parameter."""

COUNTS = """
SELECT role, lane, state, count(*) AS tasks, avg(duration_s) AS duration_s
FROM cca.tasks WHERE role IS NOT NULL GROUP BY role, lane, state
"""

RUNNING = f"""
SELECT t.task, t.agent, t.attempt, left(t.description, {PREVIEW}) AS description, a.started_at, t.progress, t.fraction
FROM cca.tasks t LEFT JOIN cca.attempts a ON a.task = t.task AND a.attempt = t.attempt
WHERE t.state = 'working' ORDER BY t.first_seq LIMIT 10000
"""

WORKERS = """
SELECT agent, started, completed, failed, canceled, updated_at FROM cca.agents WHERE agent = ANY($1)
"""


async def detail(tables: Tables, task: str) -> dict[str, Any] | None:
    """What the tables know of a task beyond `TaskView`; None when it is not in them yet. Raises `Busy`."""
    found = await tables.rows(DETAIL, task)
    if not found:
        return None
    attempts = tuple(Attempt(*row.values()) for row in await tables.rows(ATTEMPTS, task))
    return {**found[0], "attempts": attempts}


async def tasks(tables: Tables, conditions: dict[str, object], limit: int) -> list[Row]:
    """At most `limit` tasks, newest first, for which all conditions hold: name in `CONDITIONS` to value."""
    parts = [CONDITIONS[name].format(f"${number}") for number, name in enumerate(conditions, 1)]
    where = f"WHERE {' AND '.join(parts)}" if parts else ""
    sql = f"{LIST} {where} ORDER BY first_seq DESC LIMIT ${len(parts) + 1}"
    return await tables.rows(sql, *conditions.values(), limit)


def like(text: str) -> str:
    """A pattern that finds the text itself: its wildcards are ordinary characters."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


async def counts(tables: Tables) -> Sequence[Row]:
    """How many tasks there are, by role, lane and state, and how long they took."""
    return await tables.rows(COUNTS)


async def running(tables: Tables) -> Sequence[Row]:
    """What is being worked on."""
    return await tables.rows(RUNNING)


async def workers(tables: Tables, names: Sequence[str]) -> dict[str, Row]:
    """What workers have done over all their sessions, by name."""
    return {row["agent"]: row for row in await tables.rows(WORKERS, list(names))}
