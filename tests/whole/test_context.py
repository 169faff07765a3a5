"""Shared context and memories on the whole system: real services, real workers, and processes killed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.whole.fleet import Fleet, assert_each_ended_once, history

from cca.client import Client
from cca.contracts.code import CodeHits, CodeJob, GetCodeJob, IndexCode, SearchCode
from cca.contracts.memory import MemoryPolicy, MemoryStored
from cca.contracts.prepared import TaskRecalled
from cca.errors import Busy, Refused
from cca.nats import names, stored, subjects
from cca.nats.bus import connect
from cca.nats.frames import recorded
from cca.nats.log import JetStreamLog
from cca.postgres.pool import Pool, close_pool, connect_pool
from cca.testing.servers import NatsServer, PostgresServer

SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
SERVICES = ("cca_router", "cca_projector", "cca_context", "cca_gateway")

WORKER = """
import asyncio
from cca import Worker
from cca.work.task import Fail

async def handle(task):
    if task.input.get("fail"):
        raise Fail("the tests do not pass", retryable=False)
    return task.input.get("say") or {"context": task.context, "memories": list(task.work.memories)}

asyncio.run(Worker("backend", handle, concurrency=8, name="worker-1").run())
"""


@pytest.fixture
async def fleet(nats_server: NatsServer, postgres_server: PostgresServer) -> AsyncIterator[Fleet]:
    with Fleet(nats_server, postgres_server.settings()) as fleet:
        fleet.more["CCA_CONTEXT_ROOTS"] = str(fleet.directory / "src")
        for service in SERVICES:
            await fleet.start_service(service)
        fleet.start("worker-1", "-c", WORKER)
        await fleet.joined()
        yield fleet


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[Client]:
    async with Client.connect(fleet.admin.url, fleet.admin.password) as client:
        yield client


@pytest.fixture
async def tables(fleet: Fleet) -> AsyncIterator[Pool]:
    assert fleet.postgres is not None
    pool = await connect_pool(fleet.postgres, "test")
    yield pool
    await close_pool(pool)


async def until(holds: Any, within: float = 30.0) -> Any:
    """Wait until something holds, and return it."""
    deadline = time.monotonic() + within
    while not (found := await holds()):
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.05)
    return found


async def run(fleet: Fleet, *command: str) -> Any:
    ran = await asyncio.to_thread(fleet.run, *command)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout) if "--json" in command else ran.stdout


# ------------------------------------------------------------------------------------------ context


@pytest.mark.covers("STAB-009")
async def test_a_value_is_gone_when_its_time_has_passed_from_the_bucket_and_from_the_tables(
    fleet: Fleet, client: Client, tables: Pool
) -> None:
    await client.context.set("project:shop", "short", {"holds": "not long"}, ttl_s=2)
    await client.context.set("project:shop", "long", "stays")
    assert (await client.context.get("project:shop", "short")).value == {"holds": "not long"}
    await until(lambda: tables.fetchval("SELECT count(*) = 2 FROM cca.contexts"))
    await asyncio.sleep(3)
    with pytest.raises(Refused) as refused:
        await client.context.get("project:shop", "short")
    assert refused.value.code == "not-found"
    async with connect(fleet.nats, "test") as bus:
        raw = await stored.last(bus, f"KV_{names.CONTEXT}", subjects.context("project.shop.short"))
        assert raw is None or not raw.body
    assert [row["key"] for row in await tables.fetch("SELECT key FROM cca.contexts")] == ["long"]

    async def swept() -> bool:
        return [row["key"] for row in await tables.fetch("SELECT key FROM cca.context_values")] == ["long"]

    await until(swept, within=5)
    changes = (await client.context.history("project:shop", "short")).items
    assert [change.what for change in changes] == ["expired", "set"]


async def test_a_crashed_agent_gets_its_context_back(fleet: Fleet, client: Client) -> None:
    scope = "agent:worker-1"
    for number in range(40):
        await client.context.set(scope, f"file.{number}", {"read": number, "notes": "x" * number * 50})
    await client.context.set(scope, "transcript", "y" * 300_000)
    snapshot = await client.context.snapshot(scope, note="before the crash")
    assert snapshot.keys == 41
    await client.context.set(scope, "file.1", "overwritten")
    await client.context.delete(scope, "file.2")
    fleet.kill("cca_context")
    await fleet.start_service("cca_context")
    restored = await client.context.restore(scope)
    assert (restored.snapshot, restored.set, restored.unchanged) == (snapshot.snapshot, 2, 39)
    assert restored.duration_s < 5
    assert (await client.context.get(scope, "file.1")).value["read"] == 1
    assert (await client.context.get(scope, "file.2")).value["read"] == 2
    assert (await client.context.get(scope, "transcript")).value == "y" * 300_000


# ------------------------------------------------------------------------------------------ memory


@pytest.mark.covers("H16")
async def test_what_a_task_teaches_is_kept_without_secrets_put_before_the_next_and_counted(
    fleet: Fleet, client: Client, tables: Pool
) -> None:
    await client.memory.set_policy("backend", MemoryPolicy(min_score=0.2))
    first = await client.submit(
        "backend",
        "Fix the flaky checkout test of the shop",
        input={"say": f"Froze the clock with freezegun; the token was {SECRET}"},
        labels={"project": "shop"},
    )
    assert (await client.wait(first.id, 30)).state == "completed"
    found = await until(lambda: tables.fetchrow("SELECT * FROM cca.memories"))
    assert "freezegun" in found["text"]
    assert SECRET not in str(dict(found)) and sum(found["redacted"].values()) == 1
    assert (found["task"], found["agent"], found["source_role"]) == (first.id, "worker-1", "backend")
    memory = found["memory"]

    async def recalled() -> Any:
        hits = await client.memory.search("clock of the checkout test", scope="project:shop")
        return hits.items and hits.items[0].memory.memory == memory and hits.items[0].why.dense is not None

    await until(recalled)
    second = await client.submit(
        "backend", "The checkout test of the shop is flaky again", context="see CI", labels={"project": "shop"}
    )
    told = (await client.wait(second.id, 30)).result
    assert "freezegun" in told["context"] and told["context"].endswith("see CI")
    assert SECRET not in told["context"]
    assert told["memories"] == [memory]
    events = await history(fleet.nats)
    (event,) = (one for one in events[second.id] if isinstance(one, TaskRecalled))
    assert [one.memory for one in event.memories] == [memory]

    async def counts() -> tuple[int, int, int]:
        row = await tables.fetchrow("SELECT successes, failures, used FROM cca.memories WHERE memory = $1", memory)
        assert row is not None
        return (row["successes"], row["failures"], row["used"])

    async def helped() -> bool:
        return await counts() == (1, 0, 1)

    await until(helped)
    third = await client.submit(
        "backend", "The checkout test is flaky", input={"fail": True}, labels={"project": "shop"}, max_attempts=1
    )
    assert (await client.wait(third.id, 30)).state == "failed"

    async def misled() -> bool:
        return await counts() == (1, 1, 2)

    await until(misled)

    # The same outcome again is no other memory: a duplicate collapses into the first.
    again = await client.submit(
        "backend",
        "Fix the flaky checkout test of the shop",
        input={"say": f"Froze the clock with freezegun; the token was {SECRET}"},
        labels={"project": "shop"},
    )
    await client.wait(again.id, 30)

    async def merged() -> bool:
        return bool(await tables.fetchval("SELECT merged = 1 FROM cca.memories WHERE memory = $1", memory))

    await until(merged)
    async with connect(fleet.nats, "test") as bus:
        async for raw in JetStreamLog(bus).scan("cca.events.memory.>"):
            assert SECRET.encode() not in raw.body
            assert isinstance(recorded(raw.subject, raw.seq, raw.headers, raw.body).event, object)
    shown = await run(fleet, "task", "show", second.id)
    assert memory[:8] in shown or "memor" in shown


async def test_no_outcome_is_counted_twice_or_lost_when_the_service_is_killed(
    fleet: Fleet, client: Client, tables: Pool
) -> None:
    await client.memory.set_policy("backend", MemoryPolicy(min_score=0.0))
    kept = await client.memory.store("Backend tasks are done with care", role="backend", kind="lesson")

    async def found() -> bool:
        hits = (await client.memory.search("with care")).items
        return bool(hits) and hits[0].why.dense is not None

    await until(found)
    tasks = []
    for number in range(12):
        tasks.append((await client.submit("backend", f"a backend task with care, number {number}")).id)
        if number in (3, 7):
            fleet.kill("cca_context")
            await fleet.start_service("cca_context")
    for task in tasks:
        assert (await client.wait(task, 60)).state == "completed"
    events = await history(fleet.nats)
    assert_each_ended_once(events, set(tasks))
    given = {
        task
        for task in tasks
        for event in events[task]
        if isinstance(event, TaskRecalled) and any(one.memory == kept.memory for one in event.memories)
    }

    async def counted() -> bool:
        row = await tables.fetchrow("SELECT successes, used FROM cca.memories WHERE memory = $1", kept.memory)
        return row is not None and (row["successes"], row["used"]) == (len(given), len(given))

    assert given
    await until(counted)
    async with connect(fleet.nats, "test") as bus:
        stored_once = [
            recorded(raw.subject, raw.seq, raw.headers, raw.body).event
            async for raw in JetStreamLog(bus).scan("cca.events.memory.>")
        ]
    sources = [event.source.task for event in stored_once if isinstance(event, MemoryStored) and event.source.task]
    assert len(sources) == len(set(sources))


# ------------------------------------------------------------------------------------------ without PostgreSQL


@pytest.mark.covers("ARCH-001", "H7")
async def test_without_postgres_values_are_read_searches_fail_fast_and_all_recovers_by_itself(
    fleet: Fleet, client: Client, postgres_server: PostgresServer
) -> None:
    await client.context.set("project:shop", "plan", [1, 2, 3])
    await client.memory.store("the database is behind the load balancer", kind="fact")

    async def found() -> bool:
        return bool((await client.memory.search("where is the database?")).items)

    await until(found)
    postgres_server.kill()
    assert (await client.context.get("project:shop", "plan")).value == [1, 2, 3]
    await client.context.set("project:shop", "plan", [4])
    assert (await client.context.get("project:shop", "plan")).value == [4]
    async with connect(fleet.nats, "test") as bus:
        from cca.contracts.context import ContextStats, GetContextStats
        from cca.contracts.memory import MemoryHits, SearchMemories

        async def ask(number: int) -> float:
            begun = time.monotonic()
            with pytest.raises(Busy):
                query = SearchMemories(f"question number {number}")
                await bus.ask(subjects.RPC_MEMORY_SEARCH, query, MemoryHits, timeout=15)
            return time.monotonic() - begun

        for number in range(6):
            await ask(number)
        stats = await bus.ask(subjects.RPC_CONTEXT_STATS, GetContextStats(), ContextStats)
        assert stats.breaker in ("open", "half-open") and stats.keys is None
        assert min([await ask(100 + number) for number in range(5)]) < 0.05
    postgres_server.start()
    await until(found)

    async def closed() -> bool:
        async with connect(fleet.nats, "test") as bus:
            told = await bus.ask(subjects.RPC_CONTEXT_STATS, GetContextStats(), ContextStats)
            return told.breaker == "closed" and told.keys == 1

    await until(closed)


@pytest.mark.covers("H7")
async def test_the_service_starts_before_the_database_and_becomes_whole_by_itself(
    nats_server: NatsServer, postgres_server: PostgresServer
) -> None:
    postgres_server.kill()
    with Fleet(nats_server, postgres_server.settings()) as fleet:
        for service in SERVICES:
            await fleet.start_service(service)
        async with Client.connect(fleet.admin.url, fleet.admin.password) as client:
            await client.context.set("role:backend", "greeting", "hello")
            assert (await client.context.get("role:backend", "greeting")).value == "hello"
            kept = await client.memory.store("hello is what backend agents say")
            postgres_server.start()

            async def found() -> bool:
                try:
                    hits = await client.memory.search("what do agents say?")
                except Busy:
                    return False
                return [hit.memory.memory for hit in hits.items] == [kept.memory]

            await until(found)


# ------------------------------------------------------------------------------------------ code


async def test_a_job_that_was_cut_short_goes_on_and_indexes_every_file_once(
    fleet: Fleet, client: Client, tables: Pool
) -> None:
    source = Path(fleet.more["CCA_CONTEXT_ROOTS"])
    source.mkdir()
    for number in range(300):
        body = "".join(f"def f{number}_{n}(x):\n    return x + {n}\n\n\n" for n in range(30))
        (source / f"module_{number}.py").write_text(f'"""Module {number}."""\n\n\n{body}')
    async with connect(fleet.nats, "test") as bus:
        job = await bus.ask(subjects.RPC_CODE_INDEX, IndexCode(str(source), "shop"), CodeJob)

        async def begun() -> bool:
            return bool(await tables.fetchval("SELECT count(*) > 20 FROM cca.code_files"))

        await until(begun)
        fleet.kill("cca_context")
        await fleet.start_service("cca_context")

        async def over() -> CodeJob | None:
            told = await bus.ask(subjects.RPC_CODE_JOB, GetCodeJob(job.job), CodeJob)
            return told if told.state not in ("waiting", "running") else None

        done: CodeJob = await until(over, 60)
        assert (done.state, done.tally.files, done.tally.failed) == ("completed", 300, 0), done
        assert done.resumed == 1
        files = await tables.fetchval("SELECT count(*) FROM cca.code_files WHERE project = 'shop'")
        named = await tables.fetchrow(
            "SELECT count(*) AS all, count(DISTINCT name) AS names FROM cca.code_chunks WHERE kind = 'function'"
        )
        assert files == 300
        assert named is not None and named["all"] == named["names"] == 9_000
        hits = await bus.ask(subjects.RPC_CODE_SEARCH, SearchCode("f17_23", project="shop", mode="lexical"), CodeHits)
        assert hits.items[0].path == "module_17.py" and hits.items[0].name.endswith("f17_23")
