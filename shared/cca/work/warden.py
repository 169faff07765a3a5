"""Kills what a worker leaves behind. Run as a script beside a worker that runs commands: `python -I -S warden.py`.

The worker says `+<process group>` when it starts a command and `-<process group>` when that has ended. When the
worker dies, however it dies, its end of the pipe closes; then every group that is left is killed, grandchildren too.
"""

import os
import signal
import sys


def watch(lines: int) -> set[int]:
    """Read what is said on a file descriptor until it closes; the groups that are left."""
    groups: set[int] = set()
    rest = b""
    while data := os.read(lines, 4096):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            group = int(line[1:])
            if line[:1] == b"+":
                groups.add(group)
            else:
                groups.discard(group)
    return groups


def main() -> None:
    # A signal to the worker's terminal or service is the worker's to handle.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group in watch(sys.stdin.fileno()):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


if __name__ == "__main__":
    main()
