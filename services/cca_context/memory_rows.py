"""Memories in the tables of the projector: read by id, page by page, in sums, and those to be forgotten first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, cast

from msgspec import Struct

from cca.contracts.memory import ListMemories, Memories, MemoryStats, MemoryView, Source
from cca.contracts.search import EmbedderInfo
from cca.errors import Refused
from cca.postgres.tables import Row, Tables

_COLUMNS = """memory, text, kind, scope, role, labels, task, agent, source_role, repo, requester, redacted, created_at,
    successes, failures, merged, used, used_at, rated_at, stored_seq, seq"""
_SOME = f"SELECT {_COLUMNS} FROM cca.memories WHERE memory = ANY($1::text[])"
_PAGE = f"SELECT {_COLUMNS} FROM cca.memories {{where}} ORDER BY stored_seq DESC LIMIT {{limit}}"
_USED = "SELECT used, used_at FROM cca.memories WHERE memory = $1"
_SUMS = """
SELECT kind, coalesce(role, '') AS role, count(*) AS memories, sum(successes)::float8 AS successes,
    sum(failures)::float8 AS failures
FROM cca.memories GROUP BY 1, 2 ORDER BY 1, 2
"""
_ROLES = "SELECT role, count(*) AS memories FROM cca.memories WHERE role IS NOT NULL GROUP BY role ORDER BY role"
# As `cca_context.recall.utility` and `decay` have it.
_WORST = """
SELECT memory FROM cca.memories WHERE role = $1
ORDER BY least(2 * p, 0.5 + p) * exp(greatest(-700.0, -0.6931471805599453 * days / $2::float8)), created_at, memory
LIMIT $3
"""
_WORST = _WORST.replace(
    "FROM cca.memories",
    """FROM (SELECT memory, role, created_at, (successes + 1.0::float8) / (successes + failures + 2.0::float8) AS p,
    greatest(extract(epoch FROM $4::timestamptz - greatest(created_at, used_at, rated_at))::float8, 0) / 86400 AS days
    FROM cca.memories) memories""",
)


class Known(Struct, frozen=True):
    """A memory as the tables have it, and when it was last of use or at least new."""

    view: MemoryView
    fresh_at: datetime


class MemoryRows:
    """Everything here raises `Busy` when the tables cannot be read, or not in time."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def some(self, memories: Sequence[str]) -> dict[str, Known]:
        """Those of these that are there."""
        if not memories:
            return {}
        return {row["memory"]: _known(row) for row in await self._tables.rows(_SOME, list(memories))}

    async def used(self, memory: str) -> tuple[int, datetime | None]:
        """How many tasks had it before them, and when last."""
        rows = await self._tables.rows(_USED, memory)
        return (rows[0]["used"], rows[0]["used_at"]) if rows else (0, None)

    async def page(self, command: ListMemories) -> Memories:
        """Memories, newest first. Raises `Refused` (`bad-cursor`)."""
        values: list[object] = []
        conditions: list[str] = []

        def where(column: str, comparison: Literal["=", "<"], value: object) -> None:
            values.append(value)
            conditions.append(f"{column} {comparison} ${len(values)}")

        for column in ("scope", "role", "kind", "task"):
            if (value := getattr(command, column)) is not None:
                where(column, "=", value)
        if command.before is not None:
            where("stored_seq", "<", _cursor(command.before))
        condition = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = await self._tables.rows(_PAGE.format(where=condition, limit=command.limit + 1), *values)
        shown = rows[: command.limit]
        return Memories(
            tuple(_known(row).view for row in shown),
            next=str(shown[-1]["stored_seq"]) if len(rows) > len(shown) else None,
        )

    async def stats(self, embedders: tuple[EmbedderInfo, ...]) -> MemoryStats:
        """How many there are."""
        by_kind: dict[str, int] = {}
        by_role: dict[str, int] = {}
        rows = await self._tables.rows(_SUMS)
        for row in rows:
            by_kind[row["kind"]] = by_kind.get(row["kind"], 0) + row["memories"]
            by_role[row["role"]] = by_role.get(row["role"], 0) + row["memories"]
        return MemoryStats(
            memories=sum(by_kind.values()),
            by_kind=by_kind,
            by_role=dict(sorted(by_role.items())),
            successes=int(sum(row["successes"] for row in rows)),
            failures=int(sum(row["failures"] for row in rows)),
            embedders=embedders,
        )

    async def by_role(self) -> dict[str, int]:
        """How many memories each role has."""
        return {row["role"]: row["memories"] for row in await self._tables.rows(_ROLES)}

    async def worst(self, role: str, half_life_days: float, most: int, now: datetime) -> list[str]:
        """The memories of a role that are of the least use, worst first."""
        return [row["memory"] for row in await self._tables.rows(_WORST, role, half_life_days, most, now)]


def _cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused("bad-cursor", "`before` is not what a page gave as its `next`")
    return int(text)


def _known(row: Row) -> Known:
    times = (row["created_at"], row["used_at"], row["rated_at"])
    view = MemoryView(
        memory=row["memory"],
        text=row["text"],
        kind=row["kind"],
        scope=row["scope"],
        created_at=row["created_at"],
        role=row["role"],
        labels=row["labels"],
        source=Source(row["task"], row["agent"], row["source_role"], row["repo"], row["requester"]),
        successes=row["successes"],
        failures=row["failures"],
        merged=row["merged"],
        used=row["used"],
        used_at=row["used_at"],
        redacted=row["redacted"],
        seq=row["seq"],
    )
    return Known(view, max(cast(datetime, time) for time in times if time is not None))
