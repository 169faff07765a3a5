"""Find runs of lines that stood somewhere before, in one pass over all turns."""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

LEAST = 80
"""Characters of a run at least; shorter ones are everywhere and cost less than what would stand for them."""
LONG = 60
"""Characters from which on a line is looked for by itself, and not only with the one after it."""


class Run(Struct, frozen=True):
    """Lines that stood before.

    Attributes:
        turn, line: where they stand, counted from 0.
        lines: how many, in all.
        times: how often in succession the same lines stand there.
        source, source_line: where they stood first.
        whole: they are all of their turn.
    """

    turn: int
    line: int
    lines: int
    source: int
    source_line: int
    times: int = 1
    whole: bool = False


def repeats(turns: Sequence[Sequence[str]]) -> list[Run]:
    """The runs of lines that stood in an earlier turn, or earlier in the same, in order; none overlaps another.

    Each is as long as it can be from where it begins. The time is linear in the number of lines and characters.
    """
    return _Search(turns).runs


class _Search:
    """All lines as numbers, one after another; equal lines have equal numbers."""

    def __init__(self, turns: Sequence[Sequence[str]]) -> None:
        numbers: dict[str, int] = {}
        self.ids = [numbers.setdefault(line, len(numbers)) for lines in turns for line in lines]
        self.room = [0, *accumulate(len(line) + 1 for lines in turns for line in lines)]
        self.starts = [0, *accumulate(map(len, turns))]
        self.turn_of = [turn for turn, lines in enumerate(turns) for _ in lines]
        times = Counter(self.ids)
        self.once = {number for number, many in times.items() if many == 1}
        """Lines that there are only once: nothing that begins with one is a repetition, or is repeated."""
        self.long = {number for line, number in numbers.items() if len(line) >= LONG}
        self.pairs: dict[tuple[int, int], int] = {}
        self.singles: dict[int, int] = {}
        self.runs: list[Run] = []
        seen: dict[tuple[int, ...], int] = {}
        for turn in range(len(turns)):
            start, end = self.starts[turn], self.starts[turn + 1]
            source = seen.setdefault(tuple(self.ids[start:end]), turn)
            if source == turn:
                self._turn(turn, start, end)
            elif any(turns[turn]):
                self.runs.append(Run(turn, 0, end - start, source, 0, whole=True))

    def _turn(self, turn: int, start: int, end: int) -> None:
        at = start
        while at < end:
            if self.ids[at] in self.once:
                at += 1
                continue
            source = self._known(at, end)
            length = 0 if source is None else self._length(source, at, end)
            if source is None or self.room[at + length] - self.room[at] < LEAST:
                self._learn(at, end)
                at += 1
                continue
            # Lines that follow upon themselves repeat with the distance to their source as the period.
            period = min(at - source, length) if self.turn_of[source] == turn else length
            times = length // period
            where = self.turn_of[source]
            self.runs.append(Run(turn, at - start, period * times, where, source - self.starts[where], times))
            at += period * times
            self._learn(at - 1, end)

    def _known(self, at: int, end: int) -> int | None:
        """Where what begins here began first."""
        if at + 1 < end and (found := self.pairs.get((self.ids[at], self.ids[at + 1]))) is not None:
            return found
        return self.singles.get(self.ids[at])

    def _length(self, source: int, at: int, end: int) -> int:
        """For how many lines both are the same."""
        ids = self.ids
        end = min(end, at + self.starts[self.turn_of[source] + 1] - source)
        length = 1
        while at + length < end and ids[source + length] == ids[at + length]:
            length += 1
        return length

    def _learn(self, at: int, end: int) -> None:
        if at + 1 < end:
            self.pairs.setdefault((self.ids[at], self.ids[at + 1]), at)
        if self.ids[at] in self.long:
            self.singles.setdefault(self.ids[at], at)
