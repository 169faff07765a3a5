"""What was spent and saved, and what would save more: asked of the tables that the projector keeps."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from cca import codec
from cca.contracts.ledger import (
    Dimension,
    GetRecommendations,
    GetTokenMetrics,
    Recommendations,
    RolePolicy,
    TokenMetrics,
)
from cca.contracts.task import TaskSubmitted
from cca.errors import CcaError
from cca.postgres.tables import Row, Tables
from cca.tokens.advice import recommend, to_measure
from cca.tokens.ledger import CHARACTERS, Contexts, Cuts, Facts, Shared, Used
from cca_tokens.spending import SUMS, TOP, dollars, question, spending, spent, whole

logger = logging.getLogger("cca_tokens")

LONGEST = timedelta(days=36_500)
"""Further back nobody looks."""
GROUPS = 5_000
"""Combinations of role, lane, kind and model, those with the most tokens, that advice is derived from."""
ROLES, SAMPLES = 5, 8
"""For so many roles, so many of their newest contexts are looked at to find out what compression would save."""

Potential = Callable[[Sequence[str]], Awaitable[float]]
"""What share of the tokens of some texts compression would save, between 0 and 1. Raises `CcaError`."""

_USED = f"""
SELECT role, lane, kind, model, {", ".join(f"sum({name}) AS {name}" for name in SUMS)}, max({TOP}) AS {TOP}
FROM ({{spent}}) spent {{where}} GROUP BY role, lane, kind, model
ORDER BY sum(input_tokens) + sum(output_tokens) + sum(cache_read_tokens) + sum(cache_write_tokens) DESC,
    role, lane, kind, model
LIMIT {GROUPS}
"""
_CONTEXTS = """
SELECT coalesce(c.role, t.role, '') AS role, count(c.chars) AS tasks, coalesce(sum(c.chars), 0) AS chars,
    count(c.condensed_at) AS condensed, sum(c.before_tokens) AS before, sum(c.after_tokens) AS after,
    count(*) FILTER (WHERE NOT c.reached) AS missed, sum(c.after_tokens) FILTER (WHERE NOT c.reached) AS missed_after
FROM cca.task_contexts c JOIN cca.tasks t USING (task)
WHERE c.submitted_at >= $1 AND ($2::text IS NULL OR coalesce(c.role, t.role, '') = $2)
GROUP BY 1 ORDER BY 1
"""
_SHARED = """
SELECT coalesce(c.role, t.role, '') AS role, c.ref, count(*) AS tasks, max(c.chars) AS chars
FROM cca.task_contexts c JOIN cca.tasks t USING (task)
WHERE c.submitted_at >= $1 AND ($2::text IS NULL OR coalesce(c.role, t.role, '') = $2)
GROUP BY 1, 2 HAVING count(*) > 1 ORDER BY count(*)::numeric * max(c.chars) DESC, 1, 2 LIMIT 100
"""
_CUTS = """
SELECT role, strategy, sum(saved_tokens) AS saved, sum(cuts) AS cuts, sum(retrieved) AS retrieved,
    sum(retrieved_tokens) AS retrieved_tokens
FROM cca.token_savings WHERE day >= $1 AND ($2::text IS NULL OR role = $2) GROUP BY 1, 2 ORDER BY 1, 2
"""
_POLICIES = "SELECT role, policy FROM cca.token_policies WHERE policy IS NOT NULL"
_SAMPLES = f"""
SELECT body FROM cca.events WHERE seq IN (
    SELECT c.seq FROM cca.task_contexts c JOIN cca.tasks t USING (task)
    WHERE c.submitted_at >= $1 AND coalesce(c.role, t.role, '') = $2 AND c.seq IS NOT NULL
    ORDER BY c.seq DESC LIMIT {SAMPLES}
) ORDER BY seq
"""
_RATIOS = """
SELECT model, sum(counted_tokens) AS counted, sum(counted_actual) AS actual
FROM cca.token_usage WHERE counted_tokens > 0 AND model <> '' AND day >= $1 GROUP BY model ORDER BY model
"""


class Ledger:
    """Answers from the tables. Everything here raises `Busy` when they cannot be read, or not in time.

    Args:
        tables: what the projector keeps; its connections limit the time of a statement.
        potential: finds out what compression would save; without it, contexts are advised about by experience alone.
        now: the time, aware.
    """

    def __init__(
        self,
        tables: Tables,
        potential: Potential | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tables, self._potential, self._now = tables, potential, now

    async def metrics(self, command: GetTokenMetrics) -> TokenMetrics:
        """What was spent and saved, most tokens first, and the total.

        By task, agent, lane, requester or kind, savings are those of tasks' contexts. By role, model and day alone,
        they are of all that was compressed, and count from the beginning of the day on which `since_s` begins.
        """
        since = None if command.since_s is None else self._ago(command.since_s)
        by: tuple[Dimension, ...] = tuple(dict.fromkeys(command.by))
        total = [spending(row, ()) for row in await self._ask(*question(command, since, ()))]
        rows = [spending(row, by) for row in await self._ask(*question(command, since, by))] if by else total
        return TokenMetrics(tuple(rows), total[0] if total else EMPTY)

    async def recommend(self, command: GetRecommendations) -> Recommendations:
        """What would save tokens."""
        since = self._ago(command.since_s)
        facts = await self._measured(await self._facts(since, command.role), since)
        return Recommendations(
            recommend(facts),
            attempts=sum(one.attempts for one in facts.used),
            tokens=whole(sum(one.tokens for one in facts.used)),
            cost_usd=sum(one.cost_usd for one in facts.used),
        )

    async def ratios(self, since_s: float = 30 * 86_400.0) -> dict[str, tuple[int, int]]:
        """By model: the input tokens that we had counted, and what they were when they were billed."""
        rows = await self._ask(_RATIOS, [self._ago(since_s).date()])
        return {row["model"]: (whole(row["counted"]), whole(row["actual"])) for row in rows}

    # ------------------------------------------------------------------------------------ parts

    async def _ask(self, statement: str, values: Sequence[object]) -> list[Row]:
        return await self._tables.rows(statement, *values)

    def _ago(self, seconds: float) -> datetime:
        return self._now().astimezone(UTC) - timedelta(seconds=min(seconds, LONGEST.total_seconds()))

    async def _facts(self, since: datetime, role: str | None) -> Facts:
        values: list[object] = []

        def value(one: object) -> str:
            values.append(one)
            return f"${len(values)}"

        where = "" if role is None else f"WHERE role = {value(role)}"
        used = await self._ask(_USED.format(spent=spent(since, value), where=where), values)
        policies = await self._ask(_POLICIES, ())
        return Facts(
            used=tuple(map(_used, used)),
            contexts=tuple(map(_contexts, await self._ask(_CONTEXTS, (since, role)))),
            cuts=tuple(_cuts(await self._ask(_CUTS, (since.date(), role)))),
            shared=tuple(map(_shared, await self._ask(_SHARED, (since, role)))),
            policies={row["role"]: msgspec.convert(row["policy"], RolePolicy) for row in policies},
        )

    async def _measured(self, facts: Facts, since: datetime) -> Facts:
        """With what compression would save of contexts that are large and not compressed."""
        if self._potential is None:
            return facts
        found: dict[str, tuple[float, int]] = {}
        for role in to_measure(facts)[:ROLES]:
            rows = await self._ask(_SAMPLES, (since, role))
            texts = [text for row in rows if (text := _context_in(row["body"]))]
            if not texts:
                continue
            try:
                found[role] = await self._potential(texts), len(texts)
            except CcaError as error:
                logger.info("what compression would save for role %s is not known: %s", role, error)
        contexts = [
            replace(one, potential=found[one.role][0], sampled=found[one.role][1]) if one.role in found else one
            for one in facts.contexts
        ]
        return replace(facts, contexts=tuple(contexts))


EMPTY = spending(dict.fromkeys((*SUMS, TOP, "condensed", "cuts", "retrieved", "saved")), ())


def _used(row: Row) -> Used:
    return Used(
        role=row["role"],
        lane=row["lane"],
        kind=row["kind"],
        model=row["model"],
        attempts=whole(row["attempts"]),
        failed=whole(row["failed"]),
        failed_tokens=whole(row["failed_tokens"]),
        input=whole(row["input_tokens"]),
        output=whole(row["output_tokens"]),
        cache_read=whole(row["cache_read_tokens"]),
        cache_write=whole(row["cache_write_tokens"]),
        cost_usd=dollars(row["cost_nanousd"]),
        peak=whole(row[TOP]),
        resent=whole(row["resent_tokens"]),
    )


def _contexts(row: Row) -> Contexts:
    return Contexts(
        role=row["role"],
        tasks=row["tasks"],
        tokens=whole(row["chars"]) // CHARACTERS,
        condensed=row["condensed"],
        before=whole(row["before"]),
        after=whole(row["after"]),
        missed=row["missed"],
        missed_after=whole(row["missed_after"]),
    )


def _shared(row: Row) -> Shared:
    return Shared(row["role"], row["ref"], row["tasks"], whole(row["chars"]) // CHARACTERS)


def _cuts(rows: Sequence[Row]) -> list[Cuts]:
    """One for each role, of rows by role and strategy."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        none = {"cuts": 0, "saved": 0, "retrieved": {}, "retrieved_tokens": 0, "by_strategy": {}}
        sums = found.setdefault(row["role"], none)
        sums["cuts"] += whole(row["cuts"])
        sums["saved"] += whole(row["saved"])
        sums["retrieved_tokens"] += whole(row["retrieved_tokens"])
        if row["retrieved"]:
            sums["retrieved"][row["strategy"]] = whole(row["retrieved"])
        if row["strategy"] and row["cuts"]:
            sums["by_strategy"][row["strategy"]] = whole(row["cuts"])
    return [Cuts(role, **sums) for role, sums in found.items()]


def _context_in(body: bytes) -> str | None:
    """The context that a task was submitted with."""
    try:
        return codec.read(body, TaskSubmitted).context
    except CcaError:
        return None
