"""Code of agent authors as they would write it. It is only type-checked: mypy reads it with everything else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, assert_type

from cca import Client, Worker
from cca.client import Handle, TaskDidNotComplete, result_of
from cca.contracts.ledger import RolePolicy, Spending, TokenPolicies
from cca.contracts.task import Failure, Retry, State, SubmitTask, TaskCompleted, TaskView, Usage
from cca.contracts.tokens import TokenCounts, Turn
from cca.message import Event, Recorded
from cca.work.output import Chunk
from cca.worker import Counts, Fail, Settled, Task


async def review(task: Task) -> dict[str, Any]:
    assert_type(task.description, str)
    assert_type(task.input, dict[str, Any])
    assert_type(task.labels, dict[str, str])
    assert_type(task.attempt, int)
    assert_type(task.timeout_s, float | None)
    await task.progress("reading", 0.1)
    task.progress("without waiting")
    await task.output(b"bytes")
    await task.output(b"bytes", "stderr")
    assert_type(await task.expand("ctx:mb2w4kq5zr7tdhx3ynuv"), str)
    if task.canceled.is_set():
        raise Fail("stopped")
    task.usage = Usage(input_tokens=1_000, output_tokens=200, cost_usd=0.01)
    if task.context:
        raise Fail("come back later", kind="rate-limited", retry_after_s=30)
    return {"verdict": "fine"}


def count_words(task: Task) -> int:
    """A plain function is run in a thread."""
    return len(task.description.split())


def on_settled(what: Settled) -> None:
    assert_type(what.failure, str | None)


async def work() -> None:
    await Worker("reviewer", review).run()
    await Worker("reviewer", lambda task: task.description).run()
    async with Worker(
        "counter", count_words, lane="fast", concurrency=4, name="c-1", grace_s=5, url="nats://…", key="…",
        on_settled=on_settled,
    ) as worker:  # fmt: skip
        assert_type(worker, Worker)
        assert_type(worker.counts, Counts)
        assert_type(worker.running, int)
        worker.drain()


async def ask() -> None:
    async with Client.connect() as client:
        assert_type(client, Client)
        task = await client.submit("reviewer", "Review it", priority="high", retry=Retry(initial_s=5))
        assert_type(task, Handle)
        assert_type(task.id, str)
        assert_type(task.created, bool)
        assert_type(await task.wait(60), TaskView)
        assert_type(await task.cancel("no need"), TaskView)
        try:
            await task.result(timeout_s=60)
        except TaskDidNotComplete as error:
            assert_type(error.failure, Failure | None)
            assert_type(error.state, State)
        view = await client.run("reviewer", "Review it", wait_s=600, labels={"pr": "7"})
        assert_type(view, TaskView)
        assert_type(result_of(view), Any)
        async for one in client.submit_many([SubmitTask("a", role="reviewer")], window=8):
            assert_type(one, Handle)
        async for one in client.submit_many(generated()):
            assert_type(one, Handle)
        async for recorded in task.events():
            assert_type(recorded, Recorded[Event])
            if isinstance(recorded.event, TaskCompleted):
                assert_type(recorded.event.duration_s, float)
        async for chunk in client.output(task.id, follow=False):
            assert_type(chunk, Chunk)
            assert_type(chunk.stream, str)
            wanted: bytes = chunk
            print(wanted)
        assert_type(await client.tokens.count("text", model="gpt-5", chat=True), TokenCounts)
        small = await client.tokens.compress(["a", Turn("b", "tool")], max_tokens=2_000, level="strong")
        assert_type(small.texts, tuple[str | None, ...])
        assert_type(await client.tokens.expand(f"ctx:{small.original}"), str)
        spent = await client.tokens.metrics(by=("role", "model"), since_s=86_400)
        assert_type(spent.total, Spending)
        assert_type(await client.tokens.set_policy("reviewer", RolePolicy(50_000)), TokenPolicies)
    async with Client.connect("nats://127.0.0.1:4222", "key") as client:
        assert_type(await client.get("id"), TaskView)


async def generated() -> AsyncIterator[SubmitTask]:
    yield SubmitTask("b", role="reviewer", input={"path": "a.py"})


if __name__ == "__main__":
    asyncio.run(work())
