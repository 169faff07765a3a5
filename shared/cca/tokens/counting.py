"""How many tokens a text is for a model."""

import hashlib
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Protocol

from cca.contracts.tokens import LIMIT
from cca.errors import Refused
from cca.tokens.claude import Claude, whole
from cca.tokens.cuts import last_cut
from cca.tokens.estimate import CLAUDE, Estimate, block_end
from cca.tokens.models import Way, way_of
from cca.tokens.vocabularies import Vocabulary, VocabularyName, o200k, vocabulary, well_formed

__all__ = ["Counter", "counter", "o200k", "recalled"]

_SHORT = 200
"""Characters from which on a count is remembered: a shorter text is counted as fast as it is looked up."""
_YARDSTICK = "gpt-4o"
"""A model that counts as `o200k` does."""
_GENERATION = 50_000
"""Counts in each of the two generations that are remembered; both together take 12 MB at most."""


class Method(Protocol):
    """A way to count. The texts it gets are well-formed.

    Attributes:
        name: as in `TokenCounts.method`.
        exact: whether the provider would count the same.
        error: 95th percentile of the relative error of an estimate, else 0.
    """

    name: str
    exact: bool
    error: float

    def count(self, text: str) -> int:
        """Tokens of a whole text."""
        ...

    def settled(self, text: str, start: int) -> int:
        """From `start` up to where a text can be counted now, whatever comes after it; 0 when nothing can."""
        ...

    def weigh(self, text: str, before: str) -> int:
        """Thousandths of tokens that a settled part adds to what ends with the character `before` ('' for nothing)."""
        ...


class Counter:
    """Counts the tokens of texts for a model, and remembers the counts of long ones under their hash.

    Attributes:
        model: as it was asked for.
        method: what counts: `o200k_base`, `cl100k_base`, `ctok:…`, `ratio:…`.
        exact: whether the provider would count the same.
        error: 95th percentile of the relative error of an estimate, as measured on texts of 3,000 characters, else 0.
    """

    def __init__(self, model: str, way: Method, remembered: "Remembered") -> None:
        self.model, self.way = model, way
        self.method, self.exact, self.error = way.name, way.exact, way.error
        self._remembered = remembered

    def count(self, text: str) -> int:
        """Tokens of a text; what looks like a special token is ordinary text. 0 for no text.

        Raises `Refused` (`too-large`) for more than `LIMIT` bytes.
        """
        if not text:
            return 0
        if len(text) < _SHORT:
            return self.way.count(well_formed(text))
        if len(text) > LIMIT:
            raise too_large()
        body = text.encode("utf-8", "surrogatepass")
        if len(body) > LIMIT:
            raise too_large()
        key = hashlib.blake2b(body, digest_size=16).digest()
        tokens = self._remembered.get(key)
        if tokens is None:
            tokens = self.way.count(well_formed(text))
            self._remembered.put(key, tokens)
        return tokens

    def count_many(self, texts: Iterable[str]) -> list[int]:
        """Tokens of each text, in order. Raises `Refused` (`too-large`) as `count` does."""
        return [self.count(text) for text in texts]


def recalled(text: str) -> int:
    """Tokens in `o200k_base`, remembered as those of a model are: for what is compared again and again."""
    return counter(_YARDSTICK).count(text) if len(text) < LIMIT // 4 else o200k(text)


class Remembered:
    """Counts by hash, in two generations: what was not asked for during a whole one is forgotten."""

    def __init__(self, size: int = _GENERATION) -> None:
        self._size = size
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}

    def get(self, key: bytes) -> int | None:
        """A count, or None when it is not remembered."""
        tokens = self._young.get(key)
        if tokens is None and (tokens := self._old.get(key)) is not None:
            self.put(key, tokens)
        return tokens

    def put(self, key: bytes, tokens: int) -> None:
        """Remember a count."""
        if len(self._young) >= self._size:
            self._old, self._young = self._young, {}
        self._young[key] = tokens

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


def too_large() -> Refused:
    """What is answered when a text is over the limit."""
    return Refused("too-large", f"a text may have {LIMIT:,} bytes at most")


@lru_cache(maxsize=256)
def counter(model: str) -> Counter:
    """The counter of a model. Any name is one: a model that we do not know is estimated, and marked so."""
    return Counter(model, *_shared(way_of(model)))


@cache
def _shared(way: Way) -> tuple[Method, Remembered]:
    """What models that count alike share; there are no more of them than rows in the table of models."""
    return _method(way), Remembered()


def _method(way: Way) -> Method:
    if way.generation is not None:
        count_whole = whole()
        if count_whole is not None:
            return _Ctok(way, Claude(way.generation, count_whole))
        weights = CLAUDE[way.generation]
        estimate = Estimate(vocabulary("o200k_base"), weights)
        return _Ratio(f"ratio:claude-{way.generation}", max(weights.error, way.error), estimate)
    if way.known:
        return _Openai(way.vocabulary, vocabulary(way.vocabulary))
    return _Ratio(f"ratio:{way.family}", way.error, Estimate(vocabulary(way.vocabulary), way.ratio))


REBUILT = 0.01
"""The error that is assumed of a tokenizer that was made again; nobody who could vouches for less."""


class _Openai:
    exact, error = True, 0.0

    def __init__(self, name: VocabularyName, counts: Vocabulary) -> None:
        self.name: str = name
        self.count = counts.count

    def settled(self, text: str, start: int) -> int:
        return last_cut(text, start, len(text))

    def weigh(self, text: str, before: str) -> int:
        return 1_000 * self.count(text)


class _Ctok:
    exact = False  # however close: a tokenizer that was made again is not the provider's

    def __init__(self, way: Way, claude: Claude) -> None:
        self.name = f"ctok:claude-{way.generation}"
        self.error = max(way.error, REBUILT)
        self.count, self._claude = claude.count, claude

    def settled(self, text: str, start: int) -> int:
        return last_cut(text, start, len(text))

    def weigh(self, text: str, before: str) -> int:
        return 1_000 * self._claude.count(text, before)


class _Ratio:
    exact = False

    def __init__(self, name: str, error: float, estimate: Estimate) -> None:
        self.name, self.error = name, error
        self.count, self._weigh = estimate.count, estimate.weigh

    def settled(self, text: str, start: int) -> int:
        return block_end(text, start)

    def weigh(self, text: str, before: str) -> int:
        return self._weigh(text)
