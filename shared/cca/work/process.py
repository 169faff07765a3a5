"""One command in a process group of its own, whose output is passed on as it comes, and which can be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from cca.work import warden
from cca.work.task import DONE

TERM_S = 1.5
"""Seconds between SIGTERM and SIGKILL: together with what follows, a canceled command is gone within two seconds."""
LEFTOVER_S = 0.2
"""Seconds that the rest of the group has after its leader has ended."""
EOF_S = 1.0
"""Seconds until output is given up that somebody outside the group holds open after the command has ended."""

OnOutput = Callable[[bytes, str], Awaitable[None]]
"""Takes a piece of output of a stream; the answer, when it is not `DONE`, is awaited before more is read."""


class Warden:
    """The process that kills the commands of a worker which was killed itself. Started with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()

    def _say(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def stand_by(self) -> None:
        """Be there before the command is, so that there is hardly a moment in which nobody watches it."""
        if self._process is not None and self._process.poll() is None:
            return
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(warden.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={},
            start_new_session=True,
        )
        for group in self._groups:
            self._say(b"+%d\n" % group)

    def watch(self, group: int) -> None:
        """Kill this group when we die."""
        self._groups.add(group)
        try:
            self._say(b"+%d\n" % group)
        except OSError:
            self._process = None  # it has died just now; the next command starts another, which is told of all

    def forget(self, group: int) -> None:
        """This group has ended."""
        self._groups.discard(group)
        try:
            self._say(b"-%d\n" % group)
        except OSError:
            self._process = None

    def close(self) -> None:
        """End it. What it still watches is killed."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process = None


class Process(asyncio.SubprocessProtocol):
    """A running command.

    Its output is read as fast as `on_output` has room for it; meanwhile the command waits, as it would on a terminal.
    """

    def __init__(self, on_output: OnOutput, guard: Warden) -> None:
        self._on_output, self._guard = on_output, guard
        self._loop = asyncio.get_running_loop()
        self._pipes: dict[int, asyncio.ReadTransport] = {}
        self._paused: asyncio.Task[None] | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited, self._closed = asyncio.Event(), asyncio.Event()

    @classmethod
    async def start(
        cls, argv: Sequence[str], body: bytes, env: Mapping[str, str], on_output: OnOutput, guard: Warden
    ) -> "Process":
        """Start a command with `body` on its standard input. Raises `OSError`, `ValueError`."""
        self = cls(on_output, guard)
        guard.stand_by()
        transport, _ = await self._loop.subprocess_exec(lambda: self, *argv, env=dict(env), start_new_session=True)
        guard.watch(self.group)
        stdin = cast(asyncio.WriteTransport, transport.get_pipe_transport(0))
        with suppress(RuntimeError, BrokenPipeError):  # it has ended without reading
            stdin.write(body)
            stdin.close()  # when all is written
        return self

    @property
    def group(self) -> int:
        """Its process group: the leader's id."""
        assert self._transport is not None
        return self._transport.get_pid()

    # ------------------------------------------------------------------------------------ said by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        for fd in (1, 2):
            self._pipes[fd] = cast(asyncio.ReadTransport, self._transport.get_pipe_transport(fd))

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        room = self._on_output(cast(bytes, data), "stdout" if fd == 1 else "stderr")
        if room is not DONE and self._paused is None:
            for pipe in self._pipes.values():
                pipe.pause_reading()
            self._paused = self._loop.create_task(self._resume(room))

    async def _resume(self, room: Awaitable[None]) -> None:
        await room
        self._paused = None
        for pipe in self._pipes.values():
            pipe.resume_reading()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._pipes.pop(fd, None)
        if not self._pipes:
            self._closed.set()

    def process_exited(self) -> None:
        self._exited.set()

    # ------------------------------------------------------------------------------------ its end

    async def wait(self) -> int:
        """Its exit code, or minus the signal that killed it, when it has ended and all its output was taken.

        What it leaves running in its group is ended. Canceled, all of the group is ended first.
        """
        try:
            await self._exited.wait()
            await self._end(LEFTOVER_S)
            await _within(EOF_S, self._closed)
        except asyncio.CancelledError:
            await self._end(TERM_S)
            raise
        finally:
            self._signal(signal.SIGKILL)
            self._guard.forget(self.group)
            assert self._transport is not None
            self._transport.close()
        code = self._transport.get_returncode()
        assert code is not None
        return code

    async def _end(self, patience_s: float) -> None:
        """Ask the group to end, and kill what does not."""
        if not self._signal(signal.SIGTERM):
            return
        until = self._loop.time() + patience_s
        try:
            while self._loop.time() < until and self._signal(0):
                if self._exited.is_set():
                    until = min(until, self._loop.time() + LEFTOVER_S)
                await asyncio.sleep(0.01)
        finally:
            self._signal(signal.SIGKILL)
        await _within(EOF_S, self._exited)

    def _signal(self, number: int) -> bool:
        """Send a signal to the group; False when nobody is left in it."""
        try:
            os.killpg(self.group, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
