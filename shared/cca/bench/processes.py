"""Child processes, and what processes use as the kernel counts it: CPU seconds and memory (Linux)."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from cca.errors import Busy

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU seconds (user and system) of one process since its start; 0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = stat[stat.rindex(")") + 2 :].split()  # the name in parentheses may contain anything
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def pss_mb(pid: int) -> float:
    """Proportional set size of one process in MB (10^6 bytes): shared pages count once over all sharers."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in rollup.splitlines() if line.startswith("Pss:")), 0.0)


def descendants(pid: int) -> set[int]:
    """A process and all that it started, at this moment."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            children.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(int(entry.name))
    found, todo = set(), [pid]
    while todo:
        found.add(one := todo.pop())
        todo += children.get(one, [])
    return found


@asynccontextmanager
async def child(module: str, *arguments: str, env: Mapping[str, str]) -> AsyncIterator[int]:
    """Run a module of ours as a process until the end of the block; yields its id when it says `ready`.

    Raises `Busy` when it ends before that.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments), env=env, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"ready\n":
            raise Busy(f"{module} did not start")
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


class Watch:
    """CPU seconds and wall time of named process groups between `start` and `stop`."""

    def __init__(self, groups: Mapping[str, int]) -> None:
        """`groups`: a name and the process whose whole tree counts for it."""
        self._groups = dict(groups)
        self._before: dict[str, float] = {}
        self._started = 0.0

    def _now(self) -> dict[str, float]:
        return {
            name: sum(map(cpu_seconds, descendants(pid) if pid != os.getpid() else (pid,)))
            for name, pid in self._groups.items()
        }

    def start(self) -> None:
        """Begin to count."""
        self._before = self._now()
        self._started = time.perf_counter()

    def stop(self) -> dict[str, float]:
        """CPU seconds per name since `start`, and `wall`, the seconds that passed."""
        wall = time.perf_counter() - self._started
        return {name: round(used - self._before[name], 2) for name, used in self._now().items()} | {
            "wall": round(wall, 3)
        }
