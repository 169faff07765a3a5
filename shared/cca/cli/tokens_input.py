"""What the commands of `cca tokens` look at: files, folders and standard input."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cca.contracts.tokens import LIMIT
from cca.errors import Refused

STDIN = "-"
PASSED_BY = {
    ".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".tox", ".nox", ".mypy_cache",
    ".pytest_cache", ".ruff_cache", ".hypothesis", ".idea", ".cca",
}  # fmt: skip
"""Folders that are not gone into: what is in them nobody has written, or nobody reads."""
LOOKED_AT = 8_192
"""Bytes at the beginning of a file that tell whether it is binary."""
MANY = 20
"""From so many files on there is a progress bar."""


class Document(Struct, frozen=True):
    """A text and the name of its file; `-` is standard input."""

    name: str
    text: str

    @property
    def label(self) -> str | None:
        """The name as a turn may have it: the end of a long one; none for standard input."""
        return None if self.name == STDIN else self.name[-200:]


def files(paths: Sequence[str]) -> list[str]:
    """The files that are meant by paths: of a folder all below it, in order, each once.

    Raises:
        Refused: a path is not there.
    """
    found: dict[str, None] = {}
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            found.update(dict.fromkeys(_below(path)))
        elif path == STDIN or Path(path).exists():
            found[path] = None
        else:
            raise Refused("not-found", f"{path}: there is no such file or folder")
    return list(found)


def _below(folder: str) -> Iterator[str]:
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in PASSED_BY)
        for name in sorted(names):
            path = os.path.join(at, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path


def documents(paths: Sequence[str]) -> Iterator[Document]:
    """The texts of files, of all below folders, and of standard input, which is meant when there is no path.

    A file in a folder that is binary, too large or not readable is passed by; one that is named is not.

    Raises:
        Refused: a path is not there, or what it names is binary, larger than `LIMIT`, or cannot be read.
    """
    named = set(paths)
    for path in progress(files(paths or (STDIN,))):
        try:
            yield read(path)
        except Refused:
            if path in named or path == STDIN:
                raise


def read(path: str) -> Document:
    """The text of a file, or of standard input (`-`). Raises `Refused` when it is none."""
    name = "standard input" if path == STDIN else path
    try:
        if path == STDIN:
            if sys.stdin.isatty():
                raise click.UsageError("name a PATH, or let a text come from standard input")
            body = sys.stdin.buffer.read(LIMIT + 1)
        else:
            with Path(path).open("rb") as file:
                body = file.read(LOOKED_AT)
                if b"\0" not in body:
                    body += file.read(LIMIT + 1 - len(body))
    except OSError as error:
        raise Refused("unreadable", f"{name}: {error.strerror or error}") from None
    if len(body) > LIMIT:
        raise Refused("too-large", f"{name}: larger than {LIMIT // 1_000_000} MB")
    if b"\0" in body[:LOOKED_AT]:
        raise Refused("binary", f"{name}: is binary")
    try:
        return Document(path, body.decode())
    except UnicodeDecodeError as error:
        raise Refused("binary", f"{name}: is not UTF-8 (byte {error.start:,})") from None


def progress(paths: Sequence[str]) -> Iterable[str]:
    """Many files one after another, with a bar on a terminal."""
    if len(paths) < MANY or not sys.stderr.isatty():
        return paths
    return _with_bar(paths)


def _with_bar(paths: Sequence[str]) -> Iterator[str]:
    console = Console(stderr=True)
    columns = (TextColumn("reading"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        yield from shown.track(paths)
