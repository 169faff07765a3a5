"""Results of grep and its likes, by file: the path once, below it the numbers of the lines with their text.

    shared/cca/log.py
    12 def read(self) -> Iterator[Event]:
    13- yield from self._events
    40,52 return None
    in 3 files: from cca.errors import Busy
     shared/cca/a.py:3, shared/cca/b.py:7, tests/test_a.py:4

A number with a dash is that of a line of context. Indentation goes, and so do blank lines of context and what parts
groups of them. A long root that all paths begin with is said once, in a line of its own.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from cca.tokens.folds import Fold, Section

WORTH = 0.9
"""A fold is worth it when it leaves at most this share of the characters."""
SPREAD = 3
"""A text that is found in so many files is said once."""
LONG_TEXT, LONG_ROOT = 16, 40
"""Characters from which on a text, or what all paths begin with, is worth saying apart."""
_PATH = 400

_MATCH = re.compile(r"((?:[A-Za-z]:[\\/])?[^\s:][^:]{0,400}):(\d{1,8}):(.*)", re.DOTALL)
_CONTEXT = re.compile(r"-(\d{1,8})-")
_UNNUMBERED = re.compile(r"([\w.@+~/-]{1,300}/[\w.@+~-]{1,200}\.\w{1,10}):(.*)", re.DOTALL)
_UNDER_HEAD = re.compile(r"(\d{1,8})([:-])(.*)", re.DOTALL)


class Hit(Struct):
    """A line of a file: its number, empty when it was not told, `-` after it for context; and its text."""

    number: str
    text: str


class File(Struct):
    """Lines of one file that follow each other in the results."""

    path: str
    hits: list[Hit]


def fold(section: Section) -> list[str] | None:
    """The results by file; lines that are none stay where they are."""
    pieces = [*_pieces(section.lines)]
    files = [piece for piece in pieces if isinstance(piece, File)]
    if not files:
        return None
    root = _root([file.path for file in files])
    spread = _spread(files, len(root))
    out = [f"paths below {root}"] if root else []
    for piece in pieces:
        if isinstance(piece, File):
            out += _said(piece, root, spread)
        else:
            out.append(piece)
    for text, places in spread.items():
        out.append(f"in {len(places)} files: {text}")
        out.append(" " + ", ".join(place[len(root) :] for place in places))
    before = sum(map(len, section.lines)) + len(section.lines)
    return out if sum(map(len, out)) + len(out) <= WORTH * before else None


def _pieces(lines: Sequence[str]) -> Iterator[File | str]:
    """Runs of results from one file, and the lines that are none."""
    found = [_MATCH.match(line) for line in lines]
    paths = {match[1] for match in found if match}
    file: File | None = None
    parted: list[str] = []
    for line, match in zip(lines, found, strict=True):
        if line == "--" and file is not None:
            parted.append(line)
            continue
        path, hit = (match[1], Hit(match[2], match[3].strip())) if match else _other(line, paths)
        if hit is None:
            if file is not None:
                yield file
            file = None
            yield from parted
            parted = []
            yield _UNDER_HEAD.sub(_undented, line) if path is None else line
            continue
        parted = []
        if file is None or path != file.path:
            if file is not None:
                yield file
            file = File(path or "", [])
        file.hits.append(hit)
    if file is not None:
        yield file
    yield from parted


def _other(line: str, paths: set[str]) -> tuple[str | None, Hit | None]:
    """A line of context, or a result without a number; no path for one that stands under the head of its file."""
    for found in _CONTEXT.finditer(line, 0, _PATH):
        if line[: found.start()] in paths:
            return line[: found.start()], Hit(found[1] + "-", line[found.end() :].strip())
    if plain := _UNNUMBERED.fullmatch(line):
        return plain[1], Hit("", plain[2].strip())
    return (None, None) if _UNDER_HEAD.fullmatch(line) else ("", None)


def _undented(found: re.Match[str]) -> str:
    dash = "-" if found[2] == "-" else ""
    return f"{found[1]}{dash} {found[3].strip()}".rstrip()


def _root(paths: Sequence[str]) -> str:
    """The directory that all paths are in, when its name is long and begins at the top."""
    low, high = min(paths), max(paths)
    same = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    root = low[: low.rfind("/", 0, same) + 1]
    return root if len(root) >= LONG_ROOT and root.startswith("/") and low != high else ""


def _spread(files: Sequence[File], root: int) -> dict[str, list[str]]:
    """Texts that are found in many files, with their places, where that is shorter."""
    if any(hit.number.endswith("-") for file in files for hit in file.hits):
        return {}  # a line out of its context would not be understood
    places: dict[str, list[str]] = {}
    where: dict[str, set[str]] = {}
    for file in files:
        for hit in file.hits:
            if hit.number and len(hit.text) >= max(LONG_TEXT, len(file.path) - root):
                places.setdefault(hit.text, []).append(f"{file.path}:{hit.number}")
                where.setdefault(hit.text, set()).add(file.path)
    return {text: places[text] for text, paths in where.items() if len(paths) >= SPREAD}


def _said(file: File, root: str, spread: dict[str, list[str]]) -> list[str]:
    hits = [hit for hit in file.hits if (hit.text or not hit.number.endswith("-")) and hit.text not in spread]
    if not hits:
        return []
    out = [file.path[len(root) :]]
    numbers: dict[str, list[str]] = {}
    if any(hit.number.endswith("-") or not hit.number for hit in hits):
        return out + [f"{hit.number} {hit.text}".rstrip() if hit.number else f" {hit.text}" for hit in hits]
    for hit in hits:
        numbers.setdefault(hit.text, []).append(hit.number)
    return out + [f"{','.join(numbers)} {text}".rstrip() for text, numbers in numbers.items()]


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="search",
        summary="Search results by file: each path, and a text that is found in many files, once.",
        kinds=frozenset({"search"}),
        level="lossless",
        function=fold,
    ),
)
