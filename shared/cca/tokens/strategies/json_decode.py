"""The values of JSON in columns, as `cca.tokens.strategies.columns` writes it."""

from typing import Any

from msgspec import Raw

from cca.tokens.strategies.json_values import Unfoldable, Value, parse


def decode(line: str) -> Value:
    """What the document said before it was folded; of JSON lines, the list of their values.

    Numbers are `msgspec.Raw`, with the text that they were written with. Raises `ValueError` for what is no such JSON.
    """
    document: Any = parse(line)
    if isinstance(document, dict) and document.keys() == {"$lines"}:
        document = document["$lines"]
    try:
        return _value(document)
    except (TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise Unfoldable(f"no columns: {error!r}") from error


def _value(value: Any) -> Value:
    if isinstance(value, list):
        return [_value(inner) for inner in value]
    if not isinstance(value, dict):
        return value  # type: ignore[no-any-return]  # of JSON nothing else is left
    if "$rows" not in value:
        return {_unescaped(name): _value(inner) for name, inner in value.items()}
    rows = value["$rows"]
    if isinstance(rows, dict):
        return {_unescaped(name): _row(value, row) for name, row in rows.items()}
    return [_row(value, row) for row in rows]


def _row(table: dict[str, Any], row: list[Any]) -> Value:
    columns, absent, separator = table["$cols"], table.get("$absent"), table.get("$sep", ".")
    fields = {**table.get("$const", {}), **table.get("$default", {})}
    how: dict[str, Any] = {}
    for column, cell in zip(columns, row, strict=False):
        path = column
        if isinstance(column, dict):
            ((path, how[path]),) = column.items()
        fields[path] = cell
    for path, other in table.get("$like", {}).items():
        if isinstance(other, dict):
            how[path], other = other, other["$col"]
        fields[path] = fields[other]
    if len(row) > len(columns):
        fields |= row[-1]
    value: dict[str, Any] = {}
    for path, cell in fields.items():
        if absent is not None and cell == absent:
            continue
        at = value
        *outer, last = path.split(separator) if separator else [path]
        for name in outer:
            at = at.setdefault(_unescaped(name), {})
        at[_unescaped(last)] = _cell(how[path], cell) if path in how else _value(cell)
    return value


def _cell(how: dict[str, Any], cell: Any) -> Value:
    if cell is None:
        return None
    if "$enum" in how:
        values = _value(how["$enum"])
        assert isinstance(values, list)
        return [values[_number(one)] for one in cell] if isinstance(cell, list) else values[_number(cell)]
    if "$prefix" in how:
        return f"{how['$prefix']}{cell}{how.get('$suffix', '')}"
    return [_row(how, row) for row in cell]


def _number(text: Raw) -> int:
    return int(bytes(text))


def _unescaped(name: str) -> str:
    return name[1:] if name.startswith("$$") else name
