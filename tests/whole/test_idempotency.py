"""One id or one key is one task: at once, after a restart, and after the server's window for duplicates."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from tests.whole.fleet import Fleet, history

from cca.client import Client
from cca.config import PostgresSettings
from cca.contracts.task import SubmitTask, TaskAccepted, TaskSubmitted
from cca.errors import Refused
from cca.ids import uuid7
from cca.nats import names, subjects
from cca.nats.bus import connect
from cca.testing.servers import NatsServer


@pytest.fixture
async def fleet(nats_server: NatsServer, postgres: PostgresSettings) -> AsyncIterator[Fleet]:
    with Fleet(nats_server, postgres) as fleet:
        await fleet.start_service("cca_router")
        await fleet.start_service("cca_projector")
        await fleet.start_service("cca_gateway")
        fleet.start_worker("backend")
        await fleet.joined()
        yield fleet


async def test_one_id_submitted_a_hundred_times_at_once_is_one_task(fleet: Fleet) -> None:
    task = uuid7()
    command = SubmitTask("once", role="backend", id=task)
    body = {"description": "once", "role": "backend", "id": task}
    headers = {"Authorization": f"Bearer {fleet.key}"}
    async with connect(fleet.admin, "user") as bus, aiohttp.ClientSession() as session:

        async def over_http() -> str:
            async with session.post(f"{fleet.http}/api/v1/tasks", json=body, headers=headers) as answer:
                assert answer.status == 202, await answer.text()
                return str((await answer.json())["task"])

        async def over_rpc() -> str:
            return (await bus.ask(subjects.RPC_SUBMIT, command, TaskAccepted, timeout=20)).task

        async def over_the_intake() -> str:
            await bus.request("cca.tasks.backend", b'{"description": "once", "id": "%s"}' % task.encode())
            return task

        ways = (over_http, over_rpc, over_rpc, over_the_intake)
        answers = await asyncio.gather(*(ways[number % 4]() for number in range(100)))
        assert set(answers) == {task}

    async with Client.connect(fleet.admin.url, fleet.admin.password) as client:
        assert (await client.wait(task, 60)).state == "completed"
    while (await intake_left(fleet)) > 0:
        await asyncio.sleep(0.05)
    events = await history(fleet.nats)
    assert list(events) == [task]
    assert sum(isinstance(event, TaskSubmitted) for event in events[task]) == 1

    # After a restart the answer comes from the log, and the result with it.
    fleet.kill("cca_router")
    await fleet.start_service("cca_router")
    async with Client.connect(fleet.admin.url, fleet.admin.password) as client:
        again = await client.submit("backend", "once", id=task)
        assert (again.id, again.created) == (task, False)
        view = await client.wait(task, 60)
        assert (view.state, view.result["attempt"]) == ("completed", 1)
        with pytest.raises(Refused) as refused:
            await client.submit("backend", "something else", id=task)
        assert refused.value.code == "key-reused"
    assert len(await history(fleet.nats)) == 1


async def test_a_key_is_its_requesters_own_and_outlives_the_window_for_duplicates(fleet: Fleet) -> None:
    async with connect(fleet.admin, "user") as bus:
        # The server itself forgets message ids after this window: shortened, so that the test need not wait.
        js = bus.nc.jetstream()
        for name in (names.TASKS, names.EVENTS):
            config = (await js.stream_info(name)).config
            config.duplicate_window = 0.2
            await js.update_stream(config)

        async def ask(requester: str | None) -> TaskAccepted:
            command = SubmitTask("once", role="backend", idempotency_key="monday", requester=requester)
            return await bus.ask(subjects.RPC_SUBMIT, command, TaskAccepted)

        first = await ask("ann")
        other = await ask("bob")
        assert first.created and other.created and first.task != other.task
        await bus.request("cca.tasks.backend", b"plain text", {"Nats-Msg-Id": "a-key"})
        await asyncio.sleep(0.5)  # longer than the window
        again = await ask("ann")
        assert (again.task, again.created) == (first.task, False)
        await bus.request("cca.tasks.backend", b"plain text", {"Nats-Msg-Id": "a-key"})
    while (await intake_left(fleet)) > 0:
        await asyncio.sleep(0.05)
    assert len(await history(fleet.nats)) == 3


async def intake_left(fleet: Fleet) -> int:
    async with connect(fleet.admin, "user") as bus:
        info = await bus.nc.jetstream().stream_info(names.TASKS)
        return int(info.state.messages)
