"""A run: one stack, and on it the parts that were asked for."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from cca.bench.own_stack import OwnStack, folder, own_stack
from cca.bench.search import vectors as vector_bench
from cca.bench.search.code import CodeFigures, Indexed, copied, paths
from cca.bench.search.commits import Left, commits
from cca.bench.search.functions import functions, standard_library
from cca.bench.search.headings import headings
from cca.bench.search.quality import Filled, Measured, Say, ask_memories, embedder, fill
from cca.bench.search.ranking import DEPTH
from cca.bench.search.sets import Set
from cca.bench.search.snippets import PER_JOB, snippets, vectors
from cca.bench.search.speed import Answer, Search, Speed, speed
from cca.bench.search.vectors import VectorFigures
from cca.bench.search.written import code_questions, paraphrases
from cca.client import Client
from cca.errors import CcaError
from cca.nats.bus import connect
from cca.postgres.pool import Pool, close_pool, connect_pool
from cca.stack.layout import DEFAULT

PARTS = ("quality", "vectors", "code")


class Sizes(Struct, frozen=True, kw_only=True):
    """How much of everything. None: all that there is.

    Attributes:
        queries, documents: of each set that is made from what is on the machine.
        paraphrases, memories: questions and documents of the written set.
        questions: about the standard library; `whole`: all of it is indexed, or only the files of the answers.
        rows, probes: vectors that are searched, and searches of them.
        asked: questions of which the time is taken.
        transactions: those of the database are counted.
    """

    queries: int = 150
    documents: int = 300
    paraphrases: int | None = None
    memories: int | None = None
    questions: int | None = None
    whole: bool = True
    rows: int = 100_000
    probes: int = 1_000
    asked: int = 100
    transactions: bool = True


QUICK = Sizes(
    queries=6,
    documents=12,
    paraphrases=6,
    memories=20,
    questions=3,
    whole=False,
    rows=600,
    probes=20,
    asked=5,
    transactions=False,
)
"""Enough to see that everything works; the figures say nothing."""


class Figures(Struct, kw_only=True):
    """What was measured; what was not asked for is None or empty."""

    parts: tuple[str, ...]
    quick: bool
    embedder: str | None = None
    sets: list[Measured] = []
    filled: Filled | None = None
    code: CodeFigures | None = None
    vectors: VectorFigures | None = None
    speeds: list[Speed] = []
    notes: list[str] = []
    took_s: float = 0.0


async def measure(parts: Sequence[str], quick: bool, here: Path, say: Say) -> Figures:
    """Start a stack and measure on it.

    Args:
        here: whose git history is used, if there is one.
        say: is told what is being done.

    Raises `CcaError`: `Busy` or `Misconfigured` when something cannot be started.
    """
    began = time.perf_counter()
    figures = Figures(parts=tuple(part for part in PARTS if part in parts), quick=quick)
    sizes = QUICK if quick else Sizes()
    say("sets are made")
    sets = await asyncio.to_thread(made, sizes, figures.parts, here, figures.notes)
    with folder() as directory:
        say("a stack starts")
        # Of this name: then the directory above it may be indexed.
        (home := directory / DEFAULT).mkdir(mode=0o700)
        async with own_stack(home) as stack, connect(stack.nats, "bench") as bus:
            pool = await connect_pool(stack.postgres, "bench")
            try:
                run = _Run(stack, Client(bus), pool, sizes, figures, say)
                figures.embedder = await embedder(run.client.memory)
                if figures.embedder is None:
                    figures.notes.append("There is no embedder (extra `embeddings`): searches went by words alone.")
                if "vectors" in figures.parts:
                    await run.vectors()
                if "quality" in figures.parts:
                    await run.quality(sets)
                if "code" in figures.parts:
                    await run.code(directory, sets)
            finally:
                await close_pool(pool)
    figures.took_s = time.perf_counter() - began
    return figures


def made(sizes: Sizes, parts: Sequence[str], here: Path, notes: list[str]) -> list[Set]:
    """The sets of documents, the docstrings first; what cannot be made is told in `notes`."""
    if not {"quality", "code"} & set(parts):
        return []
    root = standard_library() if sizes.whole else standard_library() / "asyncio"
    found = [functions(sizes.queries, sizes.documents, spare=2 * sizes.asked, root=root)]
    if "quality" not in parts:
        return found
    found.append(headings(sizes.queries, sizes.documents))
    try:
        found.append(commits(sizes.queries, sizes.documents, here))
    except Left as left:
        notes.append(f"commit → diff is left out: {left}.")
    return [*found, *paraphrases(sizes.paraphrases, sizes.memories)]


class _Run:
    """The parts on a stack that runs."""

    def __init__(self, stack: OwnStack, client: Client, pool: Pool, sizes: Sizes, figures: Figures, say: Say) -> None:
        self._stack, self.client, self._pool, self._sizes, self._say = stack, client, pool, sizes, say
        self._figures = figures

    async def vectors(self) -> None:
        sizes = self._sizes
        self._say(f"vectors: {sizes.rows + sizes.probes:,} are made, or read from the last time")
        try:
            folders = None if sizes.whole else [standard_library() / "asyncio"]
            texts = await asyncio.to_thread(snippets, sizes.rows + sizes.probes, folders)
            made = await asyncio.to_thread(vectors, texts, None, self._vectors_made)
        except (CcaError, ImportError) as error:
            self._figures.notes.append(f"Vectors are not measured: {error}.")
            return
        self._figures.vectors = await vector_bench.measure(
            self._stack.postgres,
            made[: sizes.rows],
            made[sizes.rows :],
            told=lambda what: self._say(f"vectors: {what}"),
        )

    def _vectors_made(self, done: int, of: int) -> None:
        if done % 10_000 < PER_JOB:
            self._say(f"vectors: {done:,} of {of:,} are made")

    async def quality(self, sets: Sequence[Set]) -> None:
        memory = self.client.memory
        self._figures.filled = await fill(memory, self._pool, sets, self._say)
        for one in sets:
            self._say(f"{one.name}: {len(one.questions)} questions")
            self._figures.sets.append(await ask_memories(memory, one))

        async def search(text: str) -> Answer:
            return await memory.search(text, scope=sets[0].scope, limit=DEPTH)

        await self._speed("memories", sets[0].spare[: self._sizes.asked], search)

    async def code(self, directory: Path, sets: Sequence[Set]) -> None:
        sizes = self._sizes
        questions = code_questions(sizes.questions)
        self._say("code: the standard library is copied")
        target = await asyncio.to_thread(copied, directory, None if sizes.whole else paths(questions))
        index = Indexed(self.client.code, self._pool, target, self._say)
        self._figures.code = await index.measure()
        self._say(f"code: {len(questions)} questions")
        self._figures.sets.append(await index.ask(questions))
        # Others than memories were asked for: the vectors of those questions are known by now.
        await self._speed("code", sets[0].spare[sizes.asked :], index.search)

    async def _speed(self, subject: str, texts: Sequence[str], search: Search) -> None:
        self._say(f"{subject}: how long an answer takes")
        bus, counted = self.client.bus, self._sizes.transactions
        self._figures.speeds.append(await speed(bus, self._pool, subject, texts, search, transactions=counted))
