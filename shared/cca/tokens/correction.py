"""What workers report corrects our estimates: how much they really used for what we had counted, by model."""

from collections.abc import Mapping
from math import inf

from msgspec import Struct

KEPT = 1 - 1 / 200
"""What a report still weighs when another has come: some 200 reports are looked back on."""
EVIDENCE = 5
"""Reports from which on an estimate is corrected."""
LEAST, MOST = 0.5, 2.0
"""No correction goes beyond these: what is further off was not counted wrong but is another thing."""
MODELS = 500
"""How many models are remembered, those with the newest reports."""
_LARGEST = 1_000_000
"""Tokens of a single report that count, at most: one is not to outweigh all the others."""
_BEYOND = 2.0**60


class Experience(Struct, frozen=True):
    """What was reported of one model, the newer the heavier.

    Attributes:
        reports: how many there were.
        counted, actual: weighted sums of tokens: ours, and the worker's.
    """

    reports: int = 0
    counted: float = 0.0
    actual: float = 0.0

    @property
    def ratio(self) -> float:
        """Actual tokens for each counted, between `LEAST` and `MOST`; 1 while nothing is known."""
        return min(max(self.actual / self.counted, LEAST), MOST) if self.counted > 0 else 1.0


Corrections = Mapping[str, Experience]
"""By model, the one of the newest report last."""


def learn(corrections: Corrections, model: str, counted: float, actual: float) -> Corrections:
    """The corrections after a report that a model used `actual` tokens for what was counted as `counted`.

    A report that is no finite positive number says nothing. One that is more than twice off the bounds counts as if it
    were just that: a worker may report a whole conversation where we counted a message.
    """
    if not (1 <= counted < inf and 1 <= actual < inf):
        return corrections
    counted, actual = float(min(counted, _BEYOND)), float(min(actual, _BEYOND))  # integers know no bounds
    share = min(1.0, _LARGEST / counted)
    counted *= share
    actual = min(max(actual * share, counted * LEAST / 2), counted * MOST * 2)
    old = corrections.get(model, Experience())
    new = Experience(old.reports + 1, old.counted * KEPT + counted, old.actual * KEPT + actual)
    rest = [(name, known) for name, known in corrections.items() if name != model]
    return dict([*rest[-MODELS + 1 :], (model, new)])


def correction(corrections: Corrections, model: str, exact: bool) -> float:
    """What a count of a model is to be multiplied by: 1 for an exact one, and while there is little evidence."""
    known = corrections.get(model)
    return 1.0 if exact or known is None or known.reports < EVIDENCE else known.ratio


def corrected(tokens: int, factor: float) -> int:
    """A count multiplied by a correction, rounded; something stays something."""
    return max(round(tokens * factor), 1 if tokens > 0 else 0)
