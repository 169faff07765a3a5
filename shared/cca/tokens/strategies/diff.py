"""Diffs with one line of context, a line for each file's head, and a summary of what tools have written.

    diff shared/cca/log.py (+12 -3)
    @@ -40 +41 @@ def read(self):
     unchanged line before
    -old
    +new
     unchanged line after

The numbers in a hunk's head are those of the first line that is shown; there is one if they are the same. Lines of
context that were left out within a hunk are counted: `… 4 lines`. Long blocks that were only removed show how they
begin and end, and the names they defined; if they were moved, where to.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.locks import changes, is_generated

WORTH = 0.9
"""A fold is worth it when it leaves at most this share of the characters."""
CONTEXT = 1
"""Unchanged lines that stay before and after a change."""
LONG = 20
"""A block of more removed lines than this is shortened."""
FIRST, LAST = 3, 2
"""Lines that stay of it."""

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@(.*)")
_HEAD = re.compile(
    r"index [0-9a-f]{4,}\.\.[0-9a-f]{4,}(?: \d+)?$|(?:old|new|new file|deleted file) mode (\d+)$"
    r"|(?:dis)?similarity index (\d+%)$"
    r"|(?:rename|copy) (?:from|to) .+$|Binary files .+ differ$|GIT binary patch$|(?:---|\+\+\+) .+$"
)
_STAT = re.compile(r"( .{1,300}? \| +\d+) [+-]{2,}$")
_DEFINES = re.compile(
    r"-\s*(?:export |default |public |private |protected |static |async |pub(?:\([a-z]+\))? |abstract |final |unsafe )*"
    r"(?:def|class|fn|func|function|struct|interface|enum|trait|type|impl|const|module)\s+(?:\([^)]{0,80}\)\s*)?(\w+)"
)


class Hunk(Struct):
    """Changed lines with their context; `old` and `new` are the numbers of its first line."""

    old: int
    new: int
    place: str
    lines: list[str]


class File(Struct):
    """What changed in one file."""

    head: list[str]
    hunks: list[Hunk]


def fold(section: Section) -> list[str] | None:
    """The diffs of the section in fewer lines; what stands between them stays."""
    pieces = [*_pieces(section.lines)]
    if not any(isinstance(piece, File) for piece in pieces):
        return None
    moved = _moved(pieces)
    out: list[str] = []
    for piece in pieces:
        if isinstance(piece, File):
            out += _said(piece, moved)
        else:
            found = _STAT.match(piece)
            out.append(found[1] if found else piece)
    before = sum(map(len, section.lines)) + len(section.lines)
    return out if sum(map(len, out)) + len(out) <= WORTH * before else None


# ------------------------------------------------------------------------------------------ reading


def _pieces(lines: Sequence[str]) -> Iterator[File | str]:
    """The files of a diff, and the lines that belong to none."""
    at = 0
    while at < len(lines):
        line = lines[at].removesuffix("\r")
        begins = line.startswith("diff --git ")
        if not begins and not (
            line.startswith("--- ")
            and at + 2 < len(lines)
            and lines[at + 1].startswith("+++ ")
            and _HUNK.match(lines[at + 2])
        ):
            yield lines[at]
            at += 1
            continue
        head = [line] if begins else []
        at += begins
        while at < len(lines) and _HEAD.match(text := lines[at].removesuffix("\r")):
            head.append(text)
            at += 1
            if text.startswith("+++ "):
                break
        file = File(head, [])
        while at < len(lines) and (found := _HUNK.match(lines[at])):
            hunk, at = _hunk(found, lines, at + 1)
            file.hunks.append(hunk)
        yield file


def _hunk(found: re.Match[str], lines: Sequence[str], at: int) -> tuple[Hunk, int]:
    """The hunk whose first line is at `at`, and where it ends: it says itself how many lines it has."""
    old, new = int(found[2] or 1), int(found[4] or 1)
    body: list[str] = []
    while at < len(lines):
        line = lines[at]
        sign = line[:1] or " "
        if sign == "\\":
            body.append(line)
            at += 1
            continue
        if sign not in " +-" or (old <= 0 and new <= 0):
            break
        old -= sign != "+"
        new -= sign != "-"
        body.append(line or " ")
        at += 1
    return Hunk(int(found[1]), int(found[3]), found[5].rstrip(), body), at


def _path(file: File) -> str:
    """What the file is called now; what it was called before, if that is another name."""
    names = {line[:4]: line[4:].partition("\t")[0] for line in file.head if line.startswith(("--- ", "+++ "))}
    old, new = names.get("--- ", ""), names.get("+++ ", "")
    for line in file.head:
        kind, _, name = line.partition(" to ") if " to " in line else line.partition(" from ")
        if kind in ("rename", "copy"):
            old, new = (old, name) if " to " in line else (name, new)
    if not new and file.head and (both := file.head[0].removeprefix("diff --git ")):
        half = len(both) // 2
        old, new = both[:half], both[half + 1 :]
        if old.removeprefix("a/") != new.removeprefix("b/"):
            return both
    old, new = (name.removeprefix(side) if name.startswith(side) else name for name, side in ((old, "a/"), (new, "b/")))
    if new == "/dev/null":
        return old
    return new if old in (new, "/dev/null", "") else f"{old} → {new}"


def _notes(file: File) -> list[str]:
    notes: list[str] = []
    modes: list[str] = []
    for line in file.head:
        found = _HEAD.match(line)
        if line.startswith(("new file", "--- /dev/null")):
            notes.append("new")
        elif line.startswith(("deleted file", "+++ /dev/null")):
            notes.append("deleted")
        elif line.startswith(("old mode", "new mode")) and found:
            modes.append(found[1])
        elif line.startswith(("rename to", "copy to")):
            notes.append("renamed" if line.startswith("rename") else "copied")
        elif line.startswith("similarity") and found and found[2] != "100%":
            notes.append(f"{found[2]} alike")
        elif line.startswith(("Binary", "GIT binary")):
            notes.append("binary")
    if modes:
        notes.append("mode " + " → ".join(modes))
    return list(dict.fromkeys(notes))


# ------------------------------------------------------------------------------------------ saying


def _said(file: File, moved: dict[str, str]) -> Iterator[str]:
    signs = [line[:1] for hunk in file.hunks for line in hunk.lines]
    path, notes = _path(file), _notes(file)
    counts = [f"{sign}{count}" for sign in "+-" if (count := signs.count(sign))]
    about = ", ".join([*notes, " ".join(counts)] if counts else notes)
    if is_generated(path) and file.hunks:
        yield f"diff {path} ({about}, written by a tool)"
        yield from changes([line for hunk in file.hunks for line in (f"@@ {hunk.place}", *hunk.lines)])
        return
    yield f"diff {path} ({about})" if about else f"diff {path}"
    for hunk in file.hunks:
        yield from _shown(hunk, moved)


def _shown(hunk: Hunk, moved: dict[str, str]) -> Iterator[str]:
    """The lines of a hunk that are near a change, under a head with the numbers of the first."""
    lines = hunk.lines
    near = [False] * len(lines)
    for at, line in enumerate(lines):
        if not line.startswith(" "):
            for other in range(max(at - CONTEXT, 0), min(at + CONTEXT + 1, len(lines))):
                near[other] = near[other] or other == at or not lines[other].isspace()
    first = near.index(True) if True in near else 0
    old, new = hunk.old + first, hunk.new + first
    yield f"@@ {new} @@{hunk.place}" if old == new else f"@@ -{old} +{new} @@{hunk.place}"
    at = first
    while at < len(lines):
        end = at
        if not near[at]:
            while end < len(lines) and not near[end]:
                end += 1
            if end < len(lines):
                yield f"… {end - at} lines" if end - at > 1 else lines[at]
        elif lines[at].startswith("-"):
            while end < len(lines) and lines[end].startswith("-"):
                end += 1
            only = end == len(lines) or not lines[end].startswith("+")
            yield from _removed(lines[at:end], only, moved)
        else:
            yield lines[at]
            end += 1
        at = end


def _removed(block: list[str], only: bool, moved: dict[str, str]) -> list[str]:
    to = moved.get(_key(block, "-"), "")
    if len(block) <= LONG or not (only or to):
        return block
    left = block[FIRST : len(block) - LAST]
    names = list(dict.fromkeys(found[1] for line in left if (found := _DEFINES.match(line[:300]))))
    defined = f", among them {', '.join(names)}" if names else ""
    return [*block[:FIRST], f"-… {len(left)} lines {f'moved to {to}' if to else 'removed'}{defined}", *block[-LAST:]]


def _moved(pieces: Sequence[File | str]) -> dict[str, str]:
    """Where long blocks of added lines stand, by what they say."""
    places: dict[str, str] = {}
    for piece in pieces:
        for hunk in piece.hunks if isinstance(piece, File) else ():
            block: list[str] = []
            for line in (*hunk.lines, " "):
                if line.startswith("+"):
                    block.append(line)
                    continue
                if len(block) > LONG and isinstance(piece, File):
                    places.setdefault(_key(block, "+"), _path(piece))
                block = []
    return places


def _key(block: list[str], sign: str) -> str:
    """A block without its signs and the indentation that moving may have changed."""
    return "\n".join(text for line in block if (text := line.removeprefix(sign).strip()))


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="diff",
        summary="Diffs with one line of context, short heads, and only names and versions of lock files.",
        kinds=frozenset({"diff"}),
        level="safe",
        function=fold,
    ),
)
