"""Tables whose routine is said in brief: rows that stand out are whole, the others are known by a few columns.

260 rows; these 9 whole, the others in brief after them
id|customer|total|state|created
1|ann|12.50|open|2026-01-02
…
251 in brief
id|total|state
2|7.00|paid
…
and of these: customer <83 different>, created <2026-01-02…2026-02-28>
"""

from collections.abc import Sequence

from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.routine import Field, brief, routine
from cca.tokens.strategies.table import Table, folded, said

FEWEST = 20
"""Shorter tables were written to be read."""


def fold(section: Section) -> list[str] | None:
    """The tables of the section with their routine in brief; None when none has any."""
    found = False

    def say(table: Table) -> list[str]:
        nonlocal found
        told = _said(table)
        found = found or told is not None
        return said(table) if told is None else told

    out = folded(section, say)
    return out if found else None


def _said(table: Table) -> list[str] | None:
    rows = [row for row in table.rows if isinstance(row, list)]
    if not table.names or len(rows) < FEWEST or len(rows) < len(table.rows):
        return None  # a row that does not fit may say anything
    columns = [*zip(*rows, strict=True)]
    fields = [
        Field(name or f"column {at + 1}", [cell or None for cell in column])
        for at, (name, column) in enumerate(zip(table.names, columns, strict=True))
    ]
    weights = [sum(map(len, column)) if len({*column}) > 1 else 0 for column in columns]
    plan = routine(fields, weights)
    if plan is None:
        return None
    whole = set(plan.whole)
    ids = {at: brief(columns[at]) for at in plan.kept}
    short = [
        [ids[at].get(row[at], row[at]) for at in plan.kept] for number, row in enumerate(rows) if number not in whole
    ]
    rest = ", ".join(f"{name} {text}" for name, text in plan.rest.items())
    return [
        f"{len(rows)} rows; these {len(whole)} whole, the others in brief after them",
        *said(Table(table.names, [rows[number] for number in plan.whole], table.joint)),
        f"{len(short)} in brief",
        *said(Table([table.names[at] for at in plan.kept], _rows(short), table.joint)),
        *([f"and of these: {rest}"] if rest else []),
    ]


def _rows(rows: Sequence[list[str]]) -> list[list[str] | str]:
    return [*rows]


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="brief",
        summary="Long tables: rows that stand out whole, the others by the columns that name them.",
        kinds=frozenset({"table"}),
        level="safe",
        function=fold,
    ),
)
