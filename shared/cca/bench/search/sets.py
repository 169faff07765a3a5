"""A set: documents, and questions of which it is known what answers them."""

import hashlib
from collections.abc import Iterable, Sequence

from msgspec import Struct

LONGEST = 2_000
"""Characters of a document, at most: of what is longer, the beginning."""


class Question(Struct, frozen=True):
    """What is asked, and the ids of the documents that answer it: any of them is as good as the others."""

    text: str
    answers: frozenset[str]


class Set(Struct, frozen=True):
    """Documents by id, and questions about them.

    Attributes:
        spare: questions that are asked only to see how long an answer takes.
        of: the name of another set that has the same documents; they are stored once.
        note: what a reader of the figures has to know of it.
    """

    name: str
    questions: tuple[Question, ...]
    documents: dict[str, str]
    spare: tuple[str, ...] = ()
    of: str = ""
    note: str = ""

    @property
    def scope(self) -> str:
        """The scope in which its documents are."""
        return f"project:bench-{self.of or self.name}"


class Pair(Struct, frozen=True):
    """A question and the document that answers it; `source` says where they are from, and tells pairs apart."""

    source: str
    question: str
    document: str


def sample(pairs: Iterable[Pair], count: int) -> list[Pair]:
    """`count` of them as by chance, but always the same ones. What stands twice, as either half, is left out."""
    known = list(pairs)
    questions = _seen_twice(" ".join(pair.question.split()).casefold() for pair in known)
    documents = _seen_twice(pair.document for pair in known)
    kept = [
        pair
        for pair in known
        if " ".join(pair.question.split()).casefold() not in questions and pair.document not in documents
    ]
    return sorted(kept, key=_place)[:count]


def made(name: str, pairs: Iterable[Pair], queries: int, documents: int, *, spare: int = 0, note: str = "") -> Set:
    """A set of pairs: of the sampled ones the first are asked, and all are documents but the spare ones."""
    chosen = sample(pairs, documents + spare)
    held, left = chosen[:documents], chosen[documents:]
    ids = [f"{name}-{number:04}" for number in range(len(held))]
    asked = zip(ids, held[:queries], strict=False)
    return Set(
        name,
        tuple(Question(pair.question, frozenset({one})) for one, pair in asked),
        {one: shortened(pair.document) for one, pair in zip(ids, held, strict=True)},
        tuple(pair.question for pair in left),
        note=note,
    )


def shortened(text: str) -> str:
    """The beginning of a document."""
    return text[:LONGEST]


def _place(pair: Pair) -> bytes:
    return hashlib.sha256(f"{pair.source}\0{pair.question}".encode()).digest()


def _seen_twice(texts: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for text in texts:
        (twice if text in seen else seen).add(text)
    return twice


def distinct(sets: Sequence[Set]) -> list[Set]:
    """Those with documents of their own."""
    return [one for one in sets if not one.of]
