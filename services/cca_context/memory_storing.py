"""How a text becomes a memory: without its secrets, and once, however often and in whatever words it is told."""

import asyncio
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace

from cca.contracts.memory import LONGEST, MemoryPolicy, MemoryStored, Remembered, Source, StoreMemory
from cca.decider import Decision
from cca.errors import CcaError, Refused
from cca.message import Meta
from cca.redact.redact import marks, redact, redacted_values
from cca_context.memory_aggregates import Aggregates
from cca_context.memory_decide import Memory, id_of, is_id, merge, store
from cca_context.memory_policies import MemoryPolicyBoard
from cca_context.search import Searcher
from cca_context.vectors import Vectors
from cca_context.where import Where

SIMILAR_S = 3.0
"""Seconds that a text waits to be compared with what is there; it is stored all the same."""
COMPARED = 4_000
"""Characters of it that are compared."""


class Storing:
    """Stores memories, or merges them into those that are there."""

    def __init__(self, aggregates: Aggregates, searcher: Searcher, vectors: Vectors, board: MemoryPolicyBoard) -> None:
        self._aggregates, self._searcher, self._vectors, self._board = aggregates, searcher, vectors, board

    async def store(self, command: StoreMemory, cause: Meta, *, own: bool = False) -> Remembered:
        """Remember a text. What has an id of its own is not compared with others.

        Args:
            own: nobody asked for it: what was forgotten on purpose stays so.

        Raises `Busy`, `Refused` (`bad-id`, `invalid`, `key-reused`).
        """
        command = kept(command)
        memory = command.id or id_of(command.scope, command.role, command.text)
        if not is_id(memory):
            raise Refused("bad-id", f"a memory cannot be called {memory!r}")
        before, redacted = await self._aggregates.load(memory), marks(command.text)
        if before.state.there is None and command.id is None:
            merged = await self._merged(command, memory, cause)
            if merged is not None:
                return merged
        decided = Decision()

        def decide(state: Memory) -> Decision:
            nonlocal decided
            decided = store(command, memory, redacted, datetime.now(UTC), own, state)
            return decided

        await self._aggregates.change(memory, decide, cause)
        created = any(isinstance(event, MemoryStored) for event in decided.events)
        return Remembered(memory, created, 0.0 if created else 1.0, redacted)

    async def _merged(self, command: StoreMemory, own_id: str, cause: Meta) -> Remembered | None:
        """The memory that it was merged into; None when there is none that says nearly the same."""
        policy = self._board.known.of(command.role) or MemoryPolicy()
        if self._vectors.active is None:
            return None
        where = Where(equal={"scope": command.scope, "kind": command.kind}, among={"role": (command.role,)})
        try:
            async with asyncio.timeout(SIMILAR_S):
                found = await self._searcher.search(command.text[:COMPARED], where, 1, "dense")
        except (CcaError, TimeoutError):
            return None  # a memory too many is better than one too few
        nearest = found.items[0] if found.mode == "dense" and found.items else None
        similarity = (nearest.why.dense or 0.0) if nearest else 0.0
        if nearest is None or similarity < policy.similar or nearest.key == own_id:
            return None
        at = await self._aggregates.change(nearest.key, partial(merge, command.source, nearest.key, similarity), cause)
        if at.state.there is None:
            return None  # it was forgotten, and the tables do not show that yet
        return Remembered(nearest.key, created=False, similarity=similarity, redacted=marks(command.text))


def kept(command: StoreMemory) -> StoreMemory:
    """The command as it may be kept. Raises `Refused` (`invalid`) when its text is empty."""
    text = clean(command.text)[:LONGEST]
    if not text.strip():
        raise Refused("invalid", "a memory is a text: this one is empty")
    source = command.source
    return replace(
        command,
        text=text,
        labels=redacted_values(command.labels),
        source=Source(*map(cleaned, (source.task, source.agent, source.role, source.repo, source.requester))),
    )


def clean(text: str) -> str:
    """The text without secrets."""
    return redact(text).text


def cleaned(text: str | None) -> str | None:
    """The same of a text that need not be there."""
    return None if text is None else clean(text)
