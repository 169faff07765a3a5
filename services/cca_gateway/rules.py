"""What a body must not hold although it is JSON: the character NUL."""

from collections.abc import Iterator
from typing import Any


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
