"""Every question to PostgreSQL. Values are parameters, always; only our own words are put together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from cca.postgres.tables import Row, Tables

PREVIEW = 200
"""Characters of a description in a list."""


class Attempt(Struct, frozen=True, omit_defaults=True):
    """One start of a task by a worker. `outcome` is `completed`, `failed`, `lost` or `canceled`; none while it runs.

    `model` and all that follows are what the worker told of its usage.
    """

    attempt: int
    agent: str | None = None
    lane: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: str | None = None
    failure_kind: str | None = None
    failure_message: str | None = None
    duration_s: float | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    peak_context_tokens: int | None = None
    cost_usd: float | None = None


class CondensedContext(Struct, frozen=True, omit_defaults=True):
    """A task's context was compressed before workers got it.

    Attributes:
        before, after: tokens, as `model` counts them; `saved` by strategy.
        original: the reference under which all of it can be had.
        reached: whether it is within its role's budget now.
        retrieved: how often, in this task, something was expanded that had been folded.
    """

    before: int
    after: int
    model: str
    original: str
    saved: dict[str, int] = {}
    reached: bool = True
    retrieved: int = 0


class PriorMemory(Struct, frozen=True, omit_defaults=True):
    """A memory that was put before a task, and its score then; `kind` and the beginning of its text, unless it has been
    forgotten since."""

    memory: str
    score: float
    at: datetime
    kind: str | None = None
    text: str | None = None


DETAIL = """
SELECT input, timeout_s, deadline_s, fraction, duration_s, created_at, updated_at, started_at, ended_at
FROM cca.tasks WHERE task = $1
"""

ATTEMPTS = """
SELECT attempt, agent, lane, started_at, ended_at, outcome, failure_kind, failure_message, duration_s,
    model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, peak_context_tokens, cost_usd
FROM cca.attempts WHERE task = $1 ORDER BY attempt
"""

CONTEXT = """
SELECT before_tokens, after_tokens, model, original, saved, reached, coalesce(retrieved, 0)
FROM cca.task_contexts WHERE task = $1 AND condensed_at IS NOT NULL
"""

MEMORIES = f"""
SELECT t.memory, t.score, t.at, m.kind,
    CASE WHEN length(m.text) <= {PREVIEW} THEN m.text ELSE left(m.text, {PREVIEW} - 1) || '…' END AS text
FROM cca.task_memories t LEFT JOIN cca.memories m USING (memory) WHERE t.task = $1 ORDER BY t.score DESC, t.memory
"""

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

MODELS, LANES, ROLES, STRATEGIES = 50, 100, 100, 100
"""So many are told apart in sums that are watched; the first ones, so that no sum ever goes back."""

SPENT = f"""
WITH models AS (
    SELECT model, row_number() OVER (ORDER BY min(first_seq), model) <= {MODELS} AS known
    FROM cca.token_usage GROUP BY model
), lanes AS (
    SELECT role, lane, row_number() OVER (ORDER BY min(first_seq), role, lane) <= {LANES} AS known
    FROM cca.token_usage GROUP BY role, lane
)
SELECT CASE WHEN l.known THEN role ELSE 'other' END AS role, CASE WHEN l.known THEN lane ELSE 'other' END AS lane,
    CASE WHEN m.known THEN model ELSE 'other' END AS model, sum(attempts) AS attempts, sum(failed) AS failed,
    sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
    sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_tokens) AS cache_write_tokens,
    sum(cost_nanousd) AS cost_nanousd, sum(estimated_nanousd) AS estimated_nanousd,
    max(peak_context_tokens) AS peak_context_tokens, sum(counted_tokens) AS counted_tokens,
    sum(counted_actual) AS counted_actual
FROM cca.token_usage JOIN models m USING (model) JOIN lanes l USING (role, lane)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""

SAVED = f"""
WITH roles AS (
    SELECT role, row_number() OVER (ORDER BY min(first_seq), role) <= {ROLES} AS known
    FROM cca.token_savings GROUP BY role
), strategies AS (
    SELECT strategy, strategy = '' OR row_number() OVER (ORDER BY min(first_seq), strategy) <= {STRATEGIES} AS known
    FROM cca.token_savings GROUP BY strategy
)
SELECT CASE WHEN r.known THEN role ELSE 'other' END AS role,
    CASE WHEN s.known THEN strategy ELSE 'other' END AS strategy, sum(saved_tokens) AS saved_tokens,
    sum(retrieved) AS retrieved, sum(cuts) AS cuts, sum(condensed) AS condensed
FROM cca.token_savings JOIN roles r USING (role) JOIN strategies s USING (strategy)
GROUP BY 1, 2 ORDER BY 1, 2
"""


SHARED = """
SELECT split_part(scope, ':', 1) AS kind, count(*) AS keys, sum(size) AS bytes FROM cca.contexts GROUP BY 1 ORDER BY 1
"""

REMEMBERED = f"""
WITH roles AS (
    SELECT coalesce(role, '') AS role, count(*) AS memories, sum(successes) AS successes, sum(failures) AS failures,
        row_number() OVER (ORDER BY count(*) DESC, role) <= {ROLES} AS known
    FROM cca.memories GROUP BY role
)
SELECT CASE WHEN known THEN role ELSE 'other' END AS role, sum(memories) AS memories, sum(successes) AS successes,
    sum(failures) AS failures
FROM roles GROUP BY 1 ORDER BY 1
"""

INDEXED = """
SELECT language, count(*) AS files, sum(chunks) AS chunks FROM cca.code_files GROUP BY 1 ORDER BY 1
"""


async def detail(tables: Tables, task: str) -> dict[str, Any] | None:
    """What the tables know of a task beyond `TaskView`; None when it is not in them yet. Raises `Busy`."""
    found = await tables.rows(DETAIL, task)
    if not found:
        return None
    attempts = tuple(Attempt(*row.values()) for row in await tables.rows(ATTEMPTS, task))
    contexts = [CondensedContext(*row.values()) for row in await tables.rows(CONTEXT, task)]
    memories = tuple(PriorMemory(*row.values()) for row in await tables.rows(MEMORIES, task))
    condensed = contexts[0] if contexts else None
    return {**found[0], "attempts": attempts, "condensed": condensed, "memories": memories}


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


async def spent(tables: Tables) -> Sequence[Row]:
    """What attempts used, by role, lane and model. Raises `Busy`."""
    return await tables.rows(SPENT)


async def saved(tables: Tables) -> Sequence[Row]:
    """What compression saved and what was wanted back, by role and strategy. Raises `Busy`."""
    return await tables.rows(SAVED)


async def shared(tables: Tables) -> Sequence[Row]:
    """How many values agents share, by the kind of their scope. Raises `Busy`."""
    return await tables.rows(SHARED)


async def remembered(tables: Tables) -> Sequence[Row]:
    """How many memories there are, by role. Raises `Busy`."""
    return await tables.rows(REMEMBERED)


async def indexed(tables: Tables) -> Sequence[Row]:
    """How much code is in the index, by language. Raises `Busy`, also when there has been no index yet."""
    return await tables.rows(INDEXED)
