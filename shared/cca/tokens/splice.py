"""Replace values inside a JSON document and leave every other character of it as it is."""

import json
import re
from collections.abc import Mapping

Path = tuple[str | int, ...]
"""Where a value is: the keys and indexes that lead to it."""

_SPACE = re.compile(r"[ \t\n\r]*+")
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'
_SCALAR = re.compile(_STRING + r"|[^ \t\n\r,\]}]++", re.DOTALL)
_STRING_OR_BRACKET = re.compile(_STRING + r"|([\[{])|[\]}]", re.DOTALL)


class _Node:
    """A place on the way to a value that is replaced. `new` is its text, `removed` says that it goes altogether."""

    __slots__ = ("below", "new", "removed")

    def __init__(self) -> None:
        self.below: dict[str | int, _Node] = {}
        self.new: str | None = None
        self.removed = False


def splice(document: str, edits: Mapping[Path, str | None]) -> str:
    """A JSON document with other values at some places.

    Args:
        document: valid JSON. Of keys that occur twice in an object the last counts, as when it is read.
        edits: the new value as JSON, by place; None removes an element of an array. A place that is not there, and
            what is to be changed inside of something that is replaced, is passed by.
    """
    root = _Node()
    for path, new in edits.items():
        node = root
        for key in path:
            node = node.below.setdefault(key, _Node())
        node.new, node.removed = new, new is None
    changes: list[tuple[int, int, str]] = []
    _value(document, _SPACE.match(document).end(), root, changes)  # type: ignore[union-attr]  # it matches anywhere
    out: list[str] = []
    done = 0
    for start, end, new_text in sorted(changes):
        out += (document[done:start], new_text)
        done = end
    return "".join(out) + document[done:]


def _value(text: str, at: int, node: _Node | None, changes: list[tuple[int, int, str]]) -> int:
    """Pass a value that begins at `at`, and note what is to change in it; where it ends."""
    if node is not None and (node.new is not None or node.removed):
        end = _value(text, at, None, changes)
        if node.new is not None:
            changes.append((at, end, node.new))
        return end
    first = text[at]
    if first not in "[{":
        return _scalar(text, at)
    if node is None or not node.below:
        return _skip(text, at)
    return _object(text, at, node, changes) if first == "{" else _array(text, at, node, changes)


def _scalar(text: str, at: int) -> int:
    return _SCALAR.match(text, at).end()  # type: ignore[union-attr]  # valid JSON has a value here


def _skip(text: str, at: int) -> int:
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text, at):
        if found[1]:
            depth += 1
        elif text[found.start()] != '"':
            depth -= 1
            if not depth:
                return found.end()
    raise ValueError("not JSON: a bracket is not closed")


def _after(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches anywhere


def _object(text: str, at: int, node: _Node, changes: list[tuple[int, int, str]]) -> int:
    last: dict[str, list[tuple[int, int, str]]] = {}
    at = _after(text, at + 1)
    while text[at] != "}":
        end = _scalar(text, at)
        key = json.loads(text[at:end])
        at = _after(text, _after(text, end) + 1)  # the colon
        last[key] = []
        at = _after(text, _value(text, at, node.below.get(key), last[key]))
        if text[at] == ",":
            at = _after(text, at + 1)
    for each in last.values():
        changes += each
    return at + 1


def _array(text: str, at: int, node: _Node, changes: list[tuple[int, int, str]]) -> int:
    spans: list[tuple[int, int]] = []
    at = _after(text, at + 1)
    while text[at] != "]":
        end = _value(text, at, node.below.get(len(spans)), changes)
        spans.append((at, end))
        at = _after(text, end)
        if text[at] == ",":
            at = _after(text, at + 1)
    removed = [index for index in range(len(spans)) if (below := node.below.get(index)) and below.removed]
    if removed:
        changes += _without(spans, set(removed))
    return at + 1


def _without(spans: list[tuple[int, int]], removed: set[int]) -> list[tuple[int, int, str]]:
    """What is to be cut out so that some elements go, each with one comma."""
    kept = [index for index in range(len(spans)) if index not in removed]
    if not kept:
        return [(spans[0][0], spans[-1][1], "")]
    cuts = [(spans[index][0], spans[index + 1][0], "") for index in sorted(removed) if index < kept[-1]]
    if kept[-1] < len(spans) - 1:
        cuts.append((spans[kept[-1]][1], spans[-1][1], ""))
    return cuts
