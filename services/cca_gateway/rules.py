"""What a body must not hold although it is JSON: NUL, and very deep nesting. Both are found in its bytes: a walk over
all values of a large body takes seconds."""

from collections.abc import Iterator
from typing import Any

DEPTH = 100
"""How deep arrays and objects may be nested: what is stored must be readable for every reader."""

_ALIKE = bytes.maketrans(b"{}", b"[]")
_ELSE = bytes(set(range(256)) - set(b"[]{}"))


def is_deep(body: bytes) -> bool:
    """Whether JSON is nested deeper than `DEPTH` levels."""
    if body.count(b"[") + body.count(b"{") <= DEPTH:
        return False
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    outside = b"".join(body.split(b'"')[::2])  # every other piece is the inside of a string
    brackets = outside.translate(_ALIKE, _ELSE)
    for _ in range(DEPTH):
        brackets = brackets.replace(b"[]", b"")  # the innermost of each place: one level
        if not brackets:
            return False
    return True


def has_nul(body: bytes) -> bool:
    """Whether a text in JSON has the character NUL, which PostgreSQL has no text for."""
    return rb"\u0000" in body and rb"\u0000" in body.replace(rb"\\", b"")


def place_of_nul(value: Any) -> str:
    """Where it is in a decoded value, for people: `$.input.name`."""
    waiting: list[tuple[Any, str, int]] = [(value, "$", 0)]
    while waiting:
        one, path, depth = waiting.pop()
        if isinstance(one, str):
            if "\x00" in one:
                return path
        elif isinstance(one, dict | list):
            waiting.extend(_parts(one, path, depth + 1))
    return "$"


def _parts(one: dict[str, Any] | list[Any], path: str, depth: int) -> Iterator[tuple[Any, str, int]]:
    if isinstance(one, list):
        yield from ((item, f"{path}[{at}]" if depth < 8 else path, depth) for at, item in enumerate(one))
        return
    for name, item in one.items():
        yield name, path, depth
        yield item, f"{path}.{name[:40]}" if depth < 8 else path, depth
