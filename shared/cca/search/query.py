"""Which documents are looked at for a query, so that the work is bounded however common its words are."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from msgspec import Struct

from cca.search.bm25 import Statistics
from cca.search.lexemes import tsquery

MOST = 32
"""Terms of a query that are looked for, the rarest first."""
READ = 128
"""Different terms of a query that are read at all, from its beginning."""
UNKNOWN = 8
"""Terms that no document has, of those that count when it is asked how much of a query a document covers."""
PAIRED = 8
"""Common terms of which pairs are looked for."""


class Wanted(Struct, frozen=True):
    """What is looked for.

    Attributes:
        terms: the rarest first.
        idf: how much each says; `total`: all together, with some that no document has.
        candidates: as `tsquery`: which documents are worth a look. Empty: none is.
        bounded: they are fewer than there might be: those with nothing but a common term are left out.
    """

    terms: tuple[str, ...]
    idf: tuple[float, ...]
    total: float
    candidates: str
    bounded: bool = False


def distinct(terms: Iterable[str]) -> tuple[str, ...]:
    """The different terms of a query, as they come, up to `READ`."""
    found = dict.fromkeys(terms)
    return tuple(found)[:READ]


def wanted(terms: Sequence[str], statistics: Statistics, budget: int, *, every: bool = False) -> Wanted:
    """What to look for.

    Args:
        terms: of the query, each once.
        budget: so many documents may be looked at, more or less.
        every: look at all that have any of the terms: there are no more than the budget allows.
    """
    unknown = sum(1 for term in terms if not statistics.frequencies.get(term))
    known = sorted((term for term in terms if statistics.frequencies.get(term)), key=statistics.idf, reverse=True)
    known = known[:MOST]
    idf = tuple(statistics.idf(term) for term in known)
    total = sum(idf) + min(unknown, UNKNOWN) * statistics.idf("")
    if every or sum(statistics.frequencies[term] for term in known) <= budget:
        return Wanted(tuple(known), idf, total, tsquery(known, "|"))
    groups = _groups(known, statistics, budget)
    candidates = " | ".join(f"({tsquery(group, '&')})" for group in groups)
    return Wanted(tuple(known), idf, total, candidates, bounded=True)


def _groups(known: Sequence[str], statistics: Statistics, budget: int) -> Iterator[tuple[str, ...]]:
    """Sets of terms; whoever has all terms of one of them is a candidate. The rarest terms stand alone."""
    share = [statistics.frequencies[term] / statistics.documents for term in known]
    left, alone = float(budget), 0
    while alone < len(known) and statistics.frequencies[known[alone]] <= left:
        left -= statistics.frequencies[known[alone]]
        yield (known[alone],)
        alone += 1
    any_pair = False
    for one, other in combinations(range(alone, min(alone + PAIRED, len(known))), 2):
        expected = share[one] * share[other] * statistics.documents
        if expected <= left:
            left -= expected
            any_pair = True
            yield known[one], known[other]
    if alone or any_pair:
        return
    size, expected = 1, share[0]
    while size < len(known) and expected * statistics.documents > budget:
        expected *= share[size]
        size += 1
    yield tuple(known[:size])
