"""The service: from the log into the tables, whatever is stopped, killed or missing in between."""

import asyncio
import itertools
import os
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cca import codec
from cca.config import NatsSettings, PostgresSettings
from cca.contracts.task import TaskHeld
from cca.message import Event, Message
from cca.nats import setup
from cca.nats.bus import Bus, connect
from cca.postgres.pool import DATABASE, Connection, Pool, close_pool, connect_pool
from cca.projection import Position, positions
from cca.testing.servers import NatsServer, PostgresServer
from cca_projector import shell
from cca_projector.projections import Events, Tasks
from cca_projector.verify import verify

Life = Callable[..., list[Event]]
Tell = Callable[..., Awaitable[int]]
Eventually = Callable[..., Awaitable[None]]


@asynccontextmanager
async def projecting(bus: Bus, postgres: PostgresSettings) -> AsyncIterator[asyncio.Task[None]]:
    running = asyncio.create_task(shell.Projector(postgres, bus).run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def at(pool: Pool | Connection, name: str = "tasks") -> Position:
    """How far a projection is; at 0 while there is none, or no server."""
    try:
        found = await positions(pool)
    except DATABASE:
        found = []
    return next((one for one in found if one.name == name), Position(name, 0))


async def test_what_happens_is_in_the_tables(
    bus: Bus, db: Connection, postgres: PostgresSettings, tell: Tell, life: Life, eventually: Eventually
) -> None:
    await tell(*life("t1"))
    async with projecting(bus, postgres):

        async def both_at(seq: int) -> bool:
            return (await at(db)).seq == (await at(db, "events")).seq == seq

        await eventually(lambda: both_at(4))
        last = await tell(*life("t2", failures=2))
        await eventually(lambda: both_at(last))
    assert await db.fetchval("SELECT count(*) FROM cca.tasks WHERE state = 'completed'") == 2
    assert await db.fetchval("SELECT count(*) FROM cca.events") == last


async def test_a_projector_that_starts_again_goes_on_where_it_was(
    bus: Bus, db: Connection, postgres: PostgresSettings, tell: Tell, life: Life, eventually: Eventually
) -> None:
    for task in ("t1", "t2", "t3"):
        last = await tell(*life(task))
        async with projecting(bus, postgres):

            async def there(last: int = last) -> bool:
                return (await at(db)).seq == (await at(db, "events")).seq == last

            await eventually(there)
    assert (await at(db)).events == last
    assert (await verify(Tasks(), db, bus)).same


@pytest.mark.covers("H7")
async def test_it_waits_for_a_database_that_starts_later(
    bus: Bus, postgres_server: PostgresServer, tell: Tell, life: Life, eventually: Eventually
) -> None:
    postgres = postgres_server.settings("cca")
    postgres_server.kill()
    last = await tell(*life("t1"))
    async with projecting(bus, postgres) as running:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(running), 0.3)
        postgres_server.start()
        pool = await connect_pool(postgres, "test")

        async def there() -> bool:
            return (await at(pool)).seq == last

        await eventually(there)

        # … and for one that goes away and comes back
        postgres_server.kill()
        last = await tell(*life("t2"))
        postgres_server.start()
        await eventually(there)
        await close_pool(pool)


async def test_a_log_that_was_killed_and_came_back_is_followed_on(
    nats_server: NatsServer, db: Connection, postgres: PostgresSettings, life: Life, eventually: Eventually
) -> None:
    async with connect(nats_server.settings, "test") as bus:
        await setup.ensure(bus)
        for number in range(3):
            bus.publish(f"cca.events.task.t{number}", b"{}", {"ce-type": "x"})
        await bus.flush()
        async with projecting(bus, postgres):

            async def there(seq: int) -> bool:
                return (await at(db, "events")).seq == seq

            await eventually(lambda: there(3))
            nats_server.kill()
            nats_server.start()

            async def stored() -> bool:
                try:
                    answer = await bus.request("cca.events.task.t9", b"{}", timeout=1)
                except Exception:
                    return False
                return b'"seq"' in answer

            await eventually(stored)

            async def all_there() -> bool:
                count = await db.fetchval("SELECT count(*) FROM cca.events")
                return count >= 4 and (await verify(Events(), db, bus)).same

            await eventually(all_there)


async def test_a_second_projector_waits_and_takes_over(
    bus: Bus, db: Connection, postgres: PostgresSettings, tell: Tell, life: Life, eventually: Eventually
) -> None:
    async with projecting(bus, postgres) as first, projecting(bus, postgres):
        last = await tell(*life("t1"))

        async def there() -> bool:
            return (await at(db)).seq == last

        await eventually(there)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        last = await tell(*life("t2"))
        await eventually(there)
    assert (await at(db)).events == last


async def test_a_projection_that_stands_still_does_not_hold_up_the_copy(
    bus: Bus,
    db: Connection,
    postgres: PostgresSettings,
    tell: Tell,
    life: Life,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shell, "RETRY", 0.2)
    await tell(*life("t1"))
    bad = await tell(raw=("cca.events.task.t2", {"ce-type": "cca.task.started.v1"}, b"[]"))
    last = await tell(*life("t3"))
    async with projecting(bus, postgres):

        async def copied() -> bool:
            return (await at(db, "events")).seq == last

        await eventually(copied)
        stuck = await at(db)
        assert (stuck.seq, stuck.error_seq, stuck.error_type) == (bad - 1, bad, "cca.task.started.v1")

        # What was wrong may be put right from outside: here the event becomes readable.
        read = codec.decode

        def lenient(tag: str, body: bytes) -> Message:
            return TaskHeld("t2", "mended") if body == b"[]" else read(tag, body)

        monkeypatch.setattr(codec, "decode", lenient)

        async def healed() -> bool:
            return (await at(db)).seq == last

        await eventually(healed)
        assert (await at(db)).error is None


async def test_another_log_in_place_of_the_first_is_noticed(
    nats_server: NatsServer,
    bus: Bus,
    db: Connection,
    postgres: PostgresSettings,
    tell: Tell,
    life: Life,
    eventually: Eventually,
) -> None:
    last = await tell(*life("t1"))
    async with projecting(bus, postgres):

        async def there() -> bool:
            return (await at(db)).seq == (await at(db, "events")).seq == last

        await eventually(there)
    async with connect(nats_server.settings, "test") as other:
        await setup.ensure(other)
        async with projecting(other, postgres):

            async def said(words: str) -> bool:
                return words in ((await at(db)).error or "")

            await eventually(lambda: said("the log ends at 0"))
            for number in range(last):
                other.publish(f"cca.events.task.t{number}", b"{}", {"ce-type": "x", "ce-id": str(number)})
            await other.flush()
            await eventually(lambda: said(f"the log has another event at {last}"))
    assert (await at(db)).seq == last
    async with projecting(bus, postgres):

        async def forgiven() -> bool:
            return (await at(db)).error is None

        await eventually(forgiven)


async def test_killed_again_and_again_under_load_the_tables_are_a_clean_replay(
    bus: Bus,
    nats: NatsSettings,
    db: Connection,
    postgres: PostgresSettings,
    life: Life,
    tell: Tell,
    eventually: Eventually,
    tmp_path: Path,
) -> None:
    told = last = 0
    enough = asyncio.Event()

    async def load() -> None:
        nonlocal told, last
        open_tasks: list[list[Event]] = []
        for number in itertools.count():
            if enough.is_set() and not open_tasks:
                return
            if not enough.is_set():
                open_tasks.append(life(f"t{number}", failures=number % 3 == 0))
            # Forty tasks at a time, each a step further: many are open whenever a projector dies.
            if len(open_tasks) >= 40 or enough.is_set():
                last = await tell(*(steps.pop(0) for steps in open_tasks))
                told += len(open_tasks)
                open_tasks = [steps for steps in open_tasks if steps]

    environment = os.environ | {
        "CCA_NATS_URL": nats.url,
        "CCA_NATS_USER": nats.user or "",
        "CCA_NATS_PASSWORD": nats.password or "",
        "CCA_POSTGRES_URL": postgres.url,
        "CCA_POSTGRES_PASSWORD": postgres.password or "",
    }
    log = (tmp_path / "log").open("wb")

    def begin() -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-m", "cca_projector"], env=environment, stdout=log, stderr=log)

    loading = asyncio.create_task(load())
    for _ in range(4):
        process = begin()
        before = (await at(db)).seq
        step = random.randint(1, 150)

        async def moved(before: int = before, step: int = step) -> bool:
            return (await at(db)).seq > before + step

        await eventually(moved, within=60)
        process.kill()
        process.wait()
    enough.set()
    await loading
    process = begin()
    try:

        async def there() -> bool:
            return (await at(db)).seq == (await at(db, "events")).seq == last

        await eventually(there, within=60)
    finally:
        process.terminate()
        assert await asyncio.to_thread(process.wait, 30) == 0
        log.close()

    assert (await at(db)).events == told
    for projection in (Tasks(), Events()):
        proof = await verify(projection, db, bus)
        assert proof.same, proof
    assert "Traceback" not in (tmp_path / "log").read_text()
