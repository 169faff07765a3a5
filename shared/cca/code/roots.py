"""Which directories may be indexed, and files opened below them in such a way that no link leads out."""

import os
import stat
from collections.abc import Sequence

from msgspec import Struct

from cca.errors import Refused

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Place(Struct, frozen=True):
    """A file or directory below a root: `relative` is its path from there, empty for the root itself."""

    root: str
    relative: str
    is_file: bool = False

    @property
    def path(self) -> str:
        return join(self.root, self.relative)


class Roots:
    """The directories below which code may be indexed."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = tuple(dict.fromkeys(os.path.abspath(path) for path in paths if path))

    @classmethod
    def parse(cls, text: str) -> "Roots":
        """Those of a setting: paths with `:` between."""
        return cls([path.strip() for path in text.split(os.pathsep)])

    def place(self, path: str) -> Place:
        """Where a path really is, links and `..` resolved. It waits for the file system.

        Raises `Refused`: `not-allowed` for all that is not below a root, whether it exists or not, `not-found` below
        one, and `not-a-directory` for what is neither a directory nor a file.
        """
        if not self.paths:
            raise Refused("not-allowed", "no directory may be indexed here: set context.roots (CCA_CONTEXT_ROOTS)")
        if "\0" in path or not os.path.isabs(path):
            raise Refused("bad-path", "the path must be absolute, as the machine of the context service has it")
        try:
            real = os.path.realpath(path)
            real.encode()
        except (OSError, ValueError):
            raise Refused("bad-path", "the path cannot be followed") from None
        for root in map(os.path.realpath, self.paths):
            if (relative := below(real, root)) is not None:
                break
        else:
            raise Refused("not-allowed", "this path is not below a directory that may be indexed")
        try:
            with opened(root, relative) as file:
                return Place(root, relative, stat.S_ISREG(file.status.st_mode))
        except OSError as error:
            raise Refused("not-found", f"{join(root, relative)}: {reason(error)}") from None


def below(path: str, root: str) -> str | None:
    """The path from `root`, if `path` is below it or the same. Both are real."""
    if path == root:
        return ""
    head = root.rstrip("/") + "/"
    return path[len(head) :] if path.startswith(head) else None


def join(root: str, relative: str) -> str:
    """The whole path again."""
    return os.path.join(root, relative) if relative else root


def reason(error: OSError) -> str:
    """Why a file cannot be read, without its path."""
    if error.errno is None or not error.strerror:
        return str(error) or "it cannot be read"
    return error.strerror[0].lower() + error.strerror[1:]


class Opened:
    """A file or directory that is open: `fd`, and its `status` as it is, not as its name was a moment ago."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.status = os.fstat(fd)

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def opened(root: str, relative: str) -> Opened:
    """Open a file or a directory below a root. Raises `OSError`, also for anything that is neither.

    Every name on the way is opened by itself and never followed if it is a link: nobody can put one in the way between
    a check and its use. Pipes and devices are not waited for.
    """
    names = relative.split("/") if relative else []
    if any(name in ("", ".", "..") for name in names):
        raise OSError("this path leads elsewhere")
    fd = os.open(root, _DIRECTORY)
    for at, name in enumerate(names):
        above = fd
        try:
            fd = os.open(name, _FILE if at == len(names) - 1 else _DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
    try:
        file = Opened(fd)
    except BaseException:
        os.close(fd)
        raise
    if not stat.S_ISREG(file.status.st_mode) and not stat.S_ISDIR(file.status.st_mode):
        os.close(fd)
        raise OSError("neither a file nor a directory")
    return file


def content(root: str, relative: str, most: int) -> tuple[bytes, os.stat_result]:
    """What is in a file, at most `most` bytes and one more. Raises `OSError`."""
    with opened(root, relative) as file:
        if not stat.S_ISREG(file.status.st_mode):
            raise OSError("no file")
        parts, left = [], most + 1
        while left > 0 and (part := os.read(file.fd, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts), file.status
