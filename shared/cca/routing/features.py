"""What a policy sees of a task: named features in fixed-point numbers, and their place in the model's vectors."""

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

ONE = 4096
"""The unit of quantised features and rewards: 2**-12. Sums of integers do not depend on their order."""
HALF = ONE // 2

INTERCEPT, LOAD = "1", "load"
BASE: tuple[str, ...] = (INTERCEPT, LOAD, "size", "priority", "attempt")
"""The first slots of every vocabulary. `1` and `load` (of the lane) are added to what is recorded of the task."""
NAMED: Mapping[str, tuple[int, int]] = {
    "kind": (16, ONE),
    "language": (8, HALF),
    "repo": (8, HALF),
    "requester": (6, HALF),
    "failed": (8, ONE),
}
"""Fields that become one-hots (`kind=review`): how many values the model learns of each, and how large a hot one is.

`failed` names lanes that have failed the task before; the declared sort of a task says most about it (ADR 0015).
"""
MOST = len(BASE) + sum(most for most, _ in NAMED.values())
"""The longest vocabulary."""

_PRIORITY = {"low": -HALF, "normal": 0, "high": HALF, "critical": ONE}
_SIZE_AT_ONE = math.log1p(100_000)

Features = Mapping[str, int]


class Vocabulary(Struct, frozen=True):
    """The names that a model knows, each at its slot. It only ever grows."""

    names: tuple[str, ...] = BASE

    def slots(self) -> dict[str, int]:
        return {name: slot for slot, name in enumerate(self.names)}

    def grown(self, names: Iterable[str]) -> "Vocabulary":
        """With further names, as far as their fields have room."""
        known = list(self.names)
        for name in names:
            if name not in known and room(known, field_of(name)):
                known.append(name)
        return Vocabulary(tuple(known))


def field_of(name: str) -> str:
    """`kind` of `kind=review`; the name itself for a feature that is a number."""
    return name.partition("=")[0]


def room(names: Sequence[str], field: str) -> bool:
    """Whether the vocabulary may have another value of a field."""
    if field not in NAMED:
        return False
    return sum(field_of(name) == field for name in names) < NAMED[field][0]


def described(
    *,
    size: int,
    priority: str = "normal",
    attempt: int = 1,
    kind: str | None = None,
    language: str | None = None,
    repo: str | None = None,
    requester: str | None = None,
    failed: Iterable[str] = (),
) -> dict[str, int]:
    """All features of a task by name; what is zero is left out.

    Args:
        size: characters of description, context and input.
        attempt: the number of the attempt that is being routed, from 1.
        failed: lanes (`role/lane`) that have failed it before.
    """
    x = {
        "size": round(ONE * min(1.0, math.log1p(size) / _SIZE_AT_ONE)),
        "priority": _PRIORITY.get(priority, 0),
        "attempt": round(ONE * min(attempt - 1, 4) / 4),
    }
    for field, value in (("kind", kind), ("language", language), ("repo", repo), ("requester", requester)):
        if value:
            x[f"{field}={value}"] = NAMED[field][1]
    for lane in failed:
        x[f"failed={lane}"] = NAMED["failed"][1]
    return {name: value for name, value in x.items() if value}


def known(x: Features, slots: Mapping[str, int]) -> dict[str, int]:
    """What a model sees of a task: the features that its vocabulary has."""
    return {name: value for name, value in x.items() if name in slots}


def load(running: int, queued: int, capacity: int) -> int:
    """How busy a lane is, quantised: 0 when idle, half when all is in use, near 1 behind a long queue."""
    busy = running + queued
    return round(ONE * busy / (busy + max(capacity, 1)))
