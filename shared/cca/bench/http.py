"""The same no-op tasks through the gateway: `POST /tasks` and its outcome, over kept-alive connections."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec

from cca.bench.flow import WAIT_S, completed, requests, wait_for
from cca.bench.processes import Watch
from cca.bench.raw import Run
from cca.contracts.task import SubmitTask, TaskAccepted, TaskView
from cca.errors import CcaError
from cca.nats.bus import Bus

PATH = "/api/v1/tasks"


@asynccontextmanager
async def session(url: str, key: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to a gateway, as many as there are requests at once, kept alive."""
    async with aiohttp.ClientSession(
        url,
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=WAIT_S + 10),
    ) as opened:
        yield opened


async def _post(http: aiohttp.ClientSession, task: SubmitTask, wait: bool) -> bytes:
    headers = {"Prefer": f"wait={WAIT_S:.0f}"} if wait else None
    async with http.post(PATH, data=msgspec.json.encode(task), headers=headers) as response:
        body = await response.read()
        if response.status >= 400:
            raise CcaError(f"POST {PATH}: {response.status} {body.decode(errors='replace')[:300]}")
        return body


async def run(http: aiohttp.ClientSession, role: str, tasks: int, in_flight: int, pids: Mapping[str, int]) -> Run:
    """Submit tasks and await their outcomes with `Prefer: wait`, `in_flight` at a time; timed from first to last."""
    todo = requests(role, tasks)
    decode = msgspec.json.Decoder(TaskView).decode
    watch = Watch({**pids, "submitter": os.getpid()})

    async def lane() -> None:
        for task in todo:
            completed(decode(await _post(http, task, wait=True)))

    watch.start()
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(lane())
    per_s = tasks / (time.perf_counter() - start)
    return Run(per_s, watch.stop())


async def submits(http: aiohttp.ClientSession, bus: Bus, role: str, count: int) -> list[float]:
    """Milliseconds until a submission is accepted over HTTP, one at a time, nothing else going on."""
    taken = []
    for task in requests(role, count):
        start = time.perf_counter()
        body = await _post(http, task, wait=False)
        taken.append((time.perf_counter() - start) * 1e3)
        await wait_for(bus, [msgspec.json.decode(body, type=TaskAccepted).task], 1)
    return taken
