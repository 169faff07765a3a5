"""NATS, PostgreSQL or the router away: said at once, and over by itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import Api, Stack, eventually
from tests.gateway.test_tasks import ended

from cca.testing.servers import NatsServer, PostgresServer
from cca_gateway import probes, tasks

TASK = {"description": "sort the list", "role": "backend"}


@pytest.fixture
async def own(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Stack]:
    """Services on a NATS server that may be killed."""
    async with Stack(nats_server, tmp_path) as stack:
        yield stack


@pytest.mark.covers("H7")
async def test_without_nats_everything_says_so_and_recovers(own: Stack, nats_server: NatsServer) -> None:
    await own.router()
    api = await own.gateway()
    task = await api.submit()
    nats_server.kill()
    await eventually(lambda: _is(api, not_connected=True))
    for answer in (
        await api.post("/tasks", TASK),
        await api.post("/tasks", TASK, headers={"Prefer": "wait=60"}),
        await api.post(f"/tasks/{task}/cancel"),
        await api.get(f"/tasks/{task}"),
        await api.get(f"/tasks/{task}/events"),
        await api.get(f"/tasks/{task}/output"),
        await api.get("/events"),
        await api.get("/events", headers={"Accept": "text/event-stream"}),
        await api.get("/agents"),
    ):
        assert (answer.status, answer.problem) == (503, "busy")
        assert answer.headers["Retry-After"] == "1"
    batch = await api.post("/tasks/batch", [TASK])
    assert [item["status"] for item in batch.json["items"]] == [503]
    assert (await api.get("/livez")).status == 200
    nats_server.start()
    await eventually(lambda: _is(api, taking=True))
    assert (await api.get(f"/tasks/{task}")).json["state"] == "submitted"


async def _is(api: Api, not_connected: bool = False, taking: bool = False) -> bool:
    if not_connected:
        return not api.bus.is_connected
    return (await api.post("/tasks", TASK)).status == 202 if taking else False


async def test_a_stream_outlives_a_restart_of_nats_without_a_gap(own: Stack, nats_server: NatsServer) -> None:
    await own.router()
    api = await own.gateway()
    async with api.stream("/events?types=cca.task.submitted.v1") as stream:
        first = await api.submit()
        assert (await anext(stream)).data["data"]["task"] == first
        nats_server.kill()
        await eventually(lambda: _is(api, not_connected=True))
        nats_server.start()
        await eventually(lambda: _is(api, taking=True))
        last = await api.submit()
        seen = [(await anext(stream)).data["data"]["task"]]
        while seen[-1] != last:
            seen.append((await anext(stream)).data["data"]["task"])
    page = (await api.get("/events?types=cca.task.submitted.v1")).json["items"]
    assert [first, *seen] == [event["data"]["task"] for event in page]


async def test_without_a_router_tasks_are_refused_and_history_is_told(stack: Stack) -> None:
    router = await stack.router()
    api = await stack.gateway()
    task = await api.submit()
    await router.aclose()
    for answer in (await api.post("/tasks", TASK), await api.get(f"/tasks/{task}"), await api.get("/agents")):
        assert (answer.status, answer.problem) == (503, "busy")
    assert len((await api.get(f"/tasks/{task}/events")).json["items"]) == 2
    await stack.router()
    shown = await api.get(f"/tasks/{task}")
    assert (shown.status, shown.json["state"]) == (200, "submitted"), shown.body


async def test_a_refusal_for_now_names_the_task_that_may_exist_all_the_same(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PATIENCE", 0.0)
    monkeypatch.setattr(tasks, "MARGIN", 0.1)
    await (await stack.router()).aclose()
    api = await stack.gateway()
    answer = await api.post("/tasks", TASK, headers={"Prefer": "wait=1"})
    assert (answer.status, answer.problem) == (503, "busy")
    assert answer.headers["Location"] == f"/api/v1/tasks/{answer.json['task']}"
    assert "task" in (await api.post("/tasks", TASK)).json
    await stack.router()
    again = await api.post("/tasks", TASK | {"id": answer.json["task"]})
    assert again.status == 202


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
async def test_who_waits_for_an_outcome_does_not_notice_a_new_router(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    monkeypatch.setattr(tasks, "SLICE", 0.3)
    monkeypatch.setattr(tasks, "MARGIN", 0.2)
    router = await stack.router()
    api = await stack.gateway()
    waiting = asyncio.create_task(api.post("/tasks", TASK, headers={"Prefer": "wait=25"} | headers))

    async def accepted() -> Any:
        return (await api.get("/events")).json["items"]

    await eventually(accepted)
    await router.aclose()
    await stack.router()
    await stack.worker()
    answer = await waiting
    assert (answer.status, answer.json["state"]) == (200, "completed")
    submitted = (await api.get("/events?types=cca.task.submitted.v1")).json["items"]
    assert len(submitted) == 1


@pytest.mark.covers("H7")
async def test_without_postgres_tasks_are_taken_and_lists_come_back(
    stack: Stack, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "WELL", 0.0)
    monkeypatch.setattr(probes, "ILL", 0.0)
    await stack.router()
    await stack.projector(postgres_server.settings())
    await stack.worker()
    api = await stack.gateway()

    async def listed() -> Any:
        answer = await api.get("/tasks")
        return answer.status == 200 and answer.json["items"]

    first = await api.submit()
    assert await ended(api, first) == "completed"
    await eventually(listed)
    postgres_server.kill()
    assert (await api.get("/tasks")).problem == "busy"
    assert (await api.get("/readyz")).json["checks"]["postgres"]["ok"] is False
    second = await api.submit()
    assert await ended(api, second) == "completed"
    assert "attempts" not in (await api.get(f"/tasks/{second}")).json
    postgres_server.start()

    async def both() -> bool:
        return len(await listed() or ()) == 2

    await eventually(both, within=30)
    assert (await api.get("/readyz")).json["checks"]["postgres"] == {"ok": True}
    await stack.close()


@pytest.mark.covers("STAB-005")
async def test_at_the_end_everybody_who_waits_is_told(stack: Stack) -> None:
    await stack.router()
    api = await stack.gateway()
    task = await api.submit()
    waiting = asyncio.create_task(api.get(f"/tasks/{task}", headers={"Prefer": "wait=60"}))
    async with api.stream("/events") as tail, api.stream(f"/tasks/{task}/events") as own:
        assert [(await anext(own)).event.split(".")[2] for _ in range(2)] == ["submitted", "held"]
        await eventually(lambda: _waits(api))
        api.gateway.close()
        assert await tail.rest() == [] and await own.rest() == []
    answer = await waiting
    assert (answer.status, answer.problem) == (503, "busy")
    assert (await api.post(f"/tasks/{task}/cancel")).status == 200  # nor does the router wait any longer


async def _waits(api: Api) -> bool:
    return api.gateway.waiters > 0
