"""A hash of all rows of a table, and which rows differ between two."""

from typing import Any

from msgspec import Struct

from cca.postgres.pool import Connection

SHOWN = 10
"""Rows that differ and are named, at most."""

# A row counts by its whole text. The rows are sorted by their own hashes, in 256 parts so that no part grows
# beyond what one value may hold; two tables with the same digest have the same rows.
_DIGEST = """
SELECT coalesce(sum(n), 0)::bigint AS rows,
       encode(sha256(coalesce(string_agg(part, ''::bytea ORDER BY first), '')), 'hex') AS digest
FROM (SELECT get_byte(h, 0) AS first, count(*) AS n, sha256(string_agg(h, ''::bytea ORDER BY h)) AS part
      FROM (SELECT sha256(convert_to(t::text, 'UTF8')) AS h FROM {table} t) hashes GROUP BY 1) parts
"""

_DIFFERENT = """
SELECT {key} AS key,
       CASE WHEN a IS NULL THEN 'missing' WHEN b IS NULL THEN 'not in the log' ELSE (
           SELECT string_agg(x.key, ', ' ORDER BY x.key) FROM jsonb_each_text(to_jsonb(a)) x
           JOIN jsonb_each_text(to_jsonb(b)) y USING (key) WHERE x.value IS DISTINCT FROM y.value) END AS what
FROM {live} a FULL JOIN {replayed} b USING ({columns})
WHERE a::text IS DISTINCT FROM b::text ORDER BY {columns} LIMIT {limit}
"""


class Digest(Struct, frozen=True):
    """How many rows, and their hash."""

    rows: int
    digest: str


class Difference(Struct, frozen=True):
    """A row that differs: its key, and in what (columns, `missing`, `not in the log`)."""

    key: str
    what: str


async def digest(db: Connection, table: str) -> Digest:
    """The digest of a table (with its schema), as the transaction sees it."""
    record = await db.fetchrow(_DIGEST.format(table=table))
    assert record is not None
    return Digest(record["rows"], record["digest"])


async def different(db: Connection, live: str, replayed: str, key: tuple[str, ...]) -> list[Difference]:
    """The first rows in which two tables differ."""
    columns = ", ".join(key)
    shown = " || '/' || ".join(f"{column}::text" for column in key)
    query = _DIFFERENT.format(live=live, replayed=replayed, key=shown, columns=columns, limit=SHOWN)
    return [Difference(str(record["key"]), _words(record["what"])) for record in await db.fetch(query)]


def _words(what: Any) -> str:
    return str(what) if what else "order or form of a document"
