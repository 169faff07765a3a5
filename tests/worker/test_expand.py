"""What was folded in a task's context is given back to its handler, and it is noted who wanted it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.service_tokens.conftest import LOG, serving

from cca import Client, Worker
from cca.config import NatsSettings
from cca.contracts.ledger import TokensExpanded
from cca.errors import Busy, Refused
from cca.message import Event, Stream
from cca.nats.log import JetStreamLog
from cca.tokens.markers import marker
from cca.work import desk
from cca.worker import Handler, Task

GONE = "a" * 20


@pytest.fixture
async def condensed(client: Client, nats: NatsSettings) -> AsyncIterator[str]:
    """A context with something folded in it, beside a token service."""
    async with serving(nats):
        reply = await client.tokens.compress(LOG, model="gpt-5", role="backend")
        assert reply.texts[0] is not None and len(reply.texts[0]) < len(LOG) / 2
        yield reply.texts[0]


async def outcome(client: Client, handler: Handler, context: str) -> object:
    async with Worker("backend", handler, name="b-1"):
        view = await client.run("backend", "read the log", context=context, wait_s=30)
    assert view.state == "completed", view.failure
    return view.result


async def events(client: Client, ref: str) -> list[Event]:
    return [one.event async for one in JetStreamLog(client.bus).read(Stream("tokens", ref))]


async def test_a_handler_gets_what_was_folded(client: Client, condensed: str) -> None:
    asked: list[str] = []

    async def handle(task: Task) -> bool:
        asked.append(task.id)
        return await task.expand(task.context) == LOG

    assert await outcome(client, handle, condensed) is True
    ref = condensed.partition("ctx:")[2][:20]
    (noted,) = (event for event in await events(client, ref) if isinstance(event, TokensExpanded))
    assert (noted.agent, noted.role, noted.task) == ("b-1", "backend", asked[0])
    assert noted.strategy and noted.tokens > 0


async def test_so_does_a_plain_function_in_its_thread(client: Client, condensed: str) -> None:
    ref = condensed.partition("[ctx:")[2][:20]

    def handle(task: Task) -> bool:
        return f"{task.expand('ctx:' + ref)}" in LOG

    assert await outcome(client, handle, condensed) is True


async def test_what_is_not_stored_is_said(client: Client, condensed: str) -> None:
    async def handle(task: Task) -> list[object]:
        try:
            await task.expand(f"ctx:{GONE}")
        except Refused as refused:
            return [refused.code, await task.expand(marker(GONE, "5 lines"))]
        return []

    assert await outcome(client, handle, "") == ["not-found", marker(GONE, "5 lines")]


async def test_without_the_service_the_handler_is_told_after_a_while(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "SERVICE_TIMEOUT_S", 0.3)

    async def handle(task: Task) -> str:
        try:
            return await task.expand(f"ctx:{GONE}")
        except Busy as error:
            return str(error)

    assert "nobody answers" in str(await outcome(client, handle, ""))


async def test_a_service_that_comes_a_little_later_is_waited_for(client: Client, nats: NatsSettings) -> None:
    began = asyncio.Event()

    async def handle(task: Task) -> str:
        began.set()
        return await task.expand(marker(GONE, "5 lines"))

    async with Worker("backend", handle):
        running = asyncio.create_task(client.run("backend", "x", wait_s=30))
        await began.wait()
        await asyncio.sleep(0.2)
        async with serving(nats):
            assert (await running).result == marker(GONE, "5 lines")
