"""What somebody sees who knows nothing of us but NATS: publish, follow events, hear outcomes."""

import asyncio
import json
from collections.abc import AsyncIterator

import nats as nats_py
import pytest
from nats.aio.msg import Msg
from tests.whole.fleet import Fleet

from cca.ids import uuid7
from cca.testing.servers import NatsServer


@pytest.fixture
async def fleet(nats_server: NatsServer) -> AsyncIterator[Fleet]:
    with Fleet(nats_server) as fleet:
        await fleet.start_service("cca_router")
        fleet.start_worker("backend")
        await fleet.joined()
        yield fleet


@pytest.mark.covers("TEST-004", "H19")
async def test_text_and_json_published_by_a_plain_client_are_done_and_told(fleet: Fleet) -> None:
    connection = await nats_py.connect(fleet.admin.url, user=fleet.admin.user, password=fleet.admin.password)
    js = connection.jetstream()
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    ids = [uuid7(), uuid7()]

    async def on_live(msg: Msg) -> None:
        if json.loads(msg.data)["type"] == "cca.task.completed.v1":
            heard.put_nowait(msg)

    for task in ids:
        await connection.subscribe(f"cca.live.task.{task}", cb=on_live)
    await js.publish("cca.tasks.backend", b"--version", headers={"Nats-Msg-Id": ids[0]})
    await js.publish("cca.tasks.backend", json.dumps({"description": "look — 看", "id": ids[1]}).encode())

    outcomes = [json.loads((await asyncio.wait_for(heard.get(), 30)).data) for _ in ids]
    assert {outcome["task"]: outcome["result"]["echo"] for outcome in outcomes} == {
        ids[0]: "--version",
        ids[1]: "look — 看",
    }

    for task in ids:
        subscription = await js.pull_subscribe(f"cca.events.task.{task}", stream="CCA_EVENTS")
        messages = await subscription.fetch(4, timeout=10)
        kinds = [message.headers["ce-type"] for message in messages if message.headers]
        assert kinds == [
            "cca.task.submitted.v1",
            "cca.task.routed.v1",
            "cca.task.started.v1",
            "cca.task.completed.v1",
        ]
        for message in messages:
            assert json.loads(message.data)["task"] == task
            assert message.headers and message.headers["ce-subject"] == task
            assert message.headers["traceparent"] == (messages[0].headers or {})["traceparent"]
        routed = json.loads(messages[1].data)
        assert 0 < routed["propensity"] <= 1
    await connection.close()


@pytest.mark.covers("TEST-004")
async def test_a_role_without_workers_keeps_its_tasks_until_one_comes_and_others_do_not_get_them(fleet: Fleet) -> None:
    connection = await nats_py.connect(fleet.admin.url, user=fleet.admin.user, password=fleet.admin.password)
    task = uuid7()

    async def ask() -> dict[str, object]:
        answer = await connection.request("cca.rpc.tasks.get", json.dumps({"task": task}).encode(), timeout=10)
        return dict(json.loads(answer.data)) if answer.data else {}

    await connection.jetstream().publish("cca.tasks.painter", json.dumps({"description": "x", "id": task}).encode())
    while (view := await ask()).get("waiting") != "no live worker for role painter":
        await asyncio.sleep(0.05)
    assert view["state"] == "submitted"
    fleet.start_worker("painter", name="painter-1")
    while (view := await ask())["state"] != "completed":
        await asyncio.sleep(0.05)
    assert view["agent"] == "painter-1"
    await connection.close()
