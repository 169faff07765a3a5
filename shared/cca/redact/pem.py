"""Private keys in PEM (RFC 7468), whole or cut off at either end, with real line breaks or those of JSON."""

import re
from collections.abc import Iterator

_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BREAK = re.compile(r"(?:\\[nrt]|[\s\"'>|+,])*")
_LINE = re.compile(
    r"(?:(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash): [^\n\\]{1,200}"
    r"|[A-Za-z0-9+/]{12,}={0,2}|[A-Za-z0-9+/]{1,11}={1,2})"
)
_TAIL = re.compile(r"[A-Za-z0-9+/]{1,11}(?![A-Za-z0-9:])")
_BACKWARDS = re.compile(r"[A-Za-z0-9+/=]{1,200}\Z")
_SEPARATOR = re.compile(r"(?:\\[nr]|[\s\"'>|+]){1,20}\Z")
_FULL_LINE = 60
"""Characters of a line that is not the last: it is 64 or more."""
_SHORTEST = 16
"""Characters of a line from which on it is taken for the rest of one that was cut: few words are so long."""
_LONGEST = 20_000
"""Characters of a private key, at most."""


def private_keys(text: str) -> Iterator[tuple[int, int]]:
    """Where private keys stand, in order; nothing twice."""
    if "PRIVATE KEY" not in text:
        return
    ends = [match.span() for match in _END.finditer(text)]
    done = next_end = 0
    for begin in _BEGIN.finditer(text):
        if begin.start() < done:
            continue
        while next_end < len(ends) and ends[next_end][0] < begin.end():
            start, end = ends[next_end]
            if start >= done:
                yield max(_back_from(text, start), done), end
            next_end += 1
        # A key whose end is far off has lost it: what follows is looked at line by line.
        if next_end < len(ends) and ends[next_end][0] - begin.end() <= _LONGEST:
            done = ends[next_end][1]
            next_end += 1
        else:
            done = _on_from(text, begin.end())
        yield begin.start(), done
    for start, end in ends[next_end:]:
        if start >= done:
            yield max(_back_from(text, start), done), end
            done = end


def _on_from(text: str, at: int) -> int:
    """Where a key ends that was cut off behind its head."""
    most, full, lines = at + _LONGEST, True, 0
    while full and at < most:
        gap = _BREAK.match(text, at, most)
        start = gap.end() if gap else at
        line = _LINE.match(text, start, most)
        if line is None:
            # The last line may be short, and without padding.
            tail = _TAIL.match(text, start, most) if lines else None
            return tail.end() if tail else at
        at, full, lines = line.end(), len(line.group()) >= _FULL_LINE or ":" in line.group(), lines + 1
    return at


def _back_from(text: str, at: int) -> int:
    """Where a key begins whose head was cut off, given where its end line begins."""
    least, last = max(at - _LONGEST, 0), True
    while at > least:
        gap = _SEPARATOR.search(text, max(at - 20, least), at)
        stop = gap.start() if gap else at
        line = _BACKWARDS.search(text, max(stop - 200, least), stop)
        if line is None or (not last and stop - line.start() < _SHORTEST):
            return at
        if not last and stop - line.start() < _FULL_LINE:
            return line.start()  # the rest of the line in which it was cut
        at, last = line.start(), False
        if text[at - 1 : at] == "\\" and text[at] in "nr":
            at += 1  # the line break of a JSON string
    return at
