"""Searches of a corpus: by meaning, by words, or by both, each hit with its reasons."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca.breaker import Breaker
from cca.contracts.search import Mode, Why
from cca.errors import CcaError
from cca.postgres.pool import Connection
from cca.postgres.tables import Tables
from cca.search.bm25 import Match
from cca.search.fusion import fused
from cca.search.query import distinct
from cca.search.terms import terms
from cca_context import dense, lexical
from cca_context.corpus import Corpus
from cca_context.frequencies import Frequencies
from cca_context.vectors import Vectors, VectorTable
from cca_context.where import Where

DEPTH = 50
"""Documents that each side gives, at least: what is best in both need not be among the first of either."""
WORDS = 4
"""Times as many are compared by their words, because the first cut sees those only roughly."""
PATIENCE_S = 5.0
"""Seconds that a search waits for the vector of its query."""


class Found(Struct, frozen=True):
    """A document by its key, its score, and where that comes from."""

    key: Any
    score: float
    why: Why


class Searched(Struct, frozen=True):
    """What was found, best first.

    Attributes:
        mode: how it was ranked; `lexical` where the vectors that were asked for cannot be had, and `note` says why.
        embedder: whose vectors were compared; None for `lexical`.
    """

    items: list[Found]
    mode: Mode
    embedder: str | None
    note: str


class Asked(Struct, frozen=True):
    """A query as a vector, and the table of those that it is comparable with."""

    table: VectorTable
    vector: NDArray[np.float32]


class Searcher:
    """Searches a corpus.

    Args:
        tables: where documents and vectors are.
        corpus: which documents.
        vectors: how they are compared by meaning.
    """

    def __init__(self, tables: Tables, corpus: Corpus, vectors: Vectors) -> None:
        self._tables, self._corpus, self._vectors = tables, corpus, vectors
        self._frequencies = Frequencies(tables, corpus)
        self._embedder = Breaker(failures=2)

    async def search(self, query: str, where: Where, limit: int, mode: Mode) -> Searched:
        """The best `limit` documents for a query. Documents of which no vector or no words are made yet are found by
        the other.

        Raises `Busy` when PostgreSQL does not answer, and `ValueError` for a limit by a column that is not there.
        """
        where.sql(self._corpus.filters, 1)
        if mode == "lexical":
            return await self._lexical(query, where, limit, "")
        asking = asyncio.create_task(self._asked(query))
        try:
            matches: dict[Any, Match] = {}
            words = None
            if mode == "hybrid":
                words, matches = await self._by_words(query, where, max(limit, DEPTH) * WORDS)
            asked = await asking
        finally:
            asking.cancel()
        if isinstance(asked, str):
            if words is None:
                return await self._lexical(query, where, limit, asked)
            return Searched(_items("lexical", {}, matches, limit), "lexical", None, asked)
        depth = limit if words is None else max(limit, DEPTH)
        async with self._reading(dense.SETTINGS) as connection:
            count = self._vectors.embedded.get(asked.table.n, 0)
            cosines = await dense.nearest(connection, self._corpus, asked.table, asked.vector, where, depth, count)
            if words is not None:
                # A score needs both: what one side has found is compared by the other, too.
                others = [key for key in matches if key not in cosines]
                missing = [key for key in cosines if key not in matches]
                cosines |= await dense.compare(connection, self._corpus, asked.table, asked.vector, others)
                matches |= await lexical.compare(connection, self._corpus, words, missing)
        return Searched(_items(mode, cosines, matches, limit), mode, asked.table.id, self._vectors.note)

    async def close(self) -> None:
        """Stop what goes on in the background."""
        await self._frequencies.close()

    async def _lexical(self, query: str, where: Where, limit: int, note: str) -> Searched:
        _, matches = await self._by_words(query, where, max(limit, DEPTH) * WORDS)
        return Searched(_items("lexical", {}, matches, limit), "lexical", None, note)

    async def _by_words(self, query: str, where: Where, limit: int) -> tuple[lexical.Words, dict[Any, Match]]:
        wanted = distinct(terms(query))
        async with self._tables.connection() as connection:
            statistics = await self._frequencies.of(connection, wanted)
            async with connection.transaction(readonly=True):
                await connection.execute(lexical.SETTINGS)
                return await lexical.look(connection, self._corpus, wanted, statistics, where, limit)

    async def _asked(self, query: str) -> Asked | str:
        """The query as a vector, or why there is none."""
        table = self._vectors.active
        if table is None:
            return self._vectors.note or "there are no vectors yet: by words alone"
        now = asyncio.get_running_loop().time
        if not self._embedder.admits(now()):
            return f"{table.id} does not answer: by words alone"
        try:
            async with asyncio.timeout(PATIENCE_S):
                vector = await self._vectors.query(query, table)
        except (CcaError, TimeoutError) as error:
            self._embedder.failed(now())
            return f"{table.id} does not answer: by words alone ({error or 'it takes too long'})"
        except BaseException:
            self._embedder.given_up()
            raise
        self._embedder.succeeded()
        return Asked(table, vector)

    @asynccontextmanager
    async def _reading(self, settings: str) -> AsyncIterator[Connection]:
        async with self._tables.connection() as connection, connection.transaction(readonly=True):
            await connection.execute(settings)
            yield connection


def _items(mode: Mode, cosines: dict[Any, float], matches: dict[Any, Match], limit: int) -> list[Found]:
    found = fused(mode, cosines, matches, depth=max(limit, DEPTH))
    return [Found(key, score, why) for key, score, why in found[:limit]]
