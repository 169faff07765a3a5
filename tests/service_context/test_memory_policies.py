"""Policies of memories on a real server: events first, then the snapshot, by several instances, over crashes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from cca import codec
from cca.config import NatsSettings
from cca.contracts.memory import EVERYONE, MemoryPolicies, MemoryPolicy, MemoryPolicySet, SetMemoryPolicy
from cca.errors import Busy
from cca.ids import uuid7
from cca.message import Meta
from cca.nats import names, setup, stored, subjects
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca_context.memory_decide import STREAM, Policies
from cca_context.memory_policies import MemoryPolicyBoard


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield bus


def board(bus: Bus) -> MemoryPolicyBoard:
    return MemoryPolicyBoard(bus, JetStreamLog(bus))


def meta() -> Meta:
    return Meta(id=uuid7(), source="test", time=datetime.now(UTC))


def policy(number: int) -> MemoryPolicy:
    return MemoryPolicy(cap=number)


async def snapshot(bus: Bus) -> MemoryPolicies | None:
    raw = await stored.last(bus, f"KV_{names.STATE}", subjects.MEMORY_POLICIES)
    return None if raw is None else codec.read(raw.body, MemoryPolicies)


async def events(bus: Bus) -> list[MemoryPolicySet]:
    found = []
    async for recorded in JetStreamLog(bus).read(STREAM):
        assert isinstance(recorded.event, MemoryPolicySet)
        found.append(recorded.event)
    return found


async def test_what_is_set_is_in_the_log_and_with_the_routers(bus: Bus) -> None:
    one = board(bus)
    assert await one.current() == Policies() and await snapshot(bus) is None
    own = MemoryPolicy(False, 1, 500, 0.5, 7, 3.5, 0.9)
    command = SetMemoryPolicy("backend", own, "pilot", "ann")
    state = await one.set(command, meta())
    assert state == Policies(1, {"backend": own}) and await snapshot(bus) == state.snapshot()
    assert await events(bus) == [MemoryPolicySet(1, "backend", own, "pilot", "ann")]
    assert await one.set(command, meta()) == state
    assert len(await events(bus)) == 1
    gone = await one.set(SetMemoryPolicy("backend", None), meta())
    assert gone == Policies(2) and await snapshot(bus) == MemoryPolicies(2)


async def test_another_instance_knows_at_once(bus: Bus) -> None:
    one, other = board(bus), board(bus)
    for number in range(1, 6):
        await (one if number % 2 else other).set(SetMemoryPolicy("backend", policy(number)), meta())
        assert (await one.current()) == (await other.current()) == Policies(number, {"backend": policy(number)})


async def test_of_many_changes_by_two_instances_at_once_none_is_lost(bus: Bus) -> None:
    boards = [board(bus), board(bus)]

    async def change(number: int) -> None:
        while True:
            try:
                await boards[number % 2].set(SetMemoryPolicy(f"role-{number}", policy(number + 1)), meta())
                return
            except Busy:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(change(number) for number in range(12)))
    said = await events(bus)
    assert [event.version for event in said] == list(range(1, 13))
    assert {event.role for event in said} == {f"role-{number}" for number in range(12)}
    assert await snapshot(bus) == (await board(bus).current()).snapshot()


async def test_a_crash_between_event_and_snapshot_is_repaired_by_the_next_start(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = board(bus)
    await one.set(SetMemoryPolicy("backend", policy(1)), meta())

    async def crash(*_: object) -> None:
        raise KeyError("killed")

    monkeypatch.setattr(one._newest, "publish", crash)
    with pytest.raises(KeyError):
        await one.set(SetMemoryPolicy("backend", policy(2)), meta())
    assert await snapshot(bus) == MemoryPolicies(1, {"backend": policy(1)})
    assert await board(bus).keep_repairing() == Policies(2, {"backend": policy(2)})
    assert await snapshot(bus) == MemoryPolicies(2, {"backend": policy(2)})


async def test_who_could_not_tell_the_routers_does_so_when_asked_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, command = board(bus), SetMemoryPolicy(EVERYONE, policy(9))

    async def away(*_: object) -> None:
        raise Busy("away")

    with monkeypatch.context() as patched:
        patched.setattr(one._newest, "publish", away)
        with pytest.raises(Busy):
            await one.set(command, meta())
    assert await snapshot(bus) is None
    await one.set(command, meta())
    assert await snapshot(bus) == MemoryPolicies(1, {EVERYONE: policy(9)}) and len(await events(bus)) == 1


async def test_a_snapshot_never_goes_back(bus: Bus) -> None:
    """A slow instance that wants to publish its version after another has published the next one."""
    slow, fast = board(bus), board(bus)
    old = await slow.set(SetMemoryPolicy("backend", policy(1)), meta())
    there, seq = await slow._newest.read()
    await fast.set(SetMemoryPolicy("backend", policy(2)), meta())
    await slow._newest.publish(old.snapshot(), there, seq)
    await slow._newest.publish(old.snapshot(), None, 0)
    assert await snapshot(bus) == MemoryPolicies(2, {"backend": policy(2)})


async def test_after_a_restart_all_is_as_it_was(bus: Bus) -> None:
    await board(bus).set(SetMemoryPolicy("backend", policy(3)), meta())
    await board(bus).set(SetMemoryPolicy("docs", policy(4)), meta())
    assert await board(bus).repair() == Policies(2, {"backend": policy(3), "docs": policy(4)})
    raw = await stored.last(bus, f"KV_{names.STATE}", subjects.MEMORY_POLICIES)
    await board(bus).repair()
    assert raw == await stored.last(bus, f"KV_{names.STATE}", subjects.MEMORY_POLICIES)


async def test_a_log_that_is_an_older_copy_gets_above_what_routers_have(
    bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    await bus.request(subjects.MEMORY_POLICIES, codec.encode(MemoryPolicies(7, {"docs": policy(1)})))
    one = board(bus)
    assert await one.repair() == Policies() and "version 7" in caplog.text
    state = await one.set(SetMemoryPolicy("backend", policy(2)), meta())
    assert state == Policies(8, {"backend": policy(2)}) and await snapshot(bus) == state.snapshot()


async def test_what_cannot_be_read_in_the_bucket_is_replaced(bus: Bus) -> None:
    await bus.request(subjects.MEMORY_POLICIES, b"{")
    state = await board(bus).set(SetMemoryPolicy("backend", policy(2)), meta())
    assert await snapshot(bus) == state.snapshot()


async def test_without_a_log_it_is_repaired_as_soon_as_there_is_one(nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        repairing = asyncio.create_task(board(bus).keep_repairing())
        await asyncio.sleep(0.2)
        assert not repairing.done()
        await setup.ensure(bus)
        assert await repairing == Policies()
