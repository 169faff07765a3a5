"""Near repeats: a turn said as an earlier one and what is different.

Lines are aligned at those that occur once on both sides and in the same order (patience diff), so that the time grows
with the text and not with its square. JSON is compared by its structure, lists of objects by a key of theirs.
"""

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

SUMMARY = "A message that resembles an earlier one is said as that and what is different; JSON stays JSON."

_CLOSE = 400
"""Between two anchors so many lines at most are compared one by one."""
_DEEP = 60
_KEYS = ("id", "uid", "uuid", "key", "name", "path", "ref", "slug", "number", "sku", "code")
_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)
_PLAIN_VALUE = re.compile(r"[\w@+/:.-]{1,60}", re.ASCII)


def of_lines(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """What makes `new` out of `old`: places are lines of `old` counted from 1, and what is new follows after `+`."""
    out: list[str] = []
    for start, end, first, last in _changes(old, new):
        gone = f"{start + 1}-{end}" if end > start + 1 else f"{end}"
        if first == last:
            out.append(f"without {gone}")
            continue
        out.append(f"{gone} is now" if end > start else f"after {start}")
        out += ["+" + line for line in new[first:last]]
    return out


def _changes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """Lines of `old`, and those of `new` that stand for them, in order."""
    known: dict[str, int] = {}
    a = [known.setdefault(line, len(known)) for line in old]
    b = [known.setdefault(line, len(known)) for line in new]
    at = to = 0
    for start, first, length in _matches(a, b):
        if start > at or first > to:
            yield at, start, to, first
        at, to = start + length, first + length
    if at < len(a) or to < len(b):
        yield at, len(a), to, len(b)


def _matches(a: Sequence[int], b: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Where both have the same: a start in each, and how many."""
    once_a, once_b = Counter(a), Counter(b)
    where = {line: at for at, line in enumerate(b) if once_b[line] == 1}
    pairs = [(at, where[line]) for at, line in enumerate(a) if once_a[line] == 1 and line in where]
    at = to = 0
    for start, first in [*_rising(pairs), (len(a), len(b))]:
        if start < at or first < to:
            continue
        # Backwards from the anchor, then what is between it and the last one, then forwards.
        back = 0
        while start - back > at and first - back > to and a[start - back - 1] == b[first - back - 1]:
            back += 1
        yield from _close(a, b, at, start - back, to, first - back)
        ahead = 0
        while start + ahead < len(a) and first + ahead < len(b) and a[start + ahead] == b[first + ahead]:
            ahead += 1
        if back + ahead:
            yield start - back, first - back, back + ahead
        at, to = start + ahead, first + ahead


def _close(a: Sequence[int], b: Sequence[int], at: int, end: int, to: int, last: int) -> Iterator[tuple[int, int, int]]:
    if at < end <= at + _CLOSE and to < last <= to + _CLOSE:
        # No line may be junk here; that there are few of them keeps it quick.
        for match in SequenceMatcher(None, a[at:end], b[to:last], autojunk=False).get_matching_blocks():
            if match.size:
                yield at + match.a, to + match.b, match.size


def _rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest run of pairs, in their order, of which the second rises too."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (_, value) in enumerate(pairs):
        place = bisect_left(tops, value)
        before.append(ends[place - 1] if place else -1)
        if place == len(tops):
            tops.append(value)
            ends.append(index)
        else:
            tops[place] = value
            ends[place] = index
    out: list[tuple[int, int]] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        out.append(pairs[at])
        at = before[at]
    return out[::-1]


def of_json(old: str, new: str, called: str) -> str | None:
    """What makes the JSON document `new` out of `old`, as JSON on one line; None when they are too different.

    Args:
        called: how a reader finds the old one.
    """
    try:
        before, after = json.loads(old), json.loads(new)
    except (ValueError, RecursionError):
        return None
    if type(before) is not type(after) or not before or not after:
        return None
    comparison = _Comparison()
    if not comparison.compare(before, after, "", 0) or "" in comparison.put:
        return None
    value: dict[str, Any] = {"same_as": called}
    if comparison.put:
        value["set"] = comparison.put
    if comparison.gone:
        value["gone"] = comparison.gone
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None


class _Comparison:
    """Values by the path to them that are other or new, and the paths of those that are gone."""

    def __init__(self) -> None:
        self.put: dict[str, Any] = {}
        self.gone: list[str] = []

    def compare(self, old: Any, new: Any, path: str, depth: int) -> bool:
        if depth > _DEEP:
            return False
        if isinstance(old, dict) and isinstance(new, dict) and old and new:
            return self._objects(old, new, path, depth)
        if isinstance(old, list) and isinstance(new, list) and old and new:
            return self._lists(old, new, path, depth)
        if not _same(old, new):
            self.put[path] = new
        return True

    def _objects(self, old: dict[str, Any], new: dict[str, Any], path: str, depth: int) -> bool:
        for key, value in new.items():
            place = f"{path}.{key}" if path else key
            if not _PLAIN.fullmatch(key):
                place = f"{path}[{json.dumps(key, ensure_ascii=False)}]"
            if key not in old:
                self.put[place] = value
            elif not self.compare(old[key], value, place, depth + 1):
                return False
        for key in old:
            if key not in new:
                self.gone.append(f"{path}.{key}" if path and _PLAIN.fullmatch(key) else self._odd(path, key))
        return True

    def _odd(self, path: str, key: str) -> str:
        return key if _PLAIN.fullmatch(key) else f"{path}[{json.dumps(key, ensure_ascii=False)}]"

    def _lists(self, old: list[Any], new: list[Any], path: str, depth: int) -> bool:
        key = _key_of(old, new)
        if key is not None:
            return self._keyed(old, new, path, key, depth)
        if len(old) != len(new) and not (isinstance(old[0], dict) and isinstance(new[0], dict)):
            if not _same(old, new):
                self.put[path] = new
            return True
        for at, (one, other) in enumerate(zip(old, new, strict=False)):
            if not self.compare(one, other, f"{path}[{at}]", depth + 1):
                return False
        for at in range(len(old), len(new)):
            self.put[f"{path}[{at}]"] = new[at]
        if len(old) > len(new):
            self.gone.append(f"{path}[{len(new)}-{len(old) - 1}]" if len(old) - len(new) > 1 else f"{path}[{len(new)}]")
        return True

    def _keyed(self, old: list[Any], new: list[Any], path: str, key: str, depth: int) -> bool:
        """Lists of objects that are told apart by a key; what both have must be in the same order."""
        was = {_value(item[key]): item for item in old}
        now = {_value(item[key]): item for item in new}
        if [name for name in was if name in now] != [name for name in now if name in was]:
            self.put[path] = new
            return True
        ahead = True
        for name in reversed(now):
            # Without a place of its own, what is new stands at the end.
            ahead = ahead and name not in was
            if name not in was and not ahead:
                self.put[f"{path}[]"] = list(now)
                break
        for name, item in now.items():
            place = f"{path}[{key}={name}]"
            if name not in was:
                self.put[place] = item
            elif not self.compare(was[name], item, place, depth + 1):
                return False
        self.gone += [f"{path}[{key}={name}]" for name in was if name not in now]
        return True


def _same(old: Any, new: Any) -> bool:
    """Equal in type too: 1 is not true, and not 1.0. NaN is like itself."""
    if type(old) is not type(new):
        return False
    if isinstance(old, dict | list):
        try:
            return json.dumps(old) == json.dumps(new)
        except (ValueError, RecursionError):
            return False
    return bool(old == new or (old != old and new != new))


def _value(value: str | int) -> str:
    return (
        json.dumps(value, ensure_ascii=False)
        if isinstance(value, str) and not _PLAIN_VALUE.fullmatch(value)
        else str(value)
    )


def _key_of(old: list[Any], new: list[Any]) -> str | None:
    """The key by which the objects in two lists can be told apart."""
    if not all(isinstance(item, dict) for item in (*old, *new)):
        return None
    for key in _KEYS:
        if key in old[0] and all(_distinct(key, items) for items in (old, new)):
            return key
    return None


def _distinct(key: str, items: list[dict[str, Any]]) -> bool:
    values = [item.get(key) for item in items]
    if not all(isinstance(value, str | int) and not isinstance(value, bool) for value in values):
        return False
    return len({_value(value) for value in values}) == len(values)  # type: ignore[arg-type]  # they are, as was just seen
