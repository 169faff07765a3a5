"""BM25 (Robertson and Zaragoza, 2009): how well a document matches terms, seen from the words it has."""

from collections.abc import Mapping, Sequence
from math import log

from msgspec import Struct

K1 = 1.2
"""How soon a term that is there more often counts no more."""
B = 0.75
"""How much longer documents count less."""


class Statistics(Struct, frozen=True):
    """What is known of all documents.

    Attributes:
        documents: how many there are.
        words: how many terms a document has, on the average.
        frequencies: in how many documents a term is; 0 for what is not named.
    """

    documents: int
    words: float
    frequencies: Mapping[str, int]

    def idf(self, term: str) -> float:
        """How much a term says: the rarer, the more. Never negative, also where statistics are older than documents."""
        frequency = min(self.frequencies.get(term, 0), self.documents)
        return log(1 + (self.documents - frequency + 0.5) / (frequency + 0.5))


class Match(Struct, frozen=True):
    """What a document has of the terms.

    Attributes:
        bm25: its score.
        coverage: which share of the terms it has, weighted by idf, between 0 and 1.
        terms: those.
    """

    bm25: float
    coverage: float
    terms: tuple[str, ...]


def matched(
    terms: Sequence[str], idf: Sequence[float], total: float, counts: Sequence[float], words: int, mean: float
) -> Match:
    """How a document matches.

    Args:
        terms, idf: what is looked for, and how much each says.
        total: of all idf; more than the sum when there are terms that are not looked for.
        counts: how often the document has each of the terms.
        words: how many terms the document has; `mean`: how many one has on the average.
    """
    penalty = K1 * (1 - B + B * words / mean) if mean > 0 else K1
    score = found = 0.0
    names: list[str] = []
    for term, weight, count in zip(terms, idf, counts, strict=True):
        if count > 0:
            score += weight * count * (K1 + 1) / (count + penalty)
            found += weight
            names.append(term)
    return Match(score, min(found / total, 1.0) if total > 0 else 0.0, tuple(names))
