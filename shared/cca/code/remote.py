"""The index of code, asked from a program: `client.code`.

async with Client.connect() as client:
    job = await client.code.index("/home/me/project", wait_s=600)
    for hit in (await client.code.search("where are retries decided?", project="project")).items:
        print(hit.path, hit.start_line, hit.name)
"""

import asyncio
from typing import Any

from cca.ask import Ask
from cca.contracts.code import (
    CancelCodeJob,
    CodeHits,
    CodeJob,
    CodeJobs,
    CodeStats,
    DropCode,
    GetCodeJob,
    GetCodeStats,
    IndexCode,
    ListCodeJobs,
    SearchCode,
)
from cca.nats import subjects

PAUSE_S = 0.25
"""Seconds between looks at a job that is waited for."""


class CodeIndex:
    """The index of code. Every method raises `Busy` when nobody answers for a while, and `Refused` when it is no."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def index(self, path: str, *, wait_s: float = 0.0, **how: Any) -> CodeJob:
        """Index a directory or a file on the machine of the context service, below one of its roots.

        Args:
            path: absolute.
            wait_s: return when the job is over, or after so many seconds; 0: at once.
            how: the other fields of `cca.contracts.code.IndexCode`: `project`, `include`, `exclude`, `languages`,
                `force`, `requester`.
        """
        job = await self._ask(subjects.RPC_CODE_INDEX, IndexCode(path, **how), CodeJob)
        return await self.wait(job.job, wait_s) if wait_s > 0 else job

    async def wait(self, job: str, wait_s: float) -> CodeJob:
        """A job when it is over, or as it is after so many seconds."""
        now = asyncio.get_running_loop().time
        until = now() + wait_s
        while (found := await self.job(job)).state in ("waiting", "running") and now() < until:
            await asyncio.sleep(min(PAUSE_S, max(until - now(), 0.0)))
        return found

    async def job(self, job: str) -> CodeJob:
        """How far a job is. Raises `Refused` (`not-found`)."""
        return await self._ask(subjects.RPC_CODE_JOB, GetCodeJob(job), CodeJob)

    async def jobs(self, project: str | None = None, limit: int = 20) -> CodeJobs:
        """The last jobs, newest first."""
        return await self._ask(subjects.RPC_CODE_JOBS, ListCodeJobs(project, limit), CodeJobs)

    async def cancel(self, job: str, requester: str | None = None) -> CodeJob:
        """Stop a job. What it has indexed stays."""
        return await self._ask(subjects.RPC_CODE_CANCEL, CancelCodeJob(job, requester), CodeJob)

    async def search(self, query: str, **limits: Any) -> CodeHits:
        """Look for code, in plain words or by names. `limits` are other fields of `cca.contracts.code.SearchCode`."""
        return await self._ask(subjects.RPC_CODE_SEARCH, SearchCode(query, **limits), CodeHits)

    async def stats(self) -> CodeStats:
        """What is in the index."""
        return await self._ask(subjects.RPC_CODE_STATS, GetCodeStats(), CodeStats)

    async def drop(self, project: str, requester: str | None = None) -> CodeStats:
        """Take a project out of the index. Raises `Refused` (`not-found`, `job-running`)."""
        return await self._ask(subjects.RPC_CODE_DROP, DropCode(project, requester), CodeStats)
