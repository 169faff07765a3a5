"""What in a text has bounds of its own, and may not be cut through: code blocks, JSON documents, earlier cuts."""

import json
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from msgspec import Struct

from cca.tokens.languages import tagged
from cca.tokens.markers import LEGEND, blocks

FENCE = re.compile(r" {0,3}(`{3,}+(?=[^`]*$)|~{3,}+)(.*)", re.DOTALL)
"""A line that opens or closes a block of code: the fence, and the tag after it."""
_BEGIN = frozenset("`~{[")
_TAG = re.compile(r"[\w-]*")
_START = re.compile(r'\s*+(?:\{\s*+(?:["}]|$)|\[\s*+(?:["{\[\]tfn]|-?\d|$))')
_SMALL = 60
"""Documents of fewer characters are left to the text around them."""
_GIVE_UP = 300
"""After so many beginnings of documents that are none, no more are looked for: each costs the time to find its line."""
_DEEP = 100
"""So many of them does one cost that is nested too deep."""
_INSIDE = re.compile(r'\s*+(?:["{}\[\]]|-?\d|true|false|null)')
_DECODER = json.JSONDecoder()


class Part(Struct, frozen=True):
    """Lines `start` up to, not including, `end`.

    Attributes:
        what: `json` is one document, `rows` one on each line; `fence` is a line that opens or closes a code block;
            `folded` is what an earlier compression has left; `text` is everything else.
        block: number of the code block that they stand in; 0 outside. A fence that opens is outside of its own.
        tag: of that block.
    """

    start: int
    end: int
    what: Literal["text", "fence", "json", "rows", "folded"]
    block: int = 0
    tag: str = ""


def is_json(text: str) -> bool:
    """Whether a text is one JSON document: an object or an array."""
    if text.lstrip()[:1] not in ("{", "[") or text.rstrip()[-1:] not in ("}", "]"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def frame(lines: Sequence[str], code: bool = False) -> list[Part]:
    """The parts of a text in order; together they are all its lines.

    Args:
        code: it is known to be code, and what looks like JSON in it is none of its own.
    """
    text = "\n".join(lines)
    whole = _whole(lines, text)
    return whole if whole is not None else _Framing(lines, text, code).parts


def _whole(lines: Sequence[str], text: str) -> list[Part] | None:
    """The parts of a text that is nothing but a JSON document."""
    first = next((at for at, line in enumerate(lines) if line and not line.isspace()), None)
    if first is None or not is_json(text):
        return None
    last = next(at for at in range(len(lines) - 1, -1, -1) if lines[at] and not lines[at].isspace())
    if any(block.start == first and block.end > last for block in blocks(lines)):
        return None
    parts = [Part(0, first, "text")] if first else []
    parts.append(Part(first, last + 1, "json"))
    if last + 1 < len(lines):
        parts.append(Part(last + 1, len(lines), "text"))
    return parts


class _Framing:
    """One pass over the lines."""

    def __init__(self, lines: Sequence[str], text: str, code: bool) -> None:
        self.parts: list[Part] = []
        self._lines, self._text = lines, text
        self._starts = [0, *accumulate(len(line) + 1 for line in lines)]
        self._block, self._tag, self._fence = 0, "", ""
        self._given_up = 0
        cuts = {block.start: block.end for block in blocks(lines)} if "ctx" in text else {}
        if lines[0] == LEGEND:
            cuts[0] = 1
        opened = 0
        at = since = no_document = 0
        # Most lines begin nothing, and are not looked at any closer.
        for start in [each for each, line in enumerate(lines) if line.lstrip()[:1] in _BEGIN or each in cuts]:
            if start < at:
                continue
            at = start
            line = lines[at]
            end, what = at, "text"
            if at in cuts:
                end, what = cuts[at], "folded"
            elif line.lstrip(" ")[:1] in ("`", "~") and self._is_fence(line):
                end, what = at + 1, "fence"
            elif at >= no_document and not (code and not self._block) and line.lstrip()[:1] in ("{", "["):
                end, what, no_document = self._document(at)
            if what == "text":
                continue
            if since < at:
                self.parts.append(Part(since, at, "text", self._block, self._tag))
            if what == "fence":
                found = FENCE.fullmatch(line)
                assert found is not None
                closing = bool(self._fence)
                self.parts.append(Part(at, end, "fence", self._block, self._tag))
                if closing:
                    self._block, self._tag, self._fence = 0, "", ""
                else:
                    opened += 1
                    self._block, self._fence = opened, found[1]
                    word = _TAG.match(found[2].strip())
                    self._tag = word[0] if word else ""
            else:
                self.parts.append(Part(at, end, what, self._block, self._tag))  # type: ignore[arg-type]  # one of them
            at = since = end
        if since < len(lines):
            self.parts.append(Part(since, len(lines), "text", self._block, self._tag))

    def _is_fence(self, line: str) -> bool:
        found = FENCE.fullmatch(line)
        if found is None:
            return False
        if not self._fence:
            return True
        return found[1][0] == self._fence[0] and len(found[1]) >= len(self._fence) and not found[2].strip()

    def _document(self, at: int) -> tuple[int, str, int]:
        """The end of the JSON that begins in a line, what it is, and before which line no other can begin."""
        nothing = (at, "text", at + 1)
        if self._block and (language := tagged(self._tag)) and language != "javascript":
            return nothing
        end, no_document = self._decode(at)
        if end is None:
            return at, "text", no_document
        if end > at + 1:
            return (end, "json", end) if self._starts[end] - self._starts[at] > _SMALL else (at, "text", end)
        while end < len(self._lines):
            following, no_document = self._decode(end)
            if following != end + 1:
                break
            end = following
        if self._starts[end] - self._starts[at] <= _SMALL:
            return at, "text", end
        return end, "rows" if end > at + 1 else "json", end

    def _decode(self, at: int) -> tuple[int | None, int]:
        """Where the JSON document ends that begins in a line and fills whole ones; and where to look next if none."""
        line = self._lines[at]
        if self._given_up >= _GIVE_UP or not _START.match(line) or line.startswith('{"$ctx":"'):
            return None, at + 1
        ending = line.rstrip()[-1:]
        if ending not in ("{", "[", "}", "]", ","):
            return None, at + 1
        if ending in ("{", "[") and not (at + 1 < len(self._lines) and _INSIDE.match(self._lines[at + 1])):
            return None, at + 1
        start = self._starts[at] + len(line) - len(line.lstrip())
        try:
            _, stop = _DECODER.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            self._given_up += 1
            # What stands before the mistake is part of a broken document, and looked at once.
            return None, max(bisect_right(self._starts, error.pos) - 1, at + 1)
        except (ValueError, RecursionError):
            self._given_up += _DEEP
            return None, at + 1
        last = bisect_right(self._starts, stop - 1) - 1
        if self._lines[last][stop - self._starts[last] :].strip():
            return None, last + 1
        return last + 1, last + 1
