"""Listings of files: each directory once with the names that are in it, and what all entries share once.

    src/api/: __init__.py orders.py users.py
    data/: img_0001.png … img_0420.png (420) labels.csv
    node_modules/: 2345 files

Of `ls -l` names and sizes stay, and of the other columns what is unusual: name, size, then rights, owner or day where
they differ from those that the line above the entries tells. Times of day go.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from cca.tokens.folds import Fold, Section

WORTH = 0.9
"""A fold is worth it when it leaves at most this share of the characters."""
FEWEST = 3
"""Paths or entries that a listing has at least."""
RUN = 5
"""From so many on names that differ by a number, one more each, are said as a range."""
OUTLIER = 4
"""A size that is so many times above or below the middle one of a range is said by itself."""
_LONGEST, _LONGEST_BRANCH = 1_000, 300

_STORES = frozenset({
    ".cache", ".git", ".gradle", ".hg", ".hypothesis", ".mypy_cache", ".next", ".nuxt", ".pytest_cache", ".ruff_cache",
    ".svn", ".terraform", ".tox", ".venv", "__pycache__", "bower_components", "node_modules", "site-packages", "venv",
})  # fmt: skip
"""Directories whose contents nobody wrote by hand: they are counted."""
_BUILT = re.compile(r"(?:^|/)target/(?:debug|release)/")
_LONG = re.compile(
    r"([-dlcbps])([-rwxsStTlL]{9}[.+@]?) +\d+ +(\S+) +(\S+) +([\d.,]+[KMGTP]?|\d+, +\d+) "
    r"+([A-Z][a-z]{2} +\d{1,2}|\d{1,2} [A-Z][a-z]{2}|\d{4}-\d\d-\d\d) "
    r"+(\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: [+-]\d{4})?|\d{4}) (.+)"
)
_BRANCH = re.compile(r"([│| \xa0]*)(?:├──|└──|\|--|`--)[ \xa0](.+)")
_PATH = re.compile(r"(?:\.{0,2}/)?[^\s/:][^\s:]{0,500}/?")
_SPACED_PATH = re.compile(r"\.{0,2}/[^\t:]{1,500}")


class Entry(Struct):
    """A line of `ls -l`."""

    kind: str
    rights: str
    owner: str
    size: str
    day: str
    name: str


def fold(section: Section) -> list[str] | None:
    """The listing by directories; lines that are no entries stay where they are."""
    out: list[str] = []
    found = False
    for sort, lines in _groups(section.lines):
        if sort == "entry" and len(lines) >= FEWEST:
            out += _entries(lines)
        elif sort == "branch" and len(lines) >= FEWEST:
            named = bool(out and out[-1]) and " " not in out[-1] and not out[-1].endswith(":")
            out += _directories(_of_tree(lines, out.pop() if named else ""))
        elif sort == "path" and len(lines) >= FEWEST:
            out += _directories(lines)
        else:
            out += lines
            continue
        found = True
    before = sum(map(len, section.lines)) + len(section.lines)
    return out if found and sum(map(len, out)) + len(out) <= WORTH * before else None


def _groups(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Runs of lines of one sort: `entry`, `branch`, `path`, or neither."""
    group: list[str] = []
    last = ""
    slashes = sum("/" in line for line in lines) * 2 > len(lines)
    for line in lines:
        text = line.rstrip()
        if len(text) > _LONGEST:
            sort = ""
        elif _LONG.fullmatch(text):
            sort = "entry"
        elif len(text) <= _LONGEST_BRANCH and _BRANCH.fullmatch(text):
            sort = "branch"
        elif slashes and (_PATH.fullmatch(text) or _SPACED_PATH.fullmatch(text)):
            sort = "path"
        else:
            sort = ""
        if group and sort != last:
            yield last, group
            group = []
        group.append(text if sort else line)
        last = sort
    if group:
        yield last, group


# ------------------------------------------------------------------------------------------ paths


def _of_tree(lines: Sequence[str], root: str) -> Iterator[str]:
    """The paths that a tree was drawn of; a directory that holds something is only told by what it holds."""
    at = root.rstrip("/")
    above: list[str] = [] if at in ("", ".") else [at]
    base = len(above)
    waiting = ""
    for line in lines:
        found = _BRANCH.fullmatch(line)
        assert found is not None
        depth = base + len(found[1].replace("\xa0", " ")) // 4
        if waiting and depth <= len(above) - 1:
            yield waiting
        del above[depth:]
        above.append(found[2].rstrip("/") if " -> " not in found[2] else found[2])
        waiting = "/".join(above)
    if waiting:
        yield waiting


def _directories(paths: Iterable[str]) -> Iterator[str]:
    """A line for each directory, with what is in it, in the order in which they come."""
    found = list(dict.fromkeys(paths))
    parts = [path.rstrip("/").rpartition("/") for path in found]
    parents = {before for before, _, _ in parts}
    inside: dict[str, list[str]] = {}
    counted: dict[str, int] = {}
    for path, (parent, slash, name) in zip(found, parts, strict=True):
        if store := _store(path):
            counted[store] = counted.get(store, 0) + (path.rstrip("/") not in parents)
            inside.setdefault(store, [])
        elif path.rstrip("/") in parents:
            inside.setdefault(path.rstrip("/") + "/", [])  # told by what it holds
        else:
            inside.setdefault(parent + slash, []).append(name + ("/" if path.endswith("/") else ""))
    for parent, names in inside.items():
        if parent in counted:
            yield f"{parent}: {counted[parent]} files"
        elif names:
            said = " ".join(_ranges([f"'{name}'" if " " in name else name for name in names]))
            yield f"{parent}: {said}" if parent else said


def _store(path: str) -> str:
    """The directory of other people's files that a path is in."""
    if built := _BUILT.search(path):
        return path[: built.end()]
    end = -1
    while (end := path.find("/", end + 1)) >= 0:
        if path[path.rfind("/", 0, end) + 1 : end] in _STORES:
            return path[: end + 1]
    return ""


def _ranges(names: Sequence[str]) -> Iterator[str]:
    """Names, and for those that are numbered one after the other the first, the last, and how many."""
    for run in _runs(names):
        if len(run) >= RUN:
            yield f"{names[run.start]} … {names[run.stop - 1]} ({len(run)})"
        else:
            yield from names[run.start : run.stop]


def _runs(names: Sequence[str]) -> Iterator[range]:
    """Positions of names that only differ by a number, which grows by one."""
    start = 0
    last: tuple[str, int, str, int] | None = None
    for at, name in enumerate(names):
        head, number, tail = _numbered(name)
        this = (head, int(number or 0), tail, len(number) if number.startswith("0") else 0)
        if last is None or not number or (this[0], this[1], this[2]) != (last[0], last[1] + 1, last[2]):
            if at > start:
                yield range(start, at)
            start = at
        last = this if number else None
    if names:
        yield range(start, len(names))


def _numbered(name: str) -> tuple[str, str, str]:
    """What stands before the last number of a name, the number, and what stands after it."""
    end = len(name)
    while end and not ("0" <= name[end - 1] <= "9"):
        end -= 1
    start = end
    while start and "0" <= name[start - 1] <= "9" and end - start < 15:
        start -= 1
    return name[:start], name[start:end], name[end:]


# ------------------------------------------------------------------------------------------ ls -l


def _entries(lines: Sequence[str]) -> Iterator[str]:
    entries = []
    for line in lines:
        found = _LONG.fullmatch(line)
        assert found is not None
        day = f"{found[6]} {found[7]}" if len(found[7]) == 4 else found[6]
        owner = found[3] if found[3] == found[4] else f"{found[3]}:{found[4]}"
        name = found[8] + ("/" if found[1] == "d" and not found[8].endswith("/") else "")
        entries.append(Entry(found[1], found[2], owner, "" if found[1] == "d" else found[5], _squeezed(day), name))
    rights = {kind: _usual(e.rights for e in entries if e.kind == kind) for kind in sorted({e.kind for e in entries})}
    owner, day = _usual(e.owner for e in entries), _usual(e.day for e in entries)
    often = sum(e.day == day for e in entries) * 2 > len(entries)
    usual = [f"{kind}{right}" for kind, right in rights.items()]
    yield f"name size, else {' '.join([*usual, owner, *([day] if often else [])])}"
    odd = [
        " ".join(
            part
            for part, same in (
                (e.kind + e.rights, e.rights == rights[e.kind] or e.kind == "l"),
                (e.owner, e.owner == owner),
                (e.day, often and e.day == day),
            )
            if not same
        )
        for e in entries
    ]
    for run in _runs([e.name for e in entries]):
        yield from _range_of(entries, odd, run)


def _range_of(entries: Sequence[Entry], odd: Sequence[str], run: range) -> Iterator[str]:
    """Entries of a run of names: as a range with its sizes when they are alike, else one by one."""
    said = [*run]
    sizes = {at: int(entries[at].size) for at in run if entries[at].size.isascii() and entries[at].size.isdigit()}
    if len(run) >= RUN and len(sizes) == len(run) and len({odd[at] for at in run}) == 1:
        middle = sorted(sizes.values())[len(run) // 2]
        alike = {at: size for at, size in sizes.items() if middle <= OUTLIER * size and size <= OUTLIER * middle}
        if len(alike) * 10 >= len(run) * 9:
            low, high = min(alike.values()), max(alike.values())
            ends = f"{entries[run.start].name} … {entries[run.stop - 1].name} ({len(run)})"
            size = f"{low} each" if low == high else f"{low}…{high} each"
            yield " ".join(part for part in (ends, size, odd[run.start]) if part)
            said = [at for at in run if at not in alike]
    for at in said:
        yield " ".join(part for part in (entries[at].name, entries[at].size, odd[at]) if part)


def _usual(values: Iterable[str]) -> str:
    return Counter(values).most_common(1)[0][0]


def _squeezed(text: str) -> str:
    return " ".join(text.split())


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="listing",
        summary="Listings by directory; numbered names as a range, caches and installed packages as a count.",
        kinds=frozenset({"listing"}),
        level="safe",
        function=fold,
    ),
)
