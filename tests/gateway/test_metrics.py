"""Numbers for those who watch: readable, bounded, true, and gone when nobody knows them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.gateway.conftest import Api, Stack, eventually
from tests.gateway.test_tasks import ended

from cca import codec
from cca.config import PostgresSettings
from cca.contracts.context import ContextSet
from cca.contracts.ledger import TokensCompressed, TokensExpanded
from cca.contracts.memory import MemoryStored
from cca.contracts.prepared import Recollection, TaskCondensed, TaskRecalled
from cca.contracts.task import Usage
from cca.message import Event
from cca.testing.servers import PostgresServer
from cca.work.task import Task
from cca.worker import Worker
from cca_gateway import metrics, queries

Numbers = dict[tuple[str, ...], float]


async def numbers(api: Api, path: str = "/metrics") -> Numbers:
    """All samples, by name and the values of their labels in the order of their names."""
    answer = await api.request("GET", path)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == metrics.MEDIA_TYPE
    found: Numbers = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, *(sample.labels[name] for name in sorted(sample.labels)))
            assert key not in found
            found[key] = sample.value
    return found


@pytest.fixture(autouse=True)
def always_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "AGE", 0.0)


@pytest.fixture
async def told(full: Api) -> Api:
    """The gateway when all tables are there."""

    async def up() -> bool:
        return (await numbers(full))[("cca_tables_up",)] == 1

    await eventually(up)
    return full


@pytest.fixture
async def spender(stack: Stack, told: Api) -> AsyncIterator[Api]:
    """The gateway with its tables, and a worker whose tasks say what they are to have used."""

    async def spend(task: Task) -> None:
        said: dict[str, Any] = task.input or {}
        if "usage" in said:
            task.usage = Usage(**said["usage"])
        if said.get("fails"):
            raise ValueError("x")

    async with Worker("docs", spend, url=stack.admin.url, key=stack.admin.password, lane="fast"):
        yield told


async def spend(api: Api, **usage: Any) -> str:
    fails = usage.pop("fails", False)
    task = await api.submit(role="docs", input={"usage": usage, "fails": fails}, max_attempts=1)
    await ended(api, task)
    return task


async def log(api: Api, event: Event, subject: str) -> None:
    headers = {"ce-type": codec.tag_of(type(event)), "ce-id": "x", "ce-time": "2026-01-01T00:00:00Z"}
    await api.bus.nc.jetstream().publish(subject, codec.encode(event), headers=headers)


async def test_a_run_of_tasks_changes_the_numbers(spender: Api) -> None:
    assert (await numbers(spender))[("cca_tables_up",)] == 1
    used: dict[str, Any] = {"model": "m-1", "input_tokens": 100, "output_tokens": 20, "cache_read_tokens": 300}
    await spend(spender, **used, cost_usd=0.25, peak_context_tokens=250, counted_tokens=500)
    await spend(spender, fails=True, **used, cost_usd=0.5, cache_write_tokens=7)
    await spend(spender, model="m-2", input_tokens=1)
    await spend(spender)

    async def all_there() -> Numbers | None:
        found = await numbers(spender)
        last = ("cca_tokens_attempts_total", "fast", "", "completed", "docs")  # that told of no model
        return found if found.get(last) == found.get(("cca_tokens_input_total", "fast", "m-2", "docs")) == 1 else None

    found = await eventually(all_there)
    who = ("fast", "m-1", "docs")  # lane, model, role
    assert found[("cca_tokens_input_total", *who)] == 200
    assert found[("cca_tokens_output_total", *who)] == 40
    assert found[("cca_tokens_cache_read_total", *who)] == 600
    assert found[("cca_tokens_cache_write_total", *who)] == 7
    assert found[("cca_tokens_attempts_total", "fast", "m-1", "completed", "docs")] == 1
    assert found[("cca_tokens_attempts_total", "fast", "m-1", "failed", "docs")] == 1
    assert found[("cca_tokens_cost_usd_total", *who, "reported")] == 0.75
    assert found[("cca_tokens_cost_usd_total", *who, "table")] == 0
    assert found[("cca_tokens_peak_context_tokens", "m-1", "docs")] == 250
    assert found[("cca_tokens_estimate_ratio", "m-1")] == 0.8
    assert await numbers(spender, "/api/v1/metrics") == found


async def test_what_was_saved_and_wanted_back_is_told_by_role(full: Api) -> None:
    task = await full.submit(context="x")
    old = TaskCondensed(task, "y", "m", 100, 40, {"logs": 50, "json": 10}, ("a" * 20, "b" * 20), "c" * 20, 1)
    await log(full, old, f"cca.events.task.{task}")
    compressed = TokensCompressed("d" * 20, "m", 100, 60, {"logs": 40}, {"logs": 2, "rows": 1}, role="docs")
    await log(full, compressed, f"cca.events.tokens.{'d' * 20}")
    await log(full, TokensExpanded("a" * 20, "logs", 50, "backend"), f"cca.events.tokens.{'a' * 20}")

    async def all_there() -> Numbers | None:
        found = await numbers(full)
        return found if found.get(("cca_tokens_retrieved_total", "backend", "logs")) == 1 else None

    found = await eventually(all_there)
    assert found[("cca_tokens_saved_total", "backend", "logs")] == 50
    assert found[("cca_tokens_saved_total", "backend", "json")] == 10
    assert found[("cca_tokens_saved_total", "docs", "logs")] == 40
    cuts = {key[1:]: count for key, count in found.items() if key[0] == "cca_tokens_cuts_total" and count}
    assert cuts == {("backend", ""): 2, ("docs", "logs"): 2, ("docs", "rows"): 1}
    assert found[("cca_tokens_condensed_total", "backend")] == 1

    async def shown() -> Any:
        return (await full.get(f"/tasks/{task}")).json.get("condensed")

    assert await eventually(shown) == {
        "before": 100,
        "after": 40,
        "model": "m",
        "original": "c" * 20,
        "saved": {"logs": 50, "json": 10},
    }


async def test_a_task_shows_what_each_attempt_used(spender: Api) -> None:
    task = await spend(spender, model="m-1", input_tokens=5, cache_read_tokens=7, peak_context_tokens=12, cost_usd=0.5)

    async def there() -> Any:
        attempts = (await spender.get(f"/tasks/{task}")).json.get("attempts", [])
        return attempts if attempts and "model" in attempts[0] else None

    (attempt,) = await eventually(there)
    names = ("model", "input_tokens", "output_tokens", "cache_read_tokens", "peak_context_tokens", "cost_usd")
    assert [attempt.get(name) for name in names] == ["m-1", 5, 0, 7, 12, 0.5]


BREAKER = {"cca_postgres_breaker", "cca_postgres_breaker_opened_total"}


async def test_what_is_kept_is_told(told: Api) -> None:
    for scope, key in (("project:web", "a"), ("project:api", "b"), ("agent:ann", "c")):
        await log(told, ContextSet(scope, key, 1, size=10), f"cca.events.context.{scope.replace(':', '.')}.{key}")
    for number, role in enumerate(("docs", "docs", None)):
        stored = MemoryStored(f"m{number}", "x", "fact", "project:web", "d", role, successes=number)
        await log(told, stored, f"cca.events.memory.m{number}")

    async def all_there() -> Numbers | None:
        found = await numbers(told)
        there = found.get(("cca_memories", "")) == 1 and found.get(("cca_context_keys", "project")) == 2
        return found if there else None

    found = await eventually(all_there)
    assert found[("cca_context_keys", "agent")] == 1
    assert found[("cca_context_bytes", "project")] == 20
    assert found[("cca_memories", "docs")] == 2
    assert found[("cca_memory_outcomes", "success", "docs")] == 1
    assert found[("cca_memory_outcomes", "success", "")] == 2
    assert found[("cca_memory_outcomes", "failure", "")] == 0
    assert not [key for key in found if key[0].startswith("cca_code_")]  # its tables are not there
    await told.gateway.tables.rows("CREATE TABLE cca.code_files (language text, chunks integer)")
    await told.gateway.tables.rows("INSERT INTO cca.code_files VALUES ('python', 3), ('python', 4), ('go', 1)")
    found = await numbers(told)
    assert found[("cca_code_files", "python")] == 2
    assert (found[("cca_code_chunks", "python")], found[("cca_code_chunks", "go")]) == (7, 1)
    assert [found[("cca_postgres_breaker", state)] for state in ("closed", "open", "half-open")] == [1, 0, 0]


async def test_a_task_shows_the_memories_that_were_put_before_it(told: Api) -> None:
    task = await told.submit(role="nobody")
    memory = MemoryStored("m1", "é" * 300, "lesson", "project:web", "d")
    await log(told, memory, "cca.events.memory.m1")
    recalled = TaskRecalled(task, "…", (Recollection("m1", 0.5), Recollection("forgotten", 0.75)), 20, 1)
    await log(told, recalled, f"cca.events.task.{task}")

    async def shown() -> Any:
        return (await told.get(f"/tasks/{task}")).json.get("memories")

    first, second = await eventually(shown)
    assert (first["memory"], first["score"], first.keys() & {"kind", "text"}) == ("forgotten", 0.75, set())
    assert (second["memory"], second["kind"], second["text"]) == ("m1", "lesson", "é" * 199 + "…")
    assert second["at"] == "2026-01-01T00:00:00Z"


INSERT = """
INSERT INTO cca.token_usage SELECT md5(number::text), '2026-01-01', 'role ' || number % 150, 'lane', '', '',
    'a "model"' || chr(10) || number, '', number, 1, 0, 0, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0
FROM generate_series(1, 300) number
"""
REMEMBERING = """
INSERT INTO cca.memories SELECT number::text, 'x', 'fact', 'project:web', 'd', 'role ' || number % 150, '{}', NULL,
    NULL, NULL, NULL, NULL, '{}', '2026-01-01', 1, 0, 0, 0, NULL, NULL, number, number
FROM generate_series(1, 300) number
"""
SAVING = """
INSERT INTO cca.token_savings SELECT md5(number::text), '2026-01-01', 'role ' || number, '', 's' || number, number,
    1, 1, 1, 0, 0, 0, 0, 0, 0 FROM generate_series(1, 300) number
"""


async def test_names_beyond_the_bounds_are_summed_up_and_the_first_keep_theirs(told: Api) -> None:
    await told.gateway.tables.rows(INSERT)
    await told.gateway.tables.rows(SAVING)
    await told.gateway.tables.rows(REMEMBERING)
    answer = await told.request("GET", "/metrics")
    labels: dict[str, set[str]] = {}
    total: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            total[sample.name] = total.get(sample.name, 0) + sample.value
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    assert set(labels) == {"role", "lane", "model", "source", "outcome", "strategy", "state"}
    assert len(labels["model"]) == queries.MODELS + 1
    assert 'a "model"\n50' in labels["model"] and 'a "model"\n51' not in labels["model"]
    assert len(labels["strategy"]) == queries.STRATEGIES + 1
    assert len(labels["role"]) <= queries.LANES + queries.ROLES + 1
    assert (total["cca_tokens_input_total"], total["cca_tokens_attempts_total"]) == (3_000, 300)
    assert total["cca_tokens_saved_total"] == 300
    assert total["cca_memories"] == total["cca_memory_outcomes"] == 300
    assert sum(line.startswith(b"cca_memories{") for line in answer.body.splitlines()) == queries.ROLES + 1


async def test_numbers_are_for_those_with_a_key(api: Api) -> None:
    for path in ("/metrics", "/api/v1/metrics"):
        answer = await api.anonymous("GET", path)
        assert (answer.status, answer.problem) == (401, "not-authenticated")
    accept = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"}
    assert (await api.request("GET", "/metrics", headers=accept)).status == 200
    assert (await api.request("POST", "/metrics")).problem == "method-not-allowed"


async def test_without_tables_only_that_is_told(
    stack: Stack, postgres_server: PostgresServer, postgres: PostgresSettings
) -> None:
    up_or_not = ("cca_tables_up",)

    async def only_that(api: Api) -> bool:
        """Nothing is told but that the tables are not there, and whether they are asked."""
        found = await numbers(api)
        states = [key for key, value in found.items() if key[0] == "cca_postgres_breaker" and value]
        return {key[0] for key in found} == {*up_or_not, *BREAKER} and found[up_or_not] == 0 and len(states) == 1

    assert await only_that(await stack.gateway())
    stack.use(postgres)  # a database without tables
    assert await only_that(await stack.gateway())
    await stack.projector(postgres_server.settings())
    api = await stack.gateway()

    async def up() -> bool:
        return (await numbers(api))[("cca_tables_up",)] == 1

    async def gone() -> bool:  # a session outlives the server's main process for a moment
        return await only_that(api) and (await numbers(api))[("cca_postgres_breaker", "closed")] == 0

    await eventually(up, within=30)
    postgres_server.kill()
    await eventually(gone, within=30)
    assert (await numbers(api))[("cca_postgres_breaker_opened_total",)] >= 1
    postgres_server.start()
    await eventually(up, within=30)
    assert (await numbers(api))[("cca_postgres_breaker", "closed")] == 1
    await stack.close()


async def test_many_who_ask_at_once_are_one_question(told: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    rows = told.gateway.tables.rows

    async def counted(sql: str, *values: object) -> list[Any]:
        nonlocal asked
        asked += 1
        return await rows(sql, *values)

    monkeypatch.setattr(metrics, "AGE", 60.0)
    monkeypatch.setattr(told.gateway.tables, "rows", counted)
    await asyncio.gather(*(told.request("GET", "/metrics") for _ in range(20)))
    assert asked == 5
