"""The log on JetStream: order, expectations, group commit, timers, and what a killed server leaves."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from cca.config import NatsSettings
from cca.contracts.task import TaskHeld
from cca.errors import Conflict
from cca.ids import uuid7
from cca.message import Meta, Seq, Side, Stream
from cca.nats import names, setup
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog, Raw
from cca.nats.pull import Delivery, Pull
from cca.testing.servers import NatsServer


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield bus


def cause() -> Meta:
    return Meta(id=uuid7(), source="test", time=datetime.now(UTC), trace="00-" + "a" * 32 + "-" + "b" * 16 + "-01")


def held(stream: Stream, *reasons: str) -> list[TaskHeld]:
    return [TaskHeld(stream.key, reason) for reason in reasons]


def task() -> Stream:
    return Stream("task", uuid7())


async def reasons(log: JetStreamLog, stream: Stream) -> list[str]:
    return [one.event.reason async for one in log.read(stream) if isinstance(one.event, TaskHeld)]


async def stored(log: JetStreamLog, subject: str) -> list[Raw]:
    return [raw async for raw in log.scan(subject)]


async def test_what_is_appended_is_read_in_order_with_what_is_known_of_it(bus: Bus) -> None:
    log, stream, said = JetStreamLog(bus), task(), cause()
    seq = await log.append(stream, held(stream, "a", "b"), after=Seq(0), cause=said)
    found = [one async for one in log.read(stream)]
    assert [one.event for one in found] == held(stream, "a", "b")
    assert found[-1].seq == seq
    assert {one.meta.cause for one in found} == {said.id}
    assert {one.meta.trace for one in found} == {said.trace}
    assert [one.seq async for one in log.read(stream, after=found[0].seq)] == [seq]


async def test_an_append_on_an_old_position_is_a_conflict_and_adds_nothing(bus: Bus) -> None:
    log, stream = JetStreamLog(bus), task()
    seq = await log.append(stream, held(stream, "a"), after=Seq(0), cause=cause())
    with pytest.raises(Conflict) as refused:
        await log.append(stream, held(stream, "b"), after=Seq(0), cause=cause())
    assert refused.value.actual == seq
    assert await reasons(log, stream) == ["a"]


async def test_a_lone_append_is_no_batch_and_many_at_once_share_one(bus: Bus) -> None:
    log, lone = JetStreamLog(bus, batch_from=12), task()
    await log.append(lone, held(lone, "a"), after=Seq(0), cause=cause())
    assert all("Nats-Batch-Id" not in raw.headers for raw in await stored(log, lone.subject))

    before, many = log.appender.commits, [task() for _ in range(300)]
    await asyncio.gather(*(log.append(one, held(one, "a"), after=Seq(0), cause=cause()) for one in many))
    assert log.appender.commits - before <= 3
    assert all("Nats-Batch-Id" in raw.headers for raw in await stored(log, many[0].subject))


async def test_a_log_told_never_to_batch_stores_the_same(bus: Bus) -> None:
    log, many = JetStreamLog(bus, batch_from=0), [task() for _ in range(50)]
    await asyncio.gather(*(log.append(one, held(one, "a", "b"), after=Seq(0), cause=cause()) for one in many))
    for one in many:
        assert await reasons(log, one) == ["a", "b"]
    assert all("Nats-Batch-Id" not in raw.headers for raw in await stored(log, "cca.events.>"))


async def test_one_conflict_in_a_batch_refuses_only_its_own_append(bus: Bus) -> None:
    log, taken = JetStreamLog(bus, batch_from=2), task()
    await log.append(taken, held(taken, "first"), after=Seq(0), cause=cause())
    others = [task() for _ in range(40)]
    results = await asyncio.gather(
        *(
            log.append(one, held(one, "late"), after=Seq(0), cause=cause())
            for one in [*others[:20], taken, *others[20:]]
        ),
        return_exceptions=True,
    )
    assert isinstance(results[20], Conflict)
    assert [one for one in results if isinstance(one, BaseException)] == [results[20]]
    assert await reasons(log, taken) == ["first"]
    assert all([await reasons(log, one) == ["late"] for one in others])


async def test_of_many_appends_to_one_aggregate_at_one_position_exactly_one_wins(bus: Bus) -> None:
    log, stream = JetStreamLog(bus, batch_from=4), task()
    results = await asyncio.gather(
        *(log.append(stream, held(stream, str(n)), after=Seq(0), cause=cause()) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, int) for one in results) == 1
    assert sum(isinstance(one, Conflict) for one in results) == 19
    assert len(await reasons(log, stream)) == 1


@pytest.mark.parametrize("batch_from", [0, 1])
async def test_side_messages_are_there_when_their_event_is(bus: Bus, batch_from: int) -> None:
    log, stream = JetStreamLog(bus, batch_from), task()
    side = Side("cca.work.backend.default.normal", b"{}", "cca.task.work.v1", f"{stream.key}.1")
    await log.append(stream, held(stream, "a", "b"), after=Seq(0), cause=cause(), sides=[side])
    (work,) = await stored(log, "cca.work.>")
    first, last = await stored(log, stream.subject)
    assert first.seq < work.seq < last.seq


async def test_a_timer_fires_once_on_its_target(bus: Bus) -> None:
    log, stream = JetStreamLog(bus), task()
    due = datetime.now(UTC) + timedelta(milliseconds=300)
    target = f"cca.due.task.{stream.key}.retry"
    timer = Side(f"cca.timer.task.{stream.key}.retry", b'{"x":1}', "cca.task.due.v1", "t1", due, target)
    await log.append(stream, held(stream, "a"), after=Seq(0), cause=cause(), sides=[timer])
    fired: asyncio.Queue[Delivery] = asyncio.Queue()
    pull = await Pull.start(bus, names.EVENTS, "router_due", fired.put_nowait)
    delivery = await asyncio.wait_for(fired.get(), 10)
    assert (delivery.subject, delivery.body) == (target, b'{"x":1}')
    assert datetime.now(UTC) >= due
    delivery.ack()
    await pull.stop()


async def test_a_page_is_no_limit_for_a_read(bus: Bus) -> None:
    log, stream = JetStreamLog(bus), task()
    seq = Seq(0)
    for part in range(3):
        said = [str(part * 300 + n) for n in range(300)]
        seq = await log.append(stream, held(stream, *said), after=seq, cause=cause())
    assert await reasons(log, stream) == [str(n) for n in range(900)]


async def test_announcements_come_after_the_commit_and_never_for_what_was_refused(bus: Bus, nats: NatsSettings) -> None:
    async with connect(nats, "listener") as listener:
        heard: list[bytes] = []
        log, stream = JetStreamLog(bus, announce=True), task()
        await listener.subscribe(f"cca.live.task.{stream.key}", lambda msg: heard.append(msg.data))
        await listener.flush()
        await log.append(stream, held(stream, "a", "b"), after=Seq(0), cause=cause())
        with pytest.raises(Conflict):
            await log.append(stream, held(stream, "c"), after=Seq(0), cause=cause())
        await bus.flush()
        await listener.flush()
        assert [b'"a"' in heard[0], b'"b"' in heard[1], len(heard)] == [True, True, 2]


@pytest.mark.covers("TEST-002")
async def test_appends_survive_a_killed_server_and_none_is_stored_twice(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "test") as bus:
        await setup.ensure(bus)
        log = JetStreamLog(bus)
        stored_at: dict[Stream, Seq] = {}
        stop = asyncio.Event()

        async def lane() -> None:
            while not stop.is_set():
                stream = task()
                stored_at[stream] = await log.append(stream, held(stream, "a", "b"), after=Seq(0), cause=cause())

        lanes = [asyncio.create_task(lane()) for _ in range(64)]
        while len(stored_at) < 500:
            await asyncio.sleep(0.01)
        nats_server.kill()
        nats_server.start()
        goal = len(stored_at) + 500
        while len(stored_at) < goal:
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*lanes)

        found: dict[str, list[Seq]] = {}
        async for raw in log.scan("cca.events.>"):
            found.setdefault(raw.subject, []).append(raw.seq)
        assert set(found) == {stream.subject for stream in stored_at}
        for stream, seq in stored_at.items():
            assert len(found[stream.subject]) == 2
            assert found[stream.subject][-1] == seq
