"""A log file that stays small: at its limit it becomes `name.log.1`, and the oldest of a few is dropped."""

import os
from collections import deque
from io import RawIOBase
from pathlib import Path
from types import TracebackType
from typing import Self

LIMIT = 10 * 1024 * 1024
KEPT = 4
_REMEMBERED = 20


def _open(path: Path) -> RawIOBase:
    # Readable by its owner alone: a log may quote what a task said.
    return open(path, "ab", buffering=0, opener=lambda name, flags: os.open(name, flags, 0o600))


class LogFile:
    """Appends what a process prints. Lines are never torn between two files unless one exceeds the limit."""

    def __init__(self, path: Path, limit: int = LIMIT, kept: int = KEPT) -> None:
        self._path, self._limit, self._kept = path, limit, kept
        self._file = _open(path)
        self._size = self._file.tell()
        self._tail: deque[str] = deque(maxlen=_REMEMBERED)
        self._partial = b""

    def write(self, chunk: bytes) -> None:
        """Append; nothing is held back."""
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        self._tail.extend(line.decode(errors="replace").rstrip() for line in lines)
        if len(self._partial) > self._limit:
            self._partial = b""  # not a line: it is in the file, and only the memory of it is dropped
        while self._size + len(chunk) > self._limit:
            # The last line break that still fits; a line longer than a file has none.
            room = max(self._limit - self._size, 0)
            fits = chunk.rfind(b"\n", 0, room) + 1
            if not fits and self._size == 0:
                fits = room
            self._append(chunk[:fits])
            chunk = chunk[fits:]
            self._rotate()
        self._append(chunk)

    def _append(self, chunk: bytes) -> None:
        if chunk:
            self._file.write(chunk)
            self._size += len(chunk)

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._kept, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self._file = _open(self._path)
        self._size = 0

    @property
    def last(self) -> str:
        """The last line that says something."""
        return next((line for line in reversed(self._tail) if line.strip()), "")

    @property
    def tail(self) -> list[str]:
        """The last few lines."""
        return list(self._tail)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
