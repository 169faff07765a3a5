"""What the tables say of how routing is learned: decisions with their outcomes, ratings, versions of the policy."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from cca import codec
from cca.config import PostgresSettings
from cca.contracts.policy import (
    Params,
    PolicyConfigured,
    PolicyUpdated,
    ShadowStarted,
    ShadowStopped,
    VocabularyGrown,
)
from cca.contracts.task import (
    Failure,
    TaskCompleted,
    TaskFailed,
    TaskRated,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event
from cca.nats.bus import Bus
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.projection import Entry, Keeper, keep, positions
from cca_projector import shell
from cca_projector.projections import Tasks
from cca_projector.rebuild import rebuild
from cca_projector.verify import verify

Entries = Callable[[Sequence[Event]], list[Entry]]
Life = Callable[..., list[Event]]
Tell = Callable[..., Awaitable[int]]
Eventually = Callable[..., Awaitable[None]]

ROUTED = TaskRouted("t1", 1, "docs", "a", "linear-pm/1", 0.9, 7, (), version=4, x={"kind=review": 4096, "size": 12})
STARTED = TaskStarted("t1", 1, 1, "ann", "a", 10, 1)
HISTORY: list[Event] = [
    TaskSubmitted("t1", "docs", "do it", "f" * 64, deadline_s=60.0),
    ROUTED,
    STARTED,
    TaskFailed("t1", 1, "ann", Failure("error", "no luck"), 1.5, Usage(100, 20, 0.25)),
    TaskRetried("t1", 3),
    TaskRouted("t1", 2, "docs", "b", "linear-pm/1", 0.1, 8, (), True, version=5),
    TaskStarted("t1", 2, 2, "bob", "b", 20, 1),
    TaskCompleted("t1", 2, "bob", usage=Usage(10, 2, 0.5), duration_s=0.5),
]
POLICY: list[Event] = [
    PolicyConfigured("routing", "linear-pm", Params(floor=0.1, budgets={"all": 0.5}), "default"),
    VocabularyGrown("routing", ("kind=review", "kind=docs")),
    PolicyUpdated("routing", 1, 17, "linear-pm", "d" * 64, 9),
    ShadowStarted("routing", "linucb", 20, True, "ann"),
    ShadowStopped("routing", "promoted"),
    PolicyConfigured("routing", "linucb", Params(floor=0.1), "promoted", "ann"),
    PolicyUpdated("routing", 2, 30, "linucb", "e" * 64, 12),
]


@pytest.fixture
async def keeper(db: Connection) -> Keeper:
    kept = await keep(Tasks(), db)
    assert kept is not None
    return kept


async def test_a_decision_is_told_with_what_it_was_made_of_and_what_it_cost(
    db: Connection, keeper: Keeper, entries: Entries
) -> None:
    await keeper.apply(entries(HISTORY))
    query = "SELECT version, x, explored, outcome, tokens, cost_usd, duration_s, quality FROM cca.routing_decisions"
    assert [tuple(row) for row in await db.fetch(query + " ORDER BY route")] == [
        (4, {"kind=review": 4096, "size": 12}, False, "failed", 120, 0.25, 1.5, None),
        (5, {}, True, "completed", 12, 0.5, 0.5, None),
    ]
    task = await db.fetchrow("SELECT deadline_s, quality, input_tokens, output_tokens, cost_usd FROM cca.tasks")
    assert task is not None
    assert tuple(task) == (60.0, None, 110, 22, 0.75)
    attempts = "SELECT input_tokens, output_tokens, cost_usd FROM cca.attempts ORDER BY attempt"
    assert [tuple(row) for row in await db.fetch(attempts)] == [(100, 20, 0.25), (10, 2, 0.5)]


async def test_the_last_rating_counts_for_the_decision_that_it_is_about(
    db: Connection, keeper: Keeper, entries: Entries
) -> None:
    rated: list[Event] = [*HISTORY[:4], TaskRated("t1", 1, 0.25), *HISTORY[4:]]
    await keeper.apply(entries(rated))
    assert await db.fetchval("SELECT quality FROM cca.tasks") is None  # another result is not that result
    more = entries([*rated, TaskRated("t1", 2, 0.5, "good"), TaskRated("t1", 2, 0.75)])
    await keeper.apply(more)
    assert await db.fetchval("SELECT quality FROM cca.tasks") == 0.75
    qualities = "SELECT quality FROM cca.routing_decisions ORDER BY route"
    assert [row["quality"] for row in await db.fetch(qualities)] == [0.25, 0.75]
    assert await db.fetchval("SELECT outcome FROM cca.routing_decisions WHERE route = 2") == "completed"


async def test_every_version_of_the_policy_has_a_row(db: Connection, keeper: Keeper, entries: Entries) -> None:
    await keeper.apply(entries([*POLICY, *HISTORY]))
    rows = await db.fetch("SELECT version, position, algorithm, digest, decisions, seq FROM cca.policies ORDER BY 1")
    assert [tuple(row) for row in rows] == [
        (1, 17, "linear-pm", "d" * 64, 9, 3),
        (2, 30, "linucb", "e" * 64, 12, 7),
    ]
    assert (await db.fetchval("SELECT time FROM cca.policies WHERE version = 1")).isoformat().endswith("12:00:03+00:00")


async def test_every_change_of_how_is_learned_is_told(db: Connection, keeper: Keeper, entries: Entries) -> None:
    await keeper.apply(entries(POLICY))
    rows = await db.fetch("SELECT * FROM cca.policy_changes ORDER BY seq")
    told = [{name: value for name, value in row.items() if value not in (None, "")} for row in rows]
    assert [row.pop("seq") for row in told] == [1, 2, 4, 5, 6]
    assert all(row.pop("time") for row in told)
    assert [row.pop("type") for row in told] == [
        codec.tag_of(kind)
        for kind in (PolicyConfigured, VocabularyGrown, ShadowStarted, ShadowStopped, PolicyConfigured)
    ]
    assert told == [
        {"algorithm": "linear-pm", "params": {"floor": 0.1, "budgets": {"all": 0.5}}, "reason": "default"},
        {"names": ["kind=review", "kind=docs"]},
        {"algorithm": "linucb", "position": 20, "promote": True, "requester": "ann"},
        {"reason": "promoted"},
        {"algorithm": "linucb", "params": {"floor": 0.1}, "reason": "promoted", "requester": "ann"},
    ]


async def test_a_version_that_is_told_twice_has_one_row(db: Connection, keeper: Keeper, entries: Entries) -> None:
    history = entries([*POLICY, PolicyUpdated("routing", 2, 40, "dqn", "f" * 64, 13)])
    await keeper.apply(history[:-1])
    await keeper.apply(history)
    assert keeper.at.error is None
    rows = await db.fetch("SELECT version, position, algorithm FROM cca.policies ORDER BY version")
    assert [tuple(row) for row in rows] == [(1, 17, "linear-pm"), (2, 40, "dqn")]


async def make_old(db: Connection) -> None:
    """Put the tables back to what version 1 of the projection had made of the same log."""
    await db.execute(
        """DROP TABLE cca.policies, cca.policy_changes;
        ALTER TABLE cca.tasks DROP COLUMN deadline_s, DROP COLUMN quality;
        ALTER TABLE cca.routing_decisions DROP COLUMN version, DROP COLUMN x, DROP COLUMN quality,
            DROP COLUMN tokens, DROP COLUMN cost_usd;
        DROP TABLE cca.token_usage, cca.token_savings, cca.task_contexts, cca.token_policies;
        ALTER TABLE cca.tasks DROP COLUMN cache_read_tokens, DROP COLUMN cache_write_tokens;
        ALTER TABLE cca.attempts DROP COLUMN model, DROP COLUMN cache_read_tokens, DROP COLUMN cache_write_tokens,
            DROP COLUMN peak_context_tokens, DROP COLUMN counted_tokens, DROP COLUMN cost_from;
        DROP INDEX cca.attempts_ended_at_idx;
        DROP VIEW cca.contexts;
        DROP TABLE cca.context_values, cca.context_snapshots, cca.memories, cca.task_memories, cca.memory_policies,
            cca.code_jobs;
        DELETE FROM cca.projections WHERE name = 'context';
        DELETE FROM cca.migrations WHERE number > 1;
        UPDATE cca.projections SET version = 1 WHERE name = 'tasks'"""
    )


async def test_an_old_database_goes_on_at_once_and_is_whole_after_a_rebuild(
    bus: Bus, db: Connection, postgres: PostgresSettings, tell: Tell, life: Life, eventually: Eventually
) -> None:
    last = 0

    async def there() -> bool:
        return {one.seq for one in await positions(db)} == {last}

    async def project(*events: Event) -> None:
        nonlocal last
        last = await tell(*events)
        running = asyncio.create_task(shell.Projector(postgres, bus).run())
        await eventually(there)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    await project(*HISTORY, *life("open")[:3])
    await make_old(db)
    await project(*life("open")[3:], *POLICY, TaskRated("t1", 2, 0.5), TaskRated("open", 1, 1.0))
    assert await db.fetchval("SELECT count(*) FROM cca.policies") == 2
    qualities = "SELECT task, quality FROM cca.tasks ORDER BY task"
    assert [tuple(row) for row in await db.fetch(qualities)] == [("open", 1.0), ("t1", 0.5)]
    assert {one.name: one.version for one in await positions(db)} == {"context": 1, "events": 1, "tasks": 1}
    proof = await verify(Tasks(), db, bus)
    different = {table.table for table in proof.tables if not table.same}
    assert different == {"tasks", "attempts", "routing_decisions", "token_usage"}

    pool = await connect_pool(postgres, "rebuild", session={"statement_timeout": "0"})
    async with pool.acquire() as session:
        done = await rebuild(Tasks(), session, bus)
    await close_pool(pool)
    assert (done.version, done.same) == (3, False)
    await project(*life("after"))
    proof = await verify(Tasks(), db, bus)
    assert proof.same, proof
    assert await db.fetchval("SELECT cost_usd FROM cca.routing_decisions WHERE task = 't1' AND route = 1") == 0.25


async def test_a_projector_that_does_not_know_the_new_columns_can_go_on_writing(db: Connection) -> None:
    query = """SELECT count(*) FROM information_schema.columns WHERE table_schema = 'cca' AND is_nullable = 'NO'
    AND (table_name, column_name) IN (('tasks', 'deadline_s'), ('tasks', 'quality'), ('routing_decisions', 'version'),
    ('routing_decisions', 'x'), ('routing_decisions', 'quality'), ('routing_decisions', 'tokens'),
    ('tasks', 'cache_read_tokens'), ('tasks', 'cache_write_tokens'), ('attempts', 'model'),
    ('attempts', 'cache_read_tokens'), ('attempts', 'cache_write_tokens'), ('attempts', 'peak_context_tokens'),
    ('attempts', 'counted_tokens'), ('attempts', 'cost_from'))"""
    assert await db.fetchval(query) == 0
