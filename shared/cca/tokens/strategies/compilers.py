"""Warnings of compilers and linters: the same one for the fourth time is no more than its place."""

import re
from collections.abc import Sequence

from cca.tokens.strategies.tallies import headed, limited

_SHOWN = 3
"""So many warnings of one sort stay whole."""
_LONGEST = 2_000
"""Characters of a line that may be a warning."""
_GCC = re.compile(r"(?P<place>[^\s:]+:\d+)(?::\d+)?: (?P<sort>warning|note): (?P<text>.*)$")
_RUST = re.compile(r"(?P<sort>warning)(?:\[\w+\])?: (?P<text>.*)$")
_RUST_PLACE = re.compile(r"\s*--> (\S+?:\d+)")
_MAVEN = re.compile(r"\[(?P<sort>WARNING)\] (?P<place>\S+\.\w+:\[\d+),\d+\] (?P<text>.*)$")
_LINT = re.compile(r"\s+(?P<place>\d+:\d+)\s+(?P<sort>warning)\s+(?P<text>.*)$")
_FLAG = re.compile(r"\[-W[\w=+-]+\]$| {2,}([\w@/-]+)$")
_VALUES = re.compile(r"'[^']*'|‘[^’]*’|`[^`]*`|\"[^\"]*\"|\d+")
_BEFORE = re.compile(
    r"\S+: (?:In (?:\w+ )*(?:function|constructor|destructor|lambda|instantiation)|At (?:top level"
    r"|global scope)).*:$"
    r"|In file included from .*[,:]$|\s+from \S+[,:]$"
)
_UNDER = re.compile(r"\s+\S|\s*\d* +\||\s*\^|\s*=")


def shown_warnings(lines: Sequence[str]) -> list[str]:
    """The lines, with the places of what was warned of often enough in one line."""
    out: list[str | list[str]] = []
    seen: dict[str, int] = {}
    more: dict[str, list[str]] = {}
    held: list[str] = []
    """What is said before a warning and belongs to it: in which function."""
    at = 0
    while at < len(lines):
        line = lines[at]
        found = _warning(line)
        if found is None:
            if line and len(line) <= _LONGEST and _BEFORE.match(line):
                held.append(line)
            else:
                out += [*held, line]
                held = []
            at += 1
            continue
        end = at + 1
        while end < len(lines) and _UNDER.match(lines[end]) and _LINT.match(lines[end]) is None:
            end += 1
        while end < len(lines) and (note := _warning(lines[end])) is not None and note["sort"] == "note":
            end += 1
            while end < len(lines) and _UNDER.match(lines[end]):
                end += 1
        key, place = _sort(found), _where(found, lines[at + 1 : at + 2])
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= _SHOWN or not place:
            out += [*held, *lines[at:end]]
        else:
            if key not in more:
                more[key] = [key]
                out.append(more[key])
            more[key].append(place)
            if end < len(lines) and not lines[end] and found.re is _RUST:
                end += 1
        held = []
        at = end
    out += held
    return [line if isinstance(line, str) else _more(line[0], line[1:]) for line in out]


def _more(sort: str, places: list[str]) -> str:
    head, short = headed(places)
    return f"… {len(places)} more {sort}: {head}{limited(short)}"


def _warning(line: str) -> re.Match[str] | None:
    if len(line) > _LONGEST or ("arning" not in line and "note:" not in line and "WARNING" not in line):
        return None
    return _GCC.match(line) or _RUST.match(line) or _MAVEN.match(line) or _LINT.match(line)


def _sort(found: re.Match[str]) -> str:
    """What is warned of, without the names that differ."""
    flag = _FLAG.search(found["text"])
    if flag is not None:
        return flag[1] or flag[0]
    return _VALUES.sub("…", found["text"])


def _where(found: re.Match[str], following: Sequence[str]) -> str:
    if found.re is _RUST:
        place = _RUST_PLACE.match(following[0]) if following else None
        return place[1] if place else ""
    return found["place"].replace("[", "")
