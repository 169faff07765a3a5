"""Which old turns are left out so that the others are within a budget: one marker stands for each run of them."""

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from cca.contracts.tokens import Turn
from cca.tokens.draft import marked, marked_json
from cca.tokens.folds import Count
from cca.tokens.frame import is_json

_MARKER = 30
"""Tokens of a marker, about, while it is not known what will stand in it."""


class Left(Struct, frozen=True):
    """Turns one after another that are left out, the text of all of them, and what stands in the place of the first."""

    turns: tuple[int, ...]
    original: str
    put: tuple[str, ...]
    before: int
    after: int


def leave(turns: Sequence[Turn], costs: Sequence[int], order: Sequence[int], goal: int, count: Count) -> list[Left]:
    """The runs of turns to leave out.

    Args:
        costs: tokens of each turn as it is now.
        order: the turns that may go, in the order in which they go.
        goal: tokens of all turns that are not to be exceeded.
    """
    gone: set[int] = set()
    total = sum(costs)
    waiting = list(order)
    while waiting:
        kept: list[int] = []
        before = len(gone)
        for at in waiting:
            if total <= goal:
                break
            # It may join two runs, make one longer, or begin its own, which costs a marker.
            markers = 1 - (at - 1 in gone) - (at + 1 in gone)
            if costs[at] > markers * _MARKER:
                gone.add(at)
                total += markers * _MARKER - costs[at]
            else:
                kept.append(at)
        else:
            if len(gone) > before:
                waiting = kept
                continue
        if total > goal:
            break
        # Now that it would do with markers of a usual length, see whether it does with the real ones.
        found = _runs(turns, costs, gone, count)
        exact = sum(costs) - sum(run.before - run.after for run in found)
        if exact <= goal:
            return found
        total = exact
        waiting = [at for at in waiting if at not in gone]
        if not waiting:
            break
    return _runs(turns, costs, gone, count)


def _runs(turns: Sequence[Turn], costs: Sequence[int], gone: set[int], count: Count) -> list[Left]:
    if not gone:
        return []
    ordered = sorted(gone)
    cuts = [at for at, (one, other) in enumerate(pairwise(ordered), 1) if other != one + 1]
    groups = [ordered[start:end] for start, end in zip([0, *cuts], [*cuts, len(ordered)], strict=True)]
    found = [_left(turns, costs, group, count) for group in groups]
    return [run for run in found if run.after < run.before]


def _left(turns: Sequence[Turn], costs: Sequence[int], group: Sequence[int], count: Count) -> Left:
    original = "\n".join(turns[at].text for at in group)
    what = f"{len(group)} older messages left out" if len(group) > 1 else "an older message left out"
    put = marked_json(original, f'"{what}"') if is_json(turns[group[0]].text) else marked(original, what)
    return Left(tuple(group), original, put, sum(costs[at] for at in group), count("\n".join(put)))
