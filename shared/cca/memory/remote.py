"""The memory, asked from a program: `client.memory`.

async with Client.connect() as client:
    await client.memory.store("Run `make migrate` before the tests.", kind="procedure", role="backend")
    for hit in (await client.memory.search("tests fail: no such table", roles=("backend", ""))).items:
        print(hit.score, hit.memory.text)
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

from msgspec import Struct

from cca.ask import Ask
from cca.contracts.memory import (
    PROJECT,
    ForgetMemory,
    GetMemory,
    GetMemoryPolicies,
    GetMemoryStats,
    ListMemories,
    Memories,
    MemoryHits,
    MemoryPolicies,
    MemoryPolicy,
    MemoryStats,
    MemoryView,
    Outcome,
    RateMemory,
    Remembered,
    SearchMemories,
    SetMemoryPolicy,
    Source,
    StoreMemory,
)
from cca.nats import subjects

AT_ONCE = 16
"""Memories of an import that are on their way together."""
PAGE = 200


class Imported(Struct, frozen=True):
    """What an import has done: so many were stored, and so many were there already."""

    stored: int
    there: int


class Memory:
    """What agents remember. Methods raise `Busy` when there is no answer for a while, and `Refused` when it is no."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def store(
        self,
        text: str,
        *,
        kind: str = "fact",
        scope: str = PROJECT,
        role: str | None = None,
        labels: Mapping[str, str] | None = None,
        source: Source | None = None,
        **more: Any,
    ) -> Remembered:
        """Remember a text; secrets in it are replaced first. The same, or nearly the same, again is merged into it.

        `more` are the other fields of `cca.contracts.memory.StoreMemory`: `id`, `successes`, `failures`, `created_at`.
        """
        command = StoreMemory(text, kind, scope, role, dict(labels or {}), source or Source(), **more)
        return await self._ask(subjects.RPC_MEMORY_STORE, command, Remembered)

    async def get(self, memory: str) -> MemoryView:
        """A memory by its id. Raises `Refused` (`not-found`)."""
        return await self._ask(subjects.RPC_MEMORY_GET, GetMemory(memory), MemoryView)

    async def list(self, **only: Any) -> Memories:
        """A page, newest first. `only` are the fields of `cca.contracts.memory.ListMemories`."""
        return await self._ask(subjects.RPC_MEMORY_LIST, ListMemories(**only), Memories)

    async def search(self, query: str, **only: Any) -> MemoryHits:
        """The memories that fit best. `only` are the other fields of `cca.contracts.memory.SearchMemories`."""
        return await self._ask(subjects.RPC_MEMORY_SEARCH, SearchMemories(query, **only), MemoryHits)

    async def rate(
        self, memory: str, outcome: Outcome, *, task: str | None = None, comment: str = "", requester: str | None = None
    ) -> MemoryView:
        """Say whether it helped; of each task the last word counts. Raises `Refused` (`not-found`)."""
        command = RateMemory(memory, outcome, task, comment, requester)
        return await self._ask(subjects.RPC_MEMORY_RATE, command, MemoryView)

    async def forget(self, memory: str, reason: str = "", requester: str | None = None) -> MemoryView:
        """Remove it from all tables and searches; as it was. Raises `Refused` (`not-found`)."""
        return await self._ask(subjects.RPC_MEMORY_FORGET, ForgetMemory(memory, reason, requester), MemoryView)

    async def stats(self) -> MemoryStats:
        """How many there are, and what makes their vectors."""
        return await self._ask(subjects.RPC_MEMORY_STATS, GetMemoryStats(), MemoryStats)

    # ------------------------------------------------------------------------------------ policies

    async def policies(self) -> MemoryPolicies:
        """What is remembered of which roles' tasks, and put before them."""
        return await self._ask(subjects.RPC_MEMORY_POLICIES, GetMemoryPolicies(), MemoryPolicies)

    async def set_policy(
        self, role: str, policy: MemoryPolicy | None, reason: str = "", requester: str | None = None
    ) -> MemoryPolicies:
        """Set the policy of a role, or of all other roles (`*`); None: it has none any more."""
        command = SetMemoryPolicy(role, policy, reason, requester)
        return await self._ask(subjects.RPC_MEMORY_SET_POLICY, command, MemoryPolicies)

    # ------------------------------------------------------------------------------------ all of them

    async def export(self, **only: Any) -> AsyncIterator[MemoryView]:
        """All memories, newest first; of a scope, role, kind or task alone with these fields of `ListMemories`."""
        before: str | None = None
        while True:
            page = await self.list(**{"limit": PAGE, **only, "before": before})
            for memory in page.items:
                yield memory
            if page.next is None:
                return
            before = page.next

    async def import_(
        self, memories: Iterable[MemoryView | StoreMemory] | AsyncIterable[MemoryView | StoreMemory]
    ) -> Imported:
        """Store memories, from an export for example. Again, it changes nothing: they keep their ids."""
        stored = there = 0
        async for group in _groups(memories):
            for one in await asyncio.gather(*map(self._import, group)):
                stored, there = stored + one.created, there + (not one.created)
        return Imported(stored, there)

    async def _import(self, memory: MemoryView | StoreMemory) -> Remembered:
        command = memory if isinstance(memory, StoreMemory) else to_store(memory)
        return await self._ask(subjects.RPC_MEMORY_STORE, command, Remembered)


def to_store(memory: MemoryView) -> StoreMemory:
    """The command that stores a memory as it is, but for how often it was merged and used."""
    return StoreMemory(
        memory.text,
        memory.kind,
        memory.scope,
        memory.role,
        memory.labels,
        memory.source,
        id=memory.memory,
        successes=memory.successes,
        failures=memory.failures,
        created_at=memory.created_at,
    )


async def _groups(
    memories: Iterable[MemoryView | StoreMemory] | AsyncIterable[MemoryView | StoreMemory],
) -> AsyncIterator[list[MemoryView | StoreMemory]]:
    group: list[MemoryView | StoreMemory] = []
    if isinstance(memories, AsyncIterable):
        async for one in memories:
            group.append(one)
            if len(group) == AT_ONCE:
                yield group
                group = []
    else:
        for start in range(0, len(known := list(memories)), AT_ONCE):
            yield known[start : start + AT_ONCE]
    if group:
        yield group
