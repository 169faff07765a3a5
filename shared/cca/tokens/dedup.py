"""Exact repeats: of whole turns, and of runs of lines that stood in an earlier turn, or further up in the same one.

Lempel and Ziv's idea with lines for letters: from each line on, the longest run that has been seen before. A JSON
document counts as one line, so that it is repeated as a whole or not at all.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct

from cca.tokens.frame import Part
from cca.tokens.numbered import spans, without

_LINES, _CHARACTERS = 6, 200
"""A run has at least so many lines, or so many characters."""
_PLACES = 8
"""So many places of the same lines are remembered, the first ones: of what is everywhere one is as good as another."""

SUMMARY = "Whole messages and runs of lines that stood in an earlier message, or further up, are named instead."


class Run(Struct, frozen=True):
    """Lines `start` up to, not including, `end` stood in `turn` already; in the same one when it is None.

    Attributes:
        json: they are JSON documents, and so must be what stands for them.
    """

    start: int
    end: int
    turn: int | None
    json: bool


class Units(Struct):
    """A text as a row of units: lines, and JSON documents.

    Attributes:
        ids: the same for the same text; negative, and never the same, for what may not be matched.
        starts: the line that each begins with; one more at the end.
        states: the code block before each unit; one more at the end. What begins in one has to end in it.
        weights: characters, without the blanks around them.
        json: whether it is JSON.
        keys: by what runs are found, with the unit that each begins with.
    """

    ids: list[int]
    starts: list[int]
    states: list[int]
    weights: list[int]
    json: list[bool]
    keys: list[tuple[int, tuple[int, ...]]]


class Seen:
    """The turns so far: which texts and lines stood where."""

    def __init__(self) -> None:
        self._texts: dict[str, int] = {}
        self._ids: dict[str, int] = {}
        self._row: list[int] = []
        self._turns: list[int] = []
        self._places: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._unlike = 0

    def same(self, text: str) -> int | None:
        """The first turn that had the same text."""
        return self._texts.get(text)

    def add(self, turn: int, text: str, units: Units) -> None:
        """Remember a turn, as it was before it was compressed."""
        self._texts.setdefault(text, turn)
        floor = len(self._row)
        self._unlike -= 1
        self._row += [*units.ids, self._unlike]
        self._turns += [turn] * (len(units.ids) + 1)
        for at, key in units.keys:
            _remember(self._places, key, floor + at)

    def runs(self, units: Units, worth: Callable[[int, int], bool]) -> list[Run]:
        """The runs of a text that were seen before, in order.

        Args:
            worth: whether it pays to replace these lines, from one up to another.
        """
        ids, states = units.ids, units.states
        keys = self._shared(units)
        here: dict[tuple[int, ...], tuple[int, ...]] = {}
        found: list[Run] = []
        done = 0
        for at in sorted(keys):
            best = (0, 0, 0, -2)  # length, and from, to, and the turn
            for key in keys[at] if at >= done else ():
                for place in self._places.get(key, ()):
                    back, ahead = _reach(self._row, place, ids, at, done, len(self._row))
                    best = max(best, (back + ahead, at - back, at + ahead, self._turns[place]), key=_length)
                for place in here.get(key, ()):
                    back, ahead = _reach(ids, place, ids, at, max(done, place + 1), at)
                    best = max(best, (back + ahead, at - back, at + ahead, -1), key=_length)
            length, start, end, turn = best
            if length:
                start, end = _inside(states, start, end)
                first, last = units.starts[start], units.starts[end]
                enough = last - first >= _LINES or sum(units.weights[start:end]) >= _CHARACTERS
                if end > at and enough and worth(first, last):
                    found.append(Run(first, last, None if turn < 0 else turn, all(units.json[start:end])))
                    done = end
            for key in keys[at]:
                _remember(here, key, at)
        return found

    def _shared(self, units: Units) -> dict[int, list[tuple[int, ...]]]:
        """The keys that were seen before, or that a text has more than once, by the unit that they begin with."""
        times = Counter([key for _, key in units.keys])
        shared: dict[int, list[tuple[int, ...]]] = {}
        for at, key in units.keys:
            if times[key] > 1 or key in self._places:
                shared.setdefault(at, []).append(key)
        return shared

    def units(self, lines: Sequence[str], parts: Sequence[Part]) -> Units:
        """A text as it is looked for and remembered."""
        units = Units([], [], [], [], [], [])
        ids, known = units.ids, self._ids
        for part in parts:
            if part.what == "json" and part.end > part.start + 1:
                text = "\n".join(lines[part.start : part.end])
                ids.append(known.setdefault(text, len(known)))
                units.starts.append(part.start)
                units.weights.append(len(text))
                units.states.append(part.block)
                units.json.append(True)
                continue
            length = part.end - part.start
            if part.what == "folded":
                ids += range(self._unlike - 1, self._unlike - 1 - length, -1)
                self._unlike -= length
                units.states.append(part.block)
                units.states += [-1 - at for at in range(part.start + 1, part.end)]
                texts = lines[part.start : part.end]
            else:
                texts = _bare(lines, part)
                ids += [known.setdefault(line, len(known)) for line in texts]
                units.states += [part.block] * length
            units.starts += range(part.start, part.end)
            units.weights += [len(line.strip()) for line in texts]
            units.json += [part.what in ("json", "rows")] * length
        units.starts.append(len(lines))
        units.states.append(_after(parts))
        units.keys = _keys(units)
        return units


def _bare(lines: Sequence[str], part: Part) -> Sequence[str]:
    """The lines of a part, without numbers that a tool has put before them: a file is read again after it grew."""
    out = list(lines[part.start : part.end])
    if part.what == "text":
        for first, last in spans(lines, part.start, part.end):
            out[first - part.start : last - part.start] = map(without, lines[first:last])
    return out


def _after(parts: Sequence[Part]) -> int:
    """The code block that is open where a text ends."""
    last = parts[-1]
    if last.what != "fence":
        return last.block
    return 0 if last.block else max(part.block for part in parts) + 1


def _inside(states: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """The larger part of some units, from the front or from the back, that ends in the code block that it begins in."""
    last, first = end, start
    while states[last] != states[start]:
        last -= 1
    while states[first] != states[end]:
        first += 1
    return (start, last) if last - start >= end - first else (first, end)


def _length(best: tuple[int, int, int, int]) -> int:
    return best[0]


def _keys(units: Units) -> list[tuple[int, tuple[int, ...]]]:
    """By what runs are found: four units in a row that say something, or one that is long."""
    ids, weights = units.ids, units.weights
    grams = zip(ids, ids[1:], ids[2:], ids[3:], strict=False)
    says = zip(weights, weights[1:], weights[2:], weights[3:], strict=False)
    out: list[tuple[int, tuple[int, ...]]] = [
        (at, key) for at, (key, (a, b, c, d)) in enumerate(zip(grams, says, strict=True)) if a > 3 and b + c + d > 6
    ]
    if min(ids, default=0) < 0:
        out = [(at, key) for at, key in out if min(key) >= 0]
    out += [(at, (ids[at],)) for at, weight in enumerate(weights) if weight >= _CHARACTERS and ids[at] >= 0]
    return out


def _remember(places: dict[tuple[int, ...], tuple[int, ...]], key: tuple[int, ...], place: int) -> None:
    known = places.get(key)
    if known is None:
        places[key] = (place,)
    elif len(known) < _PLACES:
        places[key] = (*known, place)


def _reach(source: Sequence[int], place: int, ids: Sequence[int], at: int, floor: int, ceiling: int) -> tuple[int, int]:
    """How far the units around `at` are the same as those around `place`: to the front and to the back.

    Args:
        floor: the first unit of `ids` that may be taken.
        ceiling: the source ends before this.
    """
    ahead = 0
    most = min(len(ids) - at, ceiling - place)
    while ahead < most and source[place + ahead] == ids[at + ahead]:
        ahead += 1
    back = 0
    most = min(at - floor, place)
    while back < most and source[place - back - 1] == ids[at - back - 1]:
        back += 1
    return back, ahead
