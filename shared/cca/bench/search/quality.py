"""How well memories are found: sets are stored through the bus, and asked for in each mode."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence

from msgspec import Struct

from cca.bench.search.ranking import DEPTH, Quality, quality
from cca.bench.search.sets import Set, distinct
from cca.contracts.search import EmbedderInfo, Mode
from cca.errors import Busy, CcaError
from cca.memory.remote import Memory
from cca.postgres.pool import Pool

MODES: tuple[Mode, ...] = ("lexical", "dense", "hybrid")
STORED_AT_ONCE, ASKED_AT_ONCE = 16, 4
STEPS = 20
"""So often it is said how far the vectors are."""
STUCK_S = 120.0
"""Seconds without a further vector after which nobody waits for more."""
DECLARED_S = 15.0
"""Seconds after which it is sure that there is no embedder."""
_WORDS = "SELECT count(*) FROM cca.memory_terms"

Say = Callable[[str], None]
Found = Callable[[str, Mode], Awaitable[tuple[Mode, Sequence[str]]]]
"""From a question and a mode to the mode in which it was answered, and the ids that were found, best first."""


class Measured(Struct, frozen=True):
    """A set, and how well it was searched in each mode; without an embedder by words alone."""

    name: str
    documents: int
    modes: dict[Mode, Quality]
    note: str = ""


class Filled(Struct, frozen=True):
    """Memories were stored, so many a second, and had words and vectors so many seconds after that."""

    memories: int
    stored_s: float
    ready_s: float
    redacted: int = 0


async def fill(memory: Memory, pool: Pool, sets: Sequence[Set], say: Say) -> Filled:
    """Store all documents, and wait until they are found by words and by meaning.

    Raises `Busy` when that gets no further, and `CcaError` when one was stored otherwise than it is.
    """
    texts = [(one.scope, id, text) for one in distinct(sets) for id, text in one.documents.items()]
    say(f"memories: {len(texts):,} are stored")
    waiting = iter(texts)
    redacted = 0

    async def some() -> None:
        nonlocal redacted
        for scope, id, text in waiting:
            kept = await memory.store(text, scope=scope, id=id)
            if not kept.created:
                raise CcaError(f"{id} was merged into {kept.memory}")
            redacted += bool(kept.redacted)

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(STORED_AT_ONCE)))
    stored = time.perf_counter() - began
    began = time.perf_counter()
    await _ready(memory, pool, len(texts), say)
    return Filled(len(texts), len(texts) / stored, time.perf_counter() - began, redacted)


async def _ready(memory: Memory, pool: Pool, count: int, say: Say) -> None:
    """Wait until all have words and, if there is an embedder, vectors."""
    furthest, told, at = 0, 0, time.monotonic()
    while True:
        maker = active((await memory.stats()).embedders)
        words: int = await pool.fetchval(_WORDS)
        done = words if maker is None else min(words, maker.embedded)
        if done >= count:
            return
        if done > furthest:
            furthest, at = done, time.monotonic()
            if done >= told + count // STEPS:
                told = done
                say(f"memories: {done:,} of {count:,} have words and vectors")
        elif time.monotonic() - at > STUCK_S:
            problem = (maker and maker.problem) or "nobody says why"
            raise Busy(f"only {done:,} of {count:,} memories have words and vectors: {problem}")
        await asyncio.sleep(0.25)


async def embedder(memory: Memory, wait_s: float = DECLARED_S) -> str | None:
    """Whose vectors there are; None when there are none some seconds after the start: searches go by words alone."""
    until = time.monotonic() + wait_s
    while (maker := active((await memory.stats()).embedders)) is None and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return None if maker is None else maker.id


def active(known: Sequence[EmbedderInfo]) -> EmbedderInfo | None:
    """The embedder that searches use; None when they go by words alone."""
    return next((one for one in known if one.state == "active"), None)


async def ask_memories(memory: Memory, one: Set, modes: Sequence[Mode] = MODES) -> Measured:
    """Ask all questions of a set in each mode."""

    async def found(text: str, mode: Mode) -> tuple[Mode, Sequence[str]]:
        hits = await memory.search(text, scope=one.scope, limit=DEPTH, mode=mode)
        return hits.mode, [hit.memory.memory for hit in hits.items]

    questions = [(question.text, question.answers) for question in one.questions]
    return Measured(one.name, len(one.documents), await ask(questions, found, modes), one.note)


async def ask(
    questions: Sequence[tuple[str, Collection[str]]], found: Found, modes: Sequence[Mode] = MODES
) -> dict[Mode, Quality]:
    """The quality in each mode. A mode in which some question is answered in another one is left out."""
    measured: dict[Mode, Quality] = {}
    for mode in modes:
        rankings = await _rankings(questions, found, mode)
        if rankings is not None:
            measured[mode] = quality(rankings)
    return measured


async def _rankings(
    questions: Sequence[tuple[str, Collection[str]]], found: Found, mode: Mode
) -> list[tuple[Sequence[str], Collection[str]]] | None:
    """What was found for each question, and what answers it; None when some were answered in another mode."""
    rankings: list[tuple[Sequence[str], Collection[str]]] = []
    waiting = iter(questions)

    async def some() -> bool:
        alike = True
        for text, answers in waiting:
            answered, ids = await found(text, mode)
            alike &= answered == mode
            rankings.append((ids, answers))
        return alike

    alike = await asyncio.gather(*(some() for _ in range(ASKED_AT_ONCE)))
    return rankings if all(alike) else None
