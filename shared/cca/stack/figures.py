"""How much memory the processes of a stack use, each with its children."""

import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path


def memory(roots: Iterable[int]) -> dict[int, int]:
    """For each process its proportional set size (PSS) and its descendants', in bytes; without those that are gone.

    A descendant that is itself asked for counts for itself alone. PSS counts a page that several processes share
    once in all. Where the system does not tell it, it is the resident set.
    """
    children = _children()
    asked = set(roots)
    sizes: dict[int, int] = {}
    for root in asked:
        family = [root]
        for pid in family:
            family += [child for child in children[pid] if child not in asked]
        found = [size for pid in family if (size := _size(pid)) is not None]
        if found:
            sizes[root] = sum(found)
    return sizes


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    if sys.platform != "linux":
        import psutil

        for process in psutil.process_iter(["ppid"]):
            found[process.info["ppid"]].append(process.pid)
        return found
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                stat = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            found[int(stat.rpartition(")")[2].split()[1])].append(int(name))
    return found


def _size(pid: int) -> int | None:
    if sys.platform != "linux":
        import psutil

        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return None
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:")), None)
    except OSError:
        pass
    try:  # another user's process
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None
