"""Sums of integers over a span of the log: rows of lanes, added in any order, decayed when they are read.

One sum is kept for each pair of (reward, features...), as the upper triangle packed by columns: that is all that
regression needs, and a name that comes later only adds columns at the end. Reward is number 0, slot s is s + 1.

Limits: a bucket spans 1,024 positions and so at most 1,024 decisions. Features and rewards are within ±2**12 and
reports below 2**40, so no sum reaches 2**51: exact in int64 and in float64, in which rows are multiplied.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from cca.contracts.policy import LaneSummary
from cca.routing.features import ONE

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BUCKET = 1024
"""Positions of the log that are one bucket of time."""
GRAIN = 256
"""Positions over which spending is added up: a price that is to follow it must not wait for a whole bucket."""

R, N, SUCCESS, MS, MS_N, TOKENS, TOKENS_N, MICRO, MICRO_N = range(9)
"""Facts that are added up for a lane: quantised reward, outcomes, completed ones, milliseconds, tokens and
micro-dollars; the last three with the number of outcomes that told them."""
FACTS = 9

_FORGOTTEN = 1e-12
"""A span that weighs less counts nothing: a lane seen only there is new again."""
_STORED = np.dtype("<i8")

Encoded = tuple[int, list[str], list[tuple[str, bytes, bytes]], list[tuple[str, list[tuple[int, int, int]]]]]
"""Number, names, (lane, facts, products), (scope, (grain, tasks, micro-dollars)); all in order, nothing empty."""


class Bucket:
    """The sums of one span. It does not know names: columns are by slot."""

    def __init__(self) -> None:
        self.lanes: dict[str, int] = {}
        self.products: Integers = np.zeros((0, 0), np.int64)
        self.facts: Integers = np.zeros((0, FACTS), np.int64)
        self.spent: dict[str, dict[int, list[int]]] = {}
        self._digest: bytes | None = None

    @property
    def outcomes(self) -> int:
        return int(self.facts[:, N].sum())

    def room(self, lanes: Iterable[str], names: int) -> None:
        """Make place for lanes, and for so many names. The bucket is about to change."""
        self._digest = None
        for lane in lanes:
            self.lanes.setdefault(lane, len(self.lanes))
        rows, columns = self.products.shape
        wanted = max(columns, triangle(names))
        if rows < len(self.lanes) or columns < wanted:
            products = np.zeros((len(self.lanes), wanted), np.int64)
            products[:rows, :columns] = self.products
            facts = np.zeros((len(self.lanes), FACTS), np.int64)
            facts[:rows] = self.facts
            self.products, self.facts = products, facts

    def add(self, lane: str, rows: Floats, signs: Floats, facts: Integers) -> None:
        """Add outcomes of a lane that has room: (reward, features...) of each, to be taken by its sign, and facts."""
        row, upper = self.lanes[lane], _upper(rows.shape[1])
        self.products[row, : len(upper[0])] += ((rows * signs[:, None]).T @ rows)[upper].astype(np.int64)
        self.facts[row] += facts.sum(0)

    def spend(self, scope: str, grain: int, tasks: int, micro: int) -> None:
        entry = self.spent.setdefault(scope, {}).setdefault(grain, [0, 0])
        entry[0] += tasks
        entry[1] += micro

    def merge(self, other: "Bucket", slots: Sequence[int], names: int) -> None:
        """Add another's sums; `slots` says where its features stand here, where there are `names` of them."""
        self.room(other.lanes, names)
        rows = np.array([self.lanes[lane] for lane in other.lanes], np.intp)
        columns = packed(slots)[: other.products.shape[1]]
        self.products[rows[:, None], columns] += other.products
        self.facts[rows] += other.facts
        for scope, grains in other.spent.items():
            for grain, (tasks, micro) in grains.items():
                self.spend(scope, grain, tasks, micro)

    def digest(self, number: int, names: Sequence[str]) -> bytes:
        """SHA-256 of `encoded`; empty when there is nothing in it. Kept until something changes."""
        if self._digest is None:
            encoded = self.encoded(number, names)
            empty = not encoded[2] and not encoded[3]
            self._digest = b"" if empty else hashlib.sha256(msgspec.msgpack.encode(encoded)).digest()
        return self._digest

    def encoded(self, number: int, names: Sequence[str]) -> Encoded:
        """The one form of these sums: independent of the order of lanes and slots, and of places that are empty."""
        first, second = _upper(len(names) + 1)
        filled = np.flatnonzero(self.products.any(0))
        used = sorted({*first[filled].tolist(), *second[filled].tolist()} - {0}, key=lambda place: names[place - 1])
        columns = packed([place - 1 for place in used])
        # Names that are new since this bucket was filled have no columns in it yet, and are not used here.
        products = self.products[:, columns] if self.products.shape[1] else self.products
        rows = [
            (lane, self.facts[row].astype(_STORED).tobytes(), products[row].astype(_STORED).tobytes())
            for lane, row in sorted(self.lanes.items())
            if self.facts[row].any() or products[row].any()
        ]
        spent = [
            (scope, kept)
            for scope, grains in sorted(self.spent.items())
            if (kept := [(grain, *entry) for grain, entry in sorted(grains.items()) if any(entry)])
        ]
        return number, [names[place - 1] for place in used], rows, spent  # type: ignore[return-value]  # pairs are pairs

    def load(self, encoded: Encoded, slots: Mapping[str, int]) -> None:
        """Take over what was encoded. Raises ValueError when it is cut short."""
        _, names, rows, spent = encoded
        self.room((lane for lane, _, _ in rows), len(slots))
        columns = packed([slots[name] for name in names])
        for lane, facts, products in rows:
            self.facts[self.lanes[lane]] = np.frombuffer(facts, _STORED)
            self.products[self.lanes[lane], columns] = np.frombuffer(products, _STORED)
        self.spent = {scope: {grain: [n, micro] for grain, n, micro in grains} for scope, grains in spent}


class Decayed(Struct):
    """Sums over successive spans of which the newest weighs 1, by lane."""

    lanes: dict[str, int]
    products: Floats
    facts: Floats
    outcomes: int

    def summary(self, row: int, age: int) -> LaneSummary:
        """Averages of a lane that has outcomes, in the digits with which they are recorded."""
        facts = self.facts[row].tolist()

        def mean(total: int, count: int, unit: float = 1.0) -> float | None:
            return round(facts[total] / facts[count] / unit, 6) if facts[count] > 0 else None

        return LaneSummary(
            n=round(facts[N], 6),
            success=mean(SUCCESS, N),
            latency_s=mean(MS, MS_N, 1e3),
            tokens=mean(TOKENS, TOKENS_N),
            cost_usd=mean(MICRO, MICRO_N, 1e6),
            reward=mean(R, N, ONE),
            age=age,
        )


def decayed(spans: Sequence[Bucket | Decayed], forgetting: float, names: int) -> Decayed:
    """Add up spans, newest first: each weighs `forgetting` to the power of the outcomes in those before it.

    Every number is added to its like in the order of the spans and of nothing else, so that the sums are the same to
    the last bit however lanes and slots are arranged.
    """
    lanes: dict[str, int] = {}
    for span in spans:
        for lane in span.lanes:
            lanes.setdefault(lane, len(lanes))
    products = np.zeros((len(lanes), triangle(names)))
    facts = np.zeros((len(lanes), FACTS))
    outcomes, weight = 0, 1.0
    for span in spans:
        if weight < _FORGOTTEN:
            break
        rows: Any = [lanes[lane] for lane in span.lanes]
        if rows == list(range(len(rows))):
            rows = slice(len(rows))  # many times faster than a list of rows
        width = span.products.shape[1]
        products[rows, :width] += span.products * weight
        facts[rows] += span.facts * weight
        outcomes += span.outcomes
        weight = forgetting ** max(outcomes, 0)
    return Decayed(lanes, products, facts, outcomes)


def triangle(names: int) -> int:
    """How many pairs there are of the reward and so many features."""
    return (names + 1) * (names + 2) // 2


def packed(slots: Sequence[int]) -> npt.NDArray[np.intp]:
    """Columns of the pairs of the reward and the features at these slots, by columns of the upper triangle."""
    places = np.array([0, *(slot + 1 for slot in slots)], np.intp)
    first, second = _upper(len(places))
    return column(places[first], places[second])


def column(one: npt.NDArray[np.intp], other: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Where the sum of a pair stands; 0 is the reward, slots follow."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    place: npt.NDArray[np.intp] = high * (high + 1) // 2 + low
    return place


@lru_cache(maxsize=256)
def _upper(size: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the upper triangle of a square, column by column."""
    second, first = np.tril_indices(size)
    return first, second
