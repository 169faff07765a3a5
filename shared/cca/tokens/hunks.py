"""Where diffs stand among other lines."""

import re
from collections.abc import Sequence

_HUNK = re.compile(r"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
_ABOUT = re.compile(
    r"commit [0-9a-f]{7,64}\b|(?:Author|AuthorDate|Commit|CommitDate|Date|Merge):\s|diff |index |--- |\+\+\+ "
    r"|Index: |={60,}"
    r"|(?:new|deleted) file mode|(?:old|new) mode|similarity index|dissimilarity index|(?:rename|copy) (?:from|to)"
    r"|Binary files|GIT binary patch|\\ No newline| \S.{0,250} \|\s+(?:\d+ [+-]*|Bin .{0,60})$| \d+ files? changed"
)


def diffs(lines: Sequence[str], sorts: Sequence[str]) -> list[tuple[int, int]]:
    """Where diffs stand: heads, and hunks as long as they say that they are."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(lines):
        if sorts[at] != "diff":
            at += 1
            continue
        start, hunks = at, 0
        end = at
        while at < len(lines):
            hunk = _HUNK.match(lines[at]) if lines[at].startswith("@@") else None
            if hunk is not None:
                at = _hunk(lines, at + 1, int(hunk[1] or 1), int(hunk[2] or 1))
                hunks += 1
            elif _ABOUT.match(lines[at], 0, 400):
                at += 1
            elif sorts[at] == "blank" or lines[at].startswith("    "):  # the message of a commit
                at += 1
                continue
            else:
                break
            end = at
        at = max(end, start + 1)
        if hunks or end - start >= 3:
            found.append((start, end))
    return found


def _hunk(lines: Sequence[str], at: int, old: int, new: int) -> int:
    while at < len(lines) and (old > 0 or new > 0):
        first = lines[at][:1]
        if first == "+":
            new -= 1
        elif first == "-":
            old -= 1
        elif first in (" ", ""):
            old, new = old - 1, new - 1
        elif first != "\\":
            break
        at += 1
    return at + 1 if at < len(lines) and lines[at].startswith("\\ No newline") else at
