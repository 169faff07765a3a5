"""What is answered about code: index it, search it, say what is there."""

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from cca import codec
from cca.code.ignores import globs
from cca.code.roots import Roots
from cca.config import ContextSettings
from cca.contracts.code import (
    CancelCodeJob,
    CodeDropped,
    CodeHit,
    CodeHits,
    CodeIndexStarted,
    CodeJob,
    CodeJobs,
    CodeProject,
    CodeStats,
    DropCode,
    GetCodeJob,
    GetCodeStats,
    IndexCode,
    ListCodeJobs,
    SearchCode,
)
from cca.errors import Busy, Conflict, Refused
from cca.ids import uuid7, word
from cca.message import Meta, Seq
from cca.nats import subjects
from cca.nats.bus import Bus, Subscribed
from cca.nats.log import JetStreamLog
from cca.nats.wire import Msg
from cca.pool.pool import Pool
from cca.postgres.tables import Tables
from cca.storable import text_without_nul
from cca_context import code_store
from cca_context.cache import Answers
from cca_context.code_board import Seen, view
from cca_context.code_decide import dropped_stream, is_same, project_of, related
from cca_context.code_jobs import Jobs
from cca_context.search import Searcher
from cca_context.vectors import Vectors
from cca_context.where import Where

_CHUNKS = """
SELECT chunk, project, path, language, kind, name, signature, start_line, end_line, text
FROM cca.code_chunks WHERE chunk = ANY($1)
"""
_PROJECTS = """
SELECT p.project, p.path, p.indexed_at, f.language, count(f.path) AS files,
    coalesce(sum(f.chunks), 0)::bigint AS chunks, coalesce(sum(f.size), 0)::bigint AS bytes
FROM cca.code_projects p LEFT JOIN cca.code_files f USING (project)
GROUP BY p.project, p.path, p.indexed_at, f.language ORDER BY p.project, f.language
"""


class Code:
    """One method for each question.

    Args:
        tables: for questions; `behind` for jobs, which hold a connection as long as they run.
    """

    def __init__(
        self,
        bus: Bus,
        log: JetStreamLog,
        tables: Tables,
        behind: Tables,
        pool: Pool,
        searcher: Searcher,
        vectors: Vectors,
        settings: ContextSettings,
    ) -> None:
        self._bus, self._log, self._tables = bus, log, tables
        self._searcher, self._vectors = searcher, vectors
        self._roots = Roots.parse(settings.roots)
        self._jobs = Jobs(log, behind, pool, self._roots, self.changed)
        self._asking = asyncio.Lock()
        self._heard: Subscribed | None = None
        self.answers: Answers[CodeHits] = Answers(settings.cache_s)
        """Answers of searches, kept until something changes."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when chunks have changed: there are vectors to make."""

    async def start(self) -> None:
        """Go on with what was left undone, and hear what other instances do."""
        self._heard = await self._bus.subscribe(subjects.live("code", "*"), self._on_live)
        await self._jobs.start()

    async def stop(self) -> None:
        """Stop; jobs go on where this or another instance starts."""
        if self._heard is not None:
            await self._heard.unsubscribe()
        await self._jobs.stop()

    def changed(self) -> None:
        """Chunks have changed: answers are old, and vectors are missing."""
        self.answers.clear()
        self.on_change()

    def _on_live(self, _: Msg) -> None:
        self.answers.clear()
        self._jobs.wake()

    # ------------------------------------------------------------------------------------ jobs

    async def index(self, command: IndexCode, meta: Meta) -> CodeJob:
        """Answered when the job is in the log. Asked for twice while it is open, it is one job.

        Raises `Refused`: `not-allowed`, `not-found`, `bad-path`, `bad-glob`, `bad-name`, and `project-exists` when the
        name is that of another directory.
        """
        place = await asyncio.to_thread(self._roots.place, command.path)
        # Patterns are tried on nothing here: that is done where it may take long.
        globs(command.include, "include")
        globs(command.exclude, "exclude")
        directory = place.path.rpartition("/")[0] if place.is_file else place.path
        project = word(command.project, "a project") if command.project else project_of(directory)
        event = CodeIndexStarted(
            uuid7(),
            text_without_nul(place.path),
            project,
            tuple(map(text_without_nul, command.include)),
            tuple(map(text_without_nul, command.exclude)),
            command.languages,
            command.force,
            text_without_nul(command.requester) if command.requester else None,
        )
        board = self._jobs.board
        async with self._asking:
            await board.refresh()
            known = board.paths.get(project)
            if known is not None and not related(place.path, known):
                text = f"{project} is the index of another directory: choose another name, or drop it first"
                raise Refused("project-exists", text)
            same = board.open_of(project)
            if same is not None and same.job.asked is not None and is_same(same.job.asked, event):
                return view(same)
            await self._jobs.ask(event, meta)
            return view(await board.get(event.job))

    async def job(self, command: GetCodeJob, meta: Meta) -> CodeJob:
        """How far it is, and how many chunks of its project have vectors."""
        seen = await self._jobs.board.get(command.job)
        return view(seen, await self._embedded(seen))

    async def jobs(self, command: ListCodeJobs, meta: Meta) -> CodeJobs:
        """The last jobs, newest first."""
        await self._jobs.board.refresh()
        every = [view(seen) for seen in self._jobs.board.jobs.values()]
        found = [job for job in reversed(every) if command.project in (None, job.project)]
        return CodeJobs(tuple(found[: command.limit]))

    async def cancel(self, command: CancelCodeJob, meta: Meta) -> CodeJob:
        """Answered when it is over."""
        seen = await self._jobs.board.get(command.job)
        await self._jobs.cancel(seen, text_without_nul(command.requester) if command.requester else None, meta)
        return view(seen)

    async def _embedded(self, seen: Seen) -> int:
        active, asked = self._vectors.active, seen.job.asked
        if active is None or asked is None:
            return 0
        try:
            rows = await self._tables.rows(f"SELECT count(*) FROM {active.table} WHERE project = $1", asked.project)
        except Busy:
            return 0  # how far the job is, is known without
        count: int = rows[0][0]
        return count

    # ------------------------------------------------------------------------------------ search

    async def search(self, command: SearchCode, meta: Meta) -> CodeHits:
        """What was found. The same question is answered from memory while nothing has changed. Raises `Busy`."""
        started = asyncio.get_running_loop().time()
        found, cached = await self.answers.get(codec.encode(command), partial(self._found, command))
        took = (asyncio.get_running_loop().time() - started) * 1_000
        return replace(found, cached=cached, took_ms=round(took, 2))

    async def _found(self, command: SearchCode) -> CodeHits:
        where = Where(
            equal={"project": command.project} if command.project else {},
            among={
                name: values for name, values in (("language", command.languages), ("kind", command.kinds)) if values
            },
            prefix={"path": command.path} if command.path else {},
        )
        searched = await self._searcher.search(text_without_nul(command.query), where, command.limit, command.mode)
        rows = await self._tables.rows(_CHUNKS, [found.key for found in searched.items]) if searched.items else []
        by_key = {row["chunk"]: row for row in rows}
        hits = [
            CodeHit(**dict(row.items()) | {"score": found.score, "why": found.why})
            for found in searched.items
            # One that was replaced a moment ago is not there any more.
            if (row := {name: value for name, value in by_key.get(found.key, {}).items() if name != "chunk"})
        ]
        return CodeHits(tuple(hits), searched.mode, searched.embedder, searched.note)

    # ------------------------------------------------------------------------------------ all of it

    async def stats(self, command: GetCodeStats, meta: Meta) -> CodeStats:
        """What is in the index. Raises `Busy`."""
        projects: dict[str, CodeProject] = {}
        for row in await self._tables.rows(_PROJECTS):
            name = row["project"]
            one = projects.get(name) or CodeProject(name, row["path"], 0, 0, 0, {}, row["indexed_at"])
            projects[name] = replace(
                one,
                files=one.files + row["files"],
                chunks=one.chunks + row["chunks"],
                bytes=one.bytes + row["bytes"],
                languages=one.languages | ({row["language"]: row["chunks"]} if row["chunks"] else {}),
            )
        return CodeStats(tuple(projects.values()), self._roots.paths, self._vectors.info())

    async def drop(self, command: DropCode, meta: Meta) -> CodeStats:
        """Answered when it is out. Raises `Refused`: `not-found`, and `job-running` while a job writes it; `Busy`."""
        project, board = command.project, self._jobs.board
        async with self._asking:
            await board.refresh()
            if board.open_of(project) is not None:
                raise Refused("job-running", f"{project} is being indexed: cancel the job first")
            async with self._tables.connection() as db:
                if not await code_store.lock(db, project):
                    raise Busy(f"{project} is being written at the moment")
                if await code_store.path_of(db, project) is None and project not in board.paths:
                    raise Refused("not-found", f"there is no project {project}")
                event = CodeDropped(
                    project,
                    await code_store.chunks_of(db, project),
                    text_without_nul(command.requester) if command.requester else None,
                )
                # The log first: what is still there after a crash goes when it is asked for again.
                await self._say_dropped(event, meta)
                await code_store.drop(db, project)
            await board.refresh()
        self.changed()
        return await self.stats(GetCodeStats(), meta)

    async def _say_dropped(self, event: CodeDropped, meta: Meta) -> None:
        stream, after = dropped_stream(event.project), Seq(0)
        while True:
            async for one in self._log.read(stream, after):
                after = one.seq
            try:
                await self._log.append(stream, (event,), after=after, cause=meta)
                return
            except Conflict:
                continue  # another instance drops it at the same time; twice is as good as once
