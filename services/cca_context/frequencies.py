"""In how many documents each term is: exact while there are few documents, and for rare terms always."""

import asyncio
import logging
from collections.abc import Sequence

from msgspec import Struct

from cca.errors import Busy
from cca.postgres.pool import DATABASE, Connection
from cca.postgres.tables import Tables
from cca.search.bm25 import Statistics
from cca.search.lexemes import tsquery
from cca_context.corpus import Corpus

FEW = 2_000
"""Up to so many documents, all is counted anew for each search."""
EXACT = 1_000
"""Among more, a term is counted up to so many documents, unless a sample has shown that it is common."""
SAMPLE = 20_000
"""Documents of which the common terms are found out."""
COMMON = 1_000
"""A term is common when one of so many documents has it."""
LOOK_S = 30.0
"""Seconds after which it is looked again whether there are many more documents, or fewer."""
CHANGED = 0.1
"""A new sample is taken when there are more or fewer documents by this share."""

_SETTINGS = "SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL enable_seqscan = off"

logger = logging.getLogger("cca_context")


class Common(Struct, frozen=True):
    """What a sample shows: how many documents there are, their average words, and the frequencies of common terms."""

    documents: int
    words: float
    frequencies: dict[str, int]


class Frequencies:
    """Statistics of a corpus. Larger ones are sampled in the background: no search waits for that."""

    def __init__(self, tables: Tables, corpus: Corpus) -> None:
        self._tables, self._corpus = tables, corpus
        self._common: Common | None = None
        self._looked = float("-inf")
        self._sampling: asyncio.Task[None] | None = None

    async def of(self, connection: Connection, terms: Sequence[str]) -> Statistics:
        """What is known for a search for these terms. `connection` must not be in a transaction."""
        source = self._corpus.terms
        many = self._common
        if many is None:
            row = await connection.fetchrow(
                "SELECT count(*), coalesce(avg(words), 0)::float8"
                f" FROM (SELECT words FROM {source} LIMIT {FEW + 1}) AS s"
            )
            documents, words = (row[0], row[1]) if row is not None else (0, 0.0)
            if documents <= FEW:
                return Statistics(documents, words, await self._counted(connection, terms, FEW))
            # Until the sample is there, a guess that makes nothing common.
            many = Common(await self._estimated(connection), words, {})
        self._look()
        rare = [term for term in terms if term not in many.frequencies]
        counted = await self._counted(connection, rare, EXACT)
        frequencies = {term: many.frequencies[term] for term in terms if term in many.frequencies} | counted
        return Statistics(max(many.documents, 1), many.words, frequencies)

    async def close(self) -> None:
        """Stop what goes on in the background."""
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.gather(self._sampling, return_exceptions=True)

    async def _counted(self, connection: Connection, terms: Sequence[str], most: int) -> dict[str, int]:
        if not terms:
            return {}
        queries = [tsquery([term], "&") for term in terms]
        async with connection.transaction(readonly=True):
            await connection.execute(_SETTINGS)
            rows = await connection.fetch(
                "SELECT (SELECT count(*) FROM"
                f" (SELECT FROM {self._corpus.terms} WHERE terms @@ q.query LIMIT {most}) AS s)"
                " FROM unnest($1::text[]) WITH ORDINALITY AS t(term, n), LATERAL (SELECT t.term::tsquery AS query) AS q"
                " ORDER BY t.n",
                queries,
            )
        return {term: row[0] for term, row in zip(terms, rows, strict=True)}

    async def _estimated(self, connection: Connection) -> int:
        estimate = await connection.fetchval(
            "SELECT reltuples FROM pg_class WHERE oid = to_regclass($1)", self._corpus.terms
        )
        return max(int(estimate or 0), FEW + 1)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._looked >= LOOK_S and (self._sampling is None or self._sampling.done()):
            self._looked = now
            self._sampling = asyncio.create_task(self._sample())

    async def _sample(self) -> None:
        try:
            self._common = await self._sampled()
        except (Busy, *DATABASE) as error:
            logger.warning("the words of %s are not counted: %s", self._corpus.terms, error or type(error).__name__)

    async def _sampled(self) -> Common | None:
        source, known = self._corpus.terms, self._common
        async with self._tables.connection() as connection:
            documents = await connection.fetchval(f"SELECT count(*) FROM {source}")
            if documents <= FEW:
                return None
            if known is not None and abs(documents - known.documents) <= CHANGED * known.documents:
                return Common(documents, known.words, known.frequencies)
            share = min(100.0 * SAMPLE / documents, 100.0)
            sample = f"{source} TABLESAMPLE SYSTEM ({share:.6f}) REPEATABLE (1)"
            row = await connection.fetchrow(f"SELECT count(*), coalesce(avg(words), 0)::float8 FROM {sample}")
            seen, words = (row[0], row[1]) if row is not None else (0, 0.0)
            rows = await connection.fetch(
                "SELECT word, ndoc FROM ts_stat($1) WHERE ndoc >= $2",
                f"SELECT terms FROM {sample}",
                max(seen // COMMON, 2),
            )
        return Common(documents, words, {row[0]: round(row[1] * documents / seen) for row in rows})
