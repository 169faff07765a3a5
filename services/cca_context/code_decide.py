"""What becomes of jobs that index code, and which files such a job has to read. Pure."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from cca.code.chunks import VERSION
from cca.code.jobs import Known
from cca.code.roots import below
from cca.code.walk import Found, Listing
from cca.contracts.code import CodeIndexEnded, CodeIndexProgressed, CodeIndexStarted, JobState, Tally
from cca.decider import Decision, Fold
from cca.message import Event, Stream

MARGIN = timedelta(seconds=2)
"""A file that was changed so shortly before it was read may have been changed again without a sign of it."""
GROUP_FILES, GROUP_BYTES = 32, 128 * 1024
"""Files that are read, and written to the tables, together, at most."""

_NO_WORD = re.compile(r"[^a-z0-9_-]+")


class Job(Struct, frozen=True):
    """A job as the log has it; `asked` is None before it was asked for. `begun`: somebody has worked on it."""

    asked: CodeIndexStarted | None = None
    begun: bool = False
    resumed: int = 0
    tally: Tally = Tally()
    ended: CodeIndexEnded | None = None

    @property
    def is_open(self) -> bool:
        return self.asked is not None and self.ended is None

    @property
    def state(self) -> JobState:
        if self.ended is not None:
            return self.ended.state
        return "running" if self.begun else "waiting"


def evolve(job: Job, event: Event) -> Job:
    match event:
        case CodeIndexStarted():
            return Job(event)
        case CodeIndexProgressed(tally=tally, resumed=resumed):
            return replace(job, begun=True, tally=tally, resumed=job.resumed + resumed)
        case CodeIndexEnded(tally=tally):
            return replace(job, tally=tally, ended=event)
    return job


FOLD: Fold[Job] = Fold(Job(), evolve)


def stream(job: str) -> Stream:
    """The events of a job."""
    return Stream("code", job)


def dropped_stream(project: str) -> Stream:
    """Where it is said that a project was dropped. A job's id is a UUID, so that both never meet."""
    return Stream("code", f"project-{project}")


def start(event: CodeIndexStarted, job: Job) -> Decision:
    """A job is asked for once."""
    return Decision() if job.asked is not None else Decision((event,))


def is_same(asked: CodeIndexStarted, again: CodeIndexStarted) -> bool:
    """Whether a job is asked for again, by whomever."""
    return replace(asked, job="", requester=None) == replace(again, job="", requester=None)


def progress(event: CodeIndexProgressed, job: Job) -> Decision:
    """A job that is over gets no further."""
    return Decision((event,)) if job.is_open else Decision()


def end(event: CodeIndexEnded, job: Job) -> Decision:
    """A job ends once: who cancels one that is through comes too late, and the other way round."""
    return Decision((event,)) if job.is_open else Decision()


# ------------------------------------------------------------------------------------------ names and places


def project_of(path: str) -> str:
    """What a project is called that nobody named: as its directory, in the letters that a name may have."""
    name = _NO_WORD.sub("-", path.rstrip("/").rpartition("/")[2].lower()).strip("-_")[:63]
    return name or "project"


def related(path: str, other: str) -> bool:
    """Whether one of two paths is the other, or below it: what may be one project."""
    return below(path, other) is not None or below(other, path) is not None


def is_under(path: str, under: str) -> bool:
    """Whether a file of a project is what is asked for, or below it; empty: all are."""
    return not under or path == under or path.startswith(f"{under}/")


# ------------------------------------------------------------------------------------------ which files


class Row(Struct, frozen=True):
    """A file as the index has it."""

    path: str
    digest: bytes
    size: int
    mtime_ns: int
    chunks: int
    problem: str
    made: int
    job: str
    indexed_at: datetime


class Plan(Struct):
    """What a job has to do.

    Attributes:
        read: files in groups that are read together. A digest says that nothing is to be done if it is the same.
        gone: those of the index that are no longer there.
        own: those that this job has indexed before it was cut short, among them some that are read again.
        tally: what is done already.
    """

    read: list[tuple[Known, ...]]
    gone: list[str]
    own: frozenset[str]
    tally: Tally


def plan(listing: Listing, there: Mapping[str, Row], under: str, job: str, force: bool, before: Tally) -> Plan:
    """Compare what is in the directory with what is in the index.

    `before` is what the job had done when it was cut short: files that it has indexed already stay counted so.
    """
    to_read: list[Found] = []
    unchanged = indexed = skipped = size = 0
    for file in listing.files:
        row = there.get(file.path)
        if row is None or not _same(file, row) or (force and row.job != job):
            to_read.append(file)
        elif row.problem:
            skipped += 1
        elif row.job == job:
            indexed, size = indexed + 1, size + file.size
        else:
            unchanged += 1
    listed = {file.path for file in listing.files}
    gone = [path for path in there if path not in listed and not _hidden(path, listing.unreadable)]
    tally = Tally(
        files=len(listing.files) + len(listing.large) + len(listing.unreadable),
        done=unchanged + indexed + skipped + len(listing.large) + len(listing.unreadable),
        indexed=indexed,
        unchanged=unchanged,
        skipped=skipped + len(listing.large),
        failed=len(listing.unreadable),
        removed=before.removed,
        chunks=0,
        added=before.added,
        kept=before.kept,
        dropped=before.dropped,
        bytes=size,
    )
    known = [_known(file, there.get(file.path), job, force) for file in to_read]
    own = frozenset(path for path, row in there.items() if row.job == job)
    return Plan(_groups(to_read, known), gone, own, tally)


def _same(file: Found, row: Row) -> bool:
    """Whether a file need not be read: it looks as it did, and what was made of it is what would be made today."""
    looks = (file.size, file.mtime_ns) == (row.size, row.mtime_ns) and row.made == VERSION
    return looks and file.mtime_ns < (row.indexed_at - MARGIN).timestamp() * 1e9


def _known(file: Found, row: Row | None, job: str, force: bool) -> Known:
    trusted = row is not None and row.made == VERSION and (not force or row.job == job)
    return Known(file.path, row.digest if row is not None and trusted else None)


def _hidden(path: str, unreadable: Mapping[str, str]) -> bool:
    """Whether a file stands in a directory that cannot be read now: it is not known to be gone."""
    return any(is_under(path, directory) for directory in unreadable)


def _groups(files: Sequence[Found], known: Sequence[Known]) -> list[tuple[Known, ...]]:
    groups: list[list[Known]] = []
    size = 0
    for file, one in zip(files, known, strict=True):
        if not groups or len(groups[-1]) >= GROUP_FILES or size + file.size > GROUP_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(one)
        size += file.size
    return [tuple(group) for group in groups]


def added_up(tally: Tally, **more: int) -> Tally:
    """A tally with more of each."""
    return replace(tally, **{name: getattr(tally, name) + count for name, count in more.items()})
