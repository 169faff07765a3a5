"""What the figures were measured on: processors, memory, versions, and what an fsync costs."""

import os
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from cca.bench.spread import percentile
from cca.stack import binaries


def fsync_p50_ms(directory: Path, count: int = 200) -> float:
    """Milliseconds that appending 4 KiB to a file and `fdatasync` take, the median of `count`."""
    path = directory / "fsync.probe"
    block, taken = os.urandom(4096), []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(count):
            start = time.perf_counter()
            os.write(handle, block)
            os.fdatasync(handle)
            taken.append((time.perf_counter() - start) * 1e3)
    finally:
        os.close(handle)
        path.unlink()
    return percentile(taken, 50)


def _first_number(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else text.strip()


def facts() -> dict[str, object]:
    """Processors, memory in GB (10^9 bytes) and versions."""
    postgres = subprocess.run([binaries.postgres_bin() / "postgres", "--version"], capture_output=True, text=True)
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "nats_server": binaries.dotted(binaries.version(binaries.nats_server())),
        "postgres": _first_number(postgres.stdout),
        "nats_py": metadata.version("nats-py"),
        "uvloop": metadata.version("uvloop"),
    }


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or sys.platform
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()
