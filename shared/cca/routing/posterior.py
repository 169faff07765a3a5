"""What linear regressions expect of lanes, read in microseconds: means and deviations of all lanes of a decision."""

import zlib
from collections.abc import Sequence
from functools import cache, lru_cache
from math import sqrt

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca.contracts.policy import PolicySnapshot
from cca.errors import Unreadable
from cca.routing.features import BASE, INTERCEPT, LOAD, ONE, Features, load
from cca.routing.policy import LaneLoad

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

FIRST = (BASE.index(INTERCEPT), BASE.index(LOAD))
"""Slots of intercept and load: they are the first two features of every model, whatever was observed."""

_LEAST_VARIANCE, _LEAST_DEVIATION = 1e-12, 1e-6
"""Below this the numbers of a covariance say nothing about a variance."""
_ROSTERS = 512
"""How many sets of lanes are kept with what is derived from them."""

_load = lru_cache(maxsize=16_384)(load)


class Model(Struct, frozen=True, forbid_unknown_fields=True, tag="linear/1", tag_field="of"):
    """The posteriors of all lanes, as they are stored.

    Single precision rounds away what differs between builds of LAPACK; sums are exact, so the same sums give the same
    bytes.

    Attributes:
        lanes: keys; after their columns comes one more, of a lane that is not known.
        counts: weight of the outcomes of each lane.
        slots: features of which something is known, intercept and load first.
        precision: of the prior, for the features that are not among them.
        noise: variance of a single outcome.
        means, covariances: float32, a row for each feature (pair of features: upper triangle by columns), a column
            for each lane; covariances are in units of the noise.
        packed: both are compressed.
    """

    lanes: tuple[str, ...]
    counts: tuple[float, ...]
    slots: tuple[int, ...]
    precision: float
    noise: float
    means: bytes
    covariances: bytes
    packed: bool = False


@lru_cache(maxsize=64)
def triangle(size: int) -> tuple[Places, Places]:
    """Rows and columns of the upper triangle, column by column: (i, j) is at j * (j + 1) / 2 + i."""
    second, first = np.tril_indices(size)
    return first, second


def read(data: bytes) -> Model:
    """What was stored. Raises `Unreadable` when it is something else."""
    try:
        return msgspec.msgpack.decode(data, type=Model)
    except msgspec.DecodeError as wrong:
        raise Unreadable(f"not a linear model: {wrong}") from None


# ------------------------------------------------------------------------------------------ asked


class Plan(Struct, frozen=True):
    """How so many features are multiplied: `weight = value[one] * value[other] * factor`, added up by part.

    Places of features are followed by two marks: of the load, and of the mean (what is no pair).
    """

    one: Places
    other: Places
    value_one: Places
    value_other: Places
    factor: Floats
    parts: Places


@cache
def _plan(count: int) -> Plan:
    """For the intercept, which is the first, and further features: `count` in all.

    Parts: mean, mean by load; variance, twice the covariance with the load, variance of the load.
    """
    load_mark, mean_mark = count, count + 1
    alone = list(range(count))
    pairs = [(one, other) for other in alone for one in range(other + 1)]
    one = [*alone, load_mark, *(one for one, _ in pairs), *alone, load_mark]
    other = [mean_mark] * (count + 1) + [other for _, other in pairs] + [load_mark] * (count + 1)
    parts = [0, count, count + 1, count + 1 + len(pairs), 2 * count + 1 + len(pairs)]
    return Plan(
        one=np.array(one, np.intp),
        other=np.array(other, np.intp),
        # What is multiplied by no feature is multiplied by that of the intercept, which is 1.
        value_one=np.array([place if place < count else 0 for place in one], np.intp),
        value_other=np.array([place if place < count else 0 for place in other], np.intp),
        factor=np.array([1.0] * (count + 1) + [1.0 + (a != b) for a, b in pairs] + [2.0] * count + [1.0]),
        parts=np.array(parts, np.intp),
    )


class Roster(Struct, frozen=True):
    """Some lanes, by the columns of the model: all of one decision. `counts` are the outcomes of each."""

    columns: Places
    counts: tuple[float, ...]
    fewest: float


class Posterior:
    """A model, laid out so that a decision reads a few rows of it: each number of all lanes side by side.

    It keeps what it has derived from combinations of features and of lanes; that changes nothing but the time taken.
    """

    def __init__(self, snapshot: PolicySnapshot) -> None:
        """Raises `Unreadable` for a model that is not one."""
        model = read(snapshot.model)
        size, lanes = len(model.slots), len(model.lanes)
        means, covariances = _floats(model, size, lanes + 1)
        if (
            model.slots[:2] != FIRST
            or max(model.slots) >= len(snapshot.vocabulary)
            or len(model.counts) != lanes
            or not 0 < model.noise < 1e15
            or not 0 < model.precision < 1e15
        ):
            raise Unreadable("a linear model that does not fit its vocabulary")
        self._columns = {lane: column for column, lane in enumerate(model.lanes)}
        self._counts = (*model.counts, 0.0)
        self._rows = np.concatenate((means, covariances * model.noise))
        self._size = size
        # Row of the mean of a feature, or of the covariance of two: features by their place, the last of all the mean.
        self._row = np.zeros((size + 1, size + 1), np.intp)
        self._row[triangle(size)] = np.arange(size, size + size * (size + 1) // 2)
        self._row = np.maximum(self._row, self._row.T)
        self._row[:size, size] = np.arange(size)
        # Where features stand; a name of which nothing is known has a number beyond.
        place = {slot: place for place, slot in enumerate(model.slots)}
        self._places = {name: place.get(slot, size) for slot, name in enumerate(snapshot.vocabulary)}
        for name in (INTERCEPT, LOAD):
            self._places.pop(name, None)
        self._unknown = model.noise / model.precision / (ONE * ONE)
        self._rosters: dict[tuple[tuple[str, str], ...], Roster] = {}

    def roster(self, lanes: Sequence[LaneLoad]) -> Roster:
        """The lanes' places in the model."""
        key = tuple([(lane.role, lane.lane) for lane in lanes])
        found = self._rosters.get(key)
        if found is None:
            columns = [self._columns.get(lane.key, len(self._columns)) for lane in lanes]
            counts = tuple(self._counts[column] for column in columns)
            found = Roster(np.array(columns, np.intp), counts, min(counts))
            if len(self._rosters) >= _ROSTERS:
                self._rosters.clear()
            self._rosters[key] = found
        return found

    def expected(self, x: Features, lanes: Sequence[LaneLoad], roster: Roster) -> tuple[list[float], list[float]]:
        """Mean and deviation of each lane's reward. `roster` is of the same lanes."""
        places, values, unknown = self._seen(x)
        plan = _plan(len(values))
        place, value = np.array(places), np.array(values)
        weights = value.take(plan.value_one)
        weights *= value.take(plan.value_other)
        weights *= plan.factor
        rows = self._rows.take(self._row[place.take(plan.one), place.take(plan.other)], axis=0)
        rows *= weights[:, None]
        # Added by numpy one row after the other, not by BLAS, which has an order of its own on each machine.
        parts = np.add.reduceat(rows, plan.parts, axis=0).take(roster.columns, axis=1).tolist()
        busy = [_load(lane.running, lane.queued, lane.capacity) / ONE for lane in lanes]
        means = [mean + by * load for mean, by, load in zip(parts[0], parts[1], busy, strict=True)]
        variances = [
            unknown + variance + load * (by + load * square)
            for variance, by, square, load in zip(*parts[2:], busy, strict=True)
        ]
        return means, [sqrt(each) if each > _LEAST_VARIANCE else _LEAST_DEVIATION for each in variances]

    def contributions(self, x: Features, lane: LaneLoad) -> dict[str, float]:
        """By feature, what it adds to the lane's mean; the intercept includes the mean reward of all lanes."""
        theta = self._rows[:, self._columns.get(lane.key, len(self._columns))].tolist()
        found = {INTERCEPT: theta[0]}
        if busy := _load(lane.running, lane.queued, lane.capacity):
            found[LOAD] = theta[1] * busy / ONE
        for name, size in x.items():
            place = self._places.get(name, self._size)
            if place < self._size:
                found[name] = theta[place] * _held(size) / ONE
        return found

    def _seen(self, x: Features) -> tuple[list[int], list[float], float]:
        """Places and values of the features, and the variance that those bring of which nothing is known.

        The order of `x` makes no difference.
        """
        known: list[tuple[int, float]] = []
        unknown = 0
        for name, size in x.items():
            place = self._places.get(name)
            if place is None:
                continue
            held = size if -ONE <= size <= ONE else _held(size)
            if place < self._size:
                known.append((place, held / ONE))
            else:
                unknown += held * held
        known.sort()
        places = [0, *[place for place, _ in known], 1, self._size]
        return places, [1.0, *[value for _, value in known]], unknown * self._unknown


def _held(size: int) -> int:
    return max(-ONE, min(ONE, size))


def _floats(model: Model, size: int, columns: int) -> tuple[Floats, Floats]:
    parts = (model.means, size), (model.covariances, size * (size + 1) // 2)
    try:
        numbers = [
            np.frombuffer(zlib.decompress(part) if model.packed else part, "<f4").reshape(rows, columns)
            for part, rows in parts
        ]
    except (ValueError, zlib.error) as wrong:
        raise Unreadable(f"not a linear model: {wrong}") from None
    if not all(np.isfinite(each).all() for each in numbers):
        raise Unreadable("a linear model with numbers that are none")
    means, covariances = (each.astype(np.float64) for each in numbers)
    return means, covariances
