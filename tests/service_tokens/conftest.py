"""The token service on a real server, and somebody who asks it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import pytest

from cca import codec
from cca.config import NatsSettings, PostgresSettings, Settings
from cca.contracts.ledger import RolePolicy, SetTokenPolicy, TokenPolicies
from cca.contracts.tokens import (
    Compressed,
    CompressTokens,
    CondenseContext,
    Condensed,
    CountTokens,
    Expanded,
    ExpandText,
    Folding,
    TokenCounts,
    Turn,
)
from cca.message import Command, Event, Reply
from cca.nats import names, setup, stored, subjects
from cca.nats.bus import Bus, connect
from cca.nats.micro import Service
from cca_tokens.__main__ import start

R = TypeVar("R", bound=Reply)
NOWHERE = PostgresSettings(url="postgresql://cca@127.0.0.1:1/cca")

LOG = "\n".join(
    [
        f"2026-03-01T10:{n // 60:02}:{n % 60:02}Z INFO worker-{n % 4} processed item {n} in {n % 37} ms"
        for n in range(600)
    ]
    + ["2026-03-01T10:59:59Z ERROR worker-2 cannot write /var/lib/cca/queue.db: disk full (errno 28)"]
)
"""Of what is folded at every level that may sum up routine."""


@asynccontextmanager
async def serving(nats: NatsSettings, postgres: PostgresSettings = NOWHERE) -> AsyncIterator[None]:
    """A token service, until the block ends."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats, "cca_tokens", wait=True, echo=False))
        await setup.ensure(bus)
        service = Service(bus, "cca_tokens", "test")
        stack.push_async_callback(service.stop)
        await start(Settings(nats=nats, postgres=postgres), service, bus, stack)
        await service.start()
        await bus.flush()
        yield


class Asker:
    """Questions to the service, and a look at what it leaves behind."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def ask(self, subject: str, command: Command, kind: type[R]) -> R:
        return await self.bus.ask(subject, command, kind, timeout=60)

    async def count(self, text: str, model: str = "gpt-5") -> TokenCounts:
        return await self.ask(subjects.RPC_TOKENS_COUNT, CountTokens((Turn(text),), model), TokenCounts)

    async def compress(self, *texts: str, role: str | None = None, **how: Any) -> Compressed:
        turns = tuple(Turn(text, "tool") for text in texts)
        command = CompressTokens(turns, Folding(model="gpt-5", **how), role)
        return await self.ask(subjects.RPC_TOKENS_COMPRESS, command, Compressed)

    async def condense(self, context: str, role: str = "backend") -> Condensed:
        return await self.ask(subjects.RPC_TOKENS_CONDENSE, CondenseContext("t", role, context), Condensed)

    async def expand(self, text: str, **who: Any) -> Expanded:
        return await self.ask(subjects.RPC_TOKENS_EXPAND, ExpandText(text=text, **who), Expanded)

    async def expand_ref(self, ref: str, **who: Any) -> Expanded:
        return await self.ask(subjects.RPC_TOKENS_EXPAND, ExpandText(ref, **who), Expanded)

    async def set_policy(self, role: str, policy: RolePolicy | None) -> TokenPolicies:
        return await self.ask(subjects.RPC_TOKENS_SET_POLICY, SetTokenPolicy(role, policy), TokenPolicies)

    async def events(self, ref: str = "*") -> list[Event]:
        """What the log says of texts, or of one, oldest first."""
        found = []
        async for raw in stored.scan(self.bus, names.EVENTS, subjects.events("tokens", ref)):
            event = codec.decode(raw.headers["ce-type"], raw.body)
            assert isinstance(event, Event)
            found.append(event)
        return found

    async def originals(self) -> int:
        """How many texts are stored."""
        return len(await stored.last_of_each(self.bus, names.BLOBS, subjects.BLOBS_ALL))


@pytest.fixture
async def asker(nats: NatsSettings) -> AsyncIterator[Asker]:
    async with connect(nats, "test") as bus:
        await setup.ensure(bus)
        yield Asker(bus)


Eventually = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition holds."""

    async def wait(holds: Callable[[], Awaitable[object]]) -> None:
        async with asyncio.timeout(30):
            while not await holds():
                await asyncio.sleep(0.02)

    return wait
