"""The question to PostgreSQL what was spent and saved. Values are parameters; only our own words are put together."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from cca.contracts.ledger import Dimension, GetTokenMetrics, Spending
from cca.postgres.table import BIGGEST
from cca.postgres.tables import Row

SUMS = (
    "attempts",
    "failed",
    "failed_tokens",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_nanousd",
    "estimated_nanousd",
    "resent_tokens",
    "counted_tokens",
    "counted_actual",
)
TOP = "peak_context_tokens"

_ROLLUP = f"""
SELECT day, role, lane, agent, requester, model, kind, ''::text AS task, {", ".join((*SUMS, TOP))}
FROM cca.token_usage
"""
_GIVEN = "(a.input_tokens::numeric + coalesce(a.cache_read_tokens, 0) + coalesce(a.cache_write_tokens, 0))"
_COST = "round(least(a.cost_usd, 1e9) * 1e9)::bigint"
_ATTEMPTS = f"""
SELECT (a.ended_at AT TIME ZONE 'UTC')::date AS day, coalesce(d.role, t.role, '') AS role,
    coalesce(a.lane, '') AS lane, coalesce(a.agent, '') AS agent, coalesce(t.requester, '') AS requester,
    coalesce(a.model, '') AS model, coalesce(t.kind, '') AS kind, a.task,
    1 AS attempts, (a.outcome <> 'completed')::integer AS failed,
    CASE WHEN a.outcome <> 'completed' THEN {_GIVEN} + a.output_tokens ELSE 0 END AS failed_tokens,
    a.input_tokens, a.output_tokens, coalesce(a.cache_read_tokens, 0) AS cache_read_tokens,
    coalesce(a.cache_write_tokens, 0) AS cache_write_tokens, {_COST} AS cost_nanousd,
    CASE WHEN a.cost_from = 'table' THEN {_COST} ELSE 0 END AS estimated_nanousd,
    CASE WHEN a.peak_context_tokens > 0 THEN greatest({_GIVEN} - a.peak_context_tokens, 0) ELSE 0 END AS resent_tokens,
    coalesce(a.counted_tokens, 0) AS counted_tokens,
    CASE WHEN a.counted_tokens > 0 THEN {_GIVEN} ELSE 0 END AS counted_actual,
    coalesce(a.peak_context_tokens, 0) AS peak_context_tokens
FROM cca.attempts a JOIN cca.tasks t USING (task)
    LEFT JOIN cca.routing_decisions d ON d.task = a.task AND d.route = a.route
WHERE a.input_tokens IS NOT NULL
"""
_SAVED = """
SELECT day, role, model, strategy, saved_tokens, condensed, cuts, retrieved FROM cca.token_savings
"""
_CONTEXTS = """
SELECT (c.condensed_at AT TIME ZONE 'UTC')::date AS day, coalesce(c.role, '') AS role, coalesce(t.lane, '') AS lane,
    coalesce(t.agent, '') AS agent, coalesce(t.requester, '') AS requester, coalesce(c.model, '') AS model,
    coalesce(t.kind, '') AS kind, c.task, s.strategy, s.saved_tokens, s.one AS condensed,
    s.one * coalesce(c.cuts, 0) AS cuts, s.one * coalesce(c.retrieved, 0) AS retrieved
FROM cca.task_contexts c JOIN cca.tasks t USING (task) CROSS JOIN LATERAL (
    SELECT '' AS strategy, 0::numeric AS saved_tokens, 1 AS one
    UNION ALL SELECT key, value::numeric, 0 FROM jsonb_each_text(coalesce(c.saved, '{}'))
) s
WHERE c.condensed_at IS NOT NULL
"""

_COLUMNS: dict[Dimension, str] = {
    "task": "task",
    "agent": "agent",
    "lane": "lane",
    "role": "role",
    "requester": "requester",
    "model": "model",
    "kind": "kind",
    "day": "day",
}
"""The column of each dimension; nothing else ever stands in a statement."""
_SHARED = frozenset(("role", "model", "day"))
"""The dimensions by which all savings are summed; by others, only those of tasks' contexts."""

_WHOLE = """
WITH spent AS ({spent}), used AS (
    SELECT {keys}, {sums}, max({top}) AS {top} FROM spent {where} GROUP BY {names}
), folded AS ({folded}), saved AS (
    SELECT {names}, sum(condensed) AS condensed, sum(cuts) AS cuts, sum(retrieved) AS retrieved,
        jsonb_object_agg(strategy, least(saved_tokens, {biggest})) FILTER (WHERE strategy <> '' AND saved_tokens > 0)
            AS saved, sum(saved_tokens) AS saved_tokens
    FROM (
        SELECT {keys}, strategy, sum(saved_tokens) AS saved_tokens, sum(condensed) AS condensed, sum(cuts) AS cuts,
            sum(retrieved) AS retrieved
        FROM folded {where} GROUP BY {names}, strategy
    ) each GROUP BY {names}
)
SELECT {names}, {shown}, {top}, condensed, cuts, retrieved, saved
FROM used FULL JOIN saved USING ({names})
ORDER BY coalesce(input_tokens + output_tokens + cache_read_tokens + cache_write_tokens, 0) DESC,
    coalesce(saved_tokens, 0) DESC, {names}
LIMIT {limit}
"""

Value = Callable[[object], str]
"""Takes a value and gives the place of its parameter."""


def spent(since: datetime | None, value: Value, by_task: bool = False) -> str:
    """What attempts used that ended at `since` or later. Whole days are summed up already, but not by task."""
    if by_task:
        return _ATTEMPTS if since is None else f"{_ATTEMPTS} AND a.ended_at >= {value(since)}"
    if since is None:
        return _ROLLUP
    day = since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    whole = day if day == since else day + timedelta(days=1)
    days = f"{_ROLLUP} WHERE day >= {value(whole.date())}"
    if whole == since:
        return days
    return f"{days} UNION ALL {_ATTEMPTS} AND a.ended_at >= {value(since)} AND a.ended_at < {value(whole)}"


def question(command: GetTokenMetrics, since: datetime | None, by: Sequence[Dimension]) -> tuple[str, list[object]]:
    """The statement that finds what was spent and saved by some dimensions, and its parameters."""
    values: list[object] = []

    def value(one: object) -> str:
        values.append(one)
        return f"${len(values)}"

    only = {name: getattr(command, name) for name in ("role", "agent", "task", "requester", "model")}
    only = {name: said for name, said in only.items() if said is not None}
    about = {*by, *only}
    if about <= _SHARED:
        folded = _SAVED if since is None else f"{_SAVED} WHERE day >= {value(since.astimezone(UTC).date())}"
    else:
        folded = _CONTEXTS if since is None else f"{_CONTEXTS} AND c.condensed_at >= {value(since)}"
    conditions = [f"{_COLUMNS[cast(Dimension, name)]} = {value(said)}" for name, said in only.items()]
    keys = [f"{_COLUMNS[name]}::text AS k{number}" for number, name in enumerate(by)] or ["''::text AS k0"]
    names = ", ".join(f"k{number}" for number in range(len(keys)))
    statement = _WHOLE.format(
        spent=spent(since, value, "task" in about),
        folded=folded,
        keys=", ".join(keys),
        names=names,
        sums=", ".join(f"sum({name}) AS {name}" for name in SUMS),
        shown=", ".join(SUMS),
        top=TOP,
        where=f"WHERE {' AND '.join(conditions)}" if conditions else "",
        biggest=BIGGEST,
        limit=value(command.limit),
    )
    return statement, values


def spending(row: Row, by: Sequence[Dimension]) -> Spending:
    """What a row says."""
    counted = row["counted_tokens"]
    return Spending(
        key={name: row[f"k{number}"] for number, name in enumerate(by)},
        attempts=whole(row["attempts"]),
        failed=whole(row["failed"]),
        failed_tokens=whole(row["failed_tokens"]),
        input=whole(row["input_tokens"]),
        output=whole(row["output_tokens"]),
        cache_read=whole(row["cache_read_tokens"]),
        cache_write=whole(row["cache_write_tokens"]),
        cost_usd=dollars(row["cost_nanousd"]),
        estimated_usd=dollars(row["estimated_nanousd"]),
        peak=whole(row[TOP]),
        condensed=whole(row["condensed"]),
        saved={name: whole(saved) for name, saved in sorted((row["saved"] or {}).items())},
        cuts=whole(row["cuts"]),
        retrieved=whole(row["retrieved"]),
        ratio=float(row["counted_actual"] / counted) if counted else None,
    )


def whole(number: Any) -> int:
    """A sum as a reply can name it; 0 when there was nothing."""
    return min(int(number or 0), BIGGEST)


def dollars(nanos: Any) -> float:
    """USD of a sum of billionths."""
    return int(nanos or 0) / 1e9
