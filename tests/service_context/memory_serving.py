"""The memory on real servers, for tests that ask it; a few statements keep the tables, as the projector would."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca import codec
from cca.config import ContextSettings, NatsSettings, PostgresSettings
from cca.contracts import memory as said
from cca.contracts.memory import MemoryForgotten, MemoryMerged, MemoryPolicySet, MemoryRated, MemoryStored
from cca.contracts.prepared import TaskRecalled
from cca.embed.embedder import Kind
from cca.errors import Busy, Unknown
from cca.ids import uuid7
from cca.memory.remote import Memory
from cca.message import Event, Meta, Seq, Stream
from cca.nats import names, setup, stored, subjects
from cca.nats.bus import Bus, connect
from cca.nats.log import JetStreamLog
from cca.nats.micro import Service
from cca.postgres import tables as postgres_tables
from cca.postgres.migrate import migrate
from cca.postgres.pool import Connection
from cca.postgres.tables import Tables
from cca.search.terms import terms
from cca_context.corpus import MEMORY
from cca_context.embedding import Embedding
from cca_context.memories import Memories
from cca_context.search import Searcher
from cca_context.vectors import Vectors

DIMENSION = 256


class Words:
    """An embedder without a model: texts with the same words are alike."""

    id, revision, dimension, max_tokens = "words", "1", DIMENSION, 1_000

    async def embed(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        rows = np.full((len(texts), DIMENSION), 1e-3, np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in set(terms(text)):
                row[crc32(word.encode()) % DIMENSION] += 1
        made: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return made

    async def close(self) -> None:
        pass


class Counted(Tables):
    """Tables that count what they are asked."""

    asked = 0

    async def rows(self, sql: str, *values: object) -> list[Any]:
        self.asked += 1
        return await super().rows(sql, *values)

    def connection(self) -> Any:
        self.asked += 1
        return super().connection()


class World(Struct):
    """The service, and who asks it. `asked` are the tables as the service alone asks them."""

    bus: Bus
    log: JetStreamLog
    tables: Tables
    asked: Tables
    vectors: Vectors
    embedding: Embedding
    memories: Memories
    memory: Memory

    async def caught_up(self) -> None:
        """Wait until the tables, words and vectors show what the log says."""
        last = await stored.last(self.bus, names.EVENTS, subjects.EVENTS_ALL)
        async with asyncio.timeout(30):
            while last and (await self.tables.rows("SELECT seq FROM test_position"))[0]["seq"] < last.seq:
                await asyncio.sleep(0.01)
            await self.embedding.settled()

    async def tell(self, stream: Stream, *events: Event) -> None:
        """Append events, as another service would."""
        last = await stored.last(self.bus, names.EVENTS, stream.subject)
        await self.log.append(stream, events, after=last.seq if last else Seq(0), cause=meta())

    async def events(self, key: str = "*", category: str = "memory") -> list[Event]:
        """What the log says of memories, oldest first."""
        found = []
        async for raw in stored.scan(self.bus, names.EVENTS, subjects.events(category, key)):
            event = codec.decode(raw.headers["ce-type"], raw.body)
            assert isinstance(event, Event)
            found.append(event)
        return found

    async def whole_log(self) -> bytes:
        """Every byte that is stored anywhere in NATS."""
        found = []
        for stream in (names.EVENTS, f"KV_{names.STATE}"):
            async for raw in stored.scan(self.bus, stream, ">"):
                found.append(raw.body + repr(raw.headers).encode())
        return b"\n".join(found)


def meta() -> Meta:
    return Meta(id=uuid7(), source="test", time=datetime.now(UTC))


async def _prepare(connection: Connection) -> None:
    await migrate(connection, "cca_projector")
    await migrate(connection, "cca_context")
    await connection.execute("CREATE TABLE IF NOT EXISTS test_position (seq bigint)")
    await connection.execute("INSERT INTO test_position SELECT 0 WHERE NOT EXISTS (SELECT FROM test_position)")


@asynccontextmanager
async def serving(
    nats: NatsSettings,
    postgres: PostgresSettings,
    *,
    embedder: Any = None,
    start: bool = True,
    project: bool = True,
    connected: bool = True,
    cache_s: float = 60,
) -> AsyncIterator[World]:
    """A memory that answers, until the block ends; without `start` it learns nothing by itself."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats, "cca_context", wait=True, echo=True))
        await setup.ensure(bus)
        tables = await stack.enter_async_context(postgres_tables.connect(postgres, "test", _prepare))
        asked = await stack.enter_async_context(postgres_tables.connect(postgres, "test"))
        asked.__class__ = Counted
        log = JetStreamLog(bus, announce=True)
        vectors = Vectors(tables, embedder, MEMORY)
        embedding, searcher = Embedding(tables, vectors), Searcher(asked, MEMORY, vectors)
        stack.push_async_callback(searcher.close)
        memories = Memories(bus, log, asked, searcher, vectors, ContextSettings(cache_s=cache_s))
        if connected:
            await _connected(tables)
            await _connected(asked)
        if project:
            projecting = asyncio.create_task(_project(bus, tables))
            stack.push_async_callback(_end, projecting)
            await embedding.start()
            stack.push_async_callback(embedding.stop)
        service = Service(bus, "cca_context", "test")
        stack.push_async_callback(service.stop)
        endpoints: tuple[tuple[str, Any, Any, Any], ...] = (
            (subjects.RPC_MEMORY_STORE, said.StoreMemory, memories.store, said.Remembered),
            (subjects.RPC_MEMORY_GET, said.GetMemory, memories.get, said.MemoryView),
            (subjects.RPC_MEMORY_LIST, said.ListMemories, memories.list, said.Memories),
            (subjects.RPC_MEMORY_SEARCH, said.SearchMemories, memories.search, said.MemoryHits),
            (subjects.RPC_MEMORY_RATE, said.RateMemory, memories.rate, said.MemoryView),
            (subjects.RPC_MEMORY_FORGET, said.ForgetMemory, memories.forget, said.MemoryView),
            (subjects.RPC_MEMORY_RECALL, said.RecallMemories, memories.recall, said.Recalled),
            (subjects.RPC_MEMORY_POLICIES, said.GetMemoryPolicies, memories.policies, said.MemoryPolicies),
            (subjects.RPC_MEMORY_SET_POLICY, said.SetMemoryPolicy, memories.set_policy, said.MemoryPolicies),
            (subjects.RPC_MEMORY_STATS, said.GetMemoryStats, memories.stats, said.MemoryStats),
        )
        for endpoint in endpoints:
            await service.serve(*endpoint)
        if start:
            await memories.start()
            stack.push_async_callback(memories.stop)
        await service.start()
        await bus.flush()
        asker = await stack.enter_async_context(connect(nats, "test"))

        async def ask(subject: str, command: Any, kind: Any) -> Any:
            return await asker.ask(subject, command, kind, timeout=30)

        yield World(bus, log, tables, asked, vectors, embedding, memories, Memory(ask))


async def eventually(holds: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(30):
        while not await holds():
            await asyncio.sleep(0.02)


async def _connected(tables: Tables) -> None:
    async def there() -> bool:
        try:
            return bool(await tables.rows("SELECT 1"))
        except Busy:
            return False

    await eventually(there)


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


# ------------------------------------------------------------------------------------------ the tables

_INSERT = """
INSERT INTO cca.memories (memory, text, kind, scope, digest, role, labels, task, agent, source_role, repo, requester,
    redacted, created_at, successes, failures, merged, used, stored_seq, seq)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 0, 0, $17, $17)
"""


async def _project(bus: Bus, tables: Tables) -> None:
    while True:
        position = (await tables.rows("SELECT seq FROM test_position"))[0]["seq"]
        async for raw in stored.scan(bus, names.EVENTS, subjects.EVENTS_ALL, Seq(position)):
            try:
                event = codec.decode(raw.headers["ce-type"], raw.body)
            except Unknown:
                event = None
            async with tables.connection() as db, db.transaction():
                await _apply(db, event, raw)
                await db.execute("UPDATE test_position SET seq = $1", raw.seq)
        await asyncio.sleep(0.02)


async def _apply(db: Connection, event: object, raw: stored.Raw) -> None:
    if isinstance(event, MemoryStored):
        source = event.source
        about = (source.task, source.agent, source.role, source.repo, source.requester)
        await db.execute(
            _INSERT,
            *(event.memory, event.text, event.kind, event.scope, event.digest, event.role, event.labels, *about),
            *(event.redacted, event.created_at or raw.time, event.successes, event.failures, raw.seq),
        )
    elif isinstance(event, MemoryMerged):
        await db.execute(
            "UPDATE cca.memories SET merged = merged + 1, seq = $2 WHERE memory = $1", event.memory, raw.seq
        )
    elif isinstance(event, MemoryRated):
        good = (event.outcome == "success") - (event.was == "success")
        bad = (event.outcome == "failure") - (event.was == "failure")
        await db.execute(
            "UPDATE cca.memories SET successes = successes + $2, failures = failures + $3, rated_at = $4, seq = $5"
            " WHERE memory = $1",
            *(event.memory, good, bad, raw.time, raw.seq),
        )
    elif isinstance(event, MemoryForgotten):
        await db.execute("DELETE FROM cca.memories WHERE memory = $1", event.memory)
    elif isinstance(event, TaskRecalled):
        for one in event.memories:
            await db.execute(
                "UPDATE cca.memories SET used = used + 1, used_at = $2 WHERE memory = $1", one.memory, raw.time
            )
    else:
        assert not isinstance(event, MemoryPolicySet) or event.version
