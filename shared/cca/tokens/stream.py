"""Counting a text that comes in pieces, without keeping it."""

from cca.contracts.tokens import LIMIT
from cca.tokens.counting import Counter, too_large
from cca.tokens.estimate import rounded
from cca.tokens.vocabularies import well_formed

_ENOUGH = 16_000
"""Characters that are gathered before a part of them is counted for good."""


class StreamCounter:
    """Counts pieces of one text, so that the total is that of the whole, wherever the pieces were cut.

    What cannot change any more is counted and forgotten: up to the end of a word, or for an estimate up to the end of a
    block. Only a text without any is kept, and refused when that is more than `LIMIT`.
    """

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self._settled = 0  # in thousandths
        self._before = ""  # the last character that is settled
        self._waiting: list[str] = []
        self._size = 0
        self._half = ""  # of a surrogate pair
        self._look = _ENOUGH
        self._total: int | None = 0

    def feed(self, chunk: str) -> None:
        """Add a piece. Raises `Refused` (`too-large`) when more than `LIMIT` characters come without a word's end."""
        if not chunk:
            return
        chunk, self._half = self._half + chunk, ""
        if "\ud800" <= chunk[-1] <= "\udbff":
            chunk, self._half = chunk[:-1], chunk[-1]
        self._waiting.append(well_formed(chunk))
        self._size += len(chunk)
        self._total = None
        if self._size >= self._look:
            self._settled, self._before, rest = self._advance("".join(self._waiting))
            self._waiting, self._size = [rest], len(rest)
            # Nothing is looked through again before there is twice as much of it.
            self._look = max(min(2 * len(rest), LIMIT + 1), _ENOUGH)
            if len(rest) > LIMIT:
                raise too_large()

    @property
    def total(self) -> int:
        """Tokens of all that was fed so far, as if that were the whole text."""
        if self._total is None:
            settled, before, rest = self._advance("".join([*self._waiting, well_formed(self._half)]))
            self._total = rounded(settled + (self.counter.way.weigh(rest, before) if rest else 0))
        return self._total

    def close(self) -> int:
        """The total; what was still kept is forgotten, and nothing is to be fed any more."""
        total = self.total
        self._waiting, self._size, self._half = [], 0, ""
        return total

    def _advance(self, text: str) -> tuple[int, str, str]:
        """What is settled when this comes after what was settled before, its last character, and what is left."""
        settled, before, start, way = self._settled, self._before, 0, self.counter.way
        while end := way.settled(text, start):
            settled += way.weigh(text[start:end], before)
            before, start = text[end - 1], end
        return settled, before, text[start:]
