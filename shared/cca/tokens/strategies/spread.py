"""What the values are that stand at one place of many lines: said in a few words, and which of them stand out."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from cca.tokens.strategies.tallies import common_head

FEW = 6
"""So many different values are named one by one."""
_ROOM = 120
"""Characters that a list of more values than that may take, when there are many lines for each of them."""
_LONG = 8
"""Characters from which on a value that never recurs is an id and not a name."""
_ENOUGH = 20
"""From so many lines on a value can be unlike the others."""
_NEARLY = 0.9
"""From this share on, the others are strangers."""
_TRIED = 64
"""So many values show whether there is a shape to them."""
_SORTS = 12
"""Numbers of so many different values, at most, are names of sorts, like status codes, and not measured."""
_SLOT = re.compile(
    r"((?<![0-9])(?:[0-9]{4}-[0-9]{2}-[0-9]{2}T)?[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?Z?"
    r"|(?<![A-Za-z0-9])(?=[a-f]*+[0-9])[0-9a-f]{6,64}(?![A-Za-z0-9]|\.[0-9])"
    r"|(?<![0-9.])[0-9]++(?:\.[0-9]++(?!\.[0-9]))?(?:[A-Za-zµ%]*+[0-9][0-9A-Za-z]*+|[A-Za-zµ%]*+)"
    r"|[0-9][0-9A-Za-z]*+)"
)
_NUMBER = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([A-Za-zµ%]{0,3})")
_DIGIT = re.compile(r"[0-9]")
_DIGITS = re.compile(r"[0-9.]*")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZµ%"
_UNITS: Mapping[str, float] = {
    **{"": 1.0, "%": 1.0, "k": 1e3},
    **{"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0},
    **{"b": 1.0, "kb": 1e3, "kib": 1024.0, "mb": 1e6, "mib": 1024.0**2, "gb": 1e9, "gib": 1024.0**3},
}

_T = TypeVar("_T")
_Shapes = dict[tuple[str, ...], list[tuple[str, list[str]]]]
"""Values by what is between their numbers, each with its numbers."""


class Spread(Struct):
    """The values of one place.

    Attributes:
        text: what they are.
        odd: those that are unlike the others.
    """

    text: str
    odd: set[str]


def spread(values: Iterable[str]) -> Spread:
    """What the values of many lines are: the few different ones, the range of numbers, or how many there are.

    A value stands out when it is rare among values that recur, or a number far from the others.
    """
    counts = Counter(values)
    if len(counts) == 1:
        return Spread(next(iter(counts)), set())
    lines = counts.total()
    names = list(counts)
    if len(names) > FEW and (plain := _numbered(names, counts)) is not None:
        return plain
    shapes = _shapes(names[:_TRIED])
    if len(names) > _TRIED:
        if len(shapes) > FEW and 2 * len(names) > lines:  # ids: nothing recurs, and nothing is measured
            return Spread(_one_of(counts), set())
        shapes = _shapes(names)
    slots = {
        shape: [_slot(column, found, counts) for column in zip(*(parts for _, parts in found), strict=True)]
        for shape, found in shapes.items()
    }
    odd = _odd(shapes, slots, counts) if lines >= _ENOUGH else set()
    if len(shapes) > 1 and (len(names) <= FEW or len(shapes) > FEW):
        return Spread(_one_of(counts), odd)
    texts = []
    for shape, found in shapes.items():
        if len(shape) == 5 and shape[1:4] == (".", ".", ".") and len(found) > FEW and len(slots[shape][0]) > 1:
            texts.append(f"{shape[0]}<{len(found)} addresses>{shape[4]}")
            continue
        text = shape[0]
        for slot, literal in zip(slots[shape], shape[1:], strict=True):
            text += _range(slot) + literal
        texts.append(text if len(found) > 1 else found[0][0])
    if len(texts) > 1 and 2 * len(names) > lines and any("different>" in text for text in texts):
        return Spread(_either(names, f"{len(names)} different"), odd)
    return Spread(texts[0] if len(texts) == 1 else _either(texts), odd)


def _numbered(names: list[str], counts: Counter[str]) -> Spread | None:
    """The values, when they are one number each with the same before and behind it, as most are."""
    head = common_head(names).rstrip("0123456789.")
    tail = common_head([name[len(head) :][::-1] for name in names])[::-1].lstrip("0123456789.")
    middles = [name[len(head) : len(name) - len(tail)] for name in names]
    if not _DIGITS.fullmatch("".join(middles)):
        return None
    try:
        numbers = sorted(zip(map(float, middles), names, strict=True))
    except ValueError:  # nothing, or an address
        return None
    odd: list[str] = []
    if counts.total() >= _ENOUGH:
        odd = _rare(counts) if len(names) <= _SORTS else _far(counts, numbers)
    cut = len(head)
    unit = len(tail) - len(tail.lstrip(_LETTERS))
    end = len(tail) - unit
    least, most = (name[cut : len(name) - end] for name in (numbers[0][1], numbers[-1][1]))
    return Spread(f"{head}<{least}…{most}>{tail[unit:]}", set(odd))


def _shapes(names: Iterable[str]) -> _Shapes:
    shapes: _Shapes = {}
    for name in names:
        parts = _SLOT.split(name)
        shapes.setdefault(tuple(parts[::2]), []).append((name, parts[1::2]))
    return shapes


def _slot(column: Sequence[str], found: Sequence[tuple[str, list[str]]], counts: Counter[str]) -> Counter[str]:
    """How many lines there are of each number at one place."""
    if all(counts[name] == 1 for name, _ in found):
        return Counter(column)
    slot: Counter[str] = Counter()
    for part, (name, _) in zip(column, found, strict=True):
        slot[part] += counts[name]
    return slot


def _odd(shapes: _Shapes, slots: Mapping[tuple[str, ...], list[Counter[str]]], counts: Counter[str]) -> set[str]:
    """The values that are unlike the others: of a rare shape, or with a number that is rare or far from the others."""
    odd: set[str] = set()
    if len(shapes) > 1 and 2 * len(counts) <= counts.total():
        sizes = Counter({shape: sum(counts[name] for name, _ in found) for shape, found in shapes.items()})
        odd = {name for shape in _rare(sizes) for name, _ in shapes[shape]}
    for shape, found in shapes.items():
        if shape[1:4] == (".", ".", ".") and 2 * len(found) > sum(counts[name] for name, _ in found):
            # Addresses that come once: only those of another network than nearly all are unlike the others.
            networks = slots[shape][0]
            if networks.most_common(1)[0][1] < _NEARLY * networks.total():
                continue
        for at, slot in enumerate(slots[shape]):
            if len(slot) > 1 and slot.total() >= _ENOUGH:
                strange = set(_rare(slot) if len(slot) <= _SORTS else _far(slot, sorted(_numbers(slot) or ())))
                if strange:
                    odd.update(name for name, parts in found if parts[at] in strange)
    return odd


def _range(slot: Counter[str]) -> str:
    if len(slot) <= FEW:
        return _one_of(slot)
    numbers = _numbers(slot)
    if numbers is not None:
        return f"<{min(numbers)[1]}…{max(numbers)[1]}>"
    if all(":" in value for value in slot):
        return f"<{min(slot)}…{max(slot)}>"
    return _one_of(slot)


def _one_of(counts: Counter[str]) -> str:
    """Values by name, most frequent first; when they are too many, the first few and how many more."""
    if len(counts) == 1:
        return next(iter(counts))
    total = counts.total()
    if len(counts) == total > 3 and sum(map(len, counts)) >= _LONG * total and any(map(_DIGIT.search, counts)):
        return _either(list(counts), f"{total} different")  # ids: each is there once, and none means much by itself
    if len(counts) > FEW and 2 * len(counts) > total:
        return _either(list(counts), f"{len(counts)} different")
    names = sorted(counts, key=lambda value: (-counts[value], value))
    if len(names) > FEW and (10 * len(names) > total or sum(map(len, names)) > _ROOM):
        if sum(map(len, names[:3])) > _ROOM // 2:
            return _either(names, f"{len(names)} different")
        return _either([*names[:3], f"…{len(names) - 3} more"])
    return _either(names)


def _either(names: Sequence[str], said: str = "") -> str:
    """`<a|b>` with what all names begin and end with before and behind it; or what is said of them all."""
    whole = [name for name in names if not name.startswith("…")]
    head = common_head(whole)
    if "<" in head:
        head = head[: head.index("<")]
    head = head[: 1 + max(map(head.rfind, "=:/-[(\"'"))]  # whole words only
    tail = common_head([name[len(head) :][::-1] for name in whole])[::-1]
    tail = tail[len(tail.rstrip("])}\"',;:")) :]
    inner = said or "|".join(
        name if name.startswith("…") else name[len(head) : len(name) - len(tail)] for name in names
    )
    return f"{head}<{inner}>{tail}"


def _numbers(slot: Iterable[str]) -> list[tuple[float, str]] | None:
    """The values as numbers of one unit, with how they are written; None when one of them is something else."""
    values = list(slot)
    if _DIGITS.fullmatch("".join(values)):
        try:
            return [(float(value), value) for value in values]
        except ValueError:  # a part of an address
            return None
    numbers: list[tuple[float, str]] = []
    for value in values:
        found = _NUMBER.fullmatch(value)
        if found is None or (unit := _UNITS.get(found[2].lower())) is None:
            return None
        numbers.append((float(found[1]) * unit, value))
    return numbers


def _rare(sizes: Counter[_T]) -> list[_T]:
    """What occurs once or twice among what recurs."""
    total = sizes.total()
    rare = [one for one, size in sizes.items() if size <= 2]
    lines = sum(sizes[one] for one in rare)
    others = len(sizes) - len(rare)
    return rare if others and lines <= max(2, min(total // 50, 8)) and others * 8 <= total - lines else []


def _far(slot: Counter[str], numbers: Sequence[tuple[float, str]]) -> list[str]:
    """The values whose numbers (given in order) are far from the middle half; of a long tail only the last two."""
    if not numbers:
        return []
    total, seen = slot.total(), 0
    low = high = None
    for number, value in numbers:
        seen += slot[value]
        if low is None and 4 * seen >= total:
            low = number
        if high is None and 4 * seen >= 3 * total:
            high = number
    assert low is not None and high is not None
    wide = 8 * (high - low)
    far = [(number, value) for number, value in numbers if number > max(high + wide, 3 * high) or number < low - wide]
    if sum(slot[value] for _, value in far) > max(3, total // 200):
        far = far[-2:] if far[-1][0] > high else far[:2]
    return [value for _, value in far]
