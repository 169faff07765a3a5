"""Who is there and how busy, over HTTP."""

from typing import Any

from tests.gateway.conftest import Api, Stack, eventually
from tests.gateway.test_tasks import ended


async def test_the_live_agents_are_listed(stack: Stack) -> None:
    await stack.router()
    await stack.worker("backend", name="one", concurrency=3)
    await stack.worker("docs", name="two", lane="opus")
    api = await stack.gateway()
    agents = (await api.get("/agents")).json["agents"]
    assert [(agent["agent"], agent["role"], agent["lane"], agent["concurrency"]) for agent in agents] == [
        ("one", "backend", "default", 3),
        ("two", "docs", "opus", 1),
    ]
    assert [agent["agent"] for agent in (await api.get("/agents?role=docs")).json["agents"]] == ["two"]
    assert (await api.get("/agents?role=nobody")).json["agents"] == []
    assert (await api.get("/agents?role=No body")).problem == "invalid"


async def test_nobody_there_is_an_empty_list(api: Api) -> None:
    assert (await api.get("/agents")).json["agents"] == []


async def test_roles_are_those_that_live_and_those_that_have_had_tasks(full: Api) -> None:
    await full.submit(role="nobody")
    assert await ended(full, await full.submit()) == "completed"

    async def both() -> Any:
        roles = (await full.get("/roles")).json["roles"]
        return roles if [role["tasks"] for role in roles] == [{"completed": 1}, {"submitted": 1}] else None

    backend, nobody = await eventually(both)
    assert backend == {"role": "backend", "agents": 1, "capacity": 1, "running": 0, "tasks": {"completed": 1}}
    assert nobody == {"role": "nobody", "agents": 0, "capacity": 0, "running": 0, "tasks": {"submitted": 1}}


async def test_workloads_and_activity_show_what_is_going_on(full: Api) -> None:
    assert await ended(full, await full.submit()) == "completed"
    assert await ended(full, await full.submit(input={"fail": "x"}, max_attempts=1)) == "failed"
    running = await full.submit(description="a long one", input={"sleep": 60})
    queued = await full.submit()

    async def active() -> Any:
        (agent,) = (await full.get("/activity")).json["agents"]
        return agent if [task["task"] for task in agent.get("tasks", ())] == [running] else None

    agent = await eventually(active)
    (task,) = agent["tasks"]
    assert (task["task"], task["attempt"], task["description"]) == (running, 1, "a long one")
    assert agent["role"] == "backend" and task["started_at"] and agent["last_activity"]

    async def loaded() -> Any:
        loads = (await full.get("/workloads")).json
        known = [(one["completed"], one["failed"]) for one in loads["agents"]]  # by the tables, a moment later
        return loads if (loads["pending"], loads["tasks"], known) == (1, 4, [(1, 1)]) else None

    loads = await eventually(loaded)
    (lane,) = loads["lanes"]
    assert (lane["role"], lane["lane"], lane["agents"], lane["capacity"]) == ("backend", "default", 1, 1)
    assert (lane["running"], lane["queued"], lane["completed"], lane["failed"]) == (1, 1, 1, 1)
    assert lane["success_rate"] == 0.5
    assert loads["tasks"] == 4
    (one,) = loads["agents"]
    assert (one["completed"], one["failed"], one["success_rate"], one["capacity"]) == (1, 1, 0.5, 1)
    assert (await full.post(f"/tasks/{running}/cancel")).status == 200
    assert await ended(full, queued) == "completed"
