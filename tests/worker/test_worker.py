"""Python handlers: what they are given, what becomes of what they do, and when they are stopped."""

import asyncio
import contextlib
import math
import sys
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from cca import Client, Worker
from cca.contracts.agent import Agents, Control, ListAgents
from cca.contracts.task import Retry, TaskView, Usage
from cca.errors import Misconfigured, Refused
from cca.nats import streams, subjects
from cca.worker import Fail, Handler, Settled, Task

NOW = Retry(initial_s=0)


async def outcome(client: Client, handler: Handler, description: str = "work", **fields: Any) -> TaskView:
    """What becomes of one task with this handler."""
    async with Worker("backend", handler, concurrency=2):
        return await client.run("backend", description, wait_s=30, **fields)


async def until(condition: Any, timeout_s: float = 20) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


# ------------------------------------------------------------------------------------------ success


@pytest.mark.covers("TEST-004")
async def test_a_worker_joins_gets_the_tasks_of_its_role_and_no_others(client: Client) -> None:
    seen: list[str] = []

    async def handle(task: Task) -> dict[str, object]:
        seen.append(task.description)
        return {"said": task.description, "n": task.input["n"], "attempt": task.attempt}

    async with Worker("backend", handle, name="b-1"):
        other = await client.submit("frontend", "not for the backend")
        view = await client.run("backend", "hello", input={"n": 7}, wait_s=10)
        roster = await client.bus.ask(subjects.RPC_AGENTS, ListAgents(), Agents)
        assert [(one.agent, one.role, one.lane) for one in roster.agents] == [("b-1", "backend", "default")]
    assert (view.state, view.agent) == ("completed", "b-1")
    assert view.result == {"said": "hello", "n": 7, "attempt": 1}
    assert seen == ["hello"] and (await other.get()).state == "submitted"


async def test_a_handler_sees_all_that_was_submitted(client: Client) -> None:
    async def handle(task: Task) -> dict[str, object]:
        assert task.trace is not None and task.timeout_s == 30
        return {
            "id": task.id, "input": task.input, "context": task.context, "labels": task.labels, "kind": task.kind,
            "requester": task.requester, "priority": task.priority, "max": task.max_attempts, "lane": task.lane,
        }  # fmt: skip

    view = await outcome(
        client, handle, input={"a": [1]}, context="ctx", labels={"k": "v"}, kind="review", requester="me",
        priority="high", max_attempts=5, timeout_s=30,
    )  # fmt: skip
    assert view.result == {
        "id": view.task, "input": {"a": [1]}, "context": "ctx", "labels": {"k": "v"}, "kind": "review",
        "requester": "me", "priority": "high", "max": 5, "lane": "default",
    }  # fmt: skip


@pytest.mark.covers("NEW-SEC-002")
async def test_text_of_every_script_comes_back_as_it_was(client: Client) -> None:
    text = "e\u0301 👩‍👩‍👧 漢字かな 🏳️‍🌈 \U0001f4a9 עברית \x01\x1b[31m" * 50

    async def handle(task: Task) -> str:
        await task.progress(task.description, 0.5)
        return task.description

    view = await outcome(client, handle, text)
    assert (view.state, view.result) == ("completed", text)


async def test_a_plain_function_is_run_in_a_thread(client: Client) -> None:
    def handle(task: Task) -> str:
        task.progress("from a thread", 0.5)
        task.output(b"printed in a thread")
        return threading.current_thread().name

    view = await outcome(client, handle)
    assert str(view.result).startswith("cca-handler") and view.progress == "from a thread"
    assert b"".join([chunk async for chunk in client.output(view.task)]) == b"printed in a thread"


async def test_as_many_run_at_once_as_there_are_slots_and_no_more(client: Client) -> None:
    running = most = 0

    async def handle(task: Task) -> None:
        nonlocal running, most
        running, most = running + 1, max(most, running + 1)
        await asyncio.sleep(0.02)
        running -= 1

    async with Worker("backend", handle, concurrency=4) as worker:
        handles = [await client.submit("backend", str(n)) for n in range(20)]
        for one in handles:
            await one.result(20)
        await until(lambda: worker.counts.done == 20)
    assert most == 4


async def test_the_urgent_go_first(client: Client) -> None:
    order: list[str] = []
    gate = asyncio.Event()

    async def handle(task: Task) -> None:
        await gate.wait()
        order.append(task.description)

    async with Worker("backend", handle):
        first = await client.submit("backend", "first")
        while (await first.get()).state != "working":
            await asyncio.sleep(0.01)
        rest = [await client.submit("backend", p, priority=p) for p in ("low", "normal", "high", "critical")]
        gate.set()
        for one in rest:
            await one.result(20)
    # A message of low priority may be here already; of those that wait at the server the urgent ones are faster.
    assert order[0] == "first" and len(order) == 5
    assert order.index("critical") < order.index("high") < order.index("normal")


async def test_usage_and_progress_are_on_record(client: Client) -> None:
    async def handle(task: Task) -> None:
        task.usage = Usage(input_tokens=10, cost_usd=0.5)
        await task.progress("half", 0.5)
        await task.progress("nearly", 7.0)
        await task.progress("done", math.nan)

    view = await outcome(client, handle)
    assert view.usage == Usage(input_tokens=10, cost_usd=0.5, cost_from="reported")
    assert view.progress == "done"
    said = [e.event async for e in client.events(view.task)]
    assert [type(event).__name__ for event in said][:4] == [
        "TaskSubmitted",
        "TaskRouted",
        "TaskStarted",
        "TaskProgressed",
    ]


async def test_a_settled_attempt_is_told(client: Client) -> None:
    told: list[Settled] = []

    async def handle(task: Task) -> None:
        if task.attempt == 1:
            raise ValueError("not yet")

    async with Worker("backend", handle, on_settled=told.append) as worker:
        view = await client.run("backend", "x", retry=NOW, wait_s=20)
        await until(lambda: len(told) == 2)
        assert (worker.counts.done, worker.counts.failed) == (1, 1)
    assert [(one.task, one.attempt, one.failure) for one in told] == [
        (view.task, 1, "ValueError: not yet"), (view.task, 2, None),
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ failure


@pytest.mark.covers("STAB-002")
@pytest.mark.parametrize("value", [math.nan, object(), {"a": {1, object()}}], ids=["nan", "object", "set"])
async def test_a_result_that_is_no_json_fails_the_task_and_not_the_worker(client: Client, value: object) -> None:
    async def handle(task: Task) -> object:
        return value if task.description == "bad" else "fine"

    async with Worker("backend", handle):
        bad = await client.run("backend", "bad", wait_s=20)
        good = await client.run("backend", "good", wait_s=20)
    assert bad.state == "failed" and bad.attempt == 1 and bad.failure is not None
    assert bad.failure.kind == "rejected" and "cannot be written as JSON" in bad.failure.message
    assert good.result == "fine"


async def test_a_result_that_is_too_large_is_a_clear_failure(client: Client) -> None:
    async def handle(task: Task) -> str:
        return "x" * (2 * 1024 * 1024)

    view = await outcome(client, handle)
    assert view.state == "failed" and view.failure is not None
    assert view.failure.message == "result too large: 2097154 bytes, limit 1048576"


async def test_results_of_a_megabyte_all_arrive(client: Client) -> None:
    async def handle(task: Task) -> str:
        return "x" * 1_000_000

    async with Worker("backend", handle, concurrency=8):
        handles = [await client.submit("backend", str(n)) for n in range(8)]
        for one in handles:
            assert len(await one.result(30)) == 1_000_000


@pytest.mark.parametrize(
    ("error", "kind", "retryable"),
    [
        (Fail("no", retryable=False), "error", False),
        (Fail("busy", kind="rate-limited", retry_after_s=3600), "rate-limited", True),
        (ValueError("bad"), "error", True),
        (SystemExit(1), "error", True),
        (asyncio.CancelledError(), "error", True),
        (TimeoutError("its own"), "error", True),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else type(value).__name__,
)
async def test_what_a_handler_raises_is_the_failure(
    client: Client, error: BaseException, kind: str, retryable: bool
) -> None:
    async def handle(task: Task) -> None:
        raise error

    view = await outcome(client, handle, max_attempts=1)
    assert view.failure is not None and (view.failure.kind, view.failure.retryable) == (kind, retryable)
    assert view.state == "failed"


async def test_a_failed_attempt_is_tried_again_as_often_as_it_may_be(client: Client) -> None:
    attempts: list[int] = []

    async def handle(task: Task) -> None:
        attempts.append(task.attempt)
        raise ValueError("never")

    view = await outcome(client, handle, max_attempts=3, retry=NOW)
    assert attempts == [1, 2, 3] and view.state == "failed" and view.attempt == 3


@pytest.mark.parametrize("in_thread", [False, True])
async def test_an_attempt_ends_when_its_time_is_up(client: Client, in_thread: bool) -> None:
    ended = threading.Event()

    async def handle(task: Task) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    def handle_in_thread(task: Task) -> None:
        while not task.canceled.is_set():
            time.sleep(0.01)
        ended.set()

    handler: Handler = handle_in_thread if in_thread else handle
    view = await outcome(client, handler, timeout_s=0.2, max_attempts=1)
    assert view.state == "failed" and view.failure is not None
    assert (view.failure.kind, view.failure.message) == ("timeout", "not finished within 0.2 s")
    await until(ended.is_set)


# ------------------------------------------------------------------------------------------ cancel


@pytest.mark.covers("H4")
@pytest.mark.parametrize("in_thread", [False, True])
async def test_a_canceled_run_is_stopped_and_its_slot_is_free(client: Client, in_thread: bool) -> None:
    stopped = threading.Event()

    async def handle(task: Task) -> str:
        if task.description == "quick":
            return "ok"
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            assert task.canceled.is_set()
            stopped.set()
            raise
        return "never"

    def handle_in_thread(task: Task) -> str:
        while task.description != "quick" and not task.canceled.is_set():
            time.sleep(0.01)
        stopped.set()
        return "ok"

    async with Worker("backend", handle_in_thread if in_thread else handle) as worker:
        long = await client.submit("backend", "long")
        await until(lambda: worker.running == 1)
        while (await long.get()).state != "working":
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        view = await long.cancel("changed my mind")
        assert (view.state, view.reason) == ("canceled", "changed my mind")
        await until(stopped.is_set)
        assert time.monotonic() - begun < 2
        assert (await client.run("backend", "quick", wait_s=20)).result == "ok"
        assert (await long.get()).state == "canceled"
        await until(lambda: worker.counts.refused == 1)


async def test_a_canceled_task_that_waits_never_runs(client: Client) -> None:
    seen: list[str] = []
    gate = asyncio.Event()

    async def handle(task: Task) -> None:
        seen.append(task.description)
        await gate.wait()

    async with Worker("backend", handle):
        first = await client.submit("backend", "first")
        await until(lambda: seen == ["first"])
        second = await client.submit("backend", "second")
        assert (await second.cancel()).state == "canceled"
        gate.set()
        await first.result(20)
        third = await client.submit("backend", "third")
        await third.result(20)
    assert seen == ["first", "third"]


async def test_an_order_to_cancel_that_the_log_knows_nothing_of_loses_nothing(client: Client) -> None:
    async def handle(task: Task) -> str:
        if task.attempt == 1:
            await asyncio.sleep(600)
        return "second attempt"

    async with Worker("backend", handle, name="b-1") as worker:
        one = await client.submit("backend", "x", retry=NOW)
        await until(lambda: worker.running == 1)
        client.bus.publish(subjects.control("backend", "b-1"), b"\xffnot an order")
        client.bus.publish(subjects.control("backend", "b-1"), client_order(Control("cancel", one.id)))
        assert await one.result(20) == "second attempt"


def client_order(order: Control) -> bytes:
    from cca import codec

    return codec.encode(order)


# ------------------------------------------------------------------------------------------ leases


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> float:
    """A lease of a fraction of a second, for the router of this test (asked for before it starts)."""
    monkeypatch.setattr(streams, "ACK_WAIT", timedelta(seconds=0.6))
    return 0.6


@pytest.mark.covers("STAB-012")
async def test_a_task_that_takes_many_leases_runs_once(short_lease: float, client: Client) -> None:
    runs = 0

    async def handle(task: Task) -> str:
        nonlocal runs
        runs += 1
        await asyncio.sleep(6 * short_lease)
        return "done"

    view = await outcome(client, handle)
    assert (view.result, view.attempt, runs) == ("done", 1, 1)


async def test_a_handler_that_blocks_the_event_loop_beyond_its_lease_runs_once(
    short_lease: float, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    runs = 0

    async def handle(task: Task) -> str:
        nonlocal runs
        runs += 1
        await asyncio.sleep(short_lease)  # while its lease is kept
        time.sleep(3 * short_lease)  # as a handler should not
        await asyncio.sleep(2 * short_lease)
        return "done"

    view = await outcome(client, handle)
    assert (view.result, view.attempt, runs) == ("done", 1, 1)
    assert "the event loop was blocked" in caplog.text


async def test_work_does_not_wait_behind_a_long_task_while_another_worker_is_idle(client: Client) -> None:
    gate = asyncio.Event()

    async def handle(task: Task) -> str:
        if task.description == "long":
            await gate.wait()
        return "done"

    async with Worker("backend", handle, name="b-1") as first:
        for n in range(50):  # b-1 learns that tasks are short, and fetches ahead
            await client.run("backend", str(n), wait_s=20)
        long = await client.submit("backend", "long")
        await until(lambda: first.running == 1)
        waiting = [await client.submit("backend", "short", priority=p) for p in ("normal", "low", "high", "critical")]
        async with Worker("backend", handle, name="b-2"):
            for one in waiting:
                assert await one.result(20) == "done"
        gate.set()
        await long.result(20)


# ------------------------------------------------------------------------------------------ names and drains


async def test_a_drained_worker_finishes_what_runs_and_takes_nothing_more(client: Client) -> None:
    gate = asyncio.Event()

    async def handle(task: Task) -> str:
        await gate.wait()
        return "finished"

    worker = Worker("backend", handle)
    running = asyncio.create_task(worker.run())
    first = await client.submit("backend", "first")
    await until(lambda: worker.running == 1)
    client.bus.publish(subjects.control("backend", worker.name), client_order(Control("drain")))
    second = await client.submit("backend", "second")
    await asyncio.wait({running}, timeout=0.2)
    gate.set()
    await running
    assert (await first.get()).result == "finished"
    assert (await second.get()).state in ("routed", "submitted")
    assert (await client.bus.ask(subjects.RPC_AGENTS, ListAgents(), Agents)).agents == ()


@pytest.mark.covers("STAB-005")
async def test_a_task_that_outlasts_the_grace_goes_to_another_worker_at_once(client: Client) -> None:
    async def stuck(task: Task) -> str:
        with contextlib.suppress(TimeoutError):
            await asyncio.sleep(600)
        return "never"

    async def quick(task: Task) -> str:
        return f"attempt {task.attempt}"

    async with Worker("backend", stuck, grace_s=0.1) as first:
        one = await client.submit("backend", "x")
        await until(lambda: first.running == 1)
        while (await one.get()).state != "working":
            await asyncio.sleep(0.01)
        second = Worker("backend", quick)
        await second.__aenter__()
    try:
        assert await one.result(20) == "attempt 2"
    finally:
        await second.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"role": "Back End"}, Refused),
        ({"role": "cca.>"}, Refused),
        ({"role": "x", "lane": "*"}, Refused),
        ({"role": "x", "name": "a.b"}, Refused),
        ({"role": "x", "concurrency": 0}, Misconfigured),
    ],
)
def test_bad_names_are_refused_before_anything_is_sent(arguments: dict[str, Any], error: type[Exception]) -> None:
    async def handle(task: Task) -> None: ...

    with pytest.raises(error):
        Worker(handler=handle, **arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
async def test_a_worker_says_at_once_that_nats_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(task: Task) -> None: ...

    with pytest.raises(Exception, match=r"cannot reach NATS at nats://127\.0\.0\.1:1"):
        await Worker("x", handle, url="nats://127.0.0.1:1", key="k").run()
