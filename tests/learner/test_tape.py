"""A span of the log, played to its end: everything, in order, and a doubt when something is missing."""

import asyncio

import pytest
from tests.learner.conftest import Log
from tests.learner.histories import ROLE, Said, history, task_of

from cca import codec
from cca.contracts.task import TaskCompleted, TaskSubmitted
from cca.nats import setup
from cca.nats import tape as tape_module
from cca.nats.bus import connect
from cca.nats.follow import Doubt, Follower
from cca.nats.tape import Tape
from cca.projection import Entry
from cca.testing.servers import NatsServer


async def played(tape: Tape, chunk: int) -> list[Entry]:
    found: list[Entry] = []
    while tape.left:
        found += await tape.take(chunk)
    return found


@pytest.mark.parametrize("chunk", [1, 7, 1_000])
async def test_it_plays_what_a_follower_hears(log: Log, chunk: int) -> None:
    last = await log.tell(history(80))
    follower = await Follower.start(log.bus, "test", 100)
    heard: list[Entry] = []
    while len(heard) < last - 100:
        heard += await follower.take(1_000, wait_s=5)
    await follower.stop()
    tape = await Tape.start(log.bus, 100)
    await log.tell(history(5, seed=7))  # what comes later is not part of it
    found = await played(tape, chunk)
    await tape.stop()
    assert [(one.seq, one.subject, one.type, one.time, one.body) for one in found] == [
        (one.seq, one.subject, one.type, one.time, one.body) for one in heard
    ]


async def test_of_an_empty_log_nothing_is_played(log: Log) -> None:
    tape = await Tape.start(log.bus, 0)
    assert tape.left == 0 and await tape.take(10) == []
    await tape.stop()


async def test_more_than_flow_control_lets_through_at_once_is_played_too(log: Log) -> None:
    large = "x" * 99_000
    for start in range(0, 600, 100):
        said: list[Said] = [
            (TaskSubmitted(task_of(number), ROLE, large, "f" * 64), 0.0) for number in range(start, start + 100)
        ]
        await log.tell(said)
    tape = await Tape.start(log.bus, 0)
    await asyncio.sleep(0.2)  # the server sends ahead, until it must wait for us
    assert [one.seq for one in await played(tape, 500)] == list(range(1, 601))
    await tape.stop()


async def test_a_time_that_somebody_else_wrote_is_read_as_a_follower_reads_it(log: Log) -> None:
    body, subject = codec.encode(TaskCompleted(task_of(1), 1, "ann")), f"cca.events.task.{task_of(1)}"
    for headers in (
        {"ce-type": "cca.task.completed.v1", "ce-time": "2026-01-01T13:00:00+01:00"},
        {"ce-type": "cca.task.completed.v1", "ce-time": "yesterday"},
        {"ce-type": "cca.task.completed.v1"},
        {"ce-time": "2026-01-01T13:00:00Z"},
        {},
    ):
        await log.bus.request(subject, body, headers)
    follower = await Follower.start(log.bus, "test", 0)
    tape = await Tape.start(log.bus, 0)
    found = await played(tape, 10)
    heard: list[Entry] = []
    while len(heard) < 5:
        heard += await follower.take(10, wait_s=5)
    assert [(one.time, one.type) for one in found] == [(one.time, one.type) for one in heard]
    await tape.stop()
    await follower.stop()


async def test_a_missing_message_is_a_doubt(log: Log) -> None:
    await log.tell(history(10))
    tape = await Tape.start(log.bus, 0)
    await tape.take(5)
    while len(tape._waiting) < 2:
        await asyncio.sleep(0.01)
    del tape._waiting[0]
    with pytest.raises(Doubt, match="missing"):
        await tape.take(1)
    await tape.stop()


async def test_a_loss_at_the_end_is_a_doubt(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape_module, "HEARTBEAT", 0.1)
    await log.tell(history(10))
    tape = await Tape.start(log.bus, 0)
    tape.left += 1
    with pytest.raises(Doubt, match="end"):
        await played(tape, 1_000)
    await tape.stop()


async def test_a_server_that_was_away_is_a_doubt(nats_server: NatsServer) -> None:
    async with connect(nats_server.settings, "test") as bus:
        await setup.ensure(bus)
        tape = await Tape.start(bus, 0)
        tape.left = 1
        waiting = asyncio.create_task(tape.take(1))
        await asyncio.sleep(0)
        nats_server.kill()
        nats_server.start()
        with pytest.raises(Doubt):
            await waiting
        await tape.stop()
