"""The tables of the index of code. Who writes holds the project's lock on the same connection."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from cca.code.chunks import VERSION
from cca.code.jobs import Made
from cca.code.jobs import Row as Piece
from cca.postgres.pool import Connection
from cca.storable import text_without_nul
from cca_context.code_decide import Row

LOCK = 0x0CCA_0503
"""The first half of the locks of projects; the second is a hash of the name."""
MANY = 1_000
"""Files that are taken out at a time."""
ROWS = 100
"""Chunks that are sent at a time: to encode many more would hold up the loop."""

_EXISTING = (
    "SELECT chunk, path, digest, start_line, end_line FROM cca.code_chunks WHERE project = $1 AND path = ANY($2)"
)
_ADD = """
INSERT INTO cca.code_chunks (project, path, language, kind, name, title, signature, start_line, end_line, text, digest,
    words, terms)
SELECT $1, path, language, kind, name, title, signature, start_line, end_line, text, digest, words, terms::tsvector
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::int[], $10::text[],
    $11::bytea[], $12::int[], $13::text[])
    AS t (path, language, kind, name, title, signature, start_line, end_line, text, digest, words, terms)
"""
_MOVE = """
UPDATE cca.code_chunks c SET start_line = t.start_line, end_line = t.end_line
FROM unnest($1::bigint[], $2::int[], $3::int[]) AS t (chunk, start_line, end_line) WHERE c.chunk = t.chunk
"""
_FILES = """
INSERT INTO cca.code_files (project, path, digest, size, mtime_ns, language, chunks, problem, made, job, indexed_at)
SELECT $1, path, digest, size, mtime_ns, language, chunks, problem, $9, $10, $11
FROM unnest($2::text[], $3::bytea[], $4::bigint[], $5::bigint[], $6::text[], $7::int[], $8::text[])
    AS t (path, digest, size, mtime_ns, language, chunks, problem)
ON CONFLICT (project, path) DO UPDATE SET digest = excluded.digest, size = excluded.size, mtime_ns = excluded.mtime_ns,
    language = excluded.language, chunks = excluded.chunks, problem = excluded.problem, made = excluded.made,
    job = excluded.job, indexed_at = excluded.indexed_at
"""
_SEEN = """
UPDATE cca.code_files f SET mtime_ns = t.mtime_ns, job = $4, indexed_at = $5
FROM unnest($2::text[], $3::bigint[]) AS t (path, mtime_ns) WHERE f.project = $1 AND f.path = t.path
"""
_GONE = "DELETE FROM cca.code_chunks WHERE project = $1 AND path = ANY($2)"
_GONE_FILES = "DELETE FROM cca.code_files WHERE project = $1 AND path = ANY($2)"
_CHANGED = "UPDATE cca.search_changes SET changes = changes + 1 WHERE corpus = 'code'"
_THERE = """
SELECT path, digest, size, mtime_ns, chunks, problem, made, job, indexed_at FROM cca.code_files
WHERE project = $1 AND ($2 = '' OR path = $2 OR path ^@ ($2 || '/'))
"""
_PROJECT = """
INSERT INTO cca.code_projects (project, path) VALUES ($1, $2) ON CONFLICT (project) DO UPDATE SET path = excluded.path
"""


class Changes(Struct):
    """How many chunks a file, or several, got, kept and lost."""

    added: int = 0
    kept: int = 0
    dropped: int = 0


async def lock(db: Connection, project: str) -> bool:
    """Be the only one who writes a project, until the connection is given back. False: somebody else is."""
    got: bool = await db.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", LOCK, project)
    return got


async def path_of(db: Connection, project: str) -> str | None:
    """The directory of a project, if it is there."""
    path: str | None = await db.fetchval("SELECT path FROM cca.code_projects WHERE project = $1", project)
    return path


async def set_path(db: Connection, project: str, path: str) -> None:
    """Say which directory a project is."""
    await db.execute(_PROJECT, project, path)


async def finished(db: Connection, project: str, at: datetime) -> None:
    """All of a project was looked at."""
    await db.execute("UPDATE cca.code_projects SET indexed_at = $2 WHERE project = $1", project, at)


async def chunks_of(db: Connection, project: str) -> int:
    """How many chunks a project has."""
    sum_of = "SELECT coalesce(sum(chunks), 0)::bigint FROM cca.code_files WHERE project = $1"
    count: int = await db.fetchval(sum_of, project)
    return count


async def there(db: Connection, project: str, under: str) -> dict[str, Row]:
    """The files of a project, or of a part of it, by their paths."""
    return {row["path"]: Row(*row) for row in await db.fetch(_THERE, project, under)}


async def remove(db: Connection, project: str, paths: Sequence[str]) -> int:
    """Take files out; how many chunks they had."""
    count = 0
    for at in range(0, len(paths), MANY):
        some = list(paths[at : at + MANY])
        async with db.transaction():
            count += _count(await db.execute(_GONE, project, some))
            await db.execute(_GONE_FILES, project, some)
            await db.execute(_CHANGED)
    return count


async def drop(db: Connection, project: str) -> None:
    """Take a project out, a part at a time: no statement may take long."""
    while rows := await db.fetch("SELECT path FROM cca.code_files WHERE project = $1 LIMIT $2", project, MANY):
        await remove(db, project, [row["path"] for row in rows])
    await db.execute("DELETE FROM cca.code_projects WHERE project = $1", project)


async def write(db: Connection, project: str, job: str, made: Sequence[Made], at: datetime) -> Changes:
    """Bring the index up to date with files that were read, all of them or none.

    Chunks that are the same as before keep their keys, and with them their vectors.
    """
    changes = Changes()
    same = [one for one in made if one.state == "same"]
    now = [one for one in made if one.state in ("chunked", "skipped")]
    away = [one.path for one in made if one.state in ("left", "gone", "failed")]
    async with db.transaction():
        if same:
            await db.execute(_SEEN, project, [o.path for o in same], [o.mtime_ns for o in same], job, at)
        if now or away:
            await _replace(db, project, now, away, changes)
        if now:
            await db.execute(
                _FILES,
                project,
                [one.path for one in now],
                [one.digest for one in now],
                [one.size for one in now],
                [one.mtime_ns for one in now],
                [one.language for one in now],
                [len(one.rows) for one in now],
                [one.problem for one in now],
                VERSION,
                job,
                at,
            )
        if away:
            await db.execute(_GONE_FILES, project, away)
        if changes.added or changes.dropped:
            await db.execute(_CHANGED)
    return changes


async def _replace(db: Connection, project: str, now: Sequence[Made], away: list[str], changes: Changes) -> None:
    old: dict[tuple[str, bytes], list[tuple[int, int, int]]] = defaultdict(list)
    for row in await db.fetch(_EXISTING, project, [*(one.path for one in now), *away]):
        old[row["path"], row["digest"]].append((row["chunk"], row["start_line"], row["end_line"]))
    for several in old.values():
        several.sort(key=lambda chunk: chunk[1], reverse=True)  # the same twice in a file: the first stays the first
    moved: list[tuple[int, int, int]] = []
    new: list[tuple[Made, Piece]] = []
    for one in now:
        for piece in one.rows:
            chunk = piece.chunk
            if kept := old.get((one.path, chunk.digest)):
                key, *lines = kept.pop()
                changes.kept += 1
                if lines != [chunk.start_line, chunk.end_line]:
                    moved.append((key, chunk.start_line, chunk.end_line))
            else:
                new.append((one, piece))
    stale = [chunk for several in old.values() for chunk, _, _ in several]
    if stale:
        await db.execute("DELETE FROM cca.code_chunks WHERE chunk = ANY($1)", stale)
    if moved:
        await db.execute(_MOVE, *map(list, zip(*moved, strict=True)))
    for at in range(0, len(new), ROWS):
        columns = zip(*(_columns(one, piece) for one, piece in new[at : at + ROWS]), strict=True)
        await db.execute(_ADD, project, *map(list, columns))
    changes.added, changes.dropped = len(new), len(stale)


def _columns(one: Made, piece: Piece) -> tuple[object, ...]:
    chunk = piece.chunk
    return (
        one.path,
        one.language,
        chunk.kind,
        text_without_nul(chunk.name),
        chunk.title,
        text_without_nul(chunk.signature),
        chunk.start_line,
        chunk.end_line,
        chunk.text,
        chunk.digest,
        piece.words,
        piece.terms,
    )


def _count(status: str) -> int:
    """How many rows a statement was about, as the server says it: `DELETE 12`."""
    return int(status.rpartition(" ")[2])
