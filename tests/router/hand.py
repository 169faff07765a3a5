"""A router that ends with its block, and a worker by hand, for tests on a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from cca import codec
from cca.config import NatsSettings, Settings
from cca.contracts.agent import (
    Claim,
    Claimed,
    ClaimTasks,
    CompleteTasks,
    Completion,
    FailTasks,
    Join,
    Misfortune,
    Reported,
    Verdict,
    Welcome,
)
from cca.contracts.task import Failure, GetTask, SubmitTask, TaskAccepted, TaskView
from cca.contracts.work import DoTask
from cca.message import Command, Reply
from cca.nats import setup, subjects
from cca.nats.bus import Bus, connect
from cca.nats.micro import Service
from cca.nats.pull import Delivery, Pull
from cca_router.__main__ import start

R = TypeVar("R", bound=Reply)


@asynccontextmanager
async def router(nats: NatsSettings) -> AsyncIterator[None]:
    """A router, until the block ends; then it drains."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats, "cca_router", echo=False))
        await setup.ensure(bus)
        service = Service(bus, "cca_router", "test")
        stack.push_async_callback(service.stop)
        await start(Settings(nats=nats), service, bus, stack)
        await service.start()
        await bus.flush()
        yield


class Hand:
    """A worker by hand: what is pulled waits until a test claims it."""

    def __init__(self, bus: Bus, role: str, name: str, lane: str) -> None:
        self.bus, self.role, self.name, self.lane = bus, role, name, lane
        self.work: asyncio.Queue[Delivery] = asyncio.Queue()

    async def join(self) -> "Hand":
        welcome = await self.report("join", Join("session-1", lane=self.lane, concurrency=10), Welcome)
        for consumer in welcome.consumers:
            await Pull.start(self.bus, welcome.stream, consumer, self.work.put_nowait, batch=50)
        return self

    async def report(self, verb: str, command: Command, kind: type[R]) -> R:
        return await self.bus.ask(subjects.report(self.role, self.name, verb), command, kind)

    async def take(self) -> tuple[Delivery, DoTask]:
        delivery = await asyncio.wait_for(self.work.get(), 20)
        return delivery, codec.read(delivery.body, DoTask)

    async def claim(self, delivery: Delivery, work: DoTask) -> Verdict:
        claims = ClaimTasks((Claim(work.task, work.route, delivery.seq, delivery.delivery),))
        answer = await self.report("claim", claims, Claimed)
        return answer.verdicts[0]

    async def begin(self) -> tuple[Delivery, Verdict]:
        delivery, work = await self.take()
        return delivery, await self.claim(delivery, work)

    async def complete(self, delivery: Delivery, verdict: Verdict) -> bool:
        answer = await self.report(
            "complete", CompleteTasks((Completion(verdict.task, verdict.attempt, "ok"),)), Reported
        )
        delivery.ack()
        return answer.receipts[0].ok

    async def fail(self, delivery: Delivery, verdict: Verdict, failure: Failure) -> bool:
        answer = await self.report("fail", FailTasks((Misfortune(verdict.task, verdict.attempt, failure),)), Reported)
        delivery.ack()
        return answer.receipts[0].ok


async def submit(bus: Bus, **fields: Any) -> str:
    command = SubmitTask(**({"description": "work", "role": "backend"} | fields))
    return (await bus.ask(subjects.RPC_SUBMIT, command, TaskAccepted)).task


async def view(bus: Bus, task: str, wait_s: float = 0.0) -> TaskView:
    return await bus.ask(subjects.RPC_GET, GetTask(task, wait_s), TaskView, timeout=wait_s + 10)


async def until(bus: Bus, task: str, state: str) -> TaskView:
    while (now := await view(bus, task)).state != state:
        await asyncio.sleep(0.02)
    return now
