"""One process that is kept alive: started, watched until it is ready, started again when it dies."""

import asyncio
import contextlib
import logging
import random
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cca.errors import CcaError, Misconfigured
from cca.stack.layout import Part
from cca.stack.log_file import LogFile
from cca.stack.program import Mark, Program, mark

logger = logging.getLogger("cca.stack")

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STEADY_S = 30.0
"""Who has lived so long has recovered: the next pause is the first again."""
MISCONFIGURED = 2
"""With this code a service says that no restart will help."""
_POLL_S = 0.02

Ready = Callable[[int], Awaitable[bool]]


class Component:
    """A process and its restarts.

    Args:
        name: also of its log file.
        prepare: makes the program ready to run, and says how; runs in a thread before each start.
        ready: whether the process with this number does its work; asked often until it says so.
        logs: where its log goes.
        changed: called after each change of state.
        stop_s: how long it may take to stop, in seconds, before it is killed.
    """

    def __init__(
        self,
        name: str,
        prepare: Callable[[], Program],
        ready: Ready,
        logs: Path,
        changed: Callable[[], None],
        *,
        url: str | None = None,
        stop_s: float = 20.0,
    ) -> None:
        self.name, self.url = name, url
        self.state = "waiting"
        self.since = time.time()
        self.restarts = 0
        self.process: Mark | None = None
        self.is_ready = asyncio.Event()
        self._prepare, self._ready, self._changed, self._stop_s = prepare, ready, changed, stop_s
        self._log = LogFile(logs / f"{name}.log")
        self._stopping = False
        self._hurry = asyncio.Event()
        self._died: str | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._program: Program | None = None

    @property
    def part(self) -> Part:
        """What is written down of it."""
        return Part(
            name=self.name,
            state=self.state,
            since=self.since,
            process=self.process,
            restarts=self.restarts,
            url=self.url,
            said=self._died,
        )

    @property
    def tail(self) -> list[str]:
        """The last lines of its log."""
        return self._log.tail

    def start(self) -> None:
        """Begin to keep it alive."""
        self._keeper = asyncio.create_task(self._keep(), name=self.name)

    async def wait_ready(self) -> None:
        """Wait for the first readiness. Raises `Misconfigured` when it says that no restart will help."""
        if self._keeper is None:
            raise RuntimeError(f"{self.name} was not started")
        waiting = asyncio.create_task(self.is_ready.wait())
        try:
            await asyncio.wait({waiting, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if self._keeper.done() and not self.is_ready.is_set():
            await self._keeper  # raises what ended it
            raise CcaError(f"{self.name} was stopped")

    async def stop(self) -> None:
        """Stop it in good order, and kill it if that takes too long."""
        self._stopping = True
        self._hurry.set()
        if self._keeper is None:
            return
        if self.process is not None:
            self._enter("stopping")
            self.process.signal(self._program.stop_signal if self._program else signal.SIGTERM)
        done, _ = await asyncio.wait({self._keeper}, timeout=self._stop_s)
        if not done:
            logger.warning("%s did not stop within %g s and is killed", self.name, self._stop_s)
            self.kill()
        with contextlib.suppress(CcaError):
            await self._keeper
        self._enter("stopped")
        self._log.close()

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL)

    def _enter(self, state: str) -> None:
        if state != self.state:
            self.state, self.since = state, time.time()
            self._changed()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping:
            begun = time.monotonic()
            code = await self._run()
            self.process = None
            if self._stopping:
                return
            self._died = _meaning(code, self._log.last)
            if code == MISCONFIGURED and not self.is_ready.is_set():
                self._enter("failed")
                raise Misconfigured(self._log.last or f"{self.name} is misconfigured")
            logger.warning("%s %s", self.name, self._died)
            pause = FIRST_PAUSE_S if time.monotonic() - begun > STEADY_S else pause
            self._enter("restarting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), pause * random.uniform(0.75, 1.25))
            pause = min(pause * 2, LONGEST_PAUSE_S)
            self.restarts += 1

    async def _run(self) -> int:
        self._program = program = await asyncio.to_thread(self._prepare)
        if self._stopping:
            return 0
        process = await asyncio.create_subprocess_exec(
            *program.command(),
            env=dict(program.env),
            cwd=program.cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the supervisor alone, which stops all in order
        )
        self.process = mark(process.pid)
        self._enter("starting")
        watching = asyncio.create_task(self._watch(process.pid))
        try:
            assert process.stdout is not None
            while chunk := await process.stdout.read(65536):
                self._log.write(chunk)
            return await process.wait()
        finally:
            watching.cancel()

    async def _watch(self, pid: int) -> None:
        pause = _POLL_S
        while not await self._ready(pid):
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, 0.2)
        if not self._stopping:
            self._enter("ready")
            self.is_ready.set()


def _meaning(code: int, last: str) -> str:
    if code >= 0:
        return f"ended with exit code {code}: {last}"[:500]
    try:
        return f"was ended by {signal.Signals(-code).name}"  # its last words are about something else
    except ValueError:
        return f"was ended by signal {-code}"
