"""Tables can be built anew while they are in service, and it can be proved that they are what the log says."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest

from cca.config import NatsSettings, PostgresSettings
from cca.errors import Refused
from cca.message import Event
from cca.nats.bus import Bus
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.projection import positions
from cca_projector import shell
from cca_projector.projections import Events, Tasks
from cca_projector.rebuild import rebuild
from cca_projector.verify import Verified, verify

Life = Callable[..., list[Event]]
Tell = Callable[..., Awaitable[int]]
Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
async def other(postgres: PostgresSettings) -> AsyncIterator[Connection]:
    """A second session, as `cca projections` has one."""
    pool = await connect_pool(postgres, "other", session={"statement_timeout": "0"})
    async with pool.acquire() as connection:
        yield connection
    await close_pool(pool)


@pytest.fixture
async def projected(
    bus: Bus, db: Connection, postgres: PostgresSettings, tell: Tell, life: Life, eventually: Eventually, joined: Event
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A projector at work on a log with some tasks; call it to wait until the tables have everything."""
    last = 0

    async def settled(*events: Event) -> None:
        nonlocal last
        last = await tell(*events) if events else last

        async def there() -> bool:
            return {one.seq for one in await positions(db)} == {last}

        await eventually(there)

    running = asyncio.create_task(shell.Projector(postgres, bus).run())
    history = [event for number in range(20) for event in life(f"t{number}", failures=number % 2)]
    await settled(joined, *history, *life("open")[:3])
    yield settled
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def tables(schema: str) -> str:
    return f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}' AND tablename <> 'projections'"


async def indexes(db: Connection, schema: str) -> list[str]:
    query = "SELECT indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename <> 'migrations' ORDER BY 1"
    return [record[0].replace(f"{schema}.", "") for record in await db.fetch(query, schema)]


async def test_a_rebuild_changes_nothing_when_all_is_well(
    bus: Bus, db: Connection, other: Connection, projected: Any, life: Life
) -> None:
    before = await indexes(db, "cca")
    told: list[tuple[int, int]] = []

    done = await rebuild(Tasks(), other, bus, progress=lambda *steps: told.append(steps))

    assert done.same
    assert {one.table: one.rebuilt.rows for one in done.tables}["tasks"] == 21
    assert told[-1][0] == told[-1][1] == done.events
    assert await db.fetchval(tables("cca_old")) == len(Tasks().rows)
    assert await db.fetchval(tables("cca_new")) == 0
    assert await indexes(db, "cca") == before
    options = "SELECT reloptions FROM pg_class WHERE oid = 'cca.tasks'::regclass"
    assert await db.fetchval(options) == ["fillfactor=85"]
    # The projector goes on with the new tables, with tasks that were open before.
    await projected(*life("open")[3:], *life("next"))
    assert await db.fetchval("SELECT count(*) FROM cca.tasks WHERE state = 'completed'") == 22
    assert (await verify(Tasks(), db, bus)).same


async def test_a_rebuild_puts_right_what_was_tampered_with(
    bus: Bus, db: Connection, other: Connection, projected: Any, life: Life
) -> None:
    await db.execute("UPDATE cca.tasks SET state = 'failed' WHERE task = 't3'")
    await db.execute("UPDATE cca.tasks SET deliveries = 99 WHERE task = 'open'")
    assert not (await verify(Tasks(), db, bus)).same

    done = await rebuild(Tasks(), other, bus, drop_old=True)

    assert not done.same
    assert [one.table for one in done.tables if one.live != one.rebuilt] == ["tasks"]
    assert await db.fetchval(tables("cca_old")) == 0
    await projected(*life("open")[3:])  # the projector had remembered the row of the open task
    proof = await verify(Tasks(), db, bus)
    assert proof.same, proof


async def test_the_copy_can_be_rebuilt_and_its_view_follows(
    bus: Bus, db: Connection, other: Connection, projected: Any, life: Life
) -> None:
    await db.execute("DELETE FROM cca.events WHERE seq < 10")
    await db.execute("GRANT SELECT ON cca.events TO pg_monitor, PUBLIC")

    assert not (await rebuild(Events(), other, bus)).same
    await projected(*life("next"))

    assert await db.fetchval("SELECT count(*) FROM cca.events_json") == (await positions(db))[0].events
    assert await db.fetchval("SELECT has_table_privilege('pg_monitor', 'cca.events', 'SELECT')")
    assert (await verify(Events(), db, bus)).same


async def test_a_rebuild_that_is_cancelled_leaves_everything_as_it_was(
    bus: Bus, db: Connection, other: Connection, projected: Any, life: Life
) -> None:
    for milliseconds in (1, 5, 10, 20, 30, 40, 50, 60):
        running = asyncio.create_task(rebuild(Tasks(), other, bus))
        await asyncio.wait({running}, timeout=milliseconds / 1000)
        if running.done():
            break
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await db.fetchval(tables("cca_new")) == 0
        assert await db.fetchval(tables("cca_old")) == 0
    await projected(*life("next"))
    assert (await verify(Tasks(), db, bus)).same
    assert (await rebuild(Tasks(), other, bus)).same


@pytest.mark.parametrize("make", [Tasks, Events])
async def test_a_rebuild_under_load_misses_nothing(
    bus: Bus, db: Connection, other: Connection, projected: Any, life: Life, make: type[Tasks] | type[Events]
) -> None:
    enough = asyncio.Event()

    async def load() -> None:
        for number in itertools.count():
            if enough.is_set():
                return
            await projected(*life(f"more{number}", failures=1))

    loading = asyncio.create_task(load())
    for _ in range(3):
        await rebuild(make(), other, bus)
    enough.set()
    await loading
    for projection in (Tasks(), Events()):
        proof = await verify(projection, db, bus)
        assert proof.same, proof


async def test_one_rebuild_at_a_time(bus: Bus, db: Connection, other: Connection, projected: Any) -> None:
    refusals = []

    async def second(*_: int) -> None:
        try:
            await rebuild(Tasks(), db, bus)
        except Refused as refusal:
            refusals.append(refusal.code)

    tasks: list[asyncio.Task[None]] = []

    def begin_another(*_: int) -> None:
        if not tasks:
            tasks.append(asyncio.create_task(second()))

    await rebuild(Tasks(), other, bus, progress=begin_another)
    await asyncio.gather(*tasks)
    assert refusals in (["being-rebuilt"], [])  # it may have come when the first was through


async def test_a_new_version_is_built_beside_the_old_one(
    bus: Bus, db: Connection, other: Connection, projected: Any
) -> None:
    newer = Tasks()
    newer.version = 3
    assert (await rebuild(newer, other, bus)).version == 3
    assert {one.name: one.version for one in await positions(db)} == {"context": 1, "events": 1, "tasks": 3}


async def test_readers_are_served_while_tables_are_swapped(
    bus: Bus, db: Connection, other: Connection, projected: Any
) -> None:
    done = asyncio.Event()
    seen = set()

    async def read() -> None:
        while not done.is_set():
            seen.add(await db.fetchval("SELECT count(*) FROM cca.tasks"))

    reading = asyncio.create_task(read())
    for _ in range(3):
        await rebuild(Tasks(), other, bus)
    done.set()
    await reading
    assert seen == {21}


def named(proof: Verified) -> list[tuple[str, str, str]]:
    return [(table.table, found.key, found.what) for table in proof.tables for found in table.differences]


async def test_what_is_right_is_proved(bus: Bus, db: Connection, projected: Any) -> None:
    for projection, count in ((Tasks(), 10), (Events(), 1)):
        proof = await verify(projection, db, bus)
        assert proof.same, proof
        assert len(proof.tables) == count
        assert all(table.live == table.replayed and len(table.live.digest) == 64 for table in proof.tables)
        assert proof.events == (await positions(db))[0].events


async def test_a_tampered_row_is_found(bus: Bus, db: Connection, projected: Any) -> None:
    await db.execute("UPDATE cca.tasks SET agent = 'eve', cost_usd = 0 WHERE task = 't2'")
    await db.execute("DELETE FROM cca.attempts WHERE task = 't1' AND attempt = 2")

    proof = await verify(Tasks(), db, bus)

    assert not proof.same
    assert named(proof) == [("tasks", "t2", "agent, cost_usd"), ("attempts", "t1/2", "missing")]


@pytest.mark.parametrize(
    ("tamper", "what"),
    [
        ("UPDATE cca.events SET body = set_byte(body, 3, get_byte(body, 3) # 1) WHERE seq = 7", "body"),
        ("UPDATE cca.events SET headers = headers || '\\x00' WHERE seq = 7", "headers"),
        ("UPDATE cca.events SET time = time + interval '1 microsecond' WHERE seq = 7", "time"),
        ("UPDATE cca.events SET type = 'cca.task.failed.v1' WHERE seq = 7", "type"),
        ("DELETE FROM cca.events WHERE seq = 7", "missing"),
    ],
)
async def test_a_tampered_event_is_found(bus: Bus, db: Connection, projected: Any, tamper: str, what: str) -> None:
    await db.execute(tamper)
    proof = await verify(Events(), db, bus)
    assert not proof.same
    assert named(proof) == [("events", "7", what)]


async def test_an_invented_event_is_found(bus: Bus, db: Connection, tell: Tell, projected: Any, life: Life) -> None:
    answer = await bus.nc.jetstream().publish("cca.work.docs.a.normal", b"no event")
    await projected(*life("next"))
    await db.execute(
        "INSERT INTO cca.events SELECT $1, subject, type, id, time, headers, body FROM cca.events LIMIT 1", answer.seq
    )
    proof = await verify(Events(), db, bus)
    assert named(proof) == [("events", str(answer.seq), "not in the log")]
    await db.execute(
        "INSERT INTO cca.events SELECT 999999, subject, type, id, time, headers, body FROM cca.events LIMIT 1"
    )
    assert (await verify(Events(), db, bus)).problem == "1 rows are beyond the position"


async def test_the_command_proves_rebuilds_and_tells(
    bus: Bus, nats: NatsSettings, db: Connection, postgres: PostgresSettings, projected: Any, life: Life
) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CCA_")} | {
        "CCA_NATS_URL": nats.url,
        "CCA_NATS_USER": nats.user or "",
        "CCA_NATS_PASSWORD": nats.password or "",
        "CCA_POSTGRES_URL": postgres.url,
        "CCA_POSTGRES_PASSWORD": postgres.password or "",
    }

    async def cca(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "cca.cli.main", "projections", *arguments]
        ran = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True)
        return ran.returncode, ran.stdout, ran.stderr

    code, out, err = await cca("status", "--json")
    assert (code, err) == (0, "")
    shown = {one["projection"]: one for one in msgspec.json.decode(out)["projections"]}
    assert shown.keys() == {"context", "events", "tasks"}
    assert (shown["tasks"]["state"], shown["tasks"]["lag"], shown["tasks"]["ours"]) == ("current", 0, Tasks.version)

    code, out, err = await cca("verify", "--json")
    assert (code, err) == (0, "")
    assert msgspec.json.decode(out)["same"] is True

    await db.execute("UPDATE cca.tasks SET agent = 'eve' WHERE task = 't2'")
    code, out, err = await cca("verify", "tasks")
    assert (code, err) == (1, "")
    assert "tasks t2: agent" in out
    assert "tasks is NOT what the log says" in out

    code, out, err = await cca("rebuild", "tasks", "--drop-old", "--json")
    assert (code, err) == (0, "")
    assert msgspec.json.decode(out)["same"] is False
    assert (await cca("verify", "tasks"))[0] == 0

    code, out, err = await cca("rebuild", "--", "--nonsense")
    assert (code, out) == (2, "")
    assert "there is no projection '--nonsense'; there are context, events, tasks" in err
    assert "Traceback" not in err


async def test_the_command_says_in_a_sentence_what_is_missing(nats: NatsSettings, postgres: PostgresSettings) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CCA_")} | {
        "CCA_NATS_URL": nats.url,
        "CCA_POSTGRES_URL": postgres.url,
        "CCA_POSTGRES_PASSWORD": postgres.password or "",
    }
    command = [sys.executable, "-m", "cca.cli.main", "projections", "status"]
    for change, code, words in (
        ({}, 2, "the projector has never run here"),
        ({"CCA_POSTGRES_PASSWORD": "sesame"}, 2, "does not accept these credentials"),
        ({"CCA_POSTGRES_URL": "postgresql://cca@127.0.0.1:1/x"}, 3, "cannot reach PostgreSQL"),
    ):
        ran = await asyncio.to_thread(subprocess.run, command, env=environment | change, capture_output=True, text=True)
        assert (ran.returncode, ran.stdout) == (code, "")
        assert words in ran.stderr
        assert "sesame" not in ran.stderr
        assert len(ran.stderr.strip().splitlines()) == 1
