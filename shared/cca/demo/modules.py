"""Which files of a code base are looked at, and which task each of them makes for each role."""

import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from cca.contracts.task import SubmitTask
from cca.errors import Misconfigured
from cca.ids import TaskId, uuid7

ROLES = ("security", "backend", "docs", "performance")
"""Who audits: bandit, ruff, docstring coverage, cyclomatic complexity."""

LARGEST = 100_000
"""Bytes above which a file is data more than code; one of those would hold everything up."""

_SKIPPED = {
    *("test", "tests", "idle_test", "testing", "idlelib", "lib2to3", "turtledemo", "pydoc_data", "encodings"),
    *("site-packages", "dist-packages", "lib-dynload", "ensurepip", "__pycache__", "node_modules", "venv", "build"),
}
"""Folders without the code of the project itself."""


class Published(Struct, frozen=True):
    """One task as it goes to `cca.tasks.<role>`: `body` is JSON, or plain text that is all of the description."""

    id: TaskId
    role: str
    body: bytes


def standard_library() -> Path:
    """The folder of the Python that runs this."""
    return Path(sysconfig.get_path("stdlib"))


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink() or entry.name.startswith(".") or entry.name in _SKIPPED:
            continue
        if entry.is_dir():
            yield from _files(entry)
        elif entry.suffix == ".py" and 0 < (size := entry.stat().st_size) <= LARGEST:
            yield size, entry


def choose(root: Path, count: int) -> list[Path]:
    """The `count` largest Python files of a code base, without tests and vendored code; largest first.

    Raises `Misconfigured` when there is not one.
    """
    if not root.is_dir():
        raise Misconfigured(f"{root} is not a folder")
    found = sorted(_files(root.resolve()), key=lambda one: (-one[0], one[1]))
    if not found:
        raise Misconfigured(f"there are no Python files below {root}")
    return [path for _, path in found[:count]]


def tasks(root: Path, files: Sequence[Path]) -> list[Published]:
    """A task per file and role, file by file, so that all roles are busy from the beginning.

    Those for `docs` are plain text, as a person would publish them; the others are JSON with structured input.
    """
    root = root.resolve()
    return [_published(root, file, role) for file in files for role in ROLES]


def _published(root: Path, file: Path, role: str) -> Published:
    identity = TaskId(uuid7())
    if role == "docs":
        return Published(identity, role, f"Check the docstrings of {file}".encode())
    name = file.relative_to(root)
    task = SubmitTask(
        description=f"{role} audit of {name}",
        id=identity,
        kind="audit",
        input={"path": str(file)},
        labels={"module": str(name)[:200]},
    )
    return Published(identity, role, msgspec.json.encode(task))
