"""Where stack traces stand among other lines."""

import re
from collections.abc import Sequence

_PYTHON = re.compile(r"\s*+(?:[\w.:/\[\]-]{0,80}\s)?Traceback \(most recent call last\)")
_CHAIN = ("During handling of the above exception", "The above exception was the direct cause")
_HEADER = re.compile(
    r"(?:Exception in thread |Uncaught |Caused by: )?[\w.$]{1,200}(?:Error|Exception|Throwable|Fault)\b|panic: "
)
_REACH = 2
"""So many lines that tell nothing may stand between two frames."""


def stacks(lines: Sequence[str], sorts: Sequence[str], fewest: int) -> list[tuple[int, int]]:
    """The stack traces in some lines, from the one that names the error: first line, and the line after the last.

    Args:
        sorts: of the lines, as `kinds.sort_of` tells them.
        fewest: shorter ones stay with the lines around them.
    """
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(lines):
        if sorts[at] != "trace":
            at += 1
            continue
        start = at
        end = _python(lines, at) if _PYTHON.match(lines[at]) else _frames(lines, sorts, at)
        floor = found[-1][1] if found else 0
        if start > floor and sorts[start - 1] not in ("log", "blank", "trace") and _HEADER.match(lines[start - 1]):
            start -= 1
        if end - start >= fewest:
            found.append((start, end))
        at = end
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _python(lines: Sequence[str], at: int) -> int:
    """The end of a traceback, and of those that it is chained with."""
    while True:
        depth = _indent(lines[at])
        at += 1
        while at < len(lines) and lines[at].strip() and _indent(lines[at]) > depth:
            at += 1
        if at < len(lines) and lines[at].strip() and _indent(lines[at]) == depth:
            at += 1
        following = [line.strip() for line in lines[at : at + 4]]
        if (
            len(following) == 4
            and not following[0]
            and following[1].startswith(_CHAIN)
            and _PYTHON.match(lines[at + 3])
        ):
            at += 3
        else:
            return at


def _frames(lines: Sequence[str], sorts: Sequence[str], at: int) -> int:
    end = at + 1
    look = end
    while look < len(lines) and look - end <= _REACH:
        if sorts[look] == "trace":
            end = look + 1
        elif sorts[look] in ("log", "tests", "diff", "build"):
            break
        look += 1
    return end
