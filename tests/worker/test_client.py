"""The client: submitting once and only once, waiting through restarts, reading events and output early and late."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from cca import Client, Worker
from cca import client as client_module
from cca.client import TaskDidNotComplete, result_of
from cca.config import NatsSettings
from cca.contracts.task import (
    SubmitTask,
    TaskCompleted,
    TaskHeld,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
)
from cca.errors import Busy, Refused, Unreadable
from cca.ids import uuid7
from cca.worker import Fail, Task


async def echo(task: Task) -> str:
    await task.output(f"{task.description} to whom it may concern".encode())
    if task.description == "fail":
        raise Fail("as asked", retryable=False)
    return task.description


@pytest.fixture
async def worker(client: Client) -> AsyncIterator[Worker]:
    """Somebody who does what is asked."""
    async with Worker("backend", echo, concurrency=8) as one:
        yield one


# ------------------------------------------------------------------------------------------ submitting


async def test_the_same_id_again_is_the_same_task(client: Client) -> None:
    first = await client.submit("backend", "x", id=uuid7())
    again = await client.submit("backend", "x", id=first.id)
    assert (first.created, again.created, again.id) == (True, False, first.id)
    with pytest.raises(Refused, match="something else was asked"):
        await client.submit("backend", "y", id=first.id)


async def test_an_idempotency_key_stands_for_an_id(client: Client) -> None:
    first = await client.submit("backend", "x", idempotency_key="pr-7", requester="me")
    again = await client.submit("backend", "x", idempotency_key="pr-7", requester="me")
    other = await client.submit("backend", "x", idempotency_key="pr-7", requester="you")
    assert first.id == again.id != other.id


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"role": "Back End"}, (Refused, Unreadable)),
        ({"description": ""}, (Refused, Unreadable)),
        ({"priority": "soon"}, (Refused, Unreadable)),
        ({"id": "42"}, (Refused, Unreadable)),
        ({"max_attempts": 0}, (Refused, Unreadable)),
        ({"colour": "red"}, TypeError),
    ],
)
async def test_a_task_that_cannot_be_is_refused_with_a_sentence(
    client: Client, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await client.submit(**({"role": "backend", "description": "x"} | fields))
    assert str(caught.value)


async def test_many_are_submitted_in_order_and_each_once(client: Client, worker: Worker) -> None:
    tasks = (SubmitTask(str(n), role="backend") for n in range(300))
    handles = [one async for one in client.submit_many(tasks, window=50)]
    assert len({one.id for one in handles}) == 300
    assert [await one.result(30) for one in handles] == [str(n) for n in range(300)]


async def test_submitting_many_ends_at_the_first_that_is_refused(client: Client) -> None:
    async def tasks() -> AsyncIterator[SubmitTask]:
        for text in ("a", "b", "", "c"):
            yield SubmitTask(text, role="backend")

    accepted = []
    with pytest.raises((Refused, Unreadable)):
        async for one in client.submit_many(tasks(), window=2):
            accepted.append(one)
    assert len(accepted) == 2


# ------------------------------------------------------------------------------------------ outcomes


async def test_an_outcome_is_returned_and_only_a_result_that_is_asked_for_raises(
    client: Client, worker: Worker
) -> None:
    good = await client.run("backend", "good", wait_s=20)
    assert result_of(good) == "good"
    task = await client.submit("backend", "fail")
    assert (await task.wait(20)).state == "failed"
    with pytest.raises(TaskDidNotComplete, match=f"task {task.id} is failed: as asked") as caught:
        await task.result()
    assert caught.value.failure is not None and not caught.value.failure.retryable
    canceled = await client.submit("frontend", "nobody does this")
    await canceled.cancel("no need")
    with pytest.raises(TaskDidNotComplete, match="is canceled: no need") as caught:
        await canceled.result()
    assert (caught.value.state, caught.value.reason) == ("canceled", "no need")


async def test_waiting_ends_with_its_time(client: Client) -> None:
    view = await client.run("frontend", "nobody does this", wait_s=0.2)
    assert view.state == "submitted" and view.waiting == "no live worker for role frontend"
    with pytest.raises(TimeoutError):
        await client.wait(view.task, 0.2)
    assert (await client.run("frontend", "nor this", wait_s=0)).state == "submitted"


async def test_a_task_that_takes_longer_than_one_request_is_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "SLICE_S", 0.1)

    async def slow(task: Task) -> str:
        await task.progress("at it")
        await asyncio.sleep(1)
        return "slow"

    async with Worker("backend", slow):
        assert (await client.run("backend", "x", wait_s=20)).result == "slow"


async def test_a_failed_task_is_tried_again_on_request(client: Client, worker: Worker) -> None:
    failed = await client.run("backend", "fail", wait_s=20)
    assert (await client.retry(failed.task, "once more")).state in ("routed", "submitted")
    assert (await client.wait(failed.task, 20)).attempt == 2
    completed = await client.run("backend", "good", wait_s=20)
    with pytest.raises(Refused, match="is completed"):
        await client.retry(completed.task)


@pytest.mark.covers("STAB-013")
async def test_what_does_not_exist_is_told_from_what_is_no_id(client: Client) -> None:
    for ask in (client.get, client.wait, client.cancel, client.retry):
        with pytest.raises(Refused) as unknown:
            await ask(uuid7())
        with pytest.raises(Refused) as nonsense:
            await ask("../../etc/passwd")
        assert (unknown.value.code, nonsense.value.code) == ("not-found", "bad-id")
    for read in (client.events, client.output):
        with pytest.raises(Refused, match="UUID"):
            _ = [one async for one in read("cca.>")]


async def test_a_router_that_is_not_there_is_busy(
    nats: NatsSettings, access: NatsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PATIENCE_S", 0.2)
    async with Client.connect() as client:
        with pytest.raises(Busy, match=r"nobody answers on cca\.rpc\.tasks\.submit"):
            await client.submit("backend", "x")


async def test_a_restart_of_the_router_is_waited_through(own_access: NatsSettings, own_router: Any) -> None:
    gate = asyncio.Event()

    async def handle(task: Task) -> str:
        await gate.wait()
        return task.description

    async with Client.connect() as client, Worker("backend", handle, concurrency=4):
        running = asyncio.create_task(client.run("backend", "run", wait_s=60))
        waiting = asyncio.create_task((await client.submit("backend", "wait")).result(60))
        own_router.end(signal.SIGKILL)
        submitting = asyncio.create_task(client.submit("backend", "meanwhile"))
        await own_router.start()
        gate.set()
        assert (await running).result == "run" and await waiting == "wait"
        assert await (await submitting).result(30) == "meanwhile"


async def test_a_wrong_key_is_refused_and_not_told(own_access: NatsSettings) -> None:
    with pytest.raises(Refused) as caught:
        async with Client.connect(key="cca_wrong_key"):
            pass
    assert "cca_wrong_key" not in str(caught.value)


# ------------------------------------------------------------------------------------------ reading


async def test_events_are_history_and_then_what_happens(client: Client) -> None:
    task = await client.submit("backend", "x")
    seen: list[type] = []
    async with aclosing(task.events()) as events:
        async for one in events:
            seen.append(type(one.event))
            if seen == [TaskSubmitted, TaskHeld]:
                worker = await Worker("backend", echo).__aenter__()
    await worker.__aexit__(None, None, None)
    assert seen == [TaskSubmitted, TaskHeld, TaskRouted, TaskStarted, TaskCompleted]
    newer = "cca.task.blessed.v9"
    await client.bus.request(f"cca.events.task.{task.id}", b'{"type":"cca.task.blessed.v9"}', {"ce-type": newer})
    assert [type(one.event) async for one in task.events(follow=False)] == seen


async def test_output_can_be_read_live_and_late(client: Client, worker: Worker) -> None:
    task = await client.submit("backend", "hello")
    live = b"".join([chunk async for chunk in task.output()])
    late = b"".join([chunk async for chunk in task.output(follow=False)])
    assert live == late == b"hello to whom it may concern"


async def test_much_output_arrives_whole_and_in_order(client: Client) -> None:
    lines = [f"line {n} {'x' * 200}\n".encode() for n in range(20_000)]

    async def chatty(task: Task) -> None:
        for line in lines:
            await task.output(line)

    async with Worker("backend", chatty):
        task = await client.submit("backend", "x")
        assert b"".join([chunk async for chunk in task.output()]) == b"".join(lines)


async def test_output_of_a_handler_that_never_waits_is_bounded_and_says_what_is_missing(client: Client) -> None:
    async def shouting(task: Task) -> None:
        for _ in range(100):
            task.output(b"x" * 65_536)  # 6.4 MB without once giving way

    async with Worker("backend", shouting):
        task = await client.submit("backend", "x")
        said = b"".join([chunk async for chunk in task.output()])
    whole, note = said.count(b"x"), said[-60:]
    assert whole == 64 * 65_536 and f"[{36 * 65_536} bytes of output were dropped]".encode() in note
