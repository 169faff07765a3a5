"""Tables as the projector makes them, from histories that a test writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cca import codec
from cca.config import PostgresSettings
from cca.contracts.task import Candidate, TaskRouted, TaskStarted, TaskSubmitted
from cca.errors import Busy
from cca.message import Event
from cca.nats.follow import entry
from cca.nats.wire import header_block
from cca.postgres.migrate import migrate
from cca.postgres.pool import Connection, close_pool, connect_pool
from cca.postgres.tables import Tables, connect
from cca.projection import keep
from cca_projector.projections import PROJECTIONS

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)

Project = Callable[..., Awaitable[None]]


def begun(
    task: str, number: int = 1, lane: str = "a", agent: str = "ann", role: str = "backend", **asked: Any
) -> list[Event]:
    """A task was submitted, if it is its first attempt, and a worker has started."""
    first: list[Event] = [TaskSubmitted(task, role, "x", "f", **asked)] if number == 1 else []
    return [
        *first,
        TaskRouted(task, number, role, lane, "p/1", 1.0, 7, (Candidate(lane, 1.0, 1.0),)),
        TaskStarted(task, number, number, agent, lane, number * 10, 1),
    ]


@pytest.fixture
async def db(postgres: PostgresSettings) -> AsyncIterator[Connection]:
    pool = await connect_pool(postgres, "test", session={"synchronous_commit": "off"})
    async with pool.acquire() as connection:
        await migrate(connection, "cca_projector")
        yield connection
    await close_pool(pool)


@pytest.fixture
async def project(db: Connection) -> Project:
    """Project more events of the log, all of which happened so long before noon."""
    keepers = [await keep(make(), db) for make in PROJECTIONS.values()]
    last = 0

    async def more(events: Sequence[Event], ago: timedelta = timedelta(minutes=1)) -> None:
        nonlocal last
        found = []
        for event in events:
            last += 1
            headers = {"ce-type": codec.tag_of(type(event)), "ce-time": (NOON - ago).isoformat()}
            found.append(entry(last, "cca.events.x.y", header_block(headers), codec.encode(event), 0))
        for keeper in keepers:
            assert keeper is not None
            await keeper.apply(found)
            assert keeper.at.error is None

    return more


@pytest.fixture
async def tables(postgres: PostgresSettings, db: Connection) -> AsyncIterator[Tables]:
    async with connect(postgres, "cca_tokens") as connected, asyncio.timeout(60):
        while True:
            try:
                await connected.rows("SELECT 1")
                break
            except Busy:
                await asyncio.sleep(0.01)
        yield connected
