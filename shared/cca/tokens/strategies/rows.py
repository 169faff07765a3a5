"""JSON whose long lists say their routine in brief: rows that stand out are whole, of the others a few fields are.

    {"$of":200,"$whole":[…],"$brief":[…],"$rest":{"created_at":"<2026-01-02…2026-02-28>"}}

- `$whole`: the first row, and those with a rare or far value, an error, or a field that few have.
- `$brief`: the others, with the fields that name, sort and measure them; a long id has its first characters.
- `$rest`: what the values of their other fields are, unless each has its own.
- A list of more than 20 numbers, or of pairs of a time and a number, becomes its ends, its range and what is far off.

The lists are in columns; see `cca.tokens.strategies.columns`.
"""

import re
from collections.abc import Iterator, Sequence

from msgspec import Raw

from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.digests import shortened
from cca.tokens.strategies.json_tables import Writer
from cca.tokens.strategies.json_values import Unfoldable, Value, names_in, parse, parse_lines, spell
from cca.tokens.strategies.routine import FEWEST, Field, Routine, brief, routine
from cca.tokens.strategies.salient import weight
from cca.tokens.strategies.spread import spread

WORTH = 0.85
"""A fold is worth it when it leaves at most this share of the characters."""
SERIES = 20
"""A list of more numbers is a series."""
ENDS = 3
"""Values at the beginning and at the end of a series that stay."""
FLAT = 3
"""Objects within each other, in a row, whose fields count as the row's own."""
DENSE = 8
"""A list has at most so many fields for each one that a row has: nothing grows with the square of the input."""

_MEASURE = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|Inf|NaN)")  # as Prometheus writes them


def fold(section: Section) -> list[str] | None:
    """One line of JSON with the routine of long lists in brief."""
    text = "\n".join(section.lines)
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    brief_text = shortened(text)
    try:
        try:
            value = parse(brief_text)
            writer = _Brief(names_in(value))
            line = writer.say(value)
        except Unfoldable:
            value = parse_lines(brief_text.split("\n"))
            writer = _Brief(names_in(value))
            line = f'{{"$lines":{writer.say(value)}}}'
        line.encode()  # a lone surrogate may have been written as an escape
    except (Unfoldable, UnicodeEncodeError):
        return None
    return [line] if (writer.summed or brief_text != text) and len(line) <= WORTH * len(text) else None


class _Brief(Writer):
    """Writes long lists in brief, and everything else in columns."""

    def __init__(self, names: set[str]) -> None:
        super().__init__(names)
        self._names = names
        self.summed = False

    def _list(self, value: list[Value]) -> str:
        if len(value) > SERIES and (said := _series(value)) is not None:
            self.summed = True
            return said
        rows = [row for row in value if isinstance(row, dict)]
        if len(rows) == len(value) >= FEWEST and (found := self._routine(rows)) is not None:
            self.summed = True
            return found
        return super()._list(value)

    def _routine(self, rows: list[dict[str, Value]]) -> str | None:
        flat = _flat(rows)
        if flat is None:
            return None
        names = dict.fromkeys(name for row in flat for name in row)
        if not names or len(names) * len(rows) > DENSE * sum(map(len, flat)):
            return None
        columns = [[row.get(name) for row in flat] for name in names]
        if any(
            isinstance(cell, list) and len(cell) > SERIES and _series(cell) for cells in columns for cell in cells[:1]
        ):
            return None  # rows of series: what is in these is what they are about, and it is short already
        fields = [
            Field(name, [*map(_text, cells)], any(isinstance(cell, (list, dict)) for cell in cells))
            for name, cells in zip(names, columns, strict=True)
        ]
        varying = [field.nested or len({*field.cells}) > 1 for field in fields]
        weights = [
            sum(len(self.say(cell)) for cell in cells if cell is not None) if varies else 0
            for cells, varies in zip(columns, varying, strict=True)
        ]
        found = routine(fields, weights)
        return None if found is None else self._in_brief(rows, flat, fields, found)

    def _in_brief(
        self,
        rows: list[dict[str, Value]],
        flat: Sequence[dict[str, Value]],
        fields: Sequence[Field],
        found: Routine,
    ) -> str:
        whole = set(found.whole)
        names = [fields[at].name for at in found.kept]
        ids = {name: brief(cell for row in flat if isinstance(cell := row.get(name), str)) for name in names}
        short: list[Value] = []
        for number, row in enumerate(flat):
            if number not in whole:
                cells: dict[str, Value] = {}
                for name in names:
                    if name in row:
                        cell = row[name]
                        cells[name] = ids[name].get(cell, cell) if isinstance(cell, str) else cell
                short.append(cells)
        kept: list[Value] = [rows[number] for number in found.whole]
        # Another writer: this one knows values by where they are in memory, and these are gone when we return.
        writer = _Plain(self._names)
        rest = ",".join(f"{spell(name)}:{spell(text)}" for name, text in found.rest.items())
        return f'{{"$of":{len(rows)},"$whole":{writer.say(kept)},"$brief":{writer.say(short)},"$rest":{{{rest}}}}}'


class _Plain(_Brief):
    """Writes what was summed up already."""

    def _routine(self, rows: list[dict[str, Value]]) -> str | None:
        return None


def _flat(rows: Sequence[dict[str, Value]]) -> list[dict[str, Value]] | None:
    """The rows with the fields of objects within them, where these are much the same in all rows.

    None when two fields would have the same name then.
    """
    flat = list(rows)
    for _ in range(FLAT):
        held: dict[str, list[Value]] = {}
        for row in flat:
            for name, value in row.items():
                held.setdefault(name, []).append(value)
        alike = {name for name, values in held.items() if _alike(values)}
        if not alike:
            break
        spread_out = [_spread_out(row, alike) for row in flat]
        flat = [dict(fields) for fields in spread_out]
        if any(len(row) < len(fields) for row, fields in zip(flat, spread_out, strict=True)):
            return None
    return flat


def _spread_out(row: dict[str, Value], alike: set[str]) -> list[tuple[str, Value]]:
    fields: list[tuple[str, Value]] = []
    for name, value in row.items():
        if name in alike and isinstance(value, dict):
            fields += ((f"{name}.{inside}", one) for inside, one in value.items())
        else:
            fields.append((name, value))
    return fields


def _alike(values: Sequence[Value]) -> bool:
    """Whether these are objects, or null, most of whose fields most of them have."""
    objects = [value for value in values if isinstance(value, dict)]
    names = {name for value in objects for name in value}
    others = any(value is not None and not isinstance(value, dict) for value in values)
    return not others and 0 < len(names) * len(objects) <= 2 * sum(map(len, objects))


def _text(value: Value) -> str | None:
    """A value as it is held against others. Of a list or an object that is how much there is, and any trouble."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Raw):
        return bytes(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{len(value)} of them, {weight(' '.join(_strings(value)))}".removesuffix(", plain").removesuffix(", change")


def _strings(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value if isinstance(value, list) else value.values():
            yield from _strings(inner)


def _series(value: list[Value]) -> str | None:
    """The ends and the range of numbers, or of pairs of a time and a number; None for other lists."""
    if all(isinstance(one, Raw) for one in value):
        numbers = [bytes(one).decode() for one in value if isinstance(one, Raw)]
        if len(set(numbers)) == len(numbers) and all(map(str.isdigit, numbers)):
            return None  # ids: each of them counts
    elif all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], Raw) for one in value):
        pairs = [one for one in value if isinstance(one, list)]
        numbers = [_text(one[1]) or "" for one in pairs]
        times = [float(_text(one[0]) or 0) for one in pairs]
        if times != sorted(times) or not all(map(_MEASURE.fullmatch, numbers)):
            return None  # places on a map, or states: each of them counts
    else:
        return None
    found = spread(numbers)
    if len(set(numbers)) > 1 and ("<" not in found.text or "different>" in found.text):
        return None
    writer = Writer(set())
    far = [one for at, one in enumerate(value) if numbers[at] in found.odd and ENDS <= at < len(value) - ENDS]
    if len(far) > len(value) // 4:
        return None
    first, last = value[:ENDS], value[-ENDS:]
    more = f',"$far":{writer.say(far)}' if far else ""
    return (
        f'{{"$of":{len(value)},"$first":{writer.say(first)},"$last":{writer.say(last)},'
        f'"$values":{spell(found.text)}{more}}}'
    )


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="rows",
        summary="Long lists in JSON: rows that stand out whole, the others by the fields that name them.",
        kinds=frozenset({"json"}),
        level="safe",
        function=fold,
    ),
)
