"""Which rows of a table stand out, and what of the others is enough: columns that name, sort and measure."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from cca.tokens.strategies.salient import weight
from cca.tokens.strategies.spread import spread

FEWEST = 8
"""Fewer rows are no routine."""
ENOUGH = 20
"""From so many rows on values are held against each other; with fewer, what is there once among what recurs."""
ODD = 1 / 3
"""When more of the rows stand out, none does."""
SELDOM = 0.2
"""What so few of the rows have is worth saying of each of them …"""
SINGLE = 0.05
"""… and so few that have one of the sorts, or lack what all others have."""
SORTS = 8
"""A column of so many different short values sorts the rows."""
SHORT, NAME = 14, 64
"""Characters of a cell that costs little, and of one that names its row, on average."""
NAMED, SORTED, MEASURED = 2, 4, 4
"""Columns of each sort that a row in brief has, at most."""
WORTH = 0.15
"""Rows are said in brief when at least this share of their characters goes."""

_ID = re.compile(r"(?:(?:^|[._>/ -])(?:id|uid|uuid|key|sha|ref|code|nr|no|number|pk|pid)|(?<=[a-z])Id)$", re.IGNORECASE)
_OTHER = re.compile(r"(?:[._>/ -][iu]d|uid|(?<=[a-z])Id)$")
_NAME = re.compile(
    r"(?:(?:^|[._>/ -])(?:title|login|subject|summary|message|path|file|label|host|text"
    r"|user|customer|owner|author|assignee)|name)$",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?%?")
_UNIT = re.compile(r"(?<=[0-9]) (?=[A-Za-z]{1,5}$)")
# Names are no ids, be they ever so long: checkout-api-7d9f8b6c5-x2k4q, feature_flags_v2.
_OPAQUE = re.compile(
    r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|(?:[A-Za-z]{1,8}_){0,2}(?=[A-Za-z]*[0-9])[0-9A-Za-z+=]{18,}"
)


class Field(Struct, frozen=True):
    """A column: its name, and a text for each row; None where a row has nothing there.

    With `nested`, the texts only say how much there is in each cell.
    """

    name: str
    cells: Sequence[str | None]
    nested: bool = False


class Routine(Struct, frozen=True):
    """How a table can be said in less.

    Attributes:
        whole: the rows that stand out, by number.
        kept: the columns that the others have, by number.
        rest: what the values of the other columns are in those rows, by name, where there is something to say.
    """

    whole: tuple[int, ...]
    kept: tuple[int, ...]
    rest: dict[str, str]


def routine(fields: Sequence[Field], weights: Sequence[int]) -> Routine | None:
    """What can be left out of a table; None when its rows are few, all different, or short already.

    Args:
        weights: characters of each column, however its cells are written.
    """
    count = len(fields[0].cells) if fields else 0
    if count < FEWEST:
        return None
    odd: set[int] = set()
    rare: set[int] = set()
    for field in fields:
        odd |= _odd(field)
        there = [row for row, cell in enumerate(field.cells) if cell is not None]
        if len(there) <= SELDOM * count:
            rare.update(there)
    if len(rare) <= SELDOM * count:  # else it is the routine of these rows that each has fields of its own
        odd |= rare
    if len(odd) > ODD * count:
        return None
    whole = odd | {0}  # one is an example of all their fields
    kept = _kept(fields)
    gone = [at for at in range(len(fields)) if at not in kept]
    if sum(weights[at] for at in gone) < WORTH * sum(weights):
        return None
    rest = {}
    for at in gone:
        values = [cell for row, cell in enumerate(fields[at].cells) if row not in whole and cell is not None]
        if values and len({*fields[at].cells}) > 1:
            text = spread(values).text
            if "different>" not in text:  # that is what one would think
                rest[fields[at].name] = text
    return Routine(tuple(sorted(whole)), tuple(kept), rest)


def brief(texts: Iterable[str]) -> dict[str, str]:
    """The long ids of a column, and what is enough to know each by; none when they begin alike, as ids by time do."""
    short = {text: f"{text[:8]}…" for text in texts if _OPAQUE.fullmatch(text)}
    return short if len({*short.values()}) == len(short) else {}


def _odd(field: Field) -> set[int]:
    """The rows whose cell is unlike the others, or tells of trouble."""
    count = len(field.cells)
    there = [row for row, cell in enumerate(field.cells) if cell is not None]
    if not there:
        return set()
    lacking = count - len(there)
    found: set[int] = set()
    if lacking <= SINGLE * count:
        found.update(row for row, cell in enumerate(field.cells) if cell is None)
    counts = Counter(cell for cell in field.cells if cell is not None)
    if count >= ENOUGH:
        odd = spread(_UNIT.sub("", field.cells[row] or "") for row in there).odd
        if len(counts) <= SORTS and 2 * len(there) > count:
            odd |= {_UNIT.sub("", cell) for cell, times in counts.items() if times <= SINGLE * count}
    else:
        odd = {cell for cell, times in counts.items() if times == 1} if len(counts) <= 3 else set()
    odd = {cell for cell in counts if _UNIT.sub("", cell) in odd}
    weights = {cell: weight(cell) for cell in counts}
    errors, warnings = ({cell for cell in counts if weights[cell] == heavy} for heavy in ("error", "warning"))
    for cells in (odd, errors, warnings):
        if cells and sum(counts[cell] for cell in cells) <= SELDOM * count:
            found.update(row for row in there if field.cells[row] in cells)
    return found


def _kept(fields: Sequence[Field]) -> list[int]:
    """The columns by which one knows a row, and those that cost little."""
    unique = [at for at, field in enumerate(fields) if None not in field.cells and _unique(field.cells)]
    ids = [at for at in unique if _ID.search(fields[at].name)]
    kept = set((ids or unique)[:1])
    named = (at for at, field in enumerate(fields) if not field.nested and _NAME.search(field.name))
    names = [at for at in named if _mean(fields[at].cells) <= NAME]
    kept.update(sorted(names, key=lambda at: (_depth(fields[at].name), at))[:NAMED])
    sorts, measures = [], []
    for at, field in enumerate(fields):
        if at in kept or field.nested or _mean(field.cells) > SHORT:
            continue
        values = {cell for cell in field.cells if cell is not None}
        if len(values) < 2:
            continue
        if len(values) <= SORTS:
            sorts.append(at)
        elif all(map(_NUMBER.fullmatch, values)) and not _OTHER.search(field.name):
            measures.append(at)
    kept.update(sorts[:SORTED])
    kept.update(measures[:MEASURED])
    return sorted(kept)


def _unique(cells: Sequence[str | None]) -> bool:
    return len(set(cells)) == len(cells)


def _mean(cells: Sequence[str | None]) -> float:
    there = [len(cell) for cell in cells if cell is not None]
    return sum(there) / len(there) if there else 0.0


def _depth(name: str) -> int:
    return sum(name.count(mark) for mark in "./>")
