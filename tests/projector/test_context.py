"""What the tables say of shared context, memories and jobs: what there is now, whatever the log is cut into."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cca import codec
from cca.config import PostgresSettings
from cca.contracts.code import CodeEvent, CodeIndexEnded, CodeIndexProgressed, CodeIndexStarted, Tally
from cca.contracts.context import (
    ContextDeleted,
    ContextEvent,
    ContextExpired,
    ContextSet,
    SnapshotEvent,
    SnapshotRestored,
    SnapshotTaken,
)
from cca.contracts.memory import (
    MemoryEvent,
    MemoryForgotten,
    MemoryMerged,
    MemoryPolicy,
    MemoryPolicySet,
    MemoryRated,
    MemoryStored,
    Source,
)
from cca.contracts.prepared import Recollection, TaskRecalled
from cca.message import Event
from cca.nats.bus import Bus
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.projection import Entry, Keeper, keep, positions
from cca_projector import shell
from cca_projector.projections import PROJECTIONS, Shared
from cca_projector.rebuild import rebuild
from cca_projector.tables import context
from cca_projector.verify import verify

Entries = Callable[[Sequence[Event]], list[Entry]]
Tell = Callable[..., Awaitable[int]]
Eventually = Callable[..., Awaitable[None]]

FAR = datetime(2099, 1, 1, tzinfo=UTC)
TABLES = ("context_values", "context_snapshots", "memories", "task_memories", "memory_policies", "code_jobs")

STORED = MemoryStored(
    "m1", "use uv", "lesson", "project:shop", "d" * 20, "backend", {"repo": "shop"}, Source("t1", "ann")
)
HISTORY: list[Event] = [
    ContextSet("project:shop", "plan", {"steps": [1, None, "é"]}, size=30, requester="eve"),
    ContextSet("project:shop", "big", ref="a" * 20, size=100_000, expires_at=FAR),
    ContextSet("project:shop", "plan", None, size=4),
    SnapshotTaken("s1", "project:shop", "b" * 20, 2, 100_004, 3, "before"),
    ContextDeleted("project:shop", "big"),
    SnapshotRestored("s1", "project:shop", "project:shop", 1, 0, 1),
    STORED,
    MemoryMerged("m1", Source("t2", "bob"), 0.97),
    TaskRecalled("t3", "use uv", (Recollection("m1", 0.9), Recollection("gone", 0.5)), 12, 1),
    MemoryRated("m1", "failure", "t3"),
    MemoryRated("m1", "success", "t3", was="failure"),
    MemoryStored("m2", "forget me", "fact", "project:default", "e" * 20),
    MemoryForgotten("m2", "asked"),
    MemoryRated("m2", "success"),
    MemoryPolicySet(1, "backend", MemoryPolicy(inject=5)),
    MemoryPolicySet(2, "backend", None, "enough"),
    CodeIndexStarted("j1", "/src/shop", "shop", requester="eve"),
    CodeIndexProgressed("j1", Tally(files=9, done=3), resumed=True),
    CodeIndexEnded("j1", "completed", Tally(files=9, done=9, chunks=40), 2.5, failures={"a.py": "not to be read"}),
]


@pytest.fixture
async def keeper(db: Connection) -> Keeper:
    kept = await keep(Shared(), db)
    assert kept is not None
    return kept


async def told(db: Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await db.fetch(query)]


async def everything(db: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {table: await told(db, f"SELECT * FROM cca.{table} ORDER BY 1, 2") for table in TABLES}


async def test_contexts_tell_what_is_there_now(db: Connection, keeper: Keeper, entries: Entries) -> None:
    await keeper.apply(entries(HISTORY[:3]))
    columns = "scope, key, value, ref, size, expires_at, requester, seq"
    assert await told(db, f"SELECT {columns} FROM cca.contexts ORDER BY key") == [
        ("project:shop", "big", None, "a" * 20, 100_000, FAR, None, 2),
        ("project:shop", "plan", None, None, 4, None, None, 3),
    ]
    kinds = "SELECT key, jsonb_typeof(value) FROM cca.contexts ORDER BY key"
    assert await told(db, kinds) == [("big", None), ("plan", "null")]
    await keeper.apply(entries(HISTORY[:6]))
    assert [row[0] for row in await told(db, "SELECT key FROM cca.context_values")] == ["plan"]
    snapshot = "SELECT scope, keys, size, revision, note, restored, restored_at > taken_at FROM cca.context_snapshots"
    assert await told(db, snapshot) == [("project:shop", 2, 100_004, 3, "before", 1, True)]


@pytest.mark.covers("STAB-009")
async def test_what_has_expired_is_not_read_and_its_row_goes_when_the_log_says_so(
    db: Connection, keeper: Keeper, entries: Entries
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.5)
    history: list[Event] = [
        ContextSet("agent:ann", "note", 1, expires_at=soon),
        ContextSet("agent:ann", "kept", 2),
        ContextExpired("agent:ann", "note", soon),
    ]
    await keeper.apply(entries(history)[:2])
    assert len(await told(db, "SELECT key FROM cca.contexts")) == 2
    while datetime.now(UTC) <= soon:
        await asyncio.sleep(0.05)
    assert await told(db, "SELECT key FROM cca.contexts") == [("kept",)]
    assert len(await told(db, "SELECT key FROM cca.context_values")) == 2
    await keeper.apply(entries(history))
    assert await told(db, "SELECT key FROM cca.context_values") == [("kept",)]


async def test_memories_tell_what_counts_for_and_against_them(db: Connection, keeper: Keeper, entries: Entries) -> None:
    await keeper.apply(entries(HISTORY))
    columns = "memory, text, role, labels, task, agent, successes, failures, merged, used, stored_seq, seq"
    assert await told(db, f"SELECT {columns} FROM cca.memories") == [
        ("m1", "use uv", "backend", {"repo": "shop"}, "t1", "ann", 1, 0, 1, 1, 7, 11)
    ]
    assert await told(db, "SELECT used_at < rated_at FROM cca.memories") == [(True,)]
    recalled = "SELECT task, memory, score FROM cca.task_memories ORDER BY memory"
    assert await told(db, recalled) == [("t3", "gone", 0.5), ("t3", "m1", 0.9)]
    policies = "SELECT role, policy, version, reason FROM cca.memory_policies"
    assert await told(db, policies) == [("backend", None, 2, "enough")]


async def test_a_memory_can_be_forgotten_and_learned_again(db: Connection, keeper: Keeper, entries: Entries) -> None:
    again = [STORED, MemoryForgotten("m1", "capped"), STORED, MemoryForgotten("m1", "asked"), STORED]
    await keeper.apply(entries(again))
    assert await told(db, "SELECT memory, stored_seq FROM cca.memories") == [("m1", 5)]


async def test_jobs_tell_how_far_they_are(db: Connection, keeper: Keeper, entries: Entries) -> None:
    await keeper.apply(entries(HISTORY[:-1]))
    job = "SELECT state, tally, ended_at IS NULL, resumed, requester FROM cca.code_jobs"
    assert await told(db, job) == [("running", {"files": 9, "done": 3}, True, 1, "eve")]
    await keeper.apply(entries(HISTORY))
    job = "SELECT state, tally, duration_s, failures FROM cca.code_jobs"
    done = {"files": 9, "done": 9, "chunks": 40}
    assert await told(db, job) == [("completed", done, 2.5, {"a.py": "not to be read"})]


async def test_odd_times_and_counts_stop_nothing(db: Connection, keeper: Keeper, entries: Entries) -> None:
    naive = datetime(2020, 1, 1, 12)
    odd: list[Event] = [
        ContextSet("agent:ann", "a", "\x00", size=2**80, expires_at=naive.replace(year=9999)),
        MemoryStored("m1", "a\x00b", "fact", "project:x", "d", successes=-5, failures=2**70, created_at=naive),
        MemoryRated("m1", "failure"),
        SnapshotTaken("s1", "agent:ann", "r", -1, 2**64, 2**64),
    ]
    await keeper.apply(entries(odd))
    assert not keeper.stopped
    row = await told(db, "SELECT text, successes, failures, created_at FROM cca.memories")
    assert row == [("a\ufffdb", 0, 2**63 - 1, naive.replace(tzinfo=UTC))]


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_however_the_log_is_cut_the_rows_are_the_same(
    db: Connection, keeper: Keeper, entries: Entries, size: int
) -> None:
    history = entries(HISTORY)
    await keeper.apply(history)
    whole = await everything(db)
    for table in TABLES:
        await db.execute(f"TRUNCATE cca.{table}")
    await db.execute("UPDATE cca.projections SET seq = 0 WHERE name = 'context'")
    await keeper.reload()
    for start in range(0, len(history), size):
        await keeper.apply(history[start : start + size])
    assert await everything(db) == whole


SCOPES, KEYS = st.sampled_from(["agent:a", "project:p"]), st.sampled_from(["x", "y"])
CHANGES = st.one_of(
    st.builds(ContextSet, SCOPES, KEYS, st.integers(0, 9)),
    st.builds(ContextDeleted, SCOPES, KEYS),
    st.builds(ContextExpired, SCOPES, KEYS, st.just(FAR)),
    st.builds(MemoryStored, st.sampled_from("mn"), st.just("t"), st.just("fact"), st.just("agent:a"), st.just("d")),
    st.builds(MemoryForgotten, st.sampled_from("mn"), st.just("asked")),
    st.builds(MemoryRated, st.sampled_from("mn"), st.sampled_from(["success", "failure"])),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(CHANGES, max_size=20), cut=st.integers(0, 20))
async def test_whatever_happens_the_tables_hold_what_a_plain_fold_says(
    db: Connection, entries: Entries, events: list[Event], cut: int
) -> None:
    for table in TABLES:
        await db.execute(f"TRUNCATE cca.{table}")
    await db.execute("DELETE FROM cca.projections WHERE name = 'context'")
    kept = await keep(Shared(), db, lock=False)
    assert kept is not None
    history = entries(events)
    await kept.apply(history[:cut])
    await kept.apply(history[cut:])
    values: dict[str, Any] = {}
    memories: dict[str, list[int]] = {}
    for event in events:
        match event:
            case ContextSet():
                values[f"{event.scope}/{event.key}"] = event.value
            case ContextDeleted() | ContextExpired():
                values.pop(f"{event.scope}/{event.key}", None)
            case MemoryStored():
                memories[event.memory] = [0, 0]
            case MemoryForgotten():
                memories.pop(event.memory, None)
            case MemoryRated() if event.memory in memories:
                memories[event.memory][event.outcome == "failure"] += 1
    assert dict(await told(db, "SELECT name, value FROM cca.context_values")) == values
    counted = await told(db, "SELECT memory, successes, failures FROM cca.memories")
    assert {memory: [wins, losses] for memory, wins, losses in counted} == memories


async def test_the_tables_can_be_proved_and_made_again_from_the_log(
    bus: Bus, db: Connection, postgres: PostgresSettings, tell: Tell, eventually: Eventually
) -> None:
    last = await tell(*HISTORY)
    running = asyncio.create_task(shell.Projector(postgres, bus).run())
    pool = await connect_pool(postgres, "test of proof")
    try:

        async def there() -> bool:
            return all(one.seq == last for one in await positions(pool)) and len(await positions(pool)) == len(
                PROJECTIONS
            )

        await eventually(there)
        before = await everything(db)
        async with pool.acquire() as session:
            assert all(one.same for one in (await verify(Shared(), session, bus)).tables)
        async with pool.acquire() as session:
            rebuilt = await rebuild(Shared(), session, bus)
        assert rebuilt.same and rebuilt.position == last
        assert await everything(db) == before
        assert len(await told(db, "SELECT * FROM cca.contexts")) == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await close_pool(pool)


def test_every_event_about_context_memory_and_jobs_has_a_row_or_is_known_to_have_none() -> None:
    kinds = {
        *ContextEvent.__args__,
        *SnapshotEvent.__args__,
        *MemoryEvent.__args__,
        *CodeEvent.__args__,
        MemoryPolicySet,
        TaskRecalled,
    }
    without = {codec.KINDS["cca.code.dropped.v1"]}
    assert kinds - without == set(context.HANDLERS)
