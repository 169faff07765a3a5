"""What counts in the load of lanes is what was decided, whether it was stored, overtaken or given up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial

import pytest

from cca.config import NatsSettings
from cca.contracts.task import CancelTask, SubmitTask
from cca.decider import Decision
from cca.errors import CcaError, Refused
from cca.ids import uuid7
from cca.message import Meta
from cca.nats import log, setup
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca.routing.policy import LaneLoad
from cca.testing.servers import NatsServer
from cca_router import decide
from cca_router.desk import Desk
from cca_router.facts import Facts
from cca_router.state import Task

LANE = LaneLoad("docs", "a", 4)
ASKED = SubmitTask("say hello", role="docs")
FACTS = Facts(datetime.now(UTC), lambda _: [LANE])


def meta() -> Meta:
    return Meta(id=uuid7(), source="test", time=datetime.now(UTC))


class Counted:
    """A desk, and how many tasks are queued as its callbacks tell it: decided, and durable."""

    def __init__(self, bus: Bus) -> None:
        self.decided = self.durable = self.highest = 0
        self.desk = Desk(JetStreamLog(bus), self._decided, self._moved)

    def _decided(self, task: str, before: Task, after: Task) -> None:
        self.decided += (after.state == "routed") - (before.state == "routed")
        self.highest = max(self.highest, self.decided)

    def _moved(self, task: str, before: Task, after: Task) -> None:
        self.durable += (after.state == "routed") - (before.state == "routed")

    def submit(self, task: str) -> "asyncio.Future[Task]":
        return self.desk.change(task, partial(decide.submit, ASKED, task, FACTS), meta(), new=True)

    def cancel(self, task: str) -> "asyncio.Future[Task]":
        return self.desk.change(task, partial(decide.cancel, CancelTask(task)), meta())


@pytest.fixture
async def desks(nats: NatsSettings) -> AsyncIterator[tuple[Counted, Counted]]:
    async with connect(nats, "one") as one, connect(nats, "two") as two:
        await setup.ensure(one)
        yield Counted(one), Counted(two)


async def test_a_task_counts_when_it_is_decided_on_and_is_durable_later(desks: tuple[Counted, Counted]) -> None:
    here, _ = desks
    tasks = [uuid7() for _ in range(5)]
    stored = [here.submit(task) for task in tasks]
    assert (here.decided, here.durable) == (5, 0)
    await asyncio.gather(*stored)
    assert (here.decided, here.durable) == (5, 5)
    await here.cancel(tasks[0])
    assert (here.decided, here.durable) == (4, 4)


async def test_what_was_overtaken_counts_as_what_it_became(desks: tuple[Counted, Counted]) -> None:
    here, there = desks
    tasks = [uuid7() for _ in range(20)]
    await asyncio.gather(*(desk.submit(task) for task in tasks for desk in desks))
    ended = await asyncio.gather(
        *(desk.cancel(task) for task in tasks[:10] for desk in desks), *(there.submit(task) for task in tasks)
    )
    assert {task.state for task in ended[:20]} == {"canceled"}
    for task in tasks:
        assert (await here.desk.refresh(task)) == (await there.desk.refresh(task))
    for desk in desks:
        assert (desk.decided, desk.durable) == (10, 10)
        assert desk.highest <= 20


async def test_what_is_refused_counts_nothing(desks: tuple[Counted, Counted]) -> None:
    here, _ = desks
    with pytest.raises(Refused):
        await here.cancel(uuid7())
    nothing = await here.desk.change(uuid7(), lambda _: Decision(), meta())
    assert nothing == Task()
    assert (here.decided, here.durable) == (0, 0)


async def test_what_could_not_be_stored_is_given_up(nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "PATIENCE", 0.1)
    async with connect(nats_server.settings, "one") as bus:
        here = Counted(bus)  # on a server that has no log
        tasks = [uuid7() for _ in range(3)]
        stored = [here.submit(task) for task in tasks]
        assert here.decided == 3
        for result in await asyncio.gather(*stored, return_exceptions=True):
            assert isinstance(result, CcaError)
        assert (here.decided, here.durable) == (0, 0)
