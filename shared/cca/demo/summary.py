"""What the audit found and what it took, read from PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from cca.postgres.pool import Pool

TOP = 15

_ROLES = """
SELECT role,
       count(*) AS tasks,
       count(*) FILTER (WHERE state = 'completed') AS completed,
       coalesce(sum(made), 0)::int AS attempts,
       coalesce(sum(greatest(made - 1 - bad, 0)), 0)::int AS redelivered,
       coalesce(sum(bad), 0)::int AS retried,
       coalesce(sum((result ->> 'count')::int), 0)::int AS findings
FROM tasks LEFT JOIN (
    SELECT task, count(*) AS made, count(*) FILTER (WHERE outcome = 'failed') AS bad
    FROM attempts WHERE task = ANY($1::text[]) GROUP BY task
) AS tried USING (task)
WHERE task = ANY($1::text[]) GROUP BY role ORDER BY min(first_seq)
"""

# The worst first; of one rule, the first few files, so that the table shows more than one kind of thing.
_TOP = """
SELECT severity, tool, rule, path, line, text, task, role FROM (
    SELECT f ->> 'severity' AS severity, result ->> 'tool' AS tool, f ->> 'rule' AS rule, result ->> 'path' AS path,
           (f ->> 'line')::int AS line, f ->> 'text' AS text, task, role,
           row_number() OVER (
               PARTITION BY f ->> 'rule', f ->> 'severity' ORDER BY result ->> 'path', (f ->> 'line')::int
           ) AS nth
    FROM tasks, json_array_elements(result -> 'findings') AS f
    WHERE task = ANY($1::text[]) AND state = 'completed'
) found
WHERE nth <= 3
ORDER BY array_position(ARRAY['high', 'medium', 'low'], severity), nth, rule, path, line LIMIT $2
"""

_TWICE = """
SELECT count(*) FROM (
    SELECT subject FROM events
    WHERE subject = ANY($1::text[]) AND type IN
        ('cca.task.completed.v1', 'cca.task.failed.v1', 'cca.task.canceled.v1', 'cca.task.rejected.v1')
    GROUP BY subject HAVING count(*) > 1
) twice
"""

_OVER = "SELECT count(*) FROM tasks WHERE task = ANY($1::text[]) AND ended_at IS NOT NULL"


class RoleSummary(Struct, frozen=True):
    """A role. `redelivered`: attempts made again because a worker had vanished; `retried`: attempts that failed."""

    role: str
    tasks: int
    completed: int
    attempts: int
    redelivered: int
    retried: int
    findings: int


class Top(Struct, frozen=True):
    """A finding and the task that found it."""

    severity: str
    tool: str
    rule: str
    path: str
    line: int
    text: str
    task: str
    role: str


class Killed(Struct, frozen=True):
    """The worker that was killed: how many tasks it held, and how long until all of them ran again, in seconds."""

    agent: str
    held: int
    replacement: str
    recovered_s: float


class Summary(Struct, frozen=True, kw_only=True):
    """The outcome of the demo. `failed`: tasks that did not complete; the rest as in `RoleSummary`."""

    code: str
    tasks: int
    completed: int
    attempts: int
    redelivered: int
    retried: int
    failed: int
    twice: int
    findings: int
    wall_s: float
    tasks_per_s: float
    killed: Killed | None
    roles: tuple[RoleSummary, ...]
    top: tuple[Top, ...]
    commands: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every task ended exactly once, as completed."""
        return self.completed == self.tasks and self.twice == 0 and self.failed == 0


async def over(pool: Pool, tasks: Sequence[str]) -> int:
    """How many of these tasks have ended, as the tables know it."""
    return int(await pool.fetchval(_OVER, list(tasks)))


async def summarise(pool: Pool, tasks: Sequence[str], code: str, wall_s: float, killed: Killed | None) -> Summary:
    """Read everything about these tasks."""
    ids = list(tasks)
    roles = tuple(RoleSummary(**_row(row)) for row in await pool.fetch(_ROLES, ids))
    top = tuple(Top(**_row(row)) for row in await pool.fetch(_TOP, ids, TOP))
    completed = sum(role.completed for role in roles)
    return Summary(
        code=code,
        tasks=len(ids),
        completed=completed,
        attempts=sum(role.attempts for role in roles),
        redelivered=sum(role.redelivered for role in roles),
        retried=sum(role.retried for role in roles),
        failed=sum(role.tasks - role.completed for role in roles),
        twice=int(await pool.fetchval(_TWICE, [f"cca.events.task.{task}" for task in ids])),
        findings=sum(role.findings for role in roles),
        wall_s=round(wall_s, 2),
        tasks_per_s=round(len(ids) / wall_s, 1) if wall_s else 0.0,
        killed=killed,
        roles=roles,
        top=top,
    )


def _row(row: Any) -> dict[str, Any]:
    return dict(row.items())
