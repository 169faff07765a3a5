"""The one worker process of a run. `python -m cca.bench.worker ROLE CONCURRENCY [hold]`.

Its handler does nothing at all; with `hold` it does nothing until the process is told to end, so that a lane lives
and leaves its work waiting.
"""

import asyncio
import contextlib
import signal
import sys

import uvloop

from cca.worker import Task, Worker


async def nothing(task: Task) -> None:
    """The shortest task there is."""


async def _work(role: str, concurrency: int, hold: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    async def held(task: Task) -> None:
        await stop.wait()

    async with Worker(role, held if hold else nothing, concurrency=concurrency):
        with contextlib.suppress(BrokenPipeError):
            print("ready", flush=True)
        await stop.wait()


if __name__ == "__main__":
    uvloop.run(_work(sys.argv[1], int(sys.argv[2]), sys.argv[3:] == ["hold"]))
