"""What is applied, and what is not: each event once, in order, and none past one that cannot be applied."""

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from cca.config import PostgresSettings
from cca.contracts.agent import AgentJoined
from cca.contracts.task import TaskCanceled, TaskRejected, TaskSubmitted
from cca.message import Event
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.projection import Entry, Fenced, Keeper, Position, keep, positions
from cca_projector.projections import Events, Tasks

Entries = Callable[[Sequence[Event]], list[Entry]]
Life = Callable[..., list[Event]]


async def kept(db: Connection, projection: Any = None) -> Keeper:
    keeper = await keep(projection or Tasks(), db)
    assert keeper is not None
    return keeper


async def position(db: Connection, name: str = "tasks") -> Position:
    return next(one for one in await positions(db) if one.name == name)


async def test_a_task_is_told_in_every_table(db: Connection, entries: Entries, life: Life, joined: AgentJoined) -> None:
    await (await kept(db)).apply(entries([joined, *life("t1", failures=1)]))

    task = await db.fetchrow("SELECT * FROM cca.tasks")
    assert task is not None
    assert (task["state"], task["attempt"], task["routes"], task["deliveries"]) == ("completed", 2, 2, 2)
    assert (task["result"], task["labels"], task["failure"]) == ({"ok": True}, {"repo": "cca"}, None)
    assert (task["input_tokens"], task["output_tokens"], task["cost_usd"], task["duration_s"]) == (10, 20, 0.5, 0.25)
    assert (task["first_seq"], task["last_seq"]) == (2, 8)
    assert task["created_at"] < task["started_at"] < task["ended_at"] == task["updated_at"]

    attempts = await db.fetch(
        "SELECT attempt, agent, outcome, failure_message, duration_s FROM cca.attempts ORDER BY 1"
    )
    assert [tuple(row) for row in attempts] == [
        (1, "ann", "failed", "no luck", 0.5),
        (2, "ann", "completed", None, 0.25),
    ]
    decisions = await db.fetch(
        "SELECT route, lane, seed, propensity, candidates, outcome, attempt FROM cca.routing_decisions ORDER BY 1"
    )
    candidate = [{"lane": "a", "score": 1.0, "probability": 1.0}]
    assert [tuple(row) for row in decisions] == [
        (1, "a", 7, 1.0, candidate, "failed", 1),
        (2, "a", 7, 1.0, candidate, "completed", 2),
    ]
    agent = await db.fetchrow("SELECT state, role, lane, started, completed, failed FROM cca.agents")
    assert agent is not None
    assert tuple(agent) == ("live", "docs", "a", 2, 1, 1)


async def test_events_are_applied_exactly_once(db: Connection, entries: Entries, life: Life) -> None:
    keeper = await kept(db)
    history = entries(life("t1"))
    await keeper.apply(history[:3])

    await keeper.apply(history[1:])
    await keeper.apply(history)

    assert await db.fetchval("SELECT started FROM cca.agents") == 1
    assert (await position(db)).events == len(history)


async def test_an_event_that_cannot_be_applied_stops_everything_behind_it(
    db: Connection, entries: Entries, life: Life
) -> None:
    keeper = await kept(db)
    history = entries([*life("t1"), *life("t2"), *life("t3")])
    history[5] = replace(history[5], body=b'{"type": "cca.task.routed.v1"}')

    await keeper.apply(history)

    at = await position(db)
    assert (at.seq, at.error_seq, at.error_type) == (5, 6, "cca.task.routed.v1")
    assert at.error is not None
    assert "task" in at.error
    assert keeper.stopped
    assert await db.fetchval("SELECT last_seq FROM cca.tasks WHERE task = 't1'") == 4
    assert await db.fetchval("SELECT last_seq FROM cca.tasks WHERE task = 't2'") == 5
    assert await db.fetchval("SELECT count(*) FROM cca.tasks WHERE task = 't3'") == 0


async def test_it_goes_on_when_the_event_can_be_applied(db: Connection, entries: Entries, life: Life) -> None:
    keeper = await kept(db)
    good = entries([*life("t1"), *life("t2")])
    bad = list(good)
    bad[2] = replace(good[2], body=b"{}")
    await keeper.apply(bad)

    await keeper.reload()
    await keeper.apply(good)

    at = await position(db)
    assert (at.seq, at.error, at.error_seq) == (8, None, None)
    assert await db.fetchval("SELECT count(*) FROM cca.tasks WHERE state = 'completed'") == 2


async def test_what_the_database_refuses_stops_at_the_row_that_is_to_blame(
    db: Connection, entries: Entries, life: Life
) -> None:
    keeper = await kept(db)
    await db.execute("ALTER TABLE cca.tasks ADD CHECK (task <> 't2')")
    await keeper.apply(entries([*life("t1"), *life("t2"), *life("t3")]))

    at = await position(db)
    assert (at.seq, at.error_seq) == (4, 5)
    assert at.error is not None
    assert at.error.startswith("CheckViolationError")


async def test_types_that_nobody_knows_are_counted_and_passed_by(db: Connection, entries: Entries, life: Life) -> None:
    history = entries(life("t1"))
    history[1] = replace(history[1], type="cca.task.cloned.v9", body=b"not even JSON")
    history[2] = replace(history[2], type=None)
    for projection in (Tasks(), Events()):
        await (await kept(db, projection)).apply(history)

    assert (await position(db)).passed == 2
    assert (await position(db)).seq == len(history)
    assert await db.fetchval("SELECT count(*) FROM cca.events") == len(history)


async def test_the_copy_is_byte_for_byte(db: Connection, entries: Entries, life: Life) -> None:
    history = entries(life("t1"))
    history[0] = replace(history[0], body=b"\xff\x00 no JSON", headers=b"NATS/1.0\r\nX: \xfe\r\n\r\n")
    await (await kept(db, Events())).apply(history)

    copied = await db.fetch("SELECT seq, headers, body FROM cca.events ORDER BY seq")
    assert [tuple(row) for row in copied] == [(one.seq, one.headers, one.body) for one in history]
    shown = await db.fetch("SELECT body, headers FROM cca.events_json ORDER BY seq")
    assert shown[0]["body"] is None
    assert shown[3]["body"]["result"] == {"ok": True}
    assert shown[3]["headers"]["ce-type"] == "cca.task.completed.v1"


async def test_text_that_postgres_cannot_hold_stops_nothing(db: Connection, entries: Entries) -> None:
    text = 'a\x00b\\u0000 \\ "'
    submitted = TaskSubmitted("t1", "docs", text, "f", input={text: [text]}, labels={text: text}, requester=text)
    await (await kept(db)).apply(entries([submitted, TaskRejected("t2", "unreadable", text)]))

    row = await db.fetchrow("SELECT description, input, labels, requester FROM cca.tasks WHERE task = 't1'")
    shown = text.replace("\x00", "\ufffd")
    assert row is not None
    assert tuple(row) == (shown, {shown: [shown]}, {shown: shown}, shown)
    assert (await position(db)).error is None


async def test_a_rejection_before_a_submission_is_no_obstacle(db: Connection, entries: Entries, life: Life) -> None:
    keeper = await kept(db)
    history = entries([TaskRejected("t1", "unreadable", "no JSON"), *life("t1")])
    await keeper.apply(history[:1])
    before = await db.fetchrow("SELECT state, role, description, reason FROM cca.tasks")
    assert before is not None
    assert tuple(before) == ("rejected", None, None, "no JSON")

    await keeper.apply(history[1:])

    after = await db.fetchrow("SELECT state, role, reason, first_seq FROM cca.tasks")
    assert after is not None
    assert tuple(after) == ("completed", "docs", None, 2)


async def test_only_one_session_keeps_a_projection(db: Connection, postgres: PostgresSettings) -> None:
    await kept(db)
    pool = await connect_pool(postgres, "second")
    async with pool.acquire() as other:
        assert await keep(Tasks(), other) is None
    await close_pool(pool)


async def test_who_was_overtaken_writes_nothing(
    db: Connection, postgres: PostgresSettings, entries: Entries, life: Life
) -> None:
    history = entries([*life("t1"), TaskCanceled("t1")])
    slow = await kept(db)
    pool = await connect_pool(postgres, "second")
    async with pool.acquire() as other:
        fast = await keep(Tasks(), other, lock=False)
        assert fast is not None
        await fast.apply(history[:4])
    await close_pool(pool)

    with pytest.raises(Fenced):
        await slow.apply(history)

    assert (await position(db)).seq == 4
    assert await db.fetchval("SELECT started FROM cca.agents") == 1


async def test_a_rebuild_in_between_makes_a_writer_start_over(db: Connection, entries: Entries, life: Life) -> None:
    keeper = await kept(db)
    history = entries(life("t1"))
    await keeper.apply(history[:2])
    await db.execute("UPDATE cca.projections SET build = build + 1")

    with pytest.raises(Fenced):
        await keeper.apply(history)

    await keeper.reload()
    await keeper.apply(history)
    assert (await position(db)).seq == 4


async def test_a_fault_of_the_server_blames_no_event(db: Connection, entries: Entries, life: Life) -> None:
    keeper = await kept(db)
    await db.execute("ALTER TABLE cca.agents RENAME TO hidden")
    with pytest.raises(asyncpg.UndefinedTableError):
        await keeper.apply(entries(life("t1")))
    await db.execute("ALTER TABLE cca.hidden RENAME TO agents")

    assert (await position(db)).error is None
    await keeper.apply(entries(life("t1")))
    assert (await position(db)).seq == 4
