"""Shared context served on a real server, for tests that ask it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from cca import codec
from cca.config import NatsSettings
from cca.context.remote import Contexts as Asked
from cca.contracts import context as said
from cca.message import Event
from cca.nats import names, setup, stored, subjects
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca.nats.micro import Service
from cca_context.context_decide import see_that_it_is_read_soon
from cca_context.contexts import Contexts

PROJECT = "project:shop"


@asynccontextmanager
async def serving(nats: NatsSettings, start: bool = True) -> AsyncIterator[Contexts]:
    """A context service that answers about contexts alone; without `start`, nothing expires or is repaired."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats, "cca_context", wait=True, echo=False))
        await setup.ensure(bus)
        service = Service(bus, "cca_context", "test")
        stack.push_async_callback(service.stop)
        contexts = Contexts(bus, JetStreamLog(bus, announce=True))
        endpoints: tuple[tuple[str, Any, Any, Any], ...] = (
            (subjects.RPC_CONTEXT_SET, said.SetContext, contexts.set_value, said.ContextEntry),
            (subjects.RPC_CONTEXT_GET, said.GetContext, contexts.get, said.ContextEntry),
            (subjects.RPC_CONTEXT_DELETE, said.DeleteContext, contexts.delete, said.ContextEntry),
            (subjects.RPC_CONTEXT_LIST, said.ListContext, contexts.list, said.ContextEntries),
            (subjects.RPC_CONTEXT_HISTORY, said.GetContextHistory, contexts.history, said.ContextHistory),
            (subjects.RPC_CONTEXT_SNAPSHOT, said.TakeSnapshot, contexts.snapshot, said.Snapshot),
            (subjects.RPC_CONTEXT_SNAPSHOTS, said.ListSnapshots, contexts.snapshots, said.Snapshots),
            (subjects.RPC_CONTEXT_RESTORE, said.RestoreSnapshot, contexts.restore, said.Restored),
        )
        for endpoint in endpoints:
            check = see_that_it_is_read_soon if endpoint[0] == subjects.RPC_CONTEXT_SET else None
            await service.serve(*endpoint, check=check)
        if start:
            await contexts.start()
            stack.push_async_callback(contexts.stop)
        await service.start()
        await bus.flush()
        yield contexts


@asynccontextmanager
async def asking(nats: NatsSettings) -> AsyncIterator[tuple[Asked, Bus]]:
    """Somebody who asks, and their connection."""
    async with connect(nats, "test") as bus:

        async def ask(subject: str, command: Any, kind: Any) -> Any:
            return await bus.ask(subject, command, kind, timeout=30)

        yield Asked(ask, bus), bus


async def events(bus: Bus, name: str = "context.>") -> list[Event]:
    """What the log says, oldest first."""
    found = []
    async for raw in stored.scan(bus, names.EVENTS, f"cca.events.{name}"):
        event = codec.decode(raw.headers["ce-type"], raw.body)
        assert isinstance(event, Event)
        found.append(event)
    return found


async def eventually(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.02)
