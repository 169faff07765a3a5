"""Which policy decides: the newest version that can be read, as long as it answers and in time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from cca import codec
from cca.config import NatsSettings
from cca.contracts.policy import Algorithm, LaneSummary, Params, PolicySnapshot
from cca.nats import setup, subjects
from cca.nats.bus import Bus, connect
from cca.routing.policy import Case, Judgement, LaneLoad
from cca_router import policies
from cca_router.policies import Policies, Watch, Watched

LANES = [LaneLoad("docs", "a", 4), LaneLoad("docs", "b", 4)]
CASE = Case({})


class Clock:
    """Seconds, as a test has it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Laborious:
    """A policy that takes its time, or has no answer."""

    name = "laborious/1"

    def __init__(self, spent: Clock) -> None:
        self.spent, self.takes = spent, 0.0
        self.answer: Judgement | None = Judgement([0.5, 0.5], [1.0, 1.0])

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        self.spent.now += self.takes
        if self.answer is None:
            raise ValueError("no idea")
        return self.answer


class Bench:
    """A watched policy, and both clocks."""

    def __init__(self) -> None:
        self.clock, self.spent = Clock(), Clock()
        self.watch = Watch(self.clock, self.spent)
        self.policy = Laborious(self.spent)
        self.watched = Watched(self.policy, self.watch)

    def judge(self, takes: float = 0.0) -> Judgement | None:
        self.policy.takes = takes
        try:
            return self.watched.judge(CASE, LANES)
        except (ValueError, ArithmeticError):
            return None


# ------------------------------------------------------------------------------------------ under watch


def test_a_policy_that_is_slow_three_times_in_a_row_rests_for_ten_seconds() -> None:
    bench = Bench()
    for _ in range(2):
        assert bench.judge(0.0021) is not None
    assert not bench.watch.resting()
    bench.judge(0.0021)
    assert bench.watch.resting()
    bench.clock.now = 9.9
    assert bench.watch.resting()
    bench.clock.now = 10.0
    assert not bench.watch.resting()
    bench.judge(0.0021)
    assert not bench.watch.resting()


def test_what_is_slow_now_and_then_goes_on_deciding() -> None:
    bench = Bench()
    for _ in range(20):
        bench.judge(0.003)
        bench.judge(0.003)
        bench.judge(0.0019)
    assert not bench.watch.resting()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Judgement([float("nan"), 0.5], [0.0, 0.0]),
        Judgement([0.5, 0.4], [0.0, 0.0]),
        Judgement([1.5, -0.5], [0.0, 0.0]),
        Judgement([1.0], [0.0]),
    ],
)
def test_a_policy_without_an_answer_is_an_error_and_rests_as_well(answer: Judgement | None) -> None:
    bench = Bench()
    bench.policy.answer = answer
    for _ in range(3):
        assert not bench.watch.resting()
        assert bench.judge() is None
    assert bench.watch.resting()


def test_another_policy_begins_at_once() -> None:
    bench = Bench()
    for _ in range(3):
        bench.judge(1.0)
    bench.watch.another()
    assert not bench.watch.resting()


# ------------------------------------------------------------------------------------------ from the bucket


def snapshot(version: int, algorithm: Algorithm = "uniform", params: Params | None = None) -> PolicySnapshot:
    known = {"docs/a": LaneSummary(n=3.0, success=0.5)}
    return PolicySnapshot(version, 9, "d", algorithm, params or Params(), ("1", "load", "kind=review"), known)


class Reader:
    """Policies on a real server, which hear of what is put into the bucket."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.watch = Watch()
        self.changes = 0
        self._changed = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self.policies = Policies(bus, self._note, self._spawn, self.watch)

    def _note(self) -> None:
        self.changes += 1
        self._changed.set()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        running = asyncio.create_task(coroutine)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def put(self, body: bytes) -> None:
        await self.bus.request(subjects.POLICY, body)

    async def settled(self) -> None:
        """Everything that was put so far has been heard and read."""
        await self.bus.flush()
        while self._running:
            await asyncio.gather(*self._running)

    async def changed_to(self, version: int) -> None:
        while self.policies.routing().version != version:
            await asyncio.wait_for(self._changed.wait(), 20)
            self._changed.clear()


@pytest.fixture
async def reader(nats: NatsSettings) -> AsyncIterator[Reader]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        reader = Reader(bus)
        await bus.subscribe(subjects.POLICY, reader.policies.on_policy)
        await bus.flush()
        yield reader


async def test_without_a_version_the_least_loaded_lane_is_taken(reader: Reader) -> None:
    await reader.policies.start()
    routing = reader.policies.routing()
    assert (routing.policy.name, routing.version, reader.changes) == ("least-loaded/1", 0, 0)


async def test_a_version_that_is_in_the_bucket_decides_from_the_start(reader: Reader) -> None:
    await reader.put(codec.encode(snapshot(4, params=Params(backlog=3.0))))
    await reader.settled()
    other = Reader(reader.bus)
    await other.policies.start()
    routing = other.policies.routing()
    assert (routing.policy.name, routing.version, routing.params.backlog) == ("uniform/1", 4, 3.0)
    assert routing.slots == {"1": 0, "load": 1, "kind=review": 2}
    assert routing.summaries == {"docs/a": LaneSummary(n=3.0, success=0.5)}
    assert other.changes == 1


async def test_a_newer_version_takes_over_when_it_is_put_and_an_older_one_does_not(reader: Reader) -> None:
    await reader.put(codec.encode(snapshot(4)))
    await reader.changed_to(4)
    before = reader.policies.routing()
    for version in (3, 4):
        await reader.put(codec.encode(snapshot(version, "least-loaded")))
    await reader.settled()
    assert reader.policies.routing() is before
    await reader.put(codec.encode(snapshot(5, "least-loaded")))
    await reader.changed_to(5)
    assert (reader.policies.routing().policy.name, reader.changes) == ("least-loaded/1", 2)


async def test_of_many_versions_at_once_the_last_one_decides(reader: Reader) -> None:
    for version in range(1, 40):
        reader.bus.publish(subjects.POLICY, codec.encode(snapshot(version)))
    await reader.changed_to(39)
    assert reader.changes <= 39


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        codec.encode(snapshot(9)).replace(b"uniform", b"of-the-future"),
        codec.encode(replace(snapshot(9, "linear-pm"), model=b"not a model")),
        codec.encode(replace(snapshot(9, "static"), model=b"another's")),
    ],
)
async def test_a_broken_version_is_logged_and_the_one_before_goes_on(
    reader: Reader, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await reader.put(codec.encode(snapshot(4)))
    await reader.changed_to(4)
    with caplog.at_level(logging.ERROR, policies.logger.name):
        await reader.put(broken)
        await reader.settled()
    assert reader.policies.routing().version == 4
    assert "version 4 stays" in caplog.text
    await reader.put(codec.encode(snapshot(10)))
    await reader.changed_to(10)


async def test_while_a_policy_rests_its_limits_still_hold(reader: Reader) -> None:
    await reader.put(codec.encode(snapshot(4, params=Params(in_flight={"docs/a": 1}))))
    await reader.changed_to(4)
    for _ in range(policies.IN_A_ROW):
        reader.watch.bad("uniform/1", "is slow")
    resting = reader.policies.routing()
    assert (resting.policy.name, resting.version) == ("least-loaded/1", 0)
    assert resting.params.in_flight == {"docs/a": 1}
    assert resting.summaries.keys() == {"docs/a"}
    await reader.put(codec.encode(snapshot(5, "static")))  # another policy has done nothing wrong
    await reader.changed_to(5)
    assert reader.policies.routing().policy.name == "static/1"


async def test_after_a_reconnect_what_was_missed_is_read(reader: Reader) -> None:
    missed = Reader(reader.bus)  # it does not listen
    await reader.put(codec.encode(snapshot(4)))
    for callback in reader.bus.reconnected:
        callback()
    await missed.changed_to(4)
