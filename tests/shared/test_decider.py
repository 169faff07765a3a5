"""Read, decide, append, and again when somebody else was faster."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from cca.contracts.task import TaskHeld
from cca.decider import At, Decision, Fold, load, transact
from cca.errors import Busy, Conflict, Refused
from cca.message import Event, Meta, Seq, Side, Stream
from cca.testing.given import given
from cca.testing.memory import MemoryLog

STREAM = Stream("task", "t1")
CAUSE = Meta(id="m1", source="test", time=datetime(2026, 1, 1, tzinfo=UTC))


def count(state: tuple[str, ...], event: Event) -> tuple[str, ...]:
    assert isinstance(event, TaskHeld)
    return (*state, event.reason)


REASONS: Fold[tuple[str, ...]] = Fold((), count)


def hold(reason: str) -> Decision:
    return Decision((TaskHeld("t1", reason),))


class Overtaken(MemoryLog):
    """A log in which somebody else is faster `times` times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def append(
        self, stream: Stream, events: Sequence[Event], *, after: Seq, cause: Meta, sides: Sequence[Side] = ()
    ) -> Seq:
        if self.times:
            self.times -= 1
            await super().append(stream, [TaskHeld("t1", "theirs")], after=after, cause=cause)
        return await super().append(stream, events, after=after, cause=cause, sides=sides)


async def test_what_is_decided_is_appended_and_folded() -> None:
    log = MemoryLog()
    at = await transact(log, STREAM, REASONS, lambda _: hold("a"), cause=CAUSE)
    assert at == At(("a",), Seq(1))
    assert await load(log, STREAM, REASONS) == at


async def test_sides_go_with_their_events() -> None:
    log = MemoryLog()
    side = Side("cca.work.docs.a.normal", b"{}", "cca.task.work.v1", "t1.1")
    await transact(log, STREAM, REASONS, lambda _: Decision((TaskHeld("t1", "a"),), (side,)), cause=CAUSE)
    assert log.sides == [side]


async def test_a_decision_without_events_appends_nothing() -> None:
    log = MemoryLog()
    at = await transact(log, STREAM, REASONS, lambda _: Decision(), cause=CAUSE)
    assert at == At((), Seq(0))
    assert log.recorded == []


async def test_who_was_overtaken_decides_again_on_the_newer_state() -> None:
    seen: list[tuple[str, ...]] = []

    def decide(state: tuple[str, ...]) -> Decision:
        seen.append(state)
        return hold("mine")

    at = await transact(Overtaken(times=2), STREAM, REASONS, decide, cause=CAUSE)
    assert seen == [(), ("theirs",), ("theirs", "theirs")]
    assert at.state == ("theirs", "theirs", "mine")


async def test_who_is_overtaken_every_time_is_told_to_come_back() -> None:
    with pytest.raises(Busy, match="overtaken 5 times"):
        await transact(Overtaken(times=99), STREAM, REASONS, lambda _: hold("mine"), cause=CAUSE)


async def test_a_known_state_saves_reading_and_an_old_one_does_no_harm() -> None:
    log = MemoryLog()
    old = await transact(log, STREAM, REASONS, lambda _: hold("a"), cause=CAUSE)
    await transact(log, STREAM, REASONS, lambda _: hold("b"), cause=CAUSE, known=old)
    at = await transact(log, STREAM, REASONS, lambda _: hold("c"), cause=CAUSE, known=old)
    assert at.state == ("a", "b", "c")


async def test_what_a_decision_refuses_is_not_appended() -> None:
    log = MemoryLog()

    def refuse(_: tuple[str, ...]) -> Decision:
        raise Refused("no", "no")

    with pytest.raises(Refused):
        await transact(log, STREAM, REASONS, refuse, cause=CAUSE)
    assert log.recorded == []


async def test_of_sixteen_racing_deciders_one_decides_and_all_agree() -> None:
    log = MemoryLog()

    async def race(name: str) -> tuple[str, ...]:
        at = await transact(log, STREAM, REASONS, lambda state: Decision() if state else hold(name), cause=CAUSE)
        return at.state

    states = await asyncio.gather(*(race(str(n)) for n in range(16)))
    assert len(log.recorded) == 1
    assert len(set(states)) == 1


async def test_the_memory_log_says_who_was_faster() -> None:
    log = MemoryLog()
    await log.append(STREAM, [TaskHeld("t1", "a")], after=Seq(0), cause=CAUSE)
    with pytest.raises(Conflict, match="expected last sequence 0, found 1"):
        await log.append(STREAM, [TaskHeld("t1", "b")], after=Seq(0), cause=CAUSE)


def test_given_when_then_sees_a_decision_that_would_happen_twice() -> None:
    with pytest.raises(AssertionError, match="happened twice"):
        given(REASONS).when(lambda _: hold("again"))


def test_given_when_then_tells_events_answers_and_refusals() -> None:
    def once(state: tuple[str, ...]) -> tuple[Decision, str]:
        return (Decision(), "had it") if state else (hold("a"), "done")

    def refuse(_: tuple[str, ...]) -> Decision:
        raise Refused("no-room", "no room")

    given(REASONS).when(once).then(TaskHeld("t1", "a")).answering("done")
    given(REASONS, TaskHeld("t1", "x")).when(once).then().answering("had it")
    given(REASONS).when(refuse).refused("no-room")
    with pytest.raises(AssertionError, match="refused"):
        given(REASONS).when(refuse).then()
