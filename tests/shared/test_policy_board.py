"""Policies of both sorts on a real server: events first, then the snapshot, by several instances, over crashes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import Struct

from cca import codec
from cca.config import NatsSettings
from cca.contracts.ledger import EVERYONE, RolePolicy, SetTokenPolicy, TokenPolicySet
from cca.contracts.memory import MemoryPolicy, MemoryPolicySet, SetMemoryPolicy
from cca.errors import Busy
from cca.ids import uuid7
from cca.message import Meta
from cca.nats import names, setup, stored
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca.policy_board import PolicyBoard, Sort
from cca_context import memory_decide
from cca_context.memory_policies import MEMORIES
from cca_tokens import decide as token_decide
from cca_tokens.policies import TOKENS


class Kind(Struct, frozen=True):
    """What differs between policies of one sort and of another."""

    sort: Sort[Any, Any, Any]
    policy: Callable[[int], Any]
    command: Callable[..., Any]
    said: Callable[..., Any]
    state: Callable[..., Any]

    def board(self, bus: Bus) -> PolicyBoard[Any, Any, Any]:
        return PolicyBoard(bus, JetStreamLog(bus), self.sort)

    async def snapshot(self, bus: Bus) -> Any:
        raw = await stored.last(bus, f"KV_{names.STATE}", self.sort.subject)
        return None if raw is None else codec.read(raw.body, self.sort.kind)

    async def events(self, bus: Bus) -> list[Any]:
        return [recorded.event async for recorded in JetStreamLog(bus).read(self.sort.stream)]


KINDS = {
    "tokens": Kind(TOKENS, RolePolicy, SetTokenPolicy, TokenPolicySet, token_decide.Policies),
    "memories": Kind(
        MEMORIES,
        lambda number: MemoryPolicy(cap=number),
        lambda role, policy=None, *more: SetMemoryPolicy(role, policy, *more),
        MemoryPolicySet,
        memory_decide.Policies,
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield bus


def meta() -> Meta:
    return Meta(id=uuid7(), source="test", time=datetime.now(UTC))


async def test_what_is_set_is_in_the_log_and_with_the_routers(kind: Kind, bus: Bus) -> None:
    one = kind.board(bus)
    assert await one.current() == kind.state() and await kind.snapshot(bus) is None
    policy = kind.policy(500)
    command = kind.command("backend", policy, "pilot", "ann")
    state = await one.set(command, meta())
    assert state == kind.state(1, {"backend": policy}) and await kind.snapshot(bus) == state.snapshot()
    assert await kind.events(bus) == [kind.said(1, "backend", policy, "pilot", "ann")]
    assert await one.set(command, meta()) == state
    assert len(await kind.events(bus)) == 1
    gone = await one.set(kind.command("backend"), meta())
    assert gone == kind.state(2) and await kind.snapshot(bus) == kind.sort.kind(2)


async def test_another_instance_knows_at_once(kind: Kind, bus: Bus) -> None:
    one, other = kind.board(bus), kind.board(bus)
    for number in range(1, 6):
        await (one if number % 2 else other).set(kind.command("backend", kind.policy(number)), meta())
        assert (await one.current()) == (await other.current()) == kind.state(number, {"backend": kind.policy(number)})


async def test_of_many_changes_by_two_instances_at_once_none_is_lost(kind: Kind, bus: Bus) -> None:
    boards = [kind.board(bus), kind.board(bus)]

    async def change(number: int) -> None:
        while True:
            try:
                await boards[number % 2].set(kind.command(f"role-{number}", kind.policy(number + 1)), meta())
                return
            except Busy:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(change(number) for number in range(12)))
    said = await kind.events(bus)
    assert [event.version for event in said] == list(range(1, 13))
    assert {event.role for event in said} == {f"role-{number}" for number in range(12)}
    assert await kind.snapshot(bus) == (await kind.board(bus).current()).snapshot()


async def test_a_crash_between_event_and_snapshot_is_repaired_by_the_next_start(
    kind: Kind, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = kind.board(bus)
    await one.set(kind.command("backend", kind.policy(1)), meta())

    async def crash(*_: object) -> None:
        raise KeyError("killed")

    monkeypatch.setattr(one._newest, "publish", crash)
    with pytest.raises(KeyError):
        await one.set(kind.command("backend", kind.policy(2)), meta())
    assert await kind.snapshot(bus) == kind.sort.kind(1, {"backend": kind.policy(1)})
    assert await kind.board(bus).keep_repairing() == kind.state(2, {"backend": kind.policy(2)})
    assert await kind.snapshot(bus) == kind.sort.kind(2, {"backend": kind.policy(2)})


async def test_who_could_not_tell_the_routers_does_so_when_asked_again(
    kind: Kind, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, command = kind.board(bus), kind.command(EVERYONE, kind.policy(9))

    async def away(*_: object) -> None:
        raise Busy("away")

    with monkeypatch.context() as patched:
        patched.setattr(one._newest, "publish", away)
        with pytest.raises(Busy):
            await one.set(command, meta())
    assert await kind.snapshot(bus) is None
    await one.set(command, meta())
    assert (
        await kind.snapshot(bus) == kind.sort.kind(1, {EVERYONE: kind.policy(9)}) and len(await kind.events(bus)) == 1
    )


async def test_a_snapshot_never_goes_back(kind: Kind, bus: Bus) -> None:
    """A slow instance that wants to publish its version after another has published the next one."""
    slow, fast = kind.board(bus), kind.board(bus)
    old = await slow.set(kind.command("backend", kind.policy(1)), meta())
    there, seq = await slow._newest.read()
    await fast.set(kind.command("backend", kind.policy(2)), meta())
    await slow._newest.publish(old.snapshot(), there, seq)
    await slow._newest.publish(old.snapshot(), None, 0)
    assert await kind.snapshot(bus) == kind.sort.kind(2, {"backend": kind.policy(2)})


async def test_after_a_restart_all_is_as_it_was(kind: Kind, bus: Bus) -> None:
    await kind.board(bus).set(kind.command("backend", kind.policy(3)), meta())
    await kind.board(bus).set(kind.command("docs", kind.policy(4)), meta())
    assert await kind.board(bus).repair() == kind.state(2, {"backend": kind.policy(3), "docs": kind.policy(4)})
    raw = await stored.last(bus, f"KV_{names.STATE}", kind.sort.subject)
    await kind.board(bus).repair()
    assert raw == await stored.last(bus, f"KV_{names.STATE}", kind.sort.subject)


async def test_a_log_that_is_an_older_copy_gets_above_what_routers_have(
    kind: Kind, bus: Bus, caplog: pytest.LogCaptureFixture
) -> None:
    await bus.request(kind.sort.subject, codec.encode(kind.sort.kind(7, {"docs": kind.policy(1)})))
    one = kind.board(bus)
    assert await one.repair() == kind.state() and "version 7" in caplog.text
    state = await one.set(kind.command("backend", kind.policy(2)), meta())
    assert state == kind.state(8, {"backend": kind.policy(2)}) and await kind.snapshot(bus) == state.snapshot()


async def test_what_cannot_be_read_in_the_bucket_is_replaced(kind: Kind, bus: Bus) -> None:
    await bus.request(kind.sort.subject, b"{")
    state = await kind.board(bus).set(kind.command("backend", kind.policy(2)), meta())
    assert await kind.snapshot(bus) == state.snapshot()


async def test_without_a_log_it_is_repaired_as_soon_as_there_is_one(kind: Kind, nats: NatsSettings) -> None:
    async with connect(nats, "test") as bus:
        repairing = asyncio.create_task(kind.board(bus).keep_repairing())
        await asyncio.sleep(0.2)
        assert not repairing.done()
        await setup.ensure(bus)
        assert await repairing == kind.state()
