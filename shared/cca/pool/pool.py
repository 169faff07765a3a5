"""Processes that do jobs, so that the event loop is never held up; made at first need, given back when idle.

A process that dies takes its own job with it and no other. Small jobs have a process of their own: they never wait
behind large ones.
"""

import asyncio
import logging
import multiprocessing
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import TypeVar

from msgspec import Struct

from cca.errors import Busy, CcaError, Refused
from cca.pool import worker
from cca.pool.answers import NOTHING, Unforeseen, answer, asked

logger = logging.getLogger("cca.pool")

T = TypeVar("T")

SMALL = 8 * 1024
"""Bytes of a job up to which it is small."""
WORKERS = 4
"""Processes for large jobs, at most; no more than there are processors."""
WAITING_LARGE, WAITING_SMALL = 32, 4_096
"""So many jobs may wait for a process; then the service is busy."""
CPU_S, SMALL_CPU_S = 30, 5
"""Seconds of processor time that a job may take: a large one, and a small one, behind which others wait."""
GRACE_S = 3.0
"""Seconds that what is being worked on has to be finished when the service stops."""
IDLE_S = 600.0
"""Seconds without a job after which the processes are given back."""


class Ended(CcaError):
    """The process ended before it had answered."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"a worker process ended with {code}")
        self.code = code


class _Process:
    """A worker process, started with its first job. `ask` is called in a thread, and by one at a time."""

    def __init__(self, context: ForkServerContext, work: str, cpu_s: int) -> None:
        self._context, self._work, self._cpu_s = context, work, cpu_s
        self._process: ForkServerProcess | None = None
        self._pipe: Connection | None = None
        self._unwanted = False

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def ask(self, job: bytes) -> bytes:
        """Have a job done. Raises `Ended`."""
        try:
            if self._process is None or not self._process.is_alive():
                self._start()
            assert self._pipe is not None
            self._pipe.send_bytes(job)
            return self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            code = self.end()
            if code is None:
                logger.warning("no worker process can be started: %s", error or type(error).__name__)
            raise Ended(code) from None

    def _start(self) -> None:
        self.end()
        ours, its = self._context.Pipe()
        try:
            process = self._context.Process(target=worker.serve, args=(its, self._work, self._cpu_s), daemon=True)
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            its.close()
        self._process, self._pipe = process, ours
        if self._unwanted:
            self.kill()

    def kill(self) -> None:
        """End it now, from whatever thread; `ask` raises `Ended` then."""
        self._unwanted = True
        process = self._process
        try:
            # One that has ended is not killed: its number may be another's by now.
            if process is not None and process.is_alive():
                process.kill()
        except (OSError, ValueError):
            pass  # it is gone already

    def end(self) -> int | None:
        """See that it has ended; its exit code, or minus the signal that ended it."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        code = None
        if pipe is not None:
            pipe.close()  # it ends by itself then, unless it is at work
        if process is not None:
            process.join(0.2)
            process.kill()
            process.join()
            code = process.exitcode
            process.close()
        return code


class _Lane:
    """Processes for one sort of jobs, and who waits for them."""

    def __init__(self, size: int, room: int, cpu_s: int) -> None:
        self.room, self.cpu_s = room, cpu_s
        self.slots = asyncio.Semaphore(size)
        self.free: list[_Process] = []
        self.waiting = 0


class Pool:
    """Does jobs in processes.

    Args:
        work: the function that makes an answer of a job, by its dotted name. It is imported in the processes alone.
        preload: a module that is imported once, before processes are forked: they share what it has loaded.
        workers: processes for large jobs; one more is for small ones.
        cpu_s, idle_s: see `CPU_S`, `IDLE_S`.
    """

    def __init__(
        self,
        work: str,
        preload: str | None = None,
        *,
        workers: int | None = None,
        cpu_s: int = CPU_S,
        idle_s: float = IDLE_S,
    ) -> None:
        size = workers or min(WORKERS, os.cpu_count() or 1)
        self._work, self._idle_s = work, idle_s
        self._context = multiprocessing.get_context("forkserver")
        if preload:
            self._context.set_forkserver_preload([preload])
        self._large = _Lane(size, WAITING_LARGE, cpu_s)
        self._small = _Lane(1, WAITING_SMALL, min(cpu_s, SMALL_CPU_S))
        self._processes: set[_Process] = set()
        self._threads = ThreadPoolExecutor(size + 2, "cca_pool")
        self._loop = asyncio.get_running_loop()
        self._busy = 0
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    @property
    def pids(self) -> list[int]:
        """The processes that are there."""
        return sorted(pid for process in self._processes if (pid := process.pid) is not None)

    async def done(self, job: Struct, kind: type[T], *, large: bool = False) -> T:
        """What comes of a job. Raises as `do`, and what the job refuses."""
        try:
            return answer(await self.do(asked(job), large=large), kind)
        except Unforeseen as unforeseen:
            logger.error("%s failed: %s", getattr(job, "what", type(job).__name__), unforeseen.trace)
            raise

    async def do(self, job: bytes, *, large: bool = False) -> bytes:
        """Have a job done, as bytes. Raises `Busy` when too many wait or the process died, `Refused` (`too-hard`).

        Args:
            large: it takes long, though it is said in few bytes.
        """
        lane = self._large if large or len(job) > SMALL else self._small
        if self._closing:
            raise Busy("the service is about to stop")
        if lane.waiting >= lane.room:
            raise Busy(f"{lane.waiting:,} requests wait for a processor; come back later")
        self._busy += 1
        if self._timer is not None:
            self._timer.cancel()
        try:
            lane.waiting += 1
            try:
                await lane.slots.acquire()
            finally:
                lane.waiting -= 1
            try:
                return await self._ask(lane, job)
            finally:
                lane.slots.release()
        finally:
            self._busy -= 1
            if not self._busy and not self._closing:
                self._timer = self._loop.call_later(self._idle_s, self._give_back)

    async def _ask(self, lane: _Lane, job: bytes) -> bytes:
        if self._closing:
            raise Busy("the service is about to stop")
        process = lane.free.pop() if lane.free else _Process(self._context, self._work, lane.cpu_s)
        self._processes.add(process)
        asking = self._threads.submit(process.ask, job)
        try:
            answer = await asyncio.wrap_future(asking)
        except Ended as ended:
            self._processes.discard(process)
            if ended.code == -signal.SIGXCPU:
                text = f"this takes more than {lane.cpu_s} s of a processor; ask about less text at once"
                raise Refused("too-hard", text) from None
            if self._closing:
                raise Busy("the service is about to stop") from None
            logger.error("%s; the request is answered `busy`, and the next gets another process", ended)
            raise Busy("the process that worked on it has died; the next request gets another") from None
        except BaseException:
            self._processes.discard(process)
            process.kill()  # nobody waits for the answer any longer
            asking.add_done_callback(lambda _: process.end())
            raise
        lane.free.append(process)
        return answer

    async def warm(self) -> None:
        """Have the process for small jobs started before it is needed: the first takes a second or two."""
        try:
            await self.do(NOTHING)
        except CcaError as error:
            logger.warning("no process could be started yet: %s", error)

    def _give_back(self) -> None:
        if self._busy or self._closing:
            return
        idle = [*self._large.free, *self._small.free]
        self._large.free.clear()
        self._small.free.clear()
        self._processes.difference_update(idle)
        for process in idle:
            self._threads.submit(process.end)
        logger.info("idle for %g s: %d processes are given back", self._idle_s, len(idle))

    async def close(self) -> None:
        """Take no more jobs, and end all processes. What they still work on after a while is answered `Busy`."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        until = self._loop.time() + GRACE_S
        while self._busy and self._loop.time() < until:
            await asyncio.sleep(0.02)
        idle = [*self._large.free, *self._small.free]
        for process in self._processes.difference(idle):
            process.kill()
        await asyncio.gather(*(self._loop.run_in_executor(self._threads, process.end) for process in idle))
        await asyncio.to_thread(self._threads.shutdown)
