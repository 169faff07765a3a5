"""A log to write into, and a learner that reads it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import msgspec
import pytest
from tests.learner.histories import Said, headers_of, subject_of

from cca import codec
from cca.config import NatsSettings, Settings
from cca.contracts.learner import (
    ConfigurePolicy,
    EvaluatePolicy,
    Evaluation,
    ExplainTask,
    Explanation,
    GetPolicy,
    PolicyStatus,
    RunShadow,
    TrainPolicy,
)
from cca.contracts.policy import Params, PolicySnapshot
from cca.message import Command, Event, Reply
from cca.nats import names, setup, stored, subjects
from cca.nats.bus import Bus, connect
from cca.nats.frames import PubAck
from cca.nats.micro import Service
from cca_learner.__main__ import start
from cca_learner.decide import STREAM

R = TypeVar("R", bound=Reply)


@asynccontextmanager
async def learning(nats: NatsSettings) -> AsyncIterator[None]:
    """A learner, until the block ends."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats, "cca_learner", wait=True, echo=False))
        await setup.ensure(bus)
        service = Service(bus, "cca_learner", "test")
        stack.push_async_callback(service.stop)
        await start(Settings(nats=nats), service, bus, stack)
        await service.start()
        await bus.flush()
        yield


class Log:
    """The log as somebody else writes and reads it, and questions to the learner."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._number = 0

    async def tell(self, said: Sequence[Said]) -> int:
        """Store events, in order; the position of the last."""
        sent = []
        for event, time in said:
            self._number += 1
            headers = headers_of(event, self._number, time)
            sent.append(self.bus.request(subject_of(event), codec.encode(event), headers, timeout=60))
        acks = [msgspec.json.decode(body, type=PubAck) for body in await asyncio.gather(*sent)]
        assert [ack.seq for ack in acks] == sorted(ack.seq for ack in acks)
        return acks[-1].seq

    async def learned(self, said: Sequence[Said]) -> PolicyStatus:
        """Store events, and wait until there is a version that was made of them."""
        return await self.until(await self.tell(said))

    async def until(self, position: int) -> PolicyStatus:
        while (await self.status()).head < position:
            await asyncio.sleep(0.02)
        return await self.ask(subjects.RPC_LEARNER_TRAIN, TrainPolicy(), PolicyStatus)

    async def status(self) -> PolicyStatus:
        return await self.ask(subjects.RPC_LEARNER_STATUS, GetPolicy(), PolicyStatus)

    async def configure(self, algorithm: str | None = None, params: Params | None = None) -> PolicyStatus:
        command = ConfigurePolicy(algorithm, params, "a test")  # type: ignore[arg-type]  # any of them, by name
        return await self.ask(subjects.RPC_LEARNER_CONFIGURE, command, PolicyStatus)

    async def explain(self, task: str, route: int | None = None, replay: bool = False) -> Explanation:
        return await self.ask(subjects.RPC_LEARNER_EXPLAIN, ExplainTask(task, route, replay), Explanation)

    async def evaluate(self, algorithm: str, since_s: float | None = None) -> Evaluation:
        return await self.ask(subjects.RPC_LEARNER_EVALUATE, EvaluatePolicy(algorithm, since_s), Evaluation)

    async def shadow(self, command: RunShadow) -> PolicyStatus:
        return await self.ask(subjects.RPC_LEARNER_SHADOW, command, PolicyStatus)

    async def ask(self, subject: str, command: Command, kind: type[R]) -> R:
        return await self.bus.ask(subject, command, kind, timeout=60)

    async def snapshot(self) -> PolicySnapshot:
        """What routers have."""
        await self.status()  # it is there then
        raw = await stored.last(self.bus, f"KV_{names.STATE}", subjects.POLICY)
        assert raw is not None
        return codec.read(raw.body, PolicySnapshot)

    async def policy_events(self) -> list[Event]:
        found = []
        async for raw in stored.scan(self.bus, names.EVENTS, STREAM.subject):
            event = codec.decode(raw.headers["ce-type"], raw.body)
            assert isinstance(event, Event)
            found.append(event)
        return found


@pytest.fixture
async def log(nats: NatsSettings) -> AsyncIterator[Log]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield Log(bus)


Eventually = Callable[..., Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition holds; fail when it does not within `within` seconds."""

    async def wait(holds: Callable[[], Awaitable[object]], within: float = 60.0) -> None:
        deadline = asyncio.get_running_loop().time() + within
        while not await holds():
            assert asyncio.get_running_loop().time() < deadline, "it did not come to pass"
            await asyncio.sleep(0.02)

    return wait
