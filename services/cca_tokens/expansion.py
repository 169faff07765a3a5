"""What an expansion would be, before it is made: a text of a few lines may stand for more than any memory holds."""

from collections.abc import Mapping

import msgspec

from cca.errors import Refused
from cca.tokens.markers import LEGEND, blocks

DEEP = 64
"""Texts within texts within texts; `markers.expand` goes less deep."""


def size(text: str, known: Mapping[str, str]) -> int:
    """Characters of the original of a text, when each marker stands for what is `known` of it, in linear time.

    Each text is looked at once, however often it occurs.
    """
    sizes: dict[str, int] = {}

    def of(piece: str, depth: int) -> int:
        lines = piece.split("\n") if "ctx" in piece else []
        total = len(piece)
        for block in blocks(lines):
            original = known.get(block.ref)
            if original is None or depth > DEEP:
                continue
            if block.ref not in sizes:
                sizes[block.ref] = len(original)  # should it hold itself, which a text with a true hash cannot
                sizes[block.ref] = of(original, depth + 1)
            total += sizes[block.ref] - sum(len(line) + 1 for line in lines[block.start : block.end]) + 1
        return total

    return of(text.removeprefix(LEGEND + "\n"), 0)


def as_json(text: str) -> int:
    """Bytes of a text as a string of JSON: its quotes and line feeds are two each. Raises `Refused` (`not-text`)."""
    try:
        return len(msgspec.json.encode(text))
    except UnicodeEncodeError:
        raise Refused("not-text", "it holds lone surrogates, which no JSON can") from None
