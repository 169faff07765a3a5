"""How good a ranking is, when it is known what should stand in it."""

from collections.abc import Collection, Sequence
from math import log2

from msgspec import Struct

DEPTH = 10
"""So far down is looked."""


class Quality(Struct, frozen=True):
    """The means over the questions of a set.

    Attributes:
        ndcg: of the first ten; Järvelin and Kekäläinen (2002).
        recall: the share of the questions that are answered within the first ten.
    """

    ndcg: float
    recall: float
    questions: int


def ndcg(found: Sequence[str], answers: Collection[str], depth: int = DEPTH) -> float:
    """Between 0 and 1: 1 when the first document answers, less the further down the first answer stands.

    One answer is enough for the question; what stands below it does not count. So the best is 1, however many there
    are, and the same answer in several pieces is no better than in one.
    """
    place = next((place for place, one in enumerate(found[:depth], start=1) if one in answers), None)
    return 0.0 if place is None else 1 / log2(1 + place)


def quality(rankings: Sequence[tuple[Sequence[str], Collection[str]]]) -> Quality:
    """The means over what was found and what would have answered, for each question. Raises `ValueError` on none."""
    if not rankings:
        raise ValueError("no questions")
    scores = [ndcg(found, answers) for found, answers in rankings]
    return Quality(sum(scores) / len(scores), sum(score > 0 for score in scores) / len(scores), len(scores))


def mean(qualities: Sequence[Quality]) -> Quality:
    """The mean over sets, each counting alike. Raises `ValueError` on none."""
    if not qualities:
        raise ValueError("no sets")
    count = len(qualities)
    return Quality(
        sum(one.ndcg for one in qualities) / count,
        sum(one.recall for one in qualities) / count,
        sum(one.questions for one in qualities),
    )
