"""The index of code: Python's standard library is copied, indexed, indexed again, and asked about."""

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from cca.bench.search.functions import standard_library
from cca.bench.search.quality import STEPS, STUCK_S, Measured, Say, active, ask
from cca.bench.search.ranking import DEPTH
from cca.bench.search.written import CodeQuestion
from cca.code.remote import CodeIndex
from cca.contracts.code import CodeHits, CodeJob
from cca.contracts.search import Mode
from cca.errors import Busy, CcaError
from cca.postgres.pool import Pool

PROJECT = "python"
LEFT_OUT = ("test", "idlelib", "site-packages", "dist-packages", "__pycache__")
"""Directories of the standard library that are not copied."""
AGAIN = 3
"""Runs of each sort after the first."""
_POLL_S = 0.02
_CHANGE = '''

def bench_zebra_crossing_{number}(seconds):
    """Count the zebras that cross the road in so many seconds."""
    return seconds * {number}
'''
_SIZES = """
SELECT c.relname AS name, pg_table_size(c.oid) AS rows, pg_indexes_size(c.oid) AS indexes FROM pg_class c
WHERE c.relnamespace = 'cca'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'code\\_%' ORDER BY c.relname
"""


class Size(Struct, frozen=True):
    """Bytes of a table and of its indexes."""

    table: str
    rows: int
    indexes: int


class CodeFigures(Struct, frozen=True):
    """What indexing took. Times are in seconds, as whoever asks sees them.

    Attributes:
        bytes: of the files; `chunks`: that they gave, `languages` by their number.
        indexed_s: the first run.
        embedded_s: from its beginning until every chunk had a vector; None without an embedder.
        unchanged_s: runs after which nothing had changed; `changed_s`: after which one file had.
        found: what was written into that file is found by its words afterwards.
    """

    files: int
    bytes: int
    chunks: int
    languages: dict[str, int]
    failed: int
    indexed_s: float
    embedded_s: float | None
    embedder: str | None
    unchanged_s: tuple[float, ...]
    changed_s: tuple[float, ...]
    found: bool
    sizes: tuple[Size, ...]


def copied(into: Path, only: Sequence[str] | None = None) -> Path:
    """The standard library of this interpreter, or files of it, in a directory of its own."""
    source, target = standard_library(), into / PROJECT
    if only is None:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*LEFT_OUT, "*.so", "*.a", "*.pyc"))
        return target
    for path in only:
        if (source / path).is_file():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, target / path)
    return target


def paths(questions: Sequence[CodeQuestion]) -> list[str]:
    """The files that hold the answers."""
    return list(dict.fromkeys(path for question in questions for path in question.answers))


class Indexed:
    """The index of a directory, through the bus."""

    def __init__(self, code: CodeIndex, pool: Pool, directory: Path, say: Say) -> None:
        self._code, self._pool, self._directory, self._say = code, pool, directory, say

    async def measure(self) -> CodeFigures:
        """Index it, wait for its vectors, and index it again. Raises `CcaError` when a run does not add up."""
        self._say("code: it is indexed")
        began = time.perf_counter()
        job = await self._run()
        indexed = time.perf_counter() - began
        embedder = await self._embedded(job)
        embedded = None if embedder is None else time.perf_counter() - began
        self._say("code: indexed again, unchanged and with one file changed")
        unchanged = [await self._timed(0) for _ in range(AGAIN)]
        changed = []
        for number in range(1, AGAIN + 1):
            self._change(number)
            changed.append(await self._timed(1))
        hits = await self.search(f"bench_zebra_crossing_{AGAIN}", "lexical")
        stats = await self._code.stats()
        project = next(one for one in stats.projects if one.project == PROJECT)
        return CodeFigures(
            files=job.tally.indexed,
            bytes=job.tally.bytes,
            chunks=job.tally.chunks,
            languages=project.languages,
            failed=job.tally.failed,
            indexed_s=indexed,
            embedded_s=embedded,
            embedder=embedder,
            unchanged_s=tuple(unchanged),
            changed_s=tuple(changed),
            found=any(hit.name == f"bench_zebra_crossing_{AGAIN}" for hit in hits.items),
            sizes=tuple([Size(*row) for row in await self._pool.fetch(_SIZES)]),
        )

    async def ask(self, questions: Sequence[CodeQuestion]) -> Measured:
        """Ask all questions in each mode; those of which this library has no answer are left out."""
        there = {path.relative_to(self._directory).as_posix() for path in self._directory.rglob("*") if path.is_file()}
        asked = {one.text: one for one in questions if not there.isdisjoint(one.answers)}

        async def found(text: str, mode: Mode) -> tuple[Mode, Sequence[str]]:
            hits = await self.search(text, mode)
            right = asked[text].answered_by
            return hits.mode, ["right" if right(hit.path, hit.name) else "wrong" for hit in hits.items]

        qualities = await ask([(text, ("right",)) for text in asked], found)
        chunks: int = await self._pool.fetchval("SELECT count(*) FROM cca.code_chunks")
        return Measured("code search", chunks, qualities)

    async def search(self, text: str, mode: Mode = "hybrid") -> CodeHits:
        """One search."""
        return await self._code.search(text, project=PROJECT, limit=DEPTH, mode=mode)

    async def _timed(self, indexed: int) -> float:
        began = time.perf_counter()
        job = await self._run()
        took = time.perf_counter() - began
        if job.tally.indexed != indexed:
            raise CcaError(f"{job.tally.indexed} files were indexed, where {indexed} had changed")
        return took

    def _change(self, number: int) -> None:
        """One file gets a function more; always the same file, the first with some code in it."""
        file = min(self._directory.glob("*.py"), key=lambda path: (path.stat().st_size < 5_000, path.name))
        with file.open("a") as text:
            text.write(_CHANGE.format(number=number))

    async def _run(self) -> CodeJob:
        """A job from being asked for until it is over. Raises `CcaError` when it fails."""
        job = await self._code.index(str(self._directory), project=PROJECT)
        done = 0
        while job.state in ("waiting", "running"):
            await asyncio.sleep(_POLL_S)
            job = await self._code.job(job.job)
            if job.state == "running" and job.tally.done >= done + 100:
                done = job.tally.done
                self._say(f"code: {done:,} of {job.tally.files:,} files are indexed")
        if job.state != "completed":
            raise CcaError(f"the job ended as {job.state}: {job.problem}")
        return job

    async def _embedded(self, job: CodeJob) -> str | None:
        """Wait until each chunk has a vector; whose they are. Raises `Busy` when that gets no further."""
        furthest, told, at = 0, 0, time.monotonic()
        while True:
            maker = active((await self._code.stats()).embedders)
            if maker is None:
                return None
            done = (await self._code.job(job.job)).embedded
            if done >= job.tally.chunks:
                return maker.id
            if done > furthest:
                furthest, at = done, time.monotonic()
                if done >= told + job.tally.chunks // STEPS:
                    told = done
                    self._say(f"code: {done:,} of {job.tally.chunks:,} chunks have vectors")
            elif time.monotonic() - at > STUCK_S:
                raise Busy(f"only {done:,} of {job.tally.chunks:,} chunks have vectors: {maker.problem}")
            await asyncio.sleep(0.5)
