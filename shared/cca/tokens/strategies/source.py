"""Lines of code as a file has them: without the numbers that tools print before them, and with what a slice lacks."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

from cca.tokens.folds import Section
from cca.tokens.strategies.grammars import Parts, parts

UNREAD = 0.1
"""Code of which the grammar does not understand more than this share is taken for something else."""
LONGEST = 20_000
"""Characters of a line, at most: nobody wrote a longer one."""
_NUMBERED = re.compile(r"( {0,8}\d{1,7}[\t→:|-])(.*)", re.DOTALL)
_INDENT = re.compile(r"[ \t]*")


class Source(Struct, frozen=True):
    """Lines of code.

    Attributes:
        texts: without numbers.
        heads: the number before each line, empty when there is none.
        parts: of the code; rows are positions in `texts`, with `shift` added.
        shift: rows that stand before the first line for the parser alone.
    """

    texts: list[str]
    heads: list[str]
    parts: Parts
    language: str
    shift: int = 0

    def line(self, at: int) -> str:
        return self.heads[at] + self.texts[at]

    def indent(self, at: int) -> str:
        found = _INDENT.match(self.texts[at])
        return found[0] if found else ""

    def alone(self, start: tuple[int, int], end: tuple[int, int]) -> range | None:
        """The lines from a point to another, when nothing else stands on them."""
        first, last = start[0] - self.shift, end[0] - self.shift
        if end[1] == 0 and last > first:
            last -= 1  # a comment of Rust goes up to the next line's beginning
            after = b""
        else:
            after = _bytes(self.texts[last])[end[1] :] if last < len(self.texts) else b""
        if first < 0 or last >= len(self.texts):
            return None
        before = _bytes(self.texts[first])[: start[1]]
        return None if before.strip() or after.strip() else range(first, last + 1)


@lru_cache(maxsize=2)  # two strategies look at the same code one after the other
def read(section: Section) -> Source | None:
    """The code of a section; None when it is of no language that has a grammar, or does not look like code of it."""
    language = section.language
    if language is None or any(len(line) > LONGEST for line in section.lines):
        return None
    heads, texts = _numbers(section.lines)
    before = _levels(texts) if language == "python" else []
    code = _bytes("\n".join([*before, *texts]))
    names = [language]
    if language == "typescript":
        names = ["tsx", "typescript"] if (section.name or "").endswith("x") else ["typescript", "tsx"]
    for name in names:
        found = parts(code, name)
        if found is not None and found.unread <= UNREAD * len(code):
            return Source(texts, heads, found, name, len(before))
    return None


def _numbers(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """Numbers and texts of lines when most lines have a number, one more each; else no numbers."""
    found = [_NUMBERED.match(line) for line in lines]
    numbered = [match for match in found if match]
    if len(numbered) > 2 and len(numbered) >= 0.9 * sum(1 for line in lines if line.strip()):
        values = [int("".join(sign for sign in match[1] if sign.isdecimal())) for match in numbered]
        if sum(b - a == 1 for a, b in pairwise(values)) >= 0.9 * (len(values) - 1):
            heads = [match[1] if match else "" for match in found]
            texts = [match[2] if match else line for match, line in zip(found, lines, strict=True)]
            if all(text[:1] in ("", " ") for text in texts):  # `12: text`: the blank belongs to the number
                heads = [head + text[:1] for head, text in zip(heads, texts, strict=True)]
                texts = [text[1:] for text in texts]
            return heads, texts
    return [""] * len(lines), list(lines)


def _levels(texts: Sequence[str]) -> list[str]:
    """Lines that open the blocks that a slice of Python begins within."""
    levels: list[str] = []
    for text in texts:
        stripped = text.lstrip(" \t")
        if not stripped or stripped[0] == "#":
            continue
        indent = text[: len(text) - len(stripped)]
        if not levels or len(indent) < len(levels[-1]):
            levels.append(indent)
        if not indent or len(levels) > 20:
            break
    if levels and levels[-1]:
        levels.append("")
    levels.reverse()
    return [f"{level}if 1:" for level in levels[:-1]]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
