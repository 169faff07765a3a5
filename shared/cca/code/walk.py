"""The files of a directory that are to be indexed: those in known languages that no .gitignore leaves out."""

import os
import stat
from collections.abc import Iterator

from msgspec import Struct
from pathspec import GitIgnoreSpec

from cca.code.ignores import Ignores, globs
from cca.code.languages import language_of
from cca.code.roots import content, opened, reason
from cca.contracts.code import CodeLanguage
from cca.errors import Refused

LARGEST = 1024 * 1024
"""Bytes of a file, at most."""
MOST = 200_000
"""Files of a project, at most."""
NEVER = frozenset((".git", ".hg", ".svn", ".jj", "node_modules"))
"""Directories in which nobody looks for their own code, whatever a .gitignore says."""
_RULES = 256 * 1024


class Found(Struct, frozen=True):
    """A file: its path in the project, bytes, when it was changed, and its language by its name."""

    path: str
    size: int
    mtime_ns: int
    language: CodeLanguage


class Listing(Struct):
    """What is in a directory, in order of paths: files to index, those that are too large, and what cannot be read."""

    files: list[Found] = []
    large: list[str] = []
    unreadable: dict[str, str] = {}


class Wanted(Struct, frozen=True):
    """What of a directory is asked for; see `cca.contracts.code.IndexCode`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    languages: tuple[CodeLanguage, ...] = ()


def listing(root: str, base: str, under: str, wanted: Wanted) -> Listing:
    """The files of the project at `base` (a path from the root) that are below `under` (a path from there).

    Links are never followed. What vanishes meanwhile is not there. Raises `OSError` when `under` cannot be read,
    `Refused` (`bad-glob`, `too-many-files`).
    """
    walk = _Walk(root, base, wanted)
    with opened(root, _path(base, under)) as start:
        if stat.S_ISREG(start.status.st_mode):
            walk.keep(under, start.status)  # it was asked for by its name: no .gitignore hides it
        else:
            walk.directory(under, walk.ignores_above(under))
    walk.found.files.sort(key=lambda file: file.path)
    return walk.found


class _Walk:
    """One look through a directory. Paths are those in the project; ignores have them from the root."""

    def __init__(self, root: str, base: str, wanted: Wanted) -> None:
        self._root, self._base = root, base
        self._include, self._exclude = globs(wanted.include, "include"), globs(wanted.exclude, "exclude")
        self._languages = frozenset(wanted.languages)
        self.found = Listing([], [], {})

    def directory(self, under: str, ignores: Ignores) -> None:
        """Look through a directory and all below it. Raises `OSError` when it cannot be read itself."""
        waiting = [(under, ignores)]
        while waiting:
            path, ignores = waiting.pop()
            try:
                with opened(self._root, _path(self._base, path)) as here:
                    entries = sorted(_entries(here.fd), key=lambda entry: entry[0])
            except FileNotFoundError:
                if path == under:
                    raise
                continue
            except OSError as error:
                if path == under:
                    raise
                self.found.unreadable[_shown(path)] = reason(error)
                continue
            own = ignores
            if any(name == ".gitignore" for name, _ in entries):
                own = self._with_rules(ignores, _path(self._base, path))
            head = f"{path}/" if path else ""
            deeper = [(head + name, own) for name, status in entries if self._looked_at(head + name, name, status, own)]
            waiting.extend(reversed(deeper))

    def ignores_above(self, under: str) -> Ignores:
        """What the repository that a directory is in says of it, from its top downwards; without one, the project."""
        own = _path(self._base, under)
        if self._is_there(_path(own, ".git")):
            return Ignores()
        names = own.split("/") if own else []
        above = ["/".join(names[:count]) for count in range(len(names))]
        tops = [at for at, way in enumerate(above) if self._is_there(_path(way, ".git"))]
        first = tops[-1] if tops else len(self._base.split("/")) if self._base else 0
        ignores = Ignores()
        for way in above[first:]:
            ignores = self._with_rules(ignores, way)
        return ignores

    def keep(self, path: str, status: os.stat_result) -> None:
        """Take a file that nothing has left out so far, if it is one of those that were asked for."""
        language = language_of(path)
        if language is None or not self._asked_for(language, path):
            return
        if (self._exclude is not None and _said(self._exclude, path)) or (
            self._include is not None and not _said(self._include, path)
        ):
            return
        if (shown := _shown(path)) != path:
            self.found.unreadable[shown] = "its name is not UTF-8"
        elif status.st_size > LARGEST:
            self.found.large.append(path)
        elif len(self.found.files) >= MOST:
            raise Refused("too-many-files", f"there are more than {MOST:,} files; index a part, or exclude some")
        else:
            self.found.files.append(Found(path, status.st_size, status.st_mtime_ns, language))

    def _looked_at(self, path: str, name: str, status: os.stat_result | None, ignores: Ignores) -> bool:
        """Take a file; of a directory (without `status`), whether it is to be looked through."""
        if status is not None:
            if language_of(name) is not None and not ignores.ignore(_path(self._base, path)):
                self.keep(path, status)
            return False
        if name in NEVER or ignores.ignore(_path(self._base, path) + "/"):
            return False
        return self._exclude is None or not _said(self._exclude, path + "/")

    def _asked_for(self, language: CodeLanguage, path: str) -> bool:
        wanted = self._languages
        # Which of the two a header is written in shows only when it is read.
        return not wanted or language in wanted or (path.endswith(".h") and "cpp" in wanted)

    def _with_rules(self, ignores: Ignores, directory: str) -> Ignores:
        head = f"{directory}/" if directory else ""
        try:
            text = content(self._root, f"{head}.gitignore", _RULES)[0].decode(errors="replace")
        except OSError:
            return ignores
        return ignores.and_of(head, text)

    def _is_there(self, path: str) -> bool:
        try:
            with opened(self._root, path):
                return True
        except OSError:
            return False


def _entries(fd: int) -> Iterator[tuple[str, os.stat_result | None]]:
    """What is in a directory: files with their status, directories without; links and all else are left out."""
    with os.scandir(fd) as entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False):
                    yield entry.name, entry.stat(follow_symlinks=False)
                elif entry.is_dir(follow_symlinks=False):
                    yield entry.name, None
            except FileNotFoundError:
                pass  # it was there a moment ago


def _said(patterns: GitIgnoreSpec, path: str) -> bool:
    return bool(patterns.check_file(path).include)


def _shown(path: str) -> str:
    """A path that may not be UTF-8 as text that is."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _path(*parts: str) -> str:
    return "/".join(part for part in parts if part)
