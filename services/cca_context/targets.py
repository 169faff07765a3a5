"""What is made of the texts of a corpus, one table each, and the SQL by which such a table follows its source."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from cca.embed.embedder import Embedder
from cca.errors import Busy
from cca.postgres.halfvec import packed
from cca.postgres.tables import Row
from cca.search.lexemes import tsvector
from cca.search.terms import terms
from cca_context.corpus import Corpus
from cca_context.vectors import VectorTable

PLAIN = 2_000
"""Vectors up to so many numbers stay in the row: elsewhere, each one compared would be read on its own."""

Make = Callable[[Sequence[str]], Awaitable[list[Sequence[Any]]]]
"""From texts to the values of each of the columns."""


class Target(Struct, frozen=True):
    """A table that is made of the texts of a corpus.

    Attributes:
        n: of the embedder; 0 for words.
        columns: what is made, and its type as a parameter.
        casts: … and in the table, where that is another.
        building: it is to take the place of the table in use.
        problem: what is told of it in `cca.embedders`.
    """

    corpus: Corpus
    n: int
    table: str
    columns: Mapping[str, str]
    casts: Mapping[str, str]
    make: Make
    building: bool = False
    problem: str | None = None

    @property
    def page(self) -> str:
        """Texts after version `$1` for which there is nothing yet, or which are not what they were; `$2` at most."""
        c = self.corpus
        return (
            f"SELECT s.{c.key} AS key, s.{c.version} AS version, {c.text} AS text"
            f" FROM {c.source} s LEFT JOIN {self.table} t USING ({c.key})"
            f" WHERE s.{c.version} > $1 AND t.version IS DISTINCT FROM s.{c.version}"
            f" ORDER BY s.{c.version} LIMIT $2"
        )

    @property
    def write(self) -> str:
        """Keys, versions and what was made of the texts, each as an array. What has gone since is left out."""
        c = self.corpus
        given = {c.key: c.key_type, "version": "bigint", **self.columns}
        arrays = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(given.values(), start=1))
        made = [f"v.{column}::{self.casts.get(column, kind)}" for column, kind in self.columns.items()]
        into = ["version", *c.filters, *self.columns]
        return (
            f"INSERT INTO {self.table} ({c.key}, {', '.join(into)})"
            f" SELECT s.{c.key}, v.version, {', '.join([*(f's.{column}' for column in c.filters), *made])}"
            f" FROM unnest({arrays}) AS v({', '.join(given)})"
            f" JOIN {c.source} s ON s.{c.key} = v.{c.key} AND s.{c.version} = v.version"
            f" ON CONFLICT ({c.key}) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in into)}"
        )

    @property
    def remove(self) -> str:
        """What was made of texts that are no longer there goes."""
        c = self.corpus
        return f"DELETE FROM {self.table} t WHERE NOT EXISTS (SELECT FROM {c.source} s WHERE s.{c.key} = t.{c.key})"


def words(corpus: Corpus) -> Target:
    """The table of the words of a corpus that does not bring them itself."""
    return Target(corpus, 0, corpus.terms, {"words": "integer", "terms": "text"}, {"terms": "tsvector"}, _words)


def vectors(corpus: Corpus, table: VectorTable, maker: Embedder) -> Target:
    """A table of vectors, and who makes them."""
    make = partial(_vectors, maker, table.dimension)
    building = table.state == "building"
    return Target(corpus, table.n, table.table, {"vec": "halfvec"}, {}, make, building, table.problem)


async def _words(texts: Sequence[str]) -> list[Sequence[Any]]:
    counts, vectors = [], []
    for text in texts:
        found = terms(text)
        counts.append(len(found))
        vectors.append(tsvector(found))
        await asyncio.sleep(0)  # a long text takes milliseconds, and there may be hundreds
    return [counts, vectors]


async def _vectors(maker: Embedder, dimension: int, texts: Sequence[str]) -> list[Sequence[Any]]:
    made = await maker.embed(texts, "document")
    if made.shape != (len(texts), dimension):
        raise Busy(
            f"{maker.id} gave {made.shape[0]} vectors of {made.shape[1]} numbers for {len(texts)} of {dimension}"
        )
    return [[packed(vector) for vector in made]]


def create(corpus: Corpus, n: int, dimension: int, build: Mapping[str, int]) -> str:
    """Statements that make the table of the vectors of embedder `n`, with its indexes."""
    table = corpus.vectors(n)
    columns = ", ".join(f"{column} {kind}{_collation(kind)}" for column, kind in corpus.filters.items())
    options = ", ".join(f"{name} = {value}" for name, value in build.items())
    return ";\n".join(
        [
            f"CREATE TABLE {table} ({corpus.key} {corpus.key_type}{_collation(corpus.key_type)} PRIMARY KEY,"
            f" version bigint NOT NULL, {columns}, vec halfvec({dimension}) NOT NULL)",
            *([f"ALTER TABLE {table} ALTER vec SET STORAGE PLAIN"] if dimension <= PLAIN else []),
            *(f"CREATE INDEX ON {table} ({', '.join(index)})" for index in corpus.indexes),
            f"CREATE INDEX ON {table} USING hnsw (vec halfvec_ip_ops) WITH ({options})",
        ]
    )


def _collation(kind: str) -> str:
    return ' COLLATE "C"' if kind == "text" else ""


def counts(corpus: Corpus, tables: Sequence[VectorTable]) -> str:
    """How many texts there are, and how many of them each table has."""
    columns = [f"(SELECT count(*) FROM {name})" for name in (corpus.source, *(table.table for table in tables))]
    return "SELECT " + ", ".join(columns)


def values(rows: Sequence[Row], made: list[Sequence[Any]]) -> list[Sequence[Any]]:
    """The parameters of `Target.write`."""
    return [[row["key"] for row in rows], [row["version"] for row in rows], *made]
