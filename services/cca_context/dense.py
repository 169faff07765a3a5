"""Search by meaning: exactly where few documents are in question, by the HNSW index where many are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cca.postgres.halfvec import packed
from cca.postgres.pool import Connection
from cca_context.corpus import Corpus
from cca_context.vectors import VectorTable
from cca_context.where import Where

NARROW = 3_000
"""Up to so many documents are compared one by one: that takes no longer than the index, and misses none."""
EF_SEARCH = 200
"""Documents that a walk through the index keeps in view: more is slower, and finds more of the nearest."""

SETTINGS = (
    f"SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL hnsw.ef_search = {EF_SEARCH};"
    " SET LOCAL hnsw.iterative_scan = strict_order"
)
"""With `strict_order`, the walk goes on until enough documents pass the filter."""


async def nearest(
    connection: Connection,
    corpus: Corpus,
    table: VectorTable,
    query: NDArray[np.float32],
    where: Where,
    limit: int,
    rows: int = 0,
) -> dict[Any, float]:
    """The cosines of the nearest `limit` documents, by key, nearest first. To be called with `SETTINGS`.

    Args:
        rows: how many the table has, as far as that is known; 0: it is not.
    """
    condition, values = where.sql(corpus.filters, 1)
    few = f"SELECT count(*) FROM (SELECT FROM {table.table} WHERE {condition} LIMIT {NARROW + 1}) AS few"
    exact = (bool(where) or rows <= NARROW) and await connection.fetchval(few, *values) <= NARROW
    condition, values = where.sql(corpus.filters, 2)
    # What is MATERIALIZED is read once and in no order, and so without the HNSW index.
    source = (
        f"WITH near AS MATERIALIZED (SELECT {corpus.key}, vec <#> $1::halfvec AS away FROM {table.table}"
        f" WHERE {condition}) SELECT {corpus.key}, -away FROM near ORDER BY away, {corpus.key} LIMIT {limit}"
        if exact
        else f"SELECT {corpus.key}, -(vec <#> $1::halfvec) FROM {table.table} WHERE {condition}"
        f" ORDER BY vec <#> $1::halfvec LIMIT {limit}"
    )
    return {row[0]: row[1] for row in await connection.fetch(source, packed(query), *values)}


async def compare(
    connection: Connection, corpus: Corpus, table: VectorTable, query: NDArray[np.float32], keys: Sequence[Any]
) -> dict[Any, float]:
    """The cosines of the documents with these keys; those that have no vector yet are left out."""
    if not keys:
        return {}
    rows = await connection.fetch(
        f"SELECT {corpus.key}, -(vec <#> $1::halfvec) FROM {table.table}"
        f" WHERE {corpus.key} = ANY($2::{corpus.key_type}[])",
        packed(query),
        list(keys),
    )
    return {row[0]: row[1] for row in rows}
