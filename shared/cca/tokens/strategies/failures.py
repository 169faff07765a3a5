"""Details of failed tests as pytest prints them: the assertion stays, the source that led to it is cut short."""

import re
from collections.abc import Sequence

_TITLE = re.compile(r"_{3,} (.+?) _{3,}$|_{2,} .* _{2,}$")
_PART = re.compile(r"={3,} (.+) ={3,}$|=+$")
_WITHIN = re.compile(r"(?:_ ){5,}_?$")
_PLACE = re.compile(r"\S+:\d+: ?(?:in )?\w*$")
_FOREIGN = re.compile(r"site-packages|dist-packages|/lib/python\d")
_WARNED = re.compile(r"\S+::\S+$|\S+\.py: \d+ warnings?$")
_SOURCE = 5
"""So many lines of source in a row stay."""


def details(lines: Sequence[str]) -> list[str]:
    """The output of pytest with the details of its failures cut short; any other output as it is."""
    out: list[str] = []
    seen: dict[tuple[str, ...], str] = {}
    at = 0
    part = ""
    while at < len(lines):
        line = lines[at]
        if found := _PART.match(line):
            part = found[1] or ""
        if part in ("FAILURES", "ERRORS") and (found := _TITLE.match(line)):
            end = at + 1
            while end < len(lines) and not (_TITLE.match(lines[end]) or _PART.match(lines[end])):
                end += 1
            out += _failure(lines[at:end], found[1] or line, seen)
            at = end
        elif part.startswith("warnings summary") and _WARNED.match(line):
            end = at
            while end < len(lines) and _WARNED.match(lines[end]):
                end += 1
            out += lines[at:end] if end - at <= 3 else [line, f"… and {end - at - 1} more places"]
            at = end
        else:
            out.append(line)
            at += 1
    return out


def _failure(lines: Sequence[str], name: str, seen: dict[tuple[str, ...], str]) -> list[str]:
    told = [line for line in lines if line.startswith("E  ")]
    place = [line for line in lines if _PLACE.match(line)][-1:]
    key = (*told, *place)
    if told and key in seen:
        return [lines[0], f"… fails like {seen[key]}:", told[0]]
    if told:
        seen[key] = name
    out: list[str] = []
    start = 0
    for end in range(1, len(lines) + 1):
        if end == len(lines) or _WITHIN.match(lines[end]):
            out += _step(lines[start:end], end == len(lines))
            start = end
    return out


def _step(lines: Sequence[str], last: bool) -> list[str]:
    """One frame of the traceback: its source is cut down to where it went on."""
    place = next((line for line in reversed(lines) if _PLACE.match(line)), "")
    if not last and _FOREIGN.search(place):
        return [line for line in lines if line.startswith((">", "E  ")) or line == place]
    out: list[str] = []
    run: list[str] = []
    for line in (*lines, "end"):
        if line.startswith("    ") or (run and not line):
            run.append(line)
            continue
        if len(run) > _SOURCE:
            ahead = 2 if line.startswith(">") else 0
            run = [run[0], f"    … {len(run) - 1 - ahead} lines", *run[len(run) - ahead :]]
        out += run
        run = []
        out.append(line)
    return out[:-1]
