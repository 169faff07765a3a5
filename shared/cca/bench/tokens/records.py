"""Whether the pairs of one JSON object are still to be seen together: in an object, or in a row below named columns."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

Pairs = tuple[tuple[str, Any], ...]
"""Keys and values, as they stand one after the other in an object."""

_KEY = re.compile(r'[\s,{}\[\]]*"((?:[^"\\]|\\.)*)"\s*:\s*')
_REST = re.compile(r"[\s,{}\[\]]*")
_HEAD = re.compile(r"\{([\w.@$/ ,-]+)\}")
_START = re.compile(r'^[^\S\n]*(?=[\[{])|(?<=[\s=:])(?=\[\{|\{"|\[\[|\["|\{\s*$|\[\s*$)', re.MULTILINE)
_DECODER = json.JSONDecoder()


def pairs_of(text: str) -> Pairs:
    """The `"key": value` pairs that a piece of JSON consists of; none when it is anything else.

    A value that is an object or a list is passed by; what is inside it counts.
    """
    found: list[tuple[str, Any]] = []
    at = 0
    while key := _KEY.match(text, at):
        at = key.end()
        if text[at : at + 1] in ("{", "["):
            continue
        try:
            value, at = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError:
            return ()
        found.append((key[1], value))
    return tuple(found) if found and _REST.fullmatch(text, at) else ()


def shows_pairs(pairs: Pairs, text: str) -> bool:
    """Whether one record in a text has all these pairs.

    A record is an object, with what is inside it; a row of a list or of a text table whose columns are named; each
    together with what is said for all rows of its table.
    """
    return any(_has(record, pairs) for record in _records(text)) or any(
        _in_table(pairs, delimiter, text) for delimiter in ("\t", ",", "|", " ")
    )


Record = Mapping[str, tuple[str, ...]]
"""Values by key, as texts. One key may stand there several times, in objects inside the record."""


def _has(record: Record, pairs: Pairs) -> bool:
    return all(_said(value) in record.get(key, ()) for key, value in pairs)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@lru_cache(maxsize=4)
def _records(text: str) -> tuple[Record, ...]:
    found: list[Record] = []
    at = 0
    while start := _START.search(text, at):
        at = start.end()
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            at += 1
            continue
        found += _walk(value)
    return tuple(found)


def _walk(value: Any) -> Iterator[Record]:
    """All records in a JSON value, from the outside to the inside."""
    if isinstance(value, list):
        yield from _rows(value)
        for each in value:
            yield from _walk(each)
    if not isinstance(value, dict):
        return
    # Small enough to be one thing. What holds a list of things is not one: all their values would count as together.
    yield _record(value)
    yield from _table(value)
    for inner in value.values():
        yield from _walk(inner)


def _table(value: Mapping[str, Any]) -> Iterator[Record]:
    """The rows of an object that has a list of names, and lists of values that belong to them."""
    shared = {key: inner for key, inner in value.items() if not isinstance(inner, list)}
    tables = [each for each in value.values() if isinstance(each, list) and each and isinstance(each[0], list)]
    for head in value.values():
        if _is_head(head):
            for rows in tables:
                yield from _below(head, rows, shared)


def _rows(rows: Sequence[Any]) -> Iterator[Record]:
    """Rows whose first one names the columns."""
    if len(rows) > 1 and _is_head(rows[0]):
        yield from _below(rows[0], rows[1:], {})


def _below(head: Sequence[Any], rows: Sequence[Any], shared: Mapping[str, Any]) -> Iterator[Record]:
    """A record for each row. A column may itself be named by an object: its key, and what the cell's columns are."""
    names = [each if isinstance(each, str) else next(iter(each)) for each in head]
    inner = [(place, next(iter(each.values()))) for place, each in enumerate(head) if isinstance(each, dict)]
    for row in rows:
        if not isinstance(row, list):
            continue
        # A column may be left out at the end of a row; a cell that no column names says only what is inside it.
        yield _record({**shared, **dict(zip(names, row, strict=False)), "": row[len(names) :]})
        for place, described in inner:
            if place < len(row) and isinstance(row[place], list) and isinstance(described, dict):
                yield from _table({**described, "": row[place]})


def _is_head(value: Any) -> bool:
    return (
        isinstance(value, list)
        and any(isinstance(each, str) for each in value)
        and all(isinstance(each, str) or (isinstance(each, dict) and len(each) == 1) for each in value)
    )


def _record(value: Mapping[str, Any]) -> Record:
    found: dict[str, list[str]] = {}
    waiting: list[tuple[str, Any]] = list(value.items())
    while waiting:
        key, inner = waiting.pop()
        if isinstance(inner, dict):
            waiting += [(f"{key}.{below}", each) for below, each in inner.items()]
        elif isinstance(inner, list):
            # Of a list only one entry may be looked into, or several things would be taken for one.
            if len(inner) == 1:
                waiting.append((key, inner[0]))
        else:
            said = _said(inner)
            for name in {key, key.rpartition(".")[2]}:
                found.setdefault(name, []).append(said)
    return {key: tuple(values) for key, values in found.items()}


def _in_table(pairs: Pairs, delimiter: str, text: str) -> bool:
    """Whether a line has the values below a line that has the keys, in the same places, in one paragraph."""
    keys = [key for key, _ in pairs]
    wanted = [_said(value) for _, value in pairs]
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not all(key in line for key in keys):
            continue
        for head in _heads(line, delimiter):
            places = [_place(key, head) for key in keys]
            if None in places:
                continue
            for below in lines[number + 1 :]:
                if not below.strip():
                    break
                row = _cells(below, delimiter)
                if all(
                    place is not None and place < len(row) and row[place] == value
                    for place, value in zip(places, wanted, strict=True)
                ):
                    return True
    return False


def _heads(line: str, delimiter: str) -> Iterator[list[str]]:
    yield _cells(line, delimiter)
    for braces in _HEAD.findall(line):
        yield [each.strip() for each in braces.split(",")]


def _place(key: str, head: Sequence[str]) -> int | None:
    for number, name in enumerate(head):
        if name == key or name.rpartition(".")[2] == key or name.partition(":")[0] == key:
            return number
    return None


def _cells(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        return line.split()
    if delimiter == "," and '"' in line:
        try:
            return [cell.strip() for cell in next(csv.reader([line.strip()], skipinitialspace=True), [])]
        except csv.Error:
            return []
    return [cell.strip().strip('"') for cell in line.strip().strip("|" if delimiter == "|" else "").split(delimiter)]
