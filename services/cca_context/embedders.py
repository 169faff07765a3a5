"""The embedders that a corpus has tables for: which is wanted, which is in use, which has had its day."""

from cca.embed.embedder import Embedder
from cca.postgres.pool import Connection
from cca.postgres.tables import Tables
from cca_context import targets
from cca_context.corpus import Corpus

BUILD = {"m": 16, "ef_construction": 64}
"""Of the HNSW indexes. Measured with `cca.bench.search.vectors`."""
RETIRED_S = 60.0
"""Seconds that a table stays after another has taken its place: searches in other processes may still use it."""

_ALL = "SELECT n, id, revision, dimension, state FROM cca.embedders WHERE corpus = $1 AND state <> 'retired'"
_RETIRE = "UPDATE cca.embedders SET state = 'retired', changed_at = now(), problem = NULL WHERE n = ANY($1::int[])"
_ADD = "INSERT INTO cca.embedders (corpus, id, revision, dimension, state) VALUES ($1, $2, $3, $4, $5) RETURNING n"
_ACTIVATE = "UPDATE cca.embedders SET state = 'active', changed_at = now() WHERE n = $1 AND state = 'building'"
_OVER = """
SELECT n FROM cca.embedders
WHERE corpus = $1 AND state = 'retired' AND changed_at < now() - make_interval(secs => $2) FOR UPDATE SKIP LOCKED
"""
PROBLEM = "UPDATE cca.embedders SET problem = $2 WHERE n = $1 AND problem IS DISTINCT FROM $2"
"""Lets all processes know why an embedder gets no further; NULL: it does."""
CHANGED = "UPDATE cca.search_changes SET changes = changes + 1 WHERE corpus = $1"
"""Tells all processes that answers of before are no longer right."""


async def declare(tables: Tables, corpus: Corpus, wanted: Embedder) -> None:
    """Say which embedder the settings want: with another in use it is built beside that one.

    Each process says it once, when it starts. So the settings of the last one that was started hold, and processes of
    which some have the old settings do not undo each other's work for ever. Raises `Busy`.
    """
    async with tables.connection() as db, db.transaction():
        await _alone(db, corpus)
        found = await db.fetch(_ALL, corpus.name)
        want = (wanted.id, wanted.revision, wanted.dimension)
        mine = next((row for row in found if (row["id"], row["revision"], row["dimension"]) == want), None)
        await db.execute(_RETIRE, [row["n"] for row in found if row["state"] == "building" and row is not mine])
        if mine is None:
            state = "building" if any(row["state"] == "active" for row in found) else "active"
            n = await db.fetchval(_ADD, corpus.name, *want, state)
            await db.execute(targets.create(corpus, n, wanted.dimension, BUILD))


async def swap(db: Connection, corpus: Corpus, n: int) -> None:
    """Searches use the table of embedder `n` from now on. Nothing happens if it was retired in the meantime."""
    async with db.transaction():
        await _alone(db, corpus)
        found = await db.fetch(_ALL, corpus.name)
        if any(row["n"] == n and row["state"] == "building" for row in found):
            await db.execute(_RETIRE, [row["n"] for row in found if row["state"] == "active"])
            await db.execute(_ACTIVATE, n)
            await db.execute(CHANGED, corpus.name)


async def drop_retired(tables: Tables, corpus: Corpus, after_s: float = RETIRED_S) -> None:
    """Drop tables that nobody uses any more. Raises `Busy`."""
    async with tables.connection() as db, db.transaction():
        for row in await db.fetch(_OVER, corpus.name, after_s):
            await db.execute("SET LOCAL lock_timeout = '1s'")
            await db.execute(f"DROP TABLE IF EXISTS {corpus.vectors(row['n'])}")
            await db.execute("DELETE FROM cca.embedders WHERE n = $1", row["n"])


async def _alone(db: Connection, corpus: Corpus) -> None:
    await db.execute("SELECT pg_advisory_xact_lock($1, -1)", corpus.lock)
