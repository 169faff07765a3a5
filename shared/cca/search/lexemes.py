"""Terms as PostgreSQL's `tsvector` and `tsquery`, in their text form."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

LONGEST = 2_046
"""Bytes of a lexeme, at most."""
LARGEST = 1_000_000
"""Bytes of a `tsvector`, at most; PostgreSQL ends a little above."""
MOST = 16_383
"""The highest position that PostgreSQL keeps, and so the highest count."""
LEVELS = {"D": 1.0, "C": 2.0, "B": 3.7, "A": 9.0}
"""By weight, what the count of a lexeme is taken for: 1, 2, 3 to 5, and more."""


def tsvector(terms: Iterable[str]) -> str:
    """How often each term is there, for `::tsvector`: `'retry':3B 'wait':1`.

    The one position of a lexeme is its count, not a place, so two bytes are enough, and it is exact up to `MOST` where
    PostgreSQL would keep 255 places. Phrases cannot be looked for. Its weight says the count roughly (`LEVELS`): of
    all that is in a `tsvector`, `ts_rank` reads that fastest. Terms beyond `LARGEST` are left out.
    """
    counts = Counter(lexeme for term in terms if (lexeme := _lexeme(term)))
    size, parts = 0, []
    for lexeme, count in counts.items():
        size += len(lexeme.encode()) + 5  # its count, how many counts, and a byte to align them
        if size > LARGEST:
            break
        parts.append(f"{_quoted(lexeme)}:{min(count, MOST)}{level(count)}")
    return " ".join(parts)


def level(count: int) -> str:
    """The weight by which a lexeme that is there `count` times is marked."""
    return "D" if count < 2 else "C" if count < 3 else "B" if count < 6 else "A"


def tsquery(terms: Iterable[str], operator: Literal["&", "|"]) -> str:
    """What has all (`&`) or any (`|`) of the terms, for `::tsquery`. Without terms it is empty, and finds nothing."""
    distinct = dict.fromkeys(lexeme for term in terms if (lexeme := _lexeme(term)))
    return f" {operator} ".join(map(_quoted, distinct))


def _lexeme(term: str) -> str:
    """The term as PostgreSQL can hold it: no NUL, no half characters, not too long."""
    if "\0" in term or len(term) > LONGEST // 4 or not term.isascii():
        return term.replace("\0", "").encode(errors="ignore")[:LONGEST].decode(errors="ignore")
    return term


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
