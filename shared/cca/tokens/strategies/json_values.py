"""Values of JSON whose numbers keep the text that they were written with."""

import json
from collections.abc import Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from typing import NoReturn, TypeAlias

from msgspec import Raw

Value: TypeAlias = "bool | str | Raw | list[Value] | dict[str, Value] | None"
"""A value of JSON. A number is `Raw`: 1.10 is not 1.1, and -0.0 is not 0.0."""

DEEPEST = 100
"""So many values within each other, at most."""

# Quotes a string; what is not ASCII stays. The function is written in C where there is a compiler.
spell = encode_basestring


class Unfoldable(ValueError):
    """This is not JSON, or some of it would be lost: a name twice in an object, no number, too deep."""


@lru_cache(maxsize=2)  # two strategies look at the same text, one after the other; neither changes the value
def parse(text: str) -> Value:
    """The value that a text says. Raises `Unfoldable`."""
    try:
        value: Value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise Unfoldable(str(error)) from error
    return value


def parse_lines(lines: Sequence[str]) -> list[Value]:
    """The values of JSON lines; blank lines have none. Raises `Unfoldable`."""
    return [parse(line) for line in lines if line and not line.isspace()]


def names_in(value: Value) -> set[str]:
    """All names of fields in a value. Raises `Unfoldable` for one that is too deep to be walked with ease."""
    names: set[str] = set()
    layer = [value]
    for _ in range(DEEPEST + 1):
        following: list[Value] = []
        for outer in layer:
            if isinstance(outer, dict):
                names.update(outer)
                following += [inner for inner in outer.values() if isinstance(inner, (dict, list))]
            elif isinstance(outer, list):
                following += [inner for inner in outer if isinstance(inner, (dict, list))]
        if not following:
            return names
        layer = following
    raise Unfoldable("too deep")


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Unfoldable("a name occurs twice")
    return value


def _no_number(text: str) -> NoReturn:
    raise Unfoldable(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_int=Raw, parse_float=Raw, parse_constant=_no_number, object_pairs_hook=_object)
