"""A file in chunks: what it defines, and the lines between, each non-blank line in exactly one of them."""

import hashlib
from collections.abc import Iterator, Sequence

from msgspec import Struct

from cca.code import trees
from cca.code.definitions import Definition, definitions
from cca.code.sections import sections
from cca.contracts.code import CodeLanguage
from cca.storable import text_without_nul

LITTLE = 12
"""Letters and digits: fewer between two definitions (`else:`, `#endif`) go with the first of them."""
LARGEST = 2_400
"""Characters of a chunk, at most: models that make vectors read little more of it, and people see it as one piece."""
VERSION = 1
"""Of the rules by which chunks are made. Files that were cut by others are cut again by the next job."""
DIGEST = 16
"""Bytes of a digest."""


class Chunk(Struct, frozen=True):
    """A piece of a file.

    Attributes:
        kind: `function`, `method`, `class`, `struct`, `enum`, `trait`, `impl`, `interface`, `type`, `macro`, `module`
            (also what stands between definitions), `section`, or `text` where the code could not be understood.
        name: with those of what it stands in; empty for what has none.
        title: path, name and signature, and for later pieces of something large the first line said of it.
        start_line, end_line: from 1, both included.
        digest: of all but the lines: equal for chunks of the same text in the same place.
    """

    kind: str
    name: str
    title: str
    signature: str
    start_line: int
    end_line: int
    text: str
    digest: bytes


class _Part(Struct):
    """A run of lines, from 0, that is of a definition, or of the whole file. `head`: its definition begins with it."""

    of: Definition
    start: int
    end: int
    head: bool = False


def text_of(content: bytes) -> str:
    """A file's text with `\\n` at the end of lines. What is not UTF-8 is taken for Latin-1, which has all bytes."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text_without_nul(text).replace("\r\n", "\n").replace("\r", "\n")


def chunks(text: str, language: CodeLanguage, path: str) -> list[Chunk]:
    """The chunks of a file in order, as `text_of` gives it. Code that is broken, or no code at all, has some, too."""
    root = trees.root(text.encode(), language)
    lines = text.split("\n")
    if root is None:
        found, rest = [], "text"
    elif language == "markdown":
        found, rest = sections(root), "section"
    else:
        found, rest = definitions(root, language), "module"
    whole = Definition(rest, "", "", "", 0, len(lines) - 1, found)
    return [
        _chunk(part.of, path, first, last, piece, later)
        for part in _joined(_parts(whole), lines)
        for later, (first, last, piece) in enumerate(_pieces(lines, part.start, part.end))
    ]


def _parts(whole: Definition) -> Iterator[_Part]:
    """The lines of a definition and of those in it, in runs, each by the innermost that it is of."""
    at = whole.start
    for inner in whole.inner:
        if at < inner.start:
            yield _Part(whole, at, inner.start - 1, at == whole.start)
        yield from _parts(inner)
        at = inner.end + 1
    if at <= whole.end:
        yield _Part(whole, at, whole.end, at == whole.start)


def _joined(parts: Iterator[_Part], lines: Sequence[str]) -> list[_Part]:
    """Without blank lines at their ends. What has hardly a word (`}`) goes to the part before it."""
    found: list[_Part] = []
    idle: int | None = None
    for part in parts:
        while part.start <= part.end and not lines[part.start].strip():
            part.start += 1
        while part.start <= part.end and not lines[part.end].strip():
            part.end -= 1
        if part.start > part.end:
            continue
        size = _letters(lines, part)
        if found and size < LITTLE and not part.head:
            found[-1].end = part.end
            continue
        if not size and not found:
            idle = part.start if idle is None else idle
            continue
        if idle is not None:
            part.start, idle = idle, None
        found.append(part)
    if idle is not None:
        last = max(at for at, line in enumerate(lines) if line.strip())
        found.append(_Part(Definition("text", "", "", "", idle, last), idle, last))
    return found


def _letters(lines: Sequence[str], part: _Part) -> int:
    """How many letters and digits a part has; beyond `LITTLE` it does not matter."""
    count = 0
    for at in range(part.start, part.end + 1):
        count += sum(map(str.isalnum, lines[at]))
        if count >= LITTLE:
            break
    return count


def _chunk(of: Definition, path: str, first: int, last: int, text: str, later: int) -> Chunk:
    said = (path, of.name, of.signature, of.doc if later else "")
    title = text_without_nul(" ".join(word for word in said if word))
    digest = hashlib.blake2b("\0".join((of.kind, of.name, title, text)).encode(), digest_size=DIGEST).digest()
    return Chunk(of.kind, of.name, title, of.signature, first + 1, last + 1, text, digest)


# ------------------------------------------------------------------------------------------ pieces


def _pieces(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, int, str]]:
    """Runs of lines of at most `LARGEST` characters, cut where it disturbs least; longer lines are cut themselves."""
    size = sum(len(lines[at]) + 1 for at in range(start, end + 1))
    if size <= LARGEST:
        yield start, end, "\n".join(lines[start : end + 1])
        return
    at = start
    while at <= end:
        if len(lines[at]) > LARGEST:
            line = lines[at]
            yield from ((at, at, line[cut : cut + LARGEST]) for cut in range(0, len(line), LARGEST))
            at += 1
            continue
        stop = _stop(lines, at, end)
        first, last = at, stop
        while first < last and not lines[first].strip():
            first += 1
        while last > first and not lines[last].strip():
            last -= 1
        if lines[first].strip():
            yield first, last, "\n".join(lines[first : last + 1])
        at = stop + 1


def _stop(lines: Sequence[str], start: int, end: int) -> int:
    """The last line of a piece that begins with `start`.

    It stands before the least indented line in the second half of what fits, better after a blank one; of equals the
    last.
    """
    size, best, stop = 0, 0, start
    least: tuple[int, bool] | None = None
    for at in range(start, end + 1):
        if size + len(lines[at]) > LARGEST:
            return stop if least is None else best
        if at > start and lines[at].strip() and size >= LARGEST // 2:
            weight = (len(lines[at]) - len(lines[at].lstrip()), bool(lines[at - 1].strip()))
            if least is None or weight <= least:
                least, best = weight, at - 1
        size += len(lines[at]) + 1
        stop = at
    return stop
