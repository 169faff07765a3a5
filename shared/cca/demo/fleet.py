"""The workers, as processes that are started the way everybody starts them: `cca agent worker …`."""

import asyncio
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from cca.bench.flow import until_joined
from cca.errors import Busy
from cca.nats.bus import Bus
from cca.stack.program import Program

JOIN_S = 30.0


class Kind(Struct, frozen=True):
    """What the workers of a role are: how many, how many tasks each takes at once, and what they run."""

    role: str
    workers: int
    concurrency: int
    runs: tuple[str, ...]


def _command(audit: str) -> tuple[str, ...]:
    # -P: the folder that the worker was started in is no place to import from.
    return "--exec", shlex.join((sys.executable, "-P", "-m", "cca.demo.audit", audit))


FLEET = (
    Kind("security", 2, 4, ("--python", "cca.demo.handlers:security")),
    Kind("backend", 1, 2, _command("backend")),
    Kind("docs", 1, 2, ("--python", "cca.demo.handlers:docs")),
    Kind("performance", 1, 2, _command("performance")),
)
"""Two Python handlers, two commands."""


class Fleet:
    """The processes. What they print goes to one log file each."""

    def __init__(self, bus: Bus, environ: Mapping[str, str], directory: Path) -> None:
        self._bus, self._environ, self._directory = bus, dict(environ), directory
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, kind: Kind, name: str) -> None:
        """Start one worker; it joins by itself."""
        words = ("agent", "worker", kind.role, "--name", name, "--concurrency", str(kind.concurrency), *kind.runs)
        program = Program(
            name=name,
            argv=(sys.executable, "-P", "-m", "cca.cli.main", *words),
            env=self._environ,
            cwd=self._directory,
            death_signal=signal.SIGKILL,  # when the demo is gone, nobody would miss it or stop it
        )
        with (self._directory / f"{name}.log").open("ab") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *program.command(),
                env=self._environ,
                cwd=program.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which stops them
            )

    async def start_all(self) -> None:
        """Start every worker, and wait until all have joined. Raises `Busy` when one has not after 30 s."""
        for kind in FLEET:
            for number in range(1, kind.workers + 1):
                await self.start(kind, f"{kind.role}-{number}")
        try:
            async with asyncio.timeout(JOIN_S):
                await asyncio.gather(*(until_joined(self._bus, kind.role, kind.workers) for kind in FLEET))
        except TimeoutError:
            ended = sorted(name for name, process in self._processes.items() if process.returncode is not None)
            raise Busy(f"the workers did not join within {JOIN_S:g} s; {self._last_words(ended)}") from None

    def _last_words(self, names: list[str]) -> str:
        if not names:
            return "all of them run"
        said = (self._directory / f"{names[0]}.log").read_text(errors="replace").strip().splitlines()
        return f"{names[0]} ended: {said[-1] if said else 'it said nothing'}"

    async def kill(self, name: str) -> None:
        """SIGKILL, as a machine that goes away would do it."""
        process = self._processes.pop(name)
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        """Let all workers finish and leave; those that have not after 10 s are killed."""
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            process.terminate()
        ends = [asyncio.create_task(process.wait()) for process in running]
        if ends and (await asyncio.wait(ends, timeout=10))[1]:
            for process in running:
                if process.returncode is None:
                    process.kill()
            await asyncio.wait(ends)
