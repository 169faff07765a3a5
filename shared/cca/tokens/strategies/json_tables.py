"""Lists of objects as tables; see `cca.tokens.strategies.columns` for what they look like."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain, islice

from msgspec import Raw, Struct

from cca.tokens.strategies.json_strings import shortened
from cca.tokens.strategies.json_values import Value, spell

MOSTLY = 0.8
"""From this share of equal values on a column has a default."""
SPARSE = 0.5
"""A field that fewer of the rows have is said where it occurs."""
DENSE = 8
"""A table has at most so many cells for each field that there is: nothing grows with the square of the input."""
NESTED = 6
"""Objects and tables within a table, at most; what is deeper is a table of its own."""
HEAD = 25
"""Characters that a table takes besides its names and cells: so many its rows have to save of their names."""
GAIN = 0.95
"""A table is better than plain JSON when it has at most this share of its characters."""
REPEATS = 0.8
"""Objects that come again are numbered when that leaves at most this share of the characters of what varies in them."""
SEPARATORS = "./>|~^"

Cells = list[str | None]
"""The JSON of a field in each row; None where a row does not have it."""


class Column(Struct):
    """A field of the rows.

    Attributes:
        path: its name; of a field of an object within the row, all names up to it.
        cells: in each row.
        plain: characters that all of it takes in plain JSON, with the names.
        how: JSON that says how cells are to be read, when that is not as they are.
    """

    path: str
    cells: Cells
    plain: int
    how: str | None = None


class Table(Struct):
    """Rows, and what they have in common (the members of a JSON object, up to the rows)."""

    head: str
    rows: list[str]
    plain: int

    @property
    def size(self) -> int:
        return len(self.head) + sum(map(len, self.rows)) + len(self.rows)

    @property
    def pays(self) -> bool:
        return self.size <= GAIN * self.plain


class Writer:
    """Writes values of one document as JSON, in tables where that is shorter.

    Args:
        names: all names of fields in the document.
    """

    def __init__(self, names: set[str]) -> None:
        self._separator = next((s for s in SEPARATORS if not any(s in name for name in names)), None)
        self._said: dict[int, str] = {}  # by identity: the document holds the values while we write

    def say(self, value: Value) -> str:
        """The JSON of a value."""
        if isinstance(value, str):
            return spell(value)
        if isinstance(value, Raw):
            return bytes(value).decode()
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if not value:
            return "{}" if isinstance(value, dict) else "[]"
        said = self._said.get(id(value))
        if said is None:
            said = self._said[id(value)] = self._object(value) if isinstance(value, dict) else self._list(value)
        return said

    def _object(self, value: dict[str, Value]) -> str:
        if len(value) > 2 and (table := self._table([*value.values()])):
            rows = ",".join(map("{}:{}".format, map(_name, value), table.rows))
            if len(table.head) + len(rows) <= GAIN * (table.plain + sum(map(len, value))):
                return f'{{{table.head},"$rows":{{{rows}}}}}'
        return "{" + ",".join(f"{_name(name)}:{self.say(inner)}" for name, inner in value.items()) + "}"

    def _list(self, value: list[Value]) -> str:
        if len(value) > 1 and (table := self._table(value)) and table.pays:
            return f'{{{table.head},"$rows":[{",".join(table.rows)}]}}'
        return "[" + ",".join(map(self.say, value)) + "]"

    def _table(self, rows: Sequence[Value], depth: int = 0) -> Table | None:
        """The table of these rows; None when they are not all objects, or too different."""
        first = rows[0]
        if not isinstance(first, dict) or (len(rows) - 1) * sum(len(name) + 4 for name in first) < HEAD:
            return None
        objects = [row for row in rows if isinstance(row, dict)]
        if len(objects) < len(rows):
            return None
        columns = self._fields("", objects, depth)
        return None if columns is None else self._written(columns, len(rows))

    # ---------------------------------------------------------------------------------------- columns

    def _fields(self, path: str, rows: Sequence[dict[str, Value] | None], depth: int) -> list[Column] | None:
        """The columns of objects (None: there is none in that row); None when they are too different for a table."""
        names = dict.fromkeys(chain.from_iterable(row for row in rows if row))
        if not names or len(names) * len(rows) > DENSE * sum(len(row) for row in rows if row):
            return None
        columns: list[Column] = []
        for name in names:
            columns += self._spread(path + _escaped(name), name, rows, depth)
        return columns

    def _spread(self, path: str, name: str, rows: Sequence[dict[str, Value] | None], depth: int) -> list[Column]:
        """The columns of one field: several when it holds objects that are alike."""
        has = [row is not None and name in row for row in rows]
        values: list[Value] = [row[name] if row and there else None for row, there in zip(rows, has, strict=True)]
        kinds = set(map(type, values))
        if kinds == {str} and all(has):
            cells: Cells = [*map(spell, values)]  # type: ignore[arg-type]  # they are all strings
        elif (
            dict in kinds
            and kinds <= {dict, type(None)}
            and not (
                all(has) and all(value == values[0] for value in values)
            )  # the same object in every row is one value
            and (columns := self._flat(path, has, values, depth + 1))
        ):
            return columns
        else:
            cells = [self.say(value) if there else None for value, there in zip(values, has, strict=True)]
        column = Column(path, cells, sum(len(cell) for cell in cells if cell) + (len(name) + 4) * sum(has))
        if _role(cells) == "column":
            if kinds <= {str, type(None)}:
                if said := shortened(values):
                    column.how = said[0]
                    column.cells = [short or cell for short, cell in zip(said[1], cells, strict=True)]
            elif list in kinds and kinds <= {list, type(None)}:
                self._nest(column, has, values, depth + 1)
        return [column]

    def _flat(self, path: str, has: list[bool], values: list[Value], depth: int) -> list[Column] | None:
        """The fields of objects as columns; or the objects numbered, when the same ones come again and again."""
        objects = [value if isinstance(value, dict) and value else None for value in values]
        if self._separator is None or depth >= NESTED:
            return None
        columns = self._fields(path + self._separator, objects, depth)
        if columns is None:
            return None
        rest: Cells = [
            None if inner or not there else "null" if value is None else "{}"
            for inner, value, there in zip(objects, values, has, strict=True)
        ]
        plain = sum(column.plain for column in columns) + (len(path) + 6) * sum(has)
        keys = [*zip(*(column.cells for column in columns), strict=True)]
        first: dict[tuple[str | None, ...], int] = {}
        chosen: list[Value] = []
        for key, inner in zip(keys, objects, strict=True):
            if inner is not None and key not in first:
                first[key] = len(first)
                chosen.append(inner)
        found = len(objects) - objects.count(None)
        varying = [column for column in columns if _role(column.cells) != "constant"]
        if 1 < len(first) <= found / 2 and len(varying) > 1 and "{}" not in rest:
            numbers: Cells = [
                str(first[key]) if inner is not None else other
                for key, inner, other in zip(keys, objects, rest, strict=True)
            ]
            how = f'{{"$enum":{self._list(chosen)}}}'
            if len(how) + _size(numbers) < REPEATS * sum(_size(column.cells) for column in varying):
                return [Column(path, numbers, plain, how)]
        if any(cell is not None for cell in rest):
            columns.append(Column(path, rest, 0))
        columns[0].plain += (len(path) + 6) * sum(has)
        return columns

    def _nest(self, column: Column, has: list[bool], values: list[Value], depth: int) -> None:
        """Say lists of objects as rows of one table, whose head is said once; number the rows if many are the same."""
        inner = [row for value in values if isinstance(value, list) for row in value]
        table = self._table(inner, depth) if len(inner) > 2 and depth < NESTED else None
        if table is None:
            return
        how, rows = f"{{{table.head}}}", table.rows
        distinct = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        if len(distinct) <= len(rows) / 2:
            how = f'{{"$enum":{{{table.head},"$rows":[{",".join(distinct)}]}}}}'
            rows = [str(distinct[row]) for row in rows]
        following = iter(rows)
        cells: Cells = [
            f"[{','.join(islice(following, len(value)))}]" if isinstance(value, list) else "null" if there else None
            for value, there in zip(values, has, strict=True)
        ]
        if len(how) + _size(cells) < GAIN * _size(column.cells):
            column.cells, column.how = cells, how

    # ---------------------------------------------------------------------------------------- tables

    def _written(self, columns: list[Column], count: int) -> Table:
        constant: list[str] = []
        default: list[tuple[Column, str | None]] = []
        shown: list[Column] = []
        seldom: list[Column] = []
        for column in columns:
            role = "column" if column.how else _role(column.cells)
            if role == "constant":
                constant.append(f"{_quoted(column.path)}:{column.cells[0]}")
            elif role == "default":
                default.append((column, _commonest(column.cells)[0]))
            else:
                (shown if role == "column" else seldom).append(column)
        absent, lacking = '"-"', any(None in column.cells for column in (*shown, *(column for column, _ in default)))
        if lacking:
            used = {cell for column in columns for cell in column.cells}
            while absent in used:
                absent = f'"-{absent[1:]}'
        extras: list[list[str]] = [[] for _ in range(count)]
        for column, usual in default:
            name = _quoted(column.path)
            for extra, cell in zip(extras, column.cells, strict=True):
                if cell != usual:
                    extra.append(f"{name}:{cell or absent}")
        for column in seldom:
            name = _quoted(column.path)
            for extra, cell in zip(extras, column.cells, strict=True):
                if cell is not None:
                    extra.append(f"{name}:{cell}")
        shown, like = _unlike(shown)
        lists: list[list[str]] = [[] for _ in range(count)]
        if shown:
            filled = [
                column.cells if None not in column.cells else [cell or absent for cell in column.cells]
                for column in shown
            ]
            lists = [[*cells] for cells in zip(*filled, strict=True)]
        rows = [
            f"[{','.join([*cells, '{' + ','.join(extra) + '}'] if extra else cells)}]"
            for cells, extra in zip(lists, extras, strict=True)
        ]
        members = []
        if self._separator != ".":
            members.append(f'"$sep":{spell(self._separator) if self._separator else "null"}')
        if constant:
            members.append(f'"$const":{{{",".join(constant)}}}')
        if default:
            members.append(
                '"$default":{' + ",".join(f"{_quoted(column.path)}:{usual}" for column, usual in default) + "}"
            )
        if lacking:
            members.append(f'"$absent":{absent}')
        if like:
            members.append(f'"$like":{{{",".join(like)}}}')
        titles = (f"{{{_quoted(c.path)}:{c.how}}}" if c.how else _quoted(c.path) for c in shown)
        members.append(f'"$cols":[{",".join(titles)}]')
        return Table(",".join(members), rows, sum(column.plain for column in columns) + 3 * count)


def _unlike(columns: list[Column]) -> tuple[list[Column], list[str]]:
    """The columns without those whose cells an earlier one has as well; and the members that say which these are."""
    first: dict[tuple[str | None, ...], Column] = {}
    shown: list[Column] = []
    like: list[str] = []
    for column in columns:
        key = tuple(column.cells)
        other = first.setdefault(key, column) if _reads_alone(column) else column
        if other is column:
            shown.append(column)
        elif column.how is None:
            like.append(f"{_quoted(column.path)}:{_quoted(other.path)}")
        else:
            like.append(f'{_quoted(column.path)}:{{"$col":{_quoted(other.path)},{column.how[1:]}')
    return shown, like


def _reads_alone(column: Column) -> bool:
    """Whether a cell says all, but for what stands before and behind it."""
    return column.how is None or column.how.startswith('{"$prefix"')


def _escaped(name: str) -> str:
    return "$" + name if name.startswith("$") else name


def _name(name: str) -> str:
    return spell(_escaped(name))


_quoted: Callable[[str], str] = spell  # of a path, whose names are escaped already


def _size(cells: Cells) -> int:
    return sum(len(cell) for cell in cells if cell)


def _commonest(cells: Cells) -> tuple[str | None, int]:
    return Counter(cells).most_common(1)[0]


def _role(cells: Cells) -> str:
    """What becomes of a field: `constant`, `default`, `seldom` said, or a `column`."""
    usual, times = _commonest(cells)
    if usual is None:
        return "seldom" if times > SPARSE * len(cells) else "column"
    if times == len(cells) > 1:
        return "constant"
    return "default" if times >= MOSTLY * len(cells) > 3 else "column"
