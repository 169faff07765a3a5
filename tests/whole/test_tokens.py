"""Contexts over their budget on the whole system: real services, a real worker, and processes killed."""

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator

import pytest
from tests.whole.fleet import Fleet, assert_each_ended_once, history

from cca.client import Client
from cca.config import PostgresSettings
from cca.contracts.ledger import TokenMetrics
from cca.contracts.prepared import TaskCondensed
from cca.errors import Busy
from cca.nats.bus import connect
from cca.testing.servers import NatsServer
from cca.tokens.markers import refs

BUDGET = 3_000

WORKER = """
import asyncio, hashlib, sys
from cca import Worker
from cca.contracts.task import Usage

async def handle(task):
    task.usage = Usage(1000, 50, model="gpt-4o", cache_read_tokens=400, peak_context_tokens=1400)
    answer = {"size": len(task.context), "fact": task.input["fact"] in task.context}
    if task.work.original is not None and task.input.get("expand"):
        whole = await task.expand("ctx:" + task.work.original)
        parts = await task.expand(task.context)
        answer["whole"] = hashlib.sha256(whole.encode()).hexdigest()
        answer["parts"] = hashlib.sha256(parts.encode()).hexdigest()
    return answer

asyncio.run(Worker("backend", handle, concurrency=8, name="worker-1").run())
"""


def a_log(seed: int) -> tuple[str, str]:
    """An application's log of about 80 KB, and the one thing in it that matters."""
    draw = random.Random(seed)
    fact = f"req-{draw.getrandbits(48):012x}"
    lines = [
        f"2026-11-22T10:{number // 60 % 60:02}:{number % 60:02}Z INFO http GET /api/users/{draw.randrange(10**6)} 200 "
        f"in {draw.randrange(3, 40)} ms"
        for number in range(1_000)
    ]
    lines[draw.randrange(100, 900)] = f"2026-11-22T10:09:12Z ERROR billing payment refused for {fact}: card expired"
    return "\n".join(lines), fact


@pytest.fixture
async def fleet(nats_server: NatsServer, postgres: PostgresSettings) -> AsyncIterator[Fleet]:
    with Fleet(nats_server, postgres) as fleet:
        for service in ("cca_router", "cca_tokens", "cca_projector", "cca_gateway"):
            await fleet.start_service(service)
        fleet.start("worker-1", "-c", WORKER)
        await fleet.joined()
        yield fleet


async def run(fleet: Fleet, *command: str) -> str:
    ran = await asyncio.to_thread(fleet.run, *command)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


async def test_contexts_are_condensed_expanded_and_accounted_for_whatever_is_killed(fleet: Fleet) -> None:
    policy = ("tokens", "policy", "set", "backend", "--max-tokens", str(BUDGET), "--model", "gpt-4o")
    await run(fleet, *policy)
    tasks: dict[str, tuple[str, str]] = {}

    async def submit(client: Client, seed: int, expand: bool = False) -> str:
        context, fact = a_log(seed)
        task = await client.submit("backend", "find it", context=context, input={"fact": fact, "expand": expand})
        tasks[task.id] = (context, fact)
        return task.id

    async with Client.connect(fleet.admin.url, fleet.admin.password) as client:
        first = await client.wait(await submit(client, 0, expand=True), 60)
        context, _ = tasks[first.task]
        digest = hashlib.sha256(context.encode()).hexdigest()
        assert first.result["fact"]
        assert first.result["size"] < len(context) / 4
        assert first.result["whole"] == first.result["parts"] == digest
        assert first.usage is not None
        assert first.usage.cost_usd == pytest.approx((1000 * 2.5 + 50 * 10 + 400 * 1.25) / 1e6)

        # Everything that takes part is killed while tasks come in; none of them is lost, or done twice.
        submitting = [asyncio.create_task(submit(client, seed)) for seed in range(1, 7)]
        await asyncio.sleep(0.05)
        fleet.kill("cca_tokens")
        submitting += [asyncio.create_task(submit(client, seed)) for seed in range(7, 11)]
        await asyncio.sleep(0.05)
        fleet.kill("cca_router")
        await fleet.start_service("cca_router")
        await fleet.start_service("cca_tokens")
        for one in await asyncio.gather(*submitting):
            assert (await client.wait(one, 60)).state == "completed"

        # The same text is folded in the same way after all of this, and what was stored is still there.
        again = await client.wait(await submit(client, 0, expand=True), 60)
        assert again.result == first.result

    events = await history(fleet.nats)
    starts = assert_each_ended_once(events, set(tasks))
    condensed = {task: event for task, found in events.items() for event in found if isinstance(event, TaskCondensed)}
    assert {first.task, again.task} <= set(condensed)
    assert condensed[first.task].context == condensed[again.task].context
    for task, event in condensed.items():
        assert event.after <= BUDGET < event.before
        assert tasks[task][1] in event.context, "what matters stays visible"
        assert set(refs(event.context)) <= set(event.refs)
    assert sum(starts.values()) >= len(tasks)

    # A person expands what an agent saw, and asks what it all came to.
    ref = condensed[first.task].refs[0]
    assert (await run(fleet, "tokens", "expand", f"ctx:{ref}")).rstrip("\n") in tasks[first.task][0]
    metrics = await metrics_when(fleet, lambda total: total.total.attempts >= len(tasks) and total.total.retrieved >= 1)
    assert metrics.total.condensed == len(condensed)
    assert sum(metrics.total.saved.values()) == sum(one.before - one.after for one in condensed.values())
    assert metrics.total.cuts == sum(sum(one.cuts.values()) for one in condensed.values()) >= len(condensed)
    assert metrics.total.peak == 1400
    assert metrics.total.cost_usd == pytest.approx(metrics.total.estimated_usd)
    row, expanded = metrics.rows  # of an expansion the model is not known
    assert (row.key, expanded.key) == ({"role": "backend", "model": "gpt-4o"}, {"role": "backend", "model": ""})
    assert (row.input, row.cache_read) == (1000 * row.attempts, 400 * row.attempts)
    text = await run(fleet, "tokens", "metrics", "--by", "role")
    assert "backend" in text
    await run(fleet, "projections", "verify")
    for name in ("cca_router", "cca_tokens", "cca_gateway", "cca_projector"):
        assert "Traceback" not in fleet.log(name), fleet.log(name)[-4000:]


async def metrics_when(fleet: Fleet, there: object) -> TokenMetrics:
    """The metrics, once the projector has come so far."""
    async with Client.connect(fleet.admin.url, fleet.admin.password) as client:
        while True:
            try:
                found = await client.tokens.metrics(by=("role", "model"))
            except Busy:
                found = None
            if found is not None and there(found):  # type: ignore[operator]  # a lambda of the test above
                return found
            await asyncio.sleep(0.1)


async def test_the_service_ends_with_its_processes_and_answers_again_after_a_kill(fleet: Fleet) -> None:
    async with Client.connect(fleet.admin.url, fleet.admin.password) as client:
        text, fact = a_log(1)
        folded = await client.tokens.compress(text, model="gpt-4o")
        assert folded.after < folded.before / 4
        fleet.kill("cca_tokens")
        await fleet.start_service("cca_tokens")
        assert (await client.tokens.compress(text, model="gpt-4o")).texts == folded.texts
        assert (await client.tokens.expand(folded.texts[0] or "")) == text
        assert fact in (folded.texts[0] or "")
    assert fleet.stop("cca_tokens") == 0
    async with connect(fleet.nats, "look") as bus:
        assert bus.is_connected
    assert json.loads((await asyncio.to_thread(fleet.run, "task", "list", "--json")).stdout) is not None
