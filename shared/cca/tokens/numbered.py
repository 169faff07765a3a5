"""Lines that a tool has numbered: what they are without their numbers."""

import re
from collections.abc import Iterator, Sequence

_NUMBER = re.compile(r" {0,9}(\d{1,7})(?:\t|→)")
_FEWEST = 4


def spans(lines: Sequence[str], start: int, end: int) -> Iterator[tuple[int, int]]:
    """The runs of at least four lines that are numbered one after another."""
    at = start
    if sum([("\t" in line or "→" in line) for line in lines[start:end]]) < _FEWEST:
        return  # as in most texts
    while at < end:
        first = number_of(lines[at])
        if first is None:
            at += 1
            continue
        last = at + 1
        while last < end and number_of(lines[last]) == first + last - at:
            last += 1
        if last - at >= _FEWEST:
            yield at, last
        at = last


def number_of(line: str) -> int | None:
    """The number before a line, or None when it has none."""
    if not line or not (line[0] == " " or line[0].isdigit()):
        return None
    found = _NUMBER.match(line)
    return int(found[1]) if found is not None else None


def bare(lines: Sequence[str]) -> list[str] | None:
    """The lines without their numbers; None unless all are numbered one after another."""
    first = number_of(lines[0]) if len(lines) >= _FEWEST else None
    if first is None or any(number_of(line) != first + at for at, line in enumerate(lines)):
        return None
    return [without(line) for line in lines]


def without(line: str) -> str:
    """A line without its number."""
    found = _NUMBER.match(line)
    return line[found.end() :] if found is not None else line
