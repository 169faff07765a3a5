"""The router on a real server: timers, restarts, half-written submissions, lost agents, two routers at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.router.hand import Hand, router, submit, until, view

from cca.config import NatsSettings
from cca.contracts.agent import (
    Agents,
    Claim,
    Claimed,
    ClaimTasks,
    CompleteTasks,
    Completion,
    Join,
    ListAgents,
    Reported,
    Welcome,
)
from cca.contracts.task import (
    CancelTask,
    Failure,
    Retry,
    TaskSubmitted,
    TaskView,
)
from cca.errors import Refused
from cca.ids import uuid7
from cca.message import Meta, Seq, Stream
from cca.nats import setup, subjects
from cca.nats.bus import Bus, connect
from cca.nats.dead import DeadLetters
from cca.nats.log import JetStreamLog
from cca_router import agents, claims, shell, traffic
from cca_router.recovery import Mark


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        yield bus


async def test_a_failed_attempt_is_made_again_when_its_timer_fires_even_if_the_router_was_away(
    nats: NatsSettings, bus: Bus
) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, retry=Retry(initial_s=1.0, factor=1.0, max_s=1.0))
        delivery, verdict = await hand.begin()
        assert await hand.fail(delivery, verdict, Failure("error", "no luck", retry_after_s=1.0))
        waiting = await view(bus, task)
        assert waiting.retry_at is not None and "retry at" in (waiting.waiting or "")
    async with router(nats):
        delivery, verdict = await hand.begin()
        assert datetime.now(UTC) >= waiting.retry_at
        assert (verdict.go, verdict.attempt) == (True, 2)
        assert await hand.complete(delivery, verdict)
        assert (await view(bus, task)).state == "completed"


async def test_a_task_that_keeps_failing_is_a_dead_letter_and_can_be_redriven(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, max_attempts=1)
        await hand.fail(*await hand.begin(), Failure("error", "out of paint"))
        assert (await view(bus, task)).failure == Failure("error", "out of paint")
        dead = DeadLetters(bus)
        while not (entries := await dead.list()):
            await asyncio.sleep(0.02)
        assert (entries[0].task, entries[0].reason) == (task, "out of paint")
        await dead.redrive(entries[0].seq)
        delivery, verdict = await hand.begin()
        assert verdict.attempt == 2
        await hand.complete(delivery, verdict)
        assert (await view(bus, task)).state == "completed"


async def test_a_submission_that_a_crash_cut_short_is_routed_at_the_next_start(nats: NatsSettings, bus: Bus) -> None:
    await setup.ensure(bus)
    stream = Stream("task", uuid7())
    submitted = TaskSubmitted(stream.key, "backend", "half-written", "f" * 64)
    meta = Meta(id=uuid7(), source="test", time=datetime.now(UTC))
    await JetStreamLog(bus).append(stream, [submitted], after=Seq(0), cause=meta)
    async with router(nats):
        assert (await view(bus, stream.key)).waiting == "no live worker for role backend"
        hand = await Hand(bus, "backend", "w1", "default").join()
        assert await hand.complete(*await hand.begin())
        assert (await view(bus, stream.key)).state == "completed"


@pytest.mark.covers("H4")
async def test_a_canceled_task_is_told_to_its_worker_and_a_late_result_is_refused(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        told: asyncio.Queue[bytes] = asyncio.Queue()
        await bus.subscribe(subjects.control("backend", "w1"), lambda msg: told.put_nowait(msg.data))
        await bus.flush()
        task = await submit(bus)
        delivery, verdict = await hand.begin()
        await bus.ask(subjects.RPC_CANCEL, CancelTask(task, "enough"), TaskView)
        assert task.encode() in await asyncio.wait_for(told.get(), 10)
        assert not await hand.complete(delivery, verdict)
        now = await view(bus, task)
        assert (now.state, now.reason) == ("canceled", "enough")


async def test_a_hung_attempt_is_timed_out_by_the_bus(
    nats: NatsSettings, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "GRACE", timedelta(milliseconds=100))
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, timeout_s=0.2, max_attempts=1)
        delivery, verdict = await hand.begin()
        assert verdict.go
        over = await view(bus, task, wait_s=20)
        assert over.failure is not None
        assert (over.state, over.failure.kind) == ("failed", "timeout")
        assert not await hand.complete(delivery, verdict)


@pytest.mark.covers("H6")
async def test_a_silent_agent_is_lost_and_its_lane_gives_its_queue_to_another(
    nats: NatsSettings, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "SILENCE_S", 0.3)
    monkeypatch.setattr(shell, "HOUSEKEEPING_S", 0.1)
    monkeypatch.setattr(traffic, "DESERTED_S", 0.2)
    async with router(nats):
        await bus.ask(subjects.report("backend", "w1", "join"), Join("s", lane="opus"), Welcome)
        task = await submit(bus)
        assert (await view(bus, task)).lane == "opus"
        while (await bus.ask(subjects.RPC_AGENTS, ListAgents(), Agents)).agents:
            await asyncio.sleep(0.05)
        assert (await view(bus, task)).waiting == "no live worker for lane opus of role backend"
        monkeypatch.setattr(agents, "SILENCE_S", 60.0)
        hand = await Hand(bus, "backend", "w2", "haiku").join()
        assert await hand.complete(*await hand.begin())
        assert (await until(bus, task, "completed")).lane == "haiku"


async def test_two_routers_at_once_end_every_task_once(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats), router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        tasks = [await submit(bus) for _ in range(30)]
        outcomes = asyncio.gather(*(view(bus, task, wait_s=30) for task in tasks))
        done: set[str] = set()
        while len(done) < len(tasks):
            delivery, work = await hand.take()
            verdict = await hand.claim(delivery, work)
            if verdict.why == "later":
                delivery.nak(0.05)
            elif not verdict.go:
                delivery.ack()
            elif await hand.complete(delivery, verdict):
                done.add(work.task)
        assert {one.state for one in await outcomes} == {"completed"}


async def test_the_next_start_reads_only_from_the_oldest_open_task(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        for _ in range(3):
            await submit(bus)
            await hand.complete(*await hand.begin())
        last = await submit(bus, role="nobody")
    mark = await Mark(bus).read()
    first, *_ = [raw.seq async for raw in JetStreamLog(bus).scan(f"cca.events.task.{last}")]
    assert first - 1 <= mark <= first
    async with router(nats):
        assert (await view(bus, last)).waiting == "no live worker for role nobody"


async def test_an_unknown_task_is_not_found_and_a_bad_id_is_said_to_be_bad(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        with pytest.raises(Refused) as refused:
            await view(bus, uuid7())
        assert refused.value.code == "not-found"
        with pytest.raises(Refused) as refused:
            await view(bus, "cca.events.>")
        assert refused.value.code == "bad-id"


async def test_work_for_one_role_is_not_started_by_another(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        thief = Hand(bus, "docs", "w2", "default")
        task = await submit(bus)
        delivery, work = await hand.take()
        assert not (await thief.claim(delivery, work)).go
        verdict = await hand.claim(delivery, work)
        assert verdict.go
        report = CompleteTasks((Completion(task, verdict.attempt, "stolen"),))
        answer = await thief.report("complete", report, Reported)
        assert not answer.receipts[0].ok
        assert await hand.complete(delivery, verdict)
        assert (await view(bus, task)).result == "ok"


async def test_a_worker_that_is_started_again_under_its_name_gives_up_what_it_ran_at_once(
    nats: NatsSettings, bus: Bus
) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus)
        _, before = await hand.begin()
        await hand.report("join", Join("session-2", concurrency=10), Welcome)
        now = await view(bus, task)
        assert now.state == "routed" and now.failure is not None and now.failure.kind == "lost"
        delivery, verdict = await hand.begin()
        assert verdict.attempt == before.attempt + 1
        assert await hand.complete(delivery, verdict)


async def test_a_subject_wildcard_is_no_task_id(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        await submit(bus)
        answer = await hand.report("claim", ClaimTasks((Claim(">", 1, 1), Claim("*", 1, 1))), Claimed)
        assert [verdict.why for verdict in answer.verdicts] == ["obsolete", "obsolete"]
        reported = await hand.report("complete", CompleteTasks((Completion(">", 1),)), Reported)
        assert reported.receipts[0].why == "unknown"


async def test_what_is_too_large_for_the_log_is_refused_and_the_router_lives(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        with pytest.raises(Refused) as refused:
            await submit(bus, input={"x": "y" * 2_000_000})
        assert refused.value.code == "too-large"
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus)
        delivery, verdict = await hand.begin()
        done = CompleteTasks((Completion(task, verdict.attempt, "x" * 2_000_000),))
        assert (await hand.report("complete", done, Reported)).receipts[0].ok
        delivery.ack()
        failed = await view(bus, task)
        assert failed.state == "failed" and failed.failure is not None and "1100000 bytes" in failed.failure.message
