"""The router on a real server: quotas, ceilings, pauses, breakers, versions that are swapped, ratings."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from tests.router.hand import Hand, router, submit, until, view

from cca import codec
from cca.config import NatsSettings
from cca.contracts.agent import Join, Welcome
from cca.contracts.policy import Algorithm, LaneSummary, Params, PolicySnapshot
from cca.contracts.task import (
    Failure,
    RateTask,
    Retry,
    RetryTask,
    SubmitTask,
    TaskAccepted,
    TaskHeld,
    TaskRated,
    TaskRouted,
    TaskView,
)
from cca.errors import Refused
from cca.message import Event, Stream
from cca.nats import setup, subjects
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca_router import guards, shell

FULL = "full: every lane of role backend holds as many tasks as it may"
DEAR = "too dear: every lane of role backend costs more than the ceiling"


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield bus


@pytest.fixture
def _no_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happens then happens because something else has happened."""
    monkeypatch.setattr(shell, "HOUSEKEEPING_S", 3_600.0)


def snapshot(version: int, algorithm: Algorithm = "least-loaded", **params: Any) -> PolicySnapshot:
    return PolicySnapshot(version, 1, "d", algorithm, Params(**params), ("1", "load"))


async def put(bus: Bus, version: PolicySnapshot) -> None:
    await bus.request(subjects.POLICY, codec.encode(version))


async def join(bus: Bus, lane: str, name: str) -> None:
    """A worker that takes nothing yet."""
    await bus.ask(subjects.report("backend", name, "join"), Join("s", lane=lane, concurrency=10), Welcome)


async def events(bus: Bus, task: str) -> list[Event]:
    return [one.event async for one in JetStreamLog(bus).read(Stream("task", task))]


async def routed(bus: Bus, task: str) -> list[TaskRouted]:
    return [event for event in await events(bus, task) if isinstance(event, TaskRouted)]


# ------------------------------------------------------------------------------------------ quotas


@pytest.mark.usefixtures("_no_housekeeping")
async def test_a_quota_holds_tasks_and_each_end_lets_one_go_on(nats: NatsSettings, bus: Bus) -> None:
    await put(bus, snapshot(1, in_flight={"backend/default": 2}))
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        tasks = await asyncio.gather(*(submit(bus) for _ in range(12)))
        waiting = [(await view(bus, task)).waiting for task in tasks]
        assert sorted(str(one) for one in waiting) == [FULL] * 10 + ["queued in lane default"] * 2
        for _ in range(12):
            assert hand.work.qsize() <= 2
            assert await hand.complete(*await hand.begin())
        assert {(await until(bus, task, "completed")).state for task in tasks} == {"completed"}
        for task in tasks:
            assert sum(isinstance(event, TaskHeld) for event in await events(bus, task)) <= 1


@pytest.mark.usefixtures("_no_housekeeping")
async def test_an_attempt_that_fails_is_made_again_in_its_own_place(nats: NatsSettings, bus: Bus) -> None:
    await put(bus, snapshot(1, in_flight={"backend/default": 1}))
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, retry=Retry(initial_s=0.0))
        assert await hand.fail(*await hand.begin(), Failure("error", "no luck"))
        assert await hand.complete(*await hand.begin())
        assert not [event for event in await events(bus, task) if isinstance(event, TaskHeld)]


@pytest.mark.usefixtures("_no_housekeeping")
async def test_a_quota_that_is_raised_lets_tasks_go_on(nats: NatsSettings, bus: Bus) -> None:
    await put(bus, snapshot(1, in_flight={"backend/default": 0}))
    async with router(nats):
        await join(bus, "default", "w1")
        tasks = [await submit(bus) for _ in range(5)]
        assert {(await view(bus, task)).waiting for task in tasks} == {FULL}
        await put(bus, snapshot(2))
        assert {(await until(bus, task, "routed")).waiting for task in tasks} == {"queued in lane default"}


@pytest.mark.usefixtures("_no_housekeeping")
async def test_tasks_that_are_held_for_room_go_on_after_a_restart(nats: NatsSettings, bus: Bus) -> None:
    await put(bus, snapshot(1, in_flight={"backend/default": 0}))
    async with router(nats):
        await join(bus, "default", "w1")
        task = await submit(bus)
        assert (await view(bus, task)).waiting == FULL
    await put(bus, snapshot(2, in_flight={"backend/default": 1}))
    async with router(nats):
        assert (await until(bus, task, "routed")).lane == "default"


# ------------------------------------------------------------------------------------------ ceilings


@pytest.mark.usefixtures("_no_housekeeping")
async def test_a_task_that_every_lane_is_too_dear_for_waits_until_one_is_cheap_enough(
    nats: NatsSettings, bus: Bus
) -> None:
    def costing(version: int, opus: float) -> PolicySnapshot:
        known = {"backend/opus": LaneSummary(n=9.0, cost_usd=opus), "backend/haiku": LaneSummary(n=9.0, cost_usd=0.8)}
        return replace(snapshot(version, ceilings={"requester:ann": 0.5}), lanes=known)

    await put(bus, costing(1, opus=0.9))
    async with router(nats):
        await join(bus, "opus", "w1")
        await join(bus, "haiku", "w2")
        assert (await view(bus, await submit(bus, requester="bob"))).state == "routed"
        task = await submit(bus, requester="ann")
        assert (await view(bus, task)).waiting == DEAR
        await put(bus, costing(2, opus=0.7))
        await put(bus, costing(3, opus=0.3))
        assert (await until(bus, task, "routed")).lane == "opus"
        _, held, event = await events(bus, task)
        assert isinstance(event, TaskRouted) and isinstance(held, TaskHeld)
        masked = {one.lane: one.masked for one in event.candidates}
        assert masked["opus"] is None and "ceiling" in str(masked["haiku"])


# ------------------------------------------------------------------------------------------ pauses and breakers


async def test_a_provider_that_asks_for_a_pause_is_left_alone(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "opus").join()
        await join(bus, "haiku", "w2")
        await submit(bus, lane="opus", max_attempts=1)
        await hand.fail(*await hand.begin(), Failure("rate-limited", "slow down", retry_after_s=600.0))
        for number in range(5):
            (event,) = await routed(bus, await submit(bus))
            assert event.lane == "haiku", number
            assert {one.lane: one.masked for one in event.candidates} == {"haiku": None, "opus": guards.LIMITED}
        (event,) = await routed(bus, await submit(bus, lane="opus"))  # there is no other choice
        assert event.lane == "opus"


async def test_a_lane_that_keeps_failing_rests_and_one_task_tries_it(nats: NatsSettings, bus: Bus) -> None:
    await put(bus, snapshot(1, breaker_failures=2, breaker_s=0.0))
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "opus").join()
        await join(bus, "haiku", "w2")
        busy = [await submit(bus, lane="haiku") for _ in range(9)]
        for _ in range(2):
            await submit(bus, lane="opus", max_attempts=1)
            await hand.fail(*await hand.begin(), Failure("error", "out of order"))
        first, *others = [(await routed(bus, await submit(bus)))[0] for _ in range(4)]
        assert first.lane == "opus"  # it is the least loaded, and its rest of no seconds is over
        for event in others:
            assert event.lane == "haiku"
            assert {one.lane: one.masked for one in event.candidates}["opus"] == guards.TRYING
        await hand.complete(*await hand.begin())
        (event,) = await routed(bus, await submit(bus))
        assert event.lane == "opus" and len(busy) == 9


# ------------------------------------------------------------------------------------------ versions


async def test_versions_are_swapped_while_tasks_are_routed(nats: NatsSettings, bus: Bus) -> None:
    tables = [{"backend/a": 1.0}, {"backend/b": 1.0}]
    async with router(nats):
        await join(bus, "a", "w1")
        await join(bus, "b", "w2")
        assert (await routed(bus, await submit(bus)))[0].policy == "least-loaded/1"
        versions: list[int] = []
        for version in range(1, 9):
            await put(bus, snapshot(version, "static", table=tables[version % 2], backlog=1e6))
            while True:  # every one of these is routed, whichever version decides
                tasks = await asyncio.gather(*(submit(bus) for _ in range(10)))
                found = [(await routed(bus, task))[0] for task in tasks]
                for event in found:
                    assert event.version == 0 or f"backend/{event.lane}" in tables[event.version % 2]
                versions += [event.version for event in found]
                if versions[-1] == version:
                    break
        assert versions == sorted(versions)


async def test_policies_that_take_turns_take_them_over_all_tasks(nats: NatsSettings, bus: Bus) -> None:
    await put(bus, snapshot(1, "round-robin"))
    async with router(nats):
        for lane in "abc":
            await join(bus, lane, f"w-{lane}")
        tasks = await asyncio.gather(*(submit(bus) for _ in range(9)))
        found = sorted([(await routed(bus, task))[0] for task in tasks], key=lambda event: event.turn)
        assert [event.turn for event in found] == list(range(9))
        assert [event.lane for event in found] == list("abcabcabc")


async def test_a_policy_that_cannot_be_read_does_not_keep_a_router_from_starting(nats: NatsSettings, bus: Bus) -> None:
    await bus.request(subjects.POLICY, b"not a policy")
    async with router(nats):
        await join(bus, "default", "w1")
        (event,) = await routed(bus, await submit(bus))
        assert (event.policy, event.version) == ("least-loaded/1", 0)


async def test_tasks_that_come_all_at_once_are_spread_over_the_lanes(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        await join(bus, "a", "w1")
        await join(bus, "b", "w2")
        tasks = await asyncio.gather(*(submit(bus) for _ in range(40)))
        lanes = [(await routed(bus, task))[0].lane for task in tasks]
        assert sorted((lanes.count("a"), lanes.count("b"))) == [20, 20]


# ------------------------------------------------------------------------------------------ ratings


async def rate(bus: Bus, task: str, quality: float, comment: str = "") -> TaskView:
    return await bus.ask(subjects.RPC_RATE, RateTask(task, quality, comment, "ann"), TaskView)


async def test_an_outcome_can_be_rated_long_after_and_again(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus, max_attempts=1)
        with pytest.raises(Refused) as refused:
            await rate(bus, task, 0.5)
        assert refused.value.code == "not-over"
        await hand.fail(*await hand.begin(), Failure("error", "no luck"))
    async with router(nats):  # which has never heard of the task
        assert (await view(bus, task)).quality is None
        assert (await rate(bus, task, 0.1)).quality == 0.1
        assert (await rate(bus, task, 0.9, "better than I thought")).quality == 0.9
        before = await events(bus, task)
        assert [event for event in before if isinstance(event, TaskRated)] == [
            TaskRated(task, 1, 0.1, "", "ann"),
            TaskRated(task, 1, 0.9, "better than I thought", "ann"),
        ]
        await rate(bus, task, 0.9, "better than I thought")
        assert await events(bus, task) == before
        again = await bus.ask(subjects.RPC_RETRY, RetryTask(task), TaskView)
        assert (again.state, again.quality) == ("routed", None)


async def test_a_rating_through_one_router_is_known_to_the_other(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats), router(nats):
        hand = await Hand(bus, "backend", "w1", "default").join()
        task = await submit(bus)
        await hand.complete(*await hand.begin())
        for quality in (0.1, 0.2) * 5:  # whichever of them answers
            assert (await rate(bus, task, quality)).quality == quality
        ratings = [event.quality for event in await events(bus, task) if isinstance(event, TaskRated)]
        assert ratings == [0.1, 0.2] * 5


async def test_what_is_not_there_cannot_be_rated(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        with pytest.raises(Refused) as refused:
            await rate(bus, "01890a5d-ac96-774b-bcce-b302099a8057", 1.0)
        assert refused.value.code == "not-found"


async def test_a_deadline_is_kept_with_the_task_and_makes_it_another_request(nats: NatsSettings, bus: Bus) -> None:
    async with router(nats):
        key = SubmitTask("work", role="backend", idempotency_key="k", deadline_s=60.0)
        task = (await bus.ask(subjects.RPC_SUBMIT, key, TaskAccepted)).task
        first, *_ = await events(bus, task)
        assert getattr(first, "deadline_s", None) == 60.0
        assert not (await bus.ask(subjects.RPC_SUBMIT, key, TaskAccepted)).created
        with pytest.raises(Refused) as refused:
            await bus.ask(subjects.RPC_SUBMIT, replace(key, deadline_s=None), TaskAccepted)
        assert refused.value.code == "key-reused"
