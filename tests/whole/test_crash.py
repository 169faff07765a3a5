"""500 tasks in flight, and one part of the system is killed with SIGKILL: nothing is lost and nothing ends twice."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import pytest
from tests.whole.fleet import Fleet, assert_each_ended_once, history

from cca.client import Client
from cca.config import NatsSettings, PostgresSettings
from cca.contracts.task import TaskCompleted, TaskView
from cca.errors import CcaError
from cca.testing.servers import NatsServer

TASKS = 500
DOWN_S = 2.0


@pytest.fixture
async def fleet(nats_server: NatsServer, postgres: PostgresSettings) -> AsyncIterator[Fleet]:
    with Fleet(nats_server, postgres) as fleet:
        await fleet.start_service("cca_router")
        await fleet.start_service("cca_projector")
        await fleet.start_service("cca_gateway")
        fleet.start_worker("backend")
        await fleet.joined()
        yield fleet


async def submit_all(admin: NatsSettings, accepted: set[str]) -> dict[str, TaskView]:
    """Submit the tasks all at once and wait for their outcomes, as a client does that does not give up."""
    async with Client.connect(admin.url, admin.password) as client:

        async def one(number: int) -> TaskView:
            handle = await client.submit("backend", f"task {number} — 任务 🙂")
            accepted.add(handle.id)
            return await client.wait(handle.id)

        return {view.task: view for view in await asyncio.gather(*(one(n) for n in range(TASKS)))}


async def until_some_are_done(settings: NatsSettings, share: float = 0.2) -> None:
    """Wait until a part of the tasks has completed."""
    while True:
        try:
            done = sum(isinstance(events[-1], TaskCompleted) for events in (await history(settings)).values())
        except CcaError:
            done = 0
        if done >= TASKS * share:
            return
        await asyncio.sleep(0.05)


async def check(fleet: Fleet, outcomes: dict[str, TaskView], accepted: set[str]) -> int:
    """Every accepted task ended once, its result is known, and the tables say what the log says. Extra starts."""
    assert len(accepted) == TASKS == len(outcomes)
    for view in outcomes.values():
        assert view.state == "completed", view
        assert view.result["echo"] == view.description
    starts = assert_each_ended_once(await history(fleet.nats), accepted)
    verified = await asyncio.to_thread(fleet.run, "projections", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for name in ("cca_router", "cca_projector", "cca_gateway", "worker-1"):
        assert "Traceback" not in fleet.log(name), fleet.log(name)[-4000:]
    return sum(starts.values()) - TASKS


@pytest.mark.covers("H6", "TEST-002", "STAB-012")
async def test_a_killed_worker_strands_nothing(fleet: Fleet) -> None:
    accepted: set[str] = set()
    submitting = asyncio.create_task(submit_all(fleet.admin, accepted))
    await until_some_are_done(fleet.nats)
    fleet.kill("worker-1")
    await asyncio.sleep(DOWN_S)
    fleet.start_worker("backend")
    restarted = time.monotonic()
    outcomes = await asyncio.wait_for(submitting, 60)
    print(f"all done {time.monotonic() - restarted:.2f} s after the worker was started again")
    again = await check(fleet, outcomes, accepted)
    print(f"{again} attempts were made again")
    assert again > 0, "the worker was killed while it held tasks"


@pytest.mark.covers("TEST-002")
async def test_a_killed_router_loses_no_accepted_task(fleet: Fleet) -> None:
    accepted: set[str] = set()
    submitting = asyncio.create_task(submit_all(fleet.admin, accepted))
    await until_some_are_done(fleet.nats)
    fleet.kill("cca_router")
    await asyncio.sleep(DOWN_S)
    await fleet.start_service("cca_router")
    await check(fleet, await asyncio.wait_for(submitting, 90), accepted)


@pytest.mark.covers("TEST-002")
async def test_a_killed_projector_ends_with_the_same_tables(fleet: Fleet) -> None:
    accepted: set[str] = set()
    submitting = asyncio.create_task(submit_all(fleet.admin, accepted))
    await until_some_are_done(fleet.nats)
    fleet.kill("cca_projector")
    await asyncio.sleep(DOWN_S)
    await fleet.start_service("cca_projector")
    await check(fleet, await asyncio.wait_for(submitting, 60), accepted)


@pytest.mark.covers("TEST-002")
async def test_a_killed_nats_server_loses_nothing_that_was_accepted(fleet: Fleet, nats_server: NatsServer) -> None:
    accepted: set[str] = set()
    submitting = asyncio.create_task(submit_all(fleet.admin, accepted))
    await until_some_are_done(fleet.nats)
    nats_server.kill()
    await asyncio.sleep(DOWN_S)
    nats_server.start()
    await check(fleet, await asyncio.wait_for(submitting, 90), accepted)


@pytest.mark.covers("H1", "TEST-002")
async def test_a_killed_gateway_loses_no_accepted_task(fleet: Fleet) -> None:
    """Clients wait over HTTP; they repeat what failed, with the same key, until it is answered."""
    accepted: set[str] = set()
    headers = {"Authorization": f"Bearer {fleet.key}"}

    async def one(session: aiohttp.ClientSession, number: int) -> TaskView:
        body = {"role": "backend", "description": f"task {number} — 任务 🙂"}
        more = {"Idempotency-Key": f"number-{number}", "Prefer": "wait=30"}
        while True:
            try:
                async with session.post(f"{fleet.http}/api/v1/tasks", json=body, headers=headers | more) as answer:
                    if answer.status == 200:
                        view = msgspec.json.decode(await answer.read(), type=TaskView)
                        accepted.add(view.task)
                        return view
                    assert answer.status in (202, 503), await answer.text()
            except aiohttp.ClientError:
                pass  # the gateway is away
            await asyncio.sleep(0.1)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        submitting = asyncio.gather(*(one(session, number) for number in range(TASKS)))
        await until_some_are_done(fleet.nats)
        fleet.kill("cca_gateway")
        await asyncio.sleep(DOWN_S)
        await fleet.start_service("cca_gateway")
        outcomes = {view.task: view for view in await asyncio.wait_for(submitting, 60)}
    await check(fleet, outcomes, accepted)
