"""A log and a database for each test, histories to put into the log, and a way to wait for what must come."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from cca import codec
from cca.config import NatsSettings, PostgresSettings
from cca.contracts.agent import AgentJoined
from cca.contracts.context import ContextDeleted, ContextExpired, ContextSet, SnapshotRestored, SnapshotTaken
from cca.contracts.ledger import TokenPolicySet
from cca.contracts.memory import MemoryPolicySet
from cca.contracts.task import (
    Candidate,
    Failure,
    TaskAttemptFailed,
    TaskCompleted,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event
from cca.nats import setup
from cca.nats.bus import Bus, connect
from cca.nats.follow import entry
from cca.nats.wire import header_block
from cca.postgres.migrate import migrate
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.projection import Entry

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

Tell = Callable[..., Awaitable[int]]
Eventually = Callable[..., Awaitable[None]]


def subject_of(event: Event) -> str:
    if isinstance(event, TokenPolicySet):
        return "cca.events.tokens.policies"
    if isinstance(event, MemoryPolicySet):
        return "cca.events.memory.policies"
    if isinstance(event, ContextSet | ContextDeleted | ContextExpired):
        return f"cca.events.context.{event.scope.replace(':', '.')}.{event.key}"
    if isinstance(event, SnapshotTaken | SnapshotRestored):
        return f"cca.events.snapshot.{event.scope.replace(':', '.')}"
    kinds = (("memory", "memory"), ("code", "job"), ("tokens", "ref"), ("task", "task"), ("policy", "policy"))
    for category, name in kinds:
        if key := getattr(event, name, None):
            return f"cca.events.{category}.{key}"
    return f"cca.events.agent.{getattr(event, 'agent', '')}"


def headers_of(event: Event, number: int) -> dict[str, str]:
    time = (NOON + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    return {"ce-id": f"id-{number}", "ce-type": codec.tag_of(type(event)), "ce-source": "cca_router", "ce-time": time}


@pytest.fixture
def entries() -> Callable[[Sequence[Event]], list[Entry]]:
    """Events as they would come from the log, at positions 1, 2, …"""

    def make(events: Sequence[Event]) -> list[Entry]:
        return [
            entry(seq, subject_of(event), header_block(headers_of(event, seq)), codec.encode(event), 0)
            for seq, event in enumerate(events, start=1)
        ]

    return make


@pytest.fixture
def life() -> Callable[..., list[Event]]:
    """The events of one task that fails `failures` times and is done then."""

    def make(task: str, failures: int = 0, agent: str = "ann") -> list[Event]:
        found: list[Event] = [TaskSubmitted(task, "docs", f"do {task}", "f" * 64, labels={"repo": "cca"})]
        for number in range(1, failures + 2):
            found += [
                TaskRouted(task, number, "docs", "a", "weighted-random/1", 1.0, 7, (Candidate("a", 1.0, 1.0),)),
                TaskStarted(task, number, number, agent, "a", number * 10, 1),
            ]
            if number <= failures:
                found.append(TaskAttemptFailed(task, number, agent, Failure("error", "no luck"), duration_s=0.5))
        return [*found, TaskCompleted(task, failures + 1, agent, {"ok": True}, Usage(10, 20, 0.5), 0.25)]

    return make


@pytest.fixture
async def bus(nats: NatsSettings) -> AsyncIterator[Bus]:
    """A connection to a server that has the streams."""
    async with connect(nats, "test") as connected:
        await setup.ensure(connected)
        yield connected


@pytest.fixture
async def db(postgres: PostgresSettings) -> AsyncIterator[Connection]:
    """A session on a database that has the tables."""
    pool = await connect_pool(postgres, "test", session={"synchronous_commit": "off"})
    async with pool.acquire() as connection:
        await migrate(connection, "cca_projector")
        yield connection
    await close_pool(pool)


@pytest.fixture
def tell(bus: Bus) -> Tell:
    """Store events in the log, in order; the position of the last."""
    numbers = itertools.count(1)

    async def store(*events: Event, raw: tuple[str, dict[str, str], bytes] | None = None) -> int:
        messages = [(subject_of(e), headers_of(e, next(numbers)), codec.encode(e)) for e in events]
        if raw is not None:
            messages.append(raw)
        last = 0
        for subject, headers, body in messages:
            answer = await bus.nc.jetstream().publish(subject, body, headers=headers)
            last = answer.seq
        return last

    return store


@pytest.fixture
def eventually() -> Eventually:
    """Wait until a condition holds; fail when it does not within `within` seconds."""

    async def wait(holds: Callable[[], Awaitable[object]], within: float = 20.0) -> None:
        deadline = asyncio.get_running_loop().time() + within
        while not await holds():
            assert asyncio.get_running_loop().time() < deadline, "it did not come to pass"
            await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def joined() -> AgentJoined:
    return AgentJoined("ann", "docs", "a", 4, "s1", "host", "1.0")
