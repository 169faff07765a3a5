"""What every `EventLog` promises, as tests: run each of `CONTRACT` on a fresh log.

@pytest.mark.parametrize("holds", CONTRACT, ids=lambda test: test.__name__)
async def test_the_memory_log_keeps_the_contract(holds): await holds(UnderTest(log, stored))
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from msgspec import Struct

from cca.contracts.task import TaskCompleted, TaskHeld, TaskSubmitted
from cca.errors import Conflict
from cca.ids import uuid7
from cca.log import EventLog
from cca.message import Event, Meta, Recorded, Seq, Side, Stream


class UnderTest(Struct, frozen=True):
    """A log, and a way to see the side messages that it stored: the bodies on a subject, oldest first."""

    log: EventLog
    stored: Callable[[str], Awaitable[list[bytes]]]


def _stream() -> Stream:
    return Stream("task", uuid7())


def _cause(conversation: str | None = None, trace: str | None = None) -> Meta:
    return Meta(id=uuid7(), source="contract", time=datetime.now(UTC), conversation=conversation, trace=trace)


def _submitted(stream: Stream) -> TaskSubmitted:
    return TaskSubmitted(stream.key, "docs", "read — 読む 🙂", "f" * 64, input={"n": [1, 2.5, None, "x"]})


def _work(stream: Stream) -> Side:
    return Side(f"cca.work.docs.contract.{stream.key}", b'{"task":"1"}', "cca.task.work.v1", f"{stream.key}.1")


async def _read(log: EventLog, stream: Stream, after: Seq = Seq(0)) -> list[Recorded[Event]]:
    return [recorded async for recorded in log.read(stream, after)]


async def an_aggregate_without_events_is_empty(under: UnderTest) -> None:
    assert await _read(under.log, _stream()) == []


async def what_is_appended_is_read_in_order(under: UnderTest) -> None:
    stream = _stream()
    events = (_submitted(stream), TaskHeld(stream.key, "one"), TaskHeld(stream.key, "two"))
    last = await under.log.append(stream, events, after=Seq(0), cause=_cause())
    found = await _read(under.log, stream)
    assert tuple(one.event for one in found) == events
    assert [one.seq for one in found] == sorted({one.seq for one in found})
    assert found[-1].seq == last
    assert {one.subject for one in found} == {stream.subject}


async def the_returned_position_is_where_the_next_append_goes(under: UnderTest) -> None:
    stream = _stream()
    first = await under.log.append(stream, [_submitted(stream)], after=Seq(0), cause=_cause())
    second = await under.log.append(stream, [TaskHeld(stream.key, "one")], after=first, cause=_cause())
    assert second > first
    assert [one.seq for one in await _read(under.log, stream)] == [first, second]


async def reading_after_a_position_leaves_out_what_stands_before_it(under: UnderTest) -> None:
    stream = _stream()
    first = await under.log.append(stream, [_submitted(stream)], after=Seq(0), cause=_cause())
    held = TaskHeld(stream.key, "one")
    last = await under.log.append(stream, [held], after=first, cause=_cause())
    assert [one.event for one in await _read(under.log, stream, first)] == [held]
    assert await _read(under.log, stream, last) == []


async def aggregates_do_not_see_each_other(under: UnderTest) -> None:
    one, other = _stream(), _stream()
    await under.log.append(one, [_submitted(one)], after=Seq(0), cause=_cause())
    await under.log.append(other, [_submitted(other)], after=Seq(0), cause=_cause())
    assert [found.event for found in await _read(under.log, one)] == [_submitted(one)]


async def an_append_that_was_overtaken_is_a_conflict_and_stores_no_event(under: UnderTest) -> None:
    stream = _stream()
    first = await under.log.append(stream, [_submitted(stream)], after=Seq(0), cause=_cause())
    for stale in (Seq(0), Seq(first + 1_000_000)):
        try:
            await under.log.append(stream, [TaskHeld(stream.key, "late")], after=stale, cause=_cause())
        except Conflict as conflict:
            assert conflict.subject == stream.subject
            assert conflict.expected == stale
        else:
            raise AssertionError(f"appended after {stale}, and the last was {first}")
    assert [one.event for one in await _read(under.log, stream)] == [_submitted(stream)]


async def of_racing_appends_one_wins(under: UnderTest) -> None:
    stream = _stream()
    racing = [under.log.append(stream, [TaskHeld(stream.key, str(n))], after=Seq(0), cause=_cause()) for n in range(16)]
    outcomes = await asyncio.gather(*racing, return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, int)]
    assert len(won) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 15
    assert [one.seq for one in await _read(under.log, stream)] == won


async def appends_to_many_aggregates_at_once_are_all_kept(under: UnderTest) -> None:
    several = [_stream() for _ in range(40)]
    seqs = await asyncio.gather(
        *(
            under.log.append(one, [_submitted(one), TaskCompleted(one.key, 1, "a")], after=Seq(0), cause=_cause())
            for one in several
        )
    )
    assert len(set(seqs)) == len(several)
    for one, seq in zip(several, seqs, strict=True):
        found = await _read(under.log, one)
        assert [type(each.event) for each in found] == [TaskSubmitted, TaskCompleted]
        assert found[-1].seq == seq


async def every_event_knows_its_cause_and_its_conversation(under: UnderTest) -> None:
    stream, trace = _stream(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    cause = _cause(conversation=uuid7(), trace=trace)
    events = [_submitted(stream), TaskHeld(stream.key, "one")]
    last = await under.log.append(stream, events, after=Seq(0), cause=cause)
    alone = _cause()
    await under.log.append(stream, [TaskHeld(stream.key, "two")], after=last, cause=alone)
    metas = [one.meta for one in await _read(under.log, stream)]
    assert [meta.cause for meta in metas] == [cause.id, cause.id, alone.id]
    assert [meta.conversation for meta in metas] == [cause.conversation, cause.conversation, alone.id]
    assert [meta.trace for meta in metas] == [trace, trace, None]
    assert {meta.source for meta in metas} == {"contract"}
    assert len({meta.id for meta in metas}) == 3
    assert all(meta.time.tzinfo is not None for meta in metas)


async def an_event_is_the_proof_that_its_sides_are_stored(under: UnderTest) -> None:
    stream = _stream()
    side = _work(stream)
    await under.log.append(stream, [_submitted(stream)], after=Seq(0), cause=_cause(), sides=[side])
    assert await under.stored(side.subject) == [side.body]


async def sides_are_not_events_of_the_aggregate(under: UnderTest) -> None:
    stream = _stream()
    events = [_submitted(stream), TaskHeld(stream.key, "one")]
    last = await under.log.append(stream, events, after=Seq(0), cause=_cause(), sides=[_work(stream)])
    found = await _read(under.log, stream)
    assert [one.event for one in found] == events
    assert found[-1].seq == last


async def a_side_with_a_known_dedup_id_is_stored_once(under: UnderTest) -> None:
    stream = _stream()
    side = _work(stream)
    last = await under.log.append(stream, [_submitted(stream)], after=Seq(0), cause=_cause(), sides=[side])
    held = TaskHeld(stream.key, "one")
    await under.log.append(stream, [held], after=last, cause=_cause(), sides=[side])
    assert [one.event for one in await _read(under.log, stream)] == [_submitted(stream), held]
    assert await under.stored(side.subject) == [side.body]


CONTRACT: tuple[Callable[[UnderTest], Awaitable[None]], ...] = (
    an_aggregate_without_events_is_empty,
    what_is_appended_is_read_in_order,
    the_returned_position_is_where_the_next_append_goes,
    reading_after_a_position_leaves_out_what_stands_before_it,
    aggregates_do_not_see_each_other,
    an_append_that_was_overtaken_is_a_conflict_and_stores_no_event,
    of_racing_appends_one_wins,
    appends_to_many_aggregates_at_once_are_all_kept,
    every_event_knows_its_cause_and_its_conversation,
    an_event_is_the_proof_that_its_sides_are_stored,
    sides_are_not_events_of_the_aggregate,
    a_side_with_a_known_dedup_id_is_stored_once,
)
"""Every promise; each is true of a log by itself, on whatever else the log holds."""
