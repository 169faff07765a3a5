"""How much two texts resemble each other, from small signatures (MinHash), and an index that finds the nearest.

The resemblance is the Jaccard similarity of the sets of shingles of two texts: of their lines, where a long line counts
as its runs of three words, and for two short texts of runs of three words alone.
"""

import re
from array import array
from collections.abc import Sequence

from rensa import RMinHash  # type: ignore[import-untyped]  # it carries no types

SLOTS = 256
"""Of a signature. The error of a similarity is then below 0.042 in 95 of 100 cases, and below 0.06 in 99."""
SEED = 42
BANDS, ROWS = 51, 5
"""Texts that agree in one band of five slots are compared: 98 % of those that are 0.6 alike, 12 % at 0.3."""
LEAST = 8
"""Fewer shingles say nothing: a text of three lines resembles another by chance."""
LONG_LINE = 100
"""Characters from which on a line is not one shingle, but those of its words."""
SHORT_TEXT = 4_000
"""Characters up to which a text is also known by its words; it may have few lines."""
MANY = 1_000
"""Among so many shingles there are nearly always enough that differ; only else all are looked through."""
CROWD = 16
"""So many of the newest texts are kept for each band: a thousand copies of a text need not all be looked at."""

_WORD = re.compile("[\u3040-\u9fff\uac00-\ud7af]|[^\\W\u3040-\u9fff\uac00-\ud7af]+")
"""A word, or one character of a script that puts no spaces between them."""


class Signature:
    """What is kept of a text to compare it: by its lines and, of a short one, by its words."""

    __slots__ = ("bands", "lines", "words")

    def __init__(self, lines: RMinHash | None, words: RMinHash | None) -> None:
        self.lines = lines
        self.words = words
        self.bands = _bands(lines, words)


def signature(text: str) -> Signature | None:
    """The signature of a text; None for one that is too short to say anything."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
    lines = _sketch(_line_shingles(text))
    words = _sketch(_word_shingles(text)) if len(text) <= SHORT_TEXT else None
    return None if lines is None and words is None else Signature(lines, words)


def similarity(a: Signature, b: Signature) -> float:
    """The estimated Jaccard similarity of two texts, between 0 and 1."""
    if a.words is not None and b.words is not None:
        return float(a.words.jaccard(b.words))
    if a.lines is not None and b.lines is not None:
        return float(a.lines.jaccard(b.lines))
    return 0.0


class Index:
    """Finds the text that resembles another most, among those that were added, in time that hardly grows with them."""

    def __init__(self) -> None:
        self._signatures: dict[int, Signature] = {}
        self._first: dict[bytes, int] = {}
        """The first text with a band; most bands have no other."""
        self._crowds: dict[bytes, list[int]] = {}
        """The newest texts with a band that several have."""

    def add(self, key: int, signature: Signature) -> None:
        """Add a text under a key that no other has."""
        self._signatures[key] = signature
        for band in signature.bands:
            first = self._first.setdefault(band, key)
            if first != key:
                keys = self._crowds.setdefault(band, [first])
                keys.append(key)
                if len(keys) > CROWD:
                    del keys[0]

    def nearest(self, signature: Signature, at_least: float = 0.6) -> tuple[int, float] | None:
        """The key of the text that is most alike, the largest key of several, and how much; None below `at_least`."""
        candidates: set[int] = set()
        for band in signature.bands:
            if (keys := self._crowds.get(band)) is not None:
                candidates.update(keys)
            elif (first := self._first.get(band)) is not None:
                candidates.add(first)
        best = max(((similarity(signature, self._signatures[key]), key) for key in candidates), default=None)
        return None if best is None or best[0] < at_least else (best[1], best[0])


def _line_shingles(text: str) -> list[str]:
    found = text.split("\n")
    long = [line for line in found if len(line) > LONG_LINE]
    if not long:
        return found
    shingles = [line for line in found if len(line) <= LONG_LINE]
    for line in long:
        shingles += _word_shingles(line)
    return shingles


def _word_shingles(text: str) -> list[str]:
    words = _WORD.findall(text)
    return list(map(" ".join, zip(words, words[1:], words[2:], strict=False)))


def _sketch(shingles: list[str]) -> RMinHash | None:
    if len({*shingles[:MANY], ""}) <= LEAST and len({*shingles, ""}) <= LEAST:
        return None
    sketch = RMinHash(num_perm=SLOTS, seed=SEED)
    sketch.update(shingles)
    return sketch


def _bands(lines: RMinHash | None, words: RMinHash | None) -> list[bytes]:
    found: list[bytes] = []
    for kind, sketch in ((b"l", lines), (b"w", words)):
        if sketch is not None:
            found += _bands_of(kind, sketch.digest())
    return found


def _bands_of(kind: bytes, digest: Sequence[int]) -> list[bytes]:
    body = array("I", digest).tobytes()
    width = 4 * ROWS
    return [kind + bytes((band,)) + body[band * width : (band + 1) * width] for band in range(BANDS)]
