"""The index of code: made of a directory by a job in the background, and searched."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from cca.contracts.search import EmbedderInfo, Limit, Mode, Query, Why
from cca.contracts.task import Short, Word
from cca.message import Command, Event, Reply

CodeLanguage = Literal["python", "javascript", "typescript", "tsx", "rust", "go", "java", "c", "cpp", "markdown"]
JobState = Literal["waiting", "running", "completed", "failed", "canceled"]
Path = Annotated[str, Meta(min_length=1, max_length=4_096)]
Glob = Annotated[str, Meta(min_length=1, max_length=500)]


class Tally(Struct, frozen=True, omit_defaults=True):
    """What a job has done so far.

    Attributes:
        files: found; `done` of them looked at: `indexed`, `unchanged` since last time, `skipped` (binary, too large),
            or `failed` (not to be read or parsed); `removed`: in the index, and no longer in the directory.
        chunks: in the index now; `added`, `kept` and `dropped` by this job.
        bytes: of the files that were indexed.
    """

    files: int = 0
    done: int = 0
    indexed: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    removed: int = 0
    chunks: int = 0
    added: int = 0
    kept: int = 0
    dropped: int = 0
    bytes: int = 0


# ------------------------------------------------------------------------------------------ commands


class IndexCode(Command, frozen=True, tag="cca.code.index.v1", forbid_unknown_fields=True):
    """Index a directory or a file (`cca.rpc.code.index`). Answer: `CodeJob`, at once; the job goes on by itself.

    Attributes:
        path: absolute, on the machine of the context service, below one of its roots.
        project: under which name it is searched; that of the directory when None.
        include, exclude: globs as in a .gitignore, besides those of the directory itself.
        languages: only these; all that are known when empty.
        force: look at files again that have not changed.
    """

    path: Path
    project: Word | None = None
    include: Annotated[tuple[Glob, ...], Meta(max_length=100)] = ()
    exclude: Annotated[tuple[Glob, ...], Meta(max_length=100)] = ()
    languages: tuple[CodeLanguage, ...] = ()
    force: bool = False
    requester: Short | None = None


class GetCodeJob(Command, frozen=True, tag="cca.code.get-job.v1", forbid_unknown_fields=True):
    """Ask how a job is getting on (`cca.rpc.code.job`). Answer: `CodeJob`."""

    job: Annotated[str, Meta(max_length=64)]


class ListCodeJobs(Command, frozen=True, tag="cca.code.list-jobs.v1", forbid_unknown_fields=True):
    """Ask for the last jobs, newest first (`cca.rpc.code.jobs`). Answer: `CodeJobs`."""

    project: Word | None = None
    limit: Limit = 20


class CancelCodeJob(Command, frozen=True, tag="cca.code.cancel-job.v1", forbid_unknown_fields=True):
    """Stop a job (`cca.rpc.code.cancel`). Answer: `CodeJob`. What it has indexed stays."""

    job: Annotated[str, Meta(max_length=64)]
    requester: Short | None = None


class SearchCode(Command, frozen=True, tag="cca.code.search.v1", forbid_unknown_fields=True):
    """Look for code (`cca.rpc.code.search`). Answer: `CodeHits`, best first.

    Attributes:
        kinds: of chunks: `function`, `method`, `class`, `struct`, `enum`, `trait`, `impl`, `interface`, `module`,
            `section`, …
        path: only files whose path in the project begins so.
    """

    query: Query
    project: Word | None = None
    languages: tuple[CodeLanguage, ...] = ()
    kinds: Annotated[tuple[Short, ...], Meta(max_length=20)] = ()
    path: Annotated[str, Meta(max_length=4_096)] | None = None
    limit: Limit = 10
    mode: Mode = "hybrid"


class GetCodeStats(Command, frozen=True, tag="cca.code.get-stats.v1", forbid_unknown_fields=True):
    """Ask what is in the index (`cca.rpc.code.stats`). Answer: `CodeStats`."""


class DropCode(Command, frozen=True, tag="cca.code.drop.v1", forbid_unknown_fields=True):
    """Take a project out of the index (`cca.rpc.code.drop`). Answer: `CodeStats` of what is left."""

    project: Word
    requester: Short | None = None


# ------------------------------------------------------------------------------------------ events


class CodeIndexStarted(Event, frozen=True, tag="cca.code.index-started.v1"):
    """A job is to index `path` as `project`."""

    job: str
    path: str
    project: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    languages: tuple[CodeLanguage, ...] = ()
    force: bool = False
    requester: str | None = None


class CodeIndexProgressed(Event, frozen=True, tag="cca.code.index-progressed.v1"):
    """How far a job is; said now and then. `resumed`: it was cut short, and goes on."""

    job: str
    tally: Tally
    resumed: bool = False


class CodeIndexEnded(Event, frozen=True, tag="cca.code.index-ended.v1"):
    """A job is over. `problem` says why it failed; `failures` are files that could not be read, at most 20, and why."""

    job: str
    state: Literal["completed", "failed", "canceled"]
    tally: Tally
    duration_s: float
    problem: str = ""
    failures: dict[str, str] = {}
    requester: str | None = None


class CodeDropped(Event, frozen=True, tag="cca.code.dropped.v1"):
    """A project was taken out of the index."""

    project: str
    chunks: int
    requester: str | None = None


CodeEvent = CodeIndexStarted | CodeIndexProgressed | CodeIndexEnded | CodeDropped


# ------------------------------------------------------------------------------------------ replies


class CodeJob(Reply, frozen=True, tag="cca.code.job.v1"):
    """A job, and how far it is. Its chunks are found by their words at once, by their meaning when `embedded`."""

    job: str
    path: str
    project: str
    state: JobState
    tally: Tally
    started_at: datetime
    ended_at: datetime | None = None
    duration_s: float = 0.0
    problem: str = ""
    failures: dict[str, str] = {}
    resumed: int = 0
    embedded: int = 0
    requester: str | None = None


class CodeJobs(Reply, frozen=True, tag="cca.code.jobs.v1"):
    """The last jobs, newest first."""

    items: tuple[CodeJob, ...]


class CodeHit(Struct, frozen=True, omit_defaults=True):
    """A chunk that was found.

    Attributes:
        path: of the file in the project.
        kind: what it is; `name` with those of what it stands in: `Client.submit`.
        start_line, end_line: from 1, both included.
    """

    project: str
    path: str
    language: str
    kind: str
    name: str
    signature: str
    start_line: int
    end_line: int
    text: str
    score: float
    why: Why


class CodeHits(Reply, frozen=True, tag="cca.code.hits.v1"):
    """What was found, best first; the rest as in `MemoryHits`."""

    items: tuple[CodeHit, ...]
    mode: Mode
    embedder: str | None = None
    note: str = ""
    cached: bool = False
    took_ms: float = 0.0


class CodeProject(Struct, frozen=True):
    """What is in the index of a project: `languages` by their number of chunks."""

    project: str
    path: str
    files: int
    chunks: int
    bytes: int
    languages: dict[str, int]
    indexed_at: datetime | None


class CodeStats(Reply, frozen=True, tag="cca.code.stats.v1"):
    """What is in the index, where directories may be indexed, and what makes the vectors."""

    projects: tuple[CodeProject, ...]
    roots: tuple[str, ...]
    embedders: tuple[EmbedderInfo, ...]
