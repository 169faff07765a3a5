"""Claude's tokens as `ctok` counts them, several times as fast: words and what stands between them are counted once.

`ctok` reconstructs the tokenizers from what the provider's own counter answered: of every text that its authors held
out it gave the same number. It is no promise of the provider, and needs Python 3.12. (It also knows that Opus 5 takes
nothing for white space at the end of a message, and leaves that out; so do we.)

It reads 0.3 MB a second. But no token of Claude's reaches over the end of a word, so the tokens of a text are those of
its words, and those of the gaps between its words, each of which has letters on both sides whatever they are. Both
repeat, and are remembered.
"""

import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache

from cca.tokens.cuts import last_cut
from cca.tokens.models import Generation

CountWhole = Callable[[str, str], int]
"""`ctok.token_count`: the tokens of a text as the only message of a request, for a version of Claude."""

_WINDOW = 1_000_000
"""Characters that are taken apart at once: their list of words takes some ten times the memory."""
_REMEMBERED = 200_000
"""Words and gaps that are remembered, at most; each of at most 100 characters."""

# A word of ASCII letters, contractions and all, with nothing beside it that might belong to it: a mark, a letter of
# another script, a control character that is dropped, or an apostrophe before it. What is not such a word is a gap.
_WORD = re.compile(
    r"(?<![^\n\t\x20-\x26\x28-\x40\x5b-\x60\x7b-\x7e])(?=([A-Za-z]++(?:'[A-Za-z]++)*))\1(?![^\n\t\x20-\x7e])"
)


@cache
def whole() -> CountWhole | None:
    """What counts with `ctok`; None where it cannot be had."""
    try:
        return importlib.import_module("ctok").token_count  # type: ignore[no-any-return]  # it carries no types
    except ImportError:
        return None


class Claude:
    """Counts for one generation of Claude's tokenizer."""

    def __init__(self, generation: Generation, count_whole: CountWhole) -> None:
        self.generation, self._count_whole = generation, count_whole
        self._frame = count_whole("a", generation) - 1  # what a message costs that is around its text
        self._words: dict[str, int] = {}
        self._gaps: dict[str, int] = {}

    def count(self, text: str, before: str = "") -> int:
        """Tokens of a well-formed text, without the frame of a message; 0 for none.

        Args:
            before: the character that the text comes after, when it was cut there (`cca.tokens.cuts`).
        """
        total, start = 0, 0
        while start < len(text):
            end = len(text)
            if end - start > _WINDOW:
                # A million characters without the end of a word are cut anywhere, which may cost a token or two.
                end = last_cut(text, start, start + _WINDOW) or start + _WINDOW
            total += self._count(before + text[start:end]) - (self._count(before) if before else 0)
            before, start = text[end - 1], end
        return total

    def _count(self, text: str) -> int:
        head, *rest = _WORD.split(text)
        if not rest:
            return self._bare(text)
        *inner, tail = rest
        total = self._bare(head + "a") - 1 if head else 0  # "a" is one token, in every generation
        if tail:
            total += self._bare("a" + tail) - 1
        total += self._sum(inner[0::2], self._words, self._bare)
        return total + self._sum(inner[1::2], self._gaps, lambda gap: self._bare(f"a{gap}a") - 2)

    def _bare(self, text: str) -> int:
        return self._count_whole(text, self.generation) - self._frame

    def _sum(self, pieces: Iterable[str], known: dict[str, int], count: Callable[[str], int]) -> int:
        total = 0
        for piece, times in Counter(pieces).items():
            tokens = known.get(piece)
            if tokens is None:
                tokens = count(piece)
                if len(piece) <= 100:
                    if len(known) >= _REMEMBERED:
                        known.clear()
                    known[piece] = tokens
            total += tokens * times
        return total
