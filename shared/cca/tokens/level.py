"""Which strategies are used: by level, or by name."""

from msgspec import Struct

from cca.contracts.tokens import Folding, Level
from cca.errors import Refused
from cca.tokens.folds import Strategy
from cca.tokens.strategies.registry import FOLDS, NAMES, STRATEGIES

ORDER: tuple[Level, ...] = ("lossless", "safe", "strong")
"""The levels, each with all strategies of those before it."""


class Chosen(Struct, frozen=True):
    """The strategies that a request uses.

    Attributes:
        names: of all of them.
        folds: those that fold sections, in the order in which they are tried.
    """

    names: frozenset[str]
    folds: tuple[Strategy, ...]

    def __contains__(self, name: str) -> bool:
        return name in self.names


def chosen(how: Folding) -> Chosen:
    """The strategies of a level, or those that are named, whatever their level.

    Raises `Refused` (`unknown-strategy`) for a name that there is not; the text names those that there are.
    """
    if how.strategies is None:
        reach = ORDER.index(how.level)
        names = frozenset(each.name for each in STRATEGIES if ORDER.index(each.level) <= reach)
    else:
        names = frozenset(how.strategies)
        unknown = sorted(names.difference(NAMES))
        if unknown:
            raise Refused("unknown-strategy", f"there is no strategy {unknown[0]!r}; there are {', '.join(NAMES)}")
    return Chosen(names, tuple(each for each in FOLDS if each.name in names))
