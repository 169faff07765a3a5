"""How fast and how exactly vectors are found, how fast they are written, and what their binary form saves (PERF-002).

The tables and the statements are those of the context service; what is right is computed here, from
the vectors themselves and not by the database.
"""

import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca.config import PostgresSettings
from cca.postgres.halfvec import packed, unpacked
from cca.postgres.pool import Connection, close_pool, connect_pool

M, EF_CONSTRUCTION, EF_SEARCH = 16, 64, 200
"""Settings of the HNSW index, as the context service has them."""
NEAREST = 10
FILTERS = {"everything": "true", "a tenth": "tenth = 3", "a hundredth": "hundredth = 7"}
"""What share of the rows passes, and which they are."""
GROUP = 256
"""Rows of one statement."""
CODEC_ROWS = 5_000
MEMORY = "1GB"
"""For building an index at once; it is built several times as slowly when it does not fit."""

Vectors = NDArray[np.float32]
Told = Callable[[str], None]

_SCHEMA = "cca_bench_vectors"
_TABLE = f"{_SCHEMA}.vectors"
_CREATE = """
DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema};
CREATE TABLE {schema}.vectors (chunk bigint PRIMARY KEY, tenth integer NOT NULL, hundredth integer NOT NULL,
    vec halfvec({dimension}) NOT NULL);
ALTER TABLE {schema}.vectors ALTER vec SET STORAGE PLAIN;
CREATE INDEX ON {schema}.vectors (tenth); CREATE INDEX ON {schema}.vectors (hundredth)
"""
_INDEX = "CREATE INDEX vectors_hnsw ON {table} USING hnsw (vec halfvec_ip_ops) WITH (m = {m}, ef_construction = {ef})"
_INSERT = """
INSERT INTO {table} SELECT chunk, chunk % 10, chunk % 100, vec
FROM unnest($1::bigint[], $2::halfvec[]) AS new(chunk, vec)
"""
_WAYS = {
    "index": "SELECT chunk FROM {table} WHERE {filter} ORDER BY vec <#> $1::halfvec LIMIT {nearest}",
    "exact": "WITH near AS MATERIALIZED (SELECT chunk, vec <#> $1::halfvec AS away FROM {table} WHERE {filter})"
    " SELECT chunk FROM near ORDER BY away, chunk LIMIT {nearest}",
}

Way = Literal["index", "exact"]


class Searches(Struct, frozen=True):
    """Searches of one sort, one after the other. Times are of the whole transaction, seen by who asks.

    Attributes:
        filter: what share of the rows passes.
        way: by the HNSW index, or by comparing with all that pass.
        recall: which share of the true nearest ten was found.
    """

    filter: str
    way: Way
    recall: float
    p50_ms: float
    p99_ms: float


class Codec(Struct, frozen=True):
    """Rows a second that are written (without an index for nearness) and read as arrays."""

    form: Literal["binary", "text"]
    written_s: float
    read_s: float


class VectorFigures(Struct, frozen=True):
    """What was measured.

    Attributes:
        inserted_s: rows a second that go into a table that has its index.
        copied_s: rows a second without it; `built_s`: seconds to build it then.
        index_bytes: of the index that grew with its rows, by which `searches` go.
    """

    rows: int
    dimension: int
    m: int
    ef_construction: int
    ef_search: int
    inserted_s: float
    copied_s: float
    built_s: float
    index_bytes: int
    searches: tuple[Searches, ...]
    codecs: tuple[Codec, ...]


async def measure(
    settings: PostgresSettings,
    rows: Vectors,
    queries: Vectors,
    *,
    m: int = M,
    ef_construction: int = EF_CONSTRUCTION,
    ef_search: int = EF_SEARCH,
    told: Told = lambda what: None,
) -> VectorFigures:
    """Measure in a schema of its own, which is removed at the end.

    Args:
        rows: vectors of length 1; `queries`: others, of the same length.
        told: is told what is being done.

    Raises `Busy` and `Refused` as `connect_pool` does.
    """
    pool = await connect_pool(settings, "bench", wait=False, session={"statement_timeout": "0"}, vectors=True)
    plain = await connect_pool(settings, "bench", wait=False, session={"statement_timeout": "0"})
    try:
        async with pool.acquire() as db, plain.acquire() as other:
            told("codecs")
            codecs = await _codecs(db, other, rows[:CODEC_ROWS])
            told("rows without an index, then the index")
            index = _INDEX.format(table=_TABLE, m=m, ef=ef_construction)
            copied = await _filled(db, rows)
            await db.execute(f"SET maintenance_work_mem = '{MEMORY}'")
            began = time.perf_counter()
            await db.execute(index)
            built = time.perf_counter() - began
            told("rows with their index")
            inserted = await _filled(db, rows, index)
            size = await db.fetchval(f"SELECT pg_relation_size('{_SCHEMA}.vectors_hnsw')")
            await db.execute(f"VACUUM ANALYZE {_TABLE}")
            searches = []
            for name in FILTERS:
                told(f"searches of {name}")
                right = _right(rows, queries, _passes(name, len(rows)))
                for way in ("index", "exact") if name != "everything" else ("index",):
                    searches.append(await _searches(db, name, way, queries, right, ef_search))
            return VectorFigures(
                rows=len(rows),
                dimension=rows.shape[1],
                m=m,
                ef_construction=ef_construction,
                ef_search=ef_search,
                inserted_s=inserted,
                copied_s=copied,
                built_s=built,
                index_bytes=size,
                searches=tuple(searches),
                codecs=codecs,
            )
    finally:
        async with pool.acquire() as db:
            await db.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
        await close_pool(pool)
        await close_pool(plain)


async def _filled(db: Connection, rows: Vectors, index: str | None = None) -> float:
    """Make the table anew; how many rows a second went into it."""
    await db.execute(_CREATE.format(schema=_SCHEMA, dimension=rows.shape[1]))
    if index is not None:
        await db.execute(index)
    return await _insert(db, [packed(row) for row in rows])


async def _insert(db: Connection, values: Sequence[bytes | str]) -> float:
    began = time.perf_counter()
    for start in range(0, len(values), GROUP):
        group = values[start : start + GROUP]
        await db.execute(_INSERT.format(table=_TABLE), list(range(start, start + len(group))), group)
    return len(values) / (time.perf_counter() - began)


async def _codecs(db: Connection, plain: Connection, rows: Vectors) -> tuple[Codec, ...]:
    """Both forms by turns, the better of three each: whatever else goes on hits both."""
    best = {"binary": (0.0, 0.0), "text": (0.0, 0.0)}
    for _ in range(3):
        for form in best:
            connection = db if form == "binary" else plain
            await db.execute(_CREATE.format(schema=_SCHEMA, dimension=rows.shape[1]))
            began = time.perf_counter()
            await _insert(connection, [packed(row) if form == "binary" else _text(row) for row in rows])
            written = len(rows) / (time.perf_counter() - began)
            began = time.perf_counter()
            for record in await connection.fetch(f"SELECT vec FROM {_TABLE}"):
                unpacked(record[0]) if form == "binary" else _array(record[0])
            read = len(rows) / (time.perf_counter() - began)
            best[form] = max(best[form][0], written), max(best[form][1], read)
    return Codec("binary", *best["binary"]), Codec("text", *best["text"])


def _text(row: Vectors) -> str:
    return "[" + ",".join(map(str, row.tolist())) + "]"


def _array(text: str) -> Vectors:
    return np.fromstring(text[1:-1], np.float32, sep=",")


def _passes(name: str, count: int) -> NDArray[np.int64]:
    """The rows that pass the filter."""
    keys = np.arange(count, dtype=np.int64)
    return keys if name == "everything" else keys[keys % 10 == 3] if name == "a tenth" else keys[keys % 100 == 7]


def _right(rows: Vectors, queries: Vectors, passing: NDArray[np.int64]) -> list[set[int]]:
    """The true nearest of each query."""
    cosines = queries @ rows[passing].T
    first = np.argpartition(-cosines, min(NEAREST, len(passing) - 1), axis=1)[:, :NEAREST]
    return [set(passing[places].tolist()) for places in first]


async def _searches(
    db: Connection, name: str, way: Way, queries: Vectors, right: list[set[int]], ef_search: int
) -> Searches:
    sql = _WAYS[way].format(table=_TABLE, filter=FILTERS[name], nearest=NEAREST)
    settings = (
        f"SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL hnsw.ef_search = {ef_search};"
        " SET LOCAL hnsw.iterative_scan = strict_order"
    )
    if way == "index":
        settings += "; SET LOCAL enable_sort = off"  # the index is what is measured, not the planner's choice

    async def search(query: Vectors) -> set[int]:
        async with db.transaction(readonly=True):
            await db.execute(settings)
            return {record[0] for record in await db.fetch(sql, packed(query))}

    for query in queries[:20]:
        await search(query)  # until everything is in memory
    took, found = [], 0
    for query, nearest in zip(queries, right, strict=True):
        began = time.perf_counter()
        answer = await search(query)
        took.append(1e3 * (time.perf_counter() - began))
        found += len(answer & nearest)
    p50, p99 = np.percentile(took, (50, 99))
    return Searches(name, way, found / sum(map(len, right)), float(p50), float(p99))
