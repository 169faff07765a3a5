"""A thousand bad messages on the bus, good tasks in between: each bad one leaves its reason, no good one is lost."""

import asyncio
import json
import random
from collections.abc import AsyncIterator

import pytest
from tests.whole.fleet import Fleet, history

from cca.client import Client
from cca.contracts.task import TaskRejected
from cca.errors import Refused, Unreadable
from cca.ids import uuid7
from cca.nats.bus import Bus, connect
from cca.nats.dead import DeadLetters
from cca.testing.servers import NatsServer

VERBS = ("join", "leave", "heartbeat", "claim", "complete", "fail", "progress", "nonsense")


@pytest.fixture
async def fleet(nats_server: NatsServer) -> AsyncIterator[Fleet]:
    with Fleet(nats_server) as fleet:
        await fleet.start_service("cca_router")
        fleet.start_worker("backend")
        await fleet.joined()
        yield fleet


def malformed(rng: random.Random) -> bytes:
    """A body that is no submission and no report."""
    kind = rng.randrange(9)
    if kind == 0:
        return bytes([0xFF, 0xFE, *rng.randbytes(rng.randrange(0, 200))])
    if kind == 1:
        return json.dumps({"description": "x", rng.choice(["descripton", "rolle", "🙂"]): 1}).encode()
    if kind == 2:
        return b'{"description": "cut off'
    if kind == 3:
        return b'{"description": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
    if kind == 4:
        return json.dumps({"description": rng.choice([None, 7, [], {}, ""])}).encode()
    if kind == 5:
        return json.dumps({"description": "x", "max_attempts": rng.choice([0, -1, 10**9, "three"])}).encode()
    if kind == 6:
        return json.dumps({"description": "nul \u0000 inside"}).encode()
    if kind == 7:
        return json.dumps({"description": "x", "id": rng.choice(["", "../..", "not-a-uuid", "cca.events.>"])}).encode()
    return json.dumps({"description": "x", "timeout_s": rng.choice([-1, 0, 1e300, "soon"])}).encode()


async def dead_letters(bus: Bus) -> list[str]:
    return [entry.reason async for entry in DeadLetters(bus).scan()]


@pytest.mark.covers("NEW-SEC-002", "STAB-002")
async def test_a_thousand_malformed_tasks_leave_their_reasons_and_lose_no_good_one(fleet: Fleet) -> None:
    rng = random.Random(7)
    async with connect(fleet.admin, "user") as bus, Client.connect(fleet.admin.url, fleet.admin.password) as client:
        good: list[str] = []
        for number in range(1_000):
            role = rng.choice(["backend", "docs", "backend"])
            await bus.request(f"cca.tasks.{role}", malformed(rng))
            if number % 50 == 0:
                good.append(uuid7())
                body = json.dumps({"id": good[-1], "description": f"good {number} — 任务 🙂"}).encode()
                await bus.request("cca.tasks.backend", body)
        for task in good:
            view = await client.wait(task, 60)
            assert view.state == "completed"
        while len(found := await dead_letters(bus)) < 1_000:
            await asyncio.sleep(0.05)
        assert len(found) == 1_000
        assert all(found)
    assert "Traceback" not in fleet.log("cca_router")


@pytest.mark.parametrize("where", ["header", "body"])
async def test_a_malformed_task_with_a_known_id_is_rejected_in_the_log(fleet: Fleet, where: str) -> None:
    task = uuid7()
    async with connect(fleet.admin, "user") as bus, Client.connect(fleet.admin.url, fleet.admin.password) as client:
        body = {"descripton": "x"} | ({"id": task} if where == "body" else {})
        headers = {"Cca-Task-Id": task} if where == "header" else None
        await bus.request("cca.tasks.backend", json.dumps(body).encode(), headers)
        while not await dead_letters(bus):
            await asyncio.sleep(0.02)
        while (await history(fleet.nats)).get(task) is None:
            await asyncio.sleep(0.02)
        view = await client.wait(task, 60)
        assert view.state == "rejected"
        assert view.reason is not None and "descripton" in view.reason
    (event,) = (await history(fleet.nats))[task]
    assert isinstance(event, TaskRejected)


@pytest.mark.covers("STAB-013")
async def test_a_thousand_malformed_reports_are_answered_with_their_reasons(fleet: Fleet) -> None:
    rng = random.Random(8)
    async with connect(fleet.admin, "user") as bus, Client.connect(fleet.admin.url, fleet.admin.password) as client:
        refused = 0
        for number in range(1_000):
            agent = rng.choice(["worker-1", "nobody", "UPPER", "x" * 80])
            try:
                await bus.request(f"cca.report.backend.{agent}.{rng.choice(VERBS)}", malformed(rng), timeout=10)
            except (Refused, Unreadable) as error:
                refused += 1
                assert str(error)
            if number % 100 == 0:
                assert (await client.run("backend", f"good {number}")).state == "completed"
        assert refused == 1_000
        assert len(await dead_letters(bus)) == 1_000
    assert "Traceback" not in fleet.log("cca_router")
    assert "Traceback" not in fleet.log("worker-1")
