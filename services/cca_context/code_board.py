"""All jobs that index code, as the log has them."""

import asyncio
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from cca.contracts.code import CodeDropped, CodeIndexEnded, CodeIndexProgressed, CodeIndexStarted, CodeJob
from cca.decider import At
from cca.errors import Refused, Unknown
from cca.ids import task_id
from cca.message import Seq
from cca.nats.frames import recorded
from cca.nats.log import JetStreamLog
from cca_context.code_decide import Job, evolve, stream

KEPT = 2_000
"""Jobs that are over and still known here, at least; the log knows them all."""

_ALL = stream("*").subject


class Seen(Struct):
    """A job as it was at a position in the log, and when it was asked for."""

    job: Job
    seq: Seq
    started_at: datetime

    def know(self, at: At[Job]) -> None:
        """Take what is newer."""
        if at.seq > self.seq:
            self.job, self.seq = at.state, at.seq


class Board:
    """All jobs, as this instance has read them; `refresh` reads what is new, whoever wrote it."""

    def __init__(self, log: JetStreamLog) -> None:
        self._log = log
        self._seq = Seq(0)
        self._reading = asyncio.Lock()
        self.jobs: dict[str, Seen] = {}
        self.paths: dict[str, str] = {}
        """Directories by project, of those that were not dropped since."""

    async def refresh(self) -> None:
        """Read what is new. Raises `Busy`."""
        async with self._reading:
            async for raw in self._log.scan(_ALL, self._seq):
                self._seq = raw.seq
                try:
                    one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
                except Unknown:
                    continue  # a newer version has more to say; it does not change what this one does
                event = one.event
                if isinstance(event, CodeDropped):
                    self.paths.pop(event.project, None)
                elif isinstance(event, CodeIndexStarted):
                    self.jobs[event.job] = Seen(evolve(Job(), event), raw.seq, one.meta.time)
                    self.paths[event.project] = event.path
                elif isinstance(event, CodeIndexProgressed | CodeIndexEnded) and event.job in self.jobs:
                    seen = self.jobs[event.job]
                    seen.know(At(evolve(seen.job, event), raw.seq))  # what this instance said itself it knows already
            self._forget()

    async def get(self, job: str) -> Seen:
        """A job, also one of long ago. Raises `Refused` (`not-found`), `Busy`."""
        await self.refresh()
        found = self.jobs.get(job)
        if found is None:
            async for one in self._log.read(stream(task_id(job))):
                if isinstance(one.event, CodeIndexStarted):
                    found = Seen(evolve(Job(), one.event), one.seq, one.meta.time)
                elif found is not None:
                    found.know(At(evolve(found.job, one.event), one.seq))
        if found is None:
            raise Refused("not-found", f"there is no job {job}")
        return found

    def open(self) -> list[Seen]:
        """Jobs that are not over, oldest first."""
        return [seen for seen in self.jobs.values() if seen.job.is_open]

    def open_of(self, project: str) -> Seen | None:
        """The newest job of a project that is not over."""
        found = [seen for seen in self.open() if seen.job.asked is not None and seen.job.asked.project == project]
        return found[-1] if found else None

    def _forget(self) -> None:
        if len(self.jobs) > 2 * KEPT:
            for name in [name for name, seen in self.jobs.items() if not seen.job.is_open][:-KEPT]:
                del self.jobs[name]


def view(seen: Seen, embedded: int = 0) -> CodeJob:
    """A job as it is told."""
    job, asked = seen.job, seen.job.asked
    assert asked is not None
    ended = job.ended
    return CodeJob(
        job=asked.job,
        path=asked.path,
        project=asked.project,
        state=job.state,
        tally=job.tally,
        started_at=seen.started_at,
        ended_at=seen.started_at + timedelta(seconds=ended.duration_s) if ended is not None else None,
        duration_s=ended.duration_s if ended is not None else since(seen.started_at),
        problem=ended.problem if ended is not None else "",
        failures=ended.failures if ended is not None else {},
        resumed=job.resumed,
        embedded=embedded,
        requester=asked.requester,
    )


def since(time: datetime) -> float:
    """Seconds since then."""
    return round(max((datetime.now(UTC) - time).total_seconds(), 0.0), 3)
