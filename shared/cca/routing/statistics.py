"""What has been observed of lanes: sums of integers by bucket of time, so that no order of events makes a difference.

Everything is quantised before it is added: features and rewards in units of 2**-12, spans in milliseconds, money in
micro-dollars. Forgetting is applied when moments are read, so nothing of it is in the sums.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from msgspec import Struct

from cca.contracts.policy import LaneSummary, Params
from cca.errors import Unreadable
from cca.routing.batch import Batch, Summable
from cca.routing.buckets import (
    BUCKET,
    GRAIN,
    MICRO,
    Bucket,
    Decayed,
    Encoded,
    Floats,
    N,
    R,
    column,
    decayed,
    triangle,
)
from cca.routing.features import INTERCEPT, LOAD, MOST, ONE, Features
from cca.routing.reward import value
from cca.routing.steps import Step

KEPT = 256
"""The newest so many buckets count; an outcome of an older one comes too late."""

_BLOCK = 16
"""Buckets whose decayed sums are kept together, so that a read only adds up again what has changed."""
_NAMES = 2 * MOST
"""More names than any vocabulary has: a log that no router of ours wrote cannot fill the memory."""
_WAITING = 4096
"""Outcomes that wait to be added together."""
_FORMAT = 1


class Moments(Struct, frozen=True):
    """What regression needs of a lane, old outcomes weighing less.

    Attributes:
        n: weight of the outcomes.
        xx, xr: sums of the products of features, and of features and reward; by slot, in units of 1.
        r, rr: sums of rewards, and of their squares.
    """

    n: float
    xx: Floats
    xr: Floats
    r: float
    rr: float


class Statistics:
    """All outcomes that are remembered. Two that were given the same steps, in whatever order, have one digest.

    A bucket counts while it is among the newest `KEPT`. The newest is that of the newest step ever given, with or
    without an outcome; it never goes back, so what is dropped and what comes too late is the same in every order.
    """

    def __init__(self, params: Params, vocabulary: Sequence[str]) -> None:
        """Empty sums, for rewards as `params` value them and features of these names."""
        self._params = params
        self._payers = {scope for scope in params.budgets if scope.startswith("requester:")}
        self._vocabulary = tuple(vocabulary)
        # Sums stand where their name was first met; the vocabulary only says which are read out, and in what order.
        self._slots = {name: slot for slot, name in enumerate(dict.fromkeys((*vocabulary, INTERCEPT, LOAD)))}
        self._newest = 0
        self._buckets: dict[int, Bucket] = {}
        self._blocks: dict[int, Decayed] = {}
        self._all: Decayed | None = None
        self._waiting = Batch()

    # -------------------------------------------------------------------------------------- what is counted

    def add(self, step: Step) -> None:
        """Count a decision's outcome. A step without one only says how far the log has come."""
        self._take(step, 1)

    def remove(self, step: Step) -> None:
        """Take back what `add` of the very same step has counted."""
        self._take(step, -1)

    def grow(self, vocabulary: Sequence[str]) -> None:
        """Read moments out for this vocabulary from now on; nothing that is known is lost."""
        self._vocabulary = tuple(vocabulary)
        for name in vocabulary:
            self._slots.setdefault(name, len(self._slots))

    def merge(self, other: "Statistics") -> None:
        """Add what another one has counted, of other steps. Raises ValueError when it values outcomes otherwise."""
        if _values(other._params) != _values(self._params):
            raise ValueError("statistics that value outcomes differently cannot be added")
        other._flush()
        self._flush()
        self._newest = max(self._newest, other._newest)
        self._learn(other._slots)
        slots = [self._slots[name] for name in other._slots]
        for number, theirs in other._buckets.items():
            self._bucket(number).merge(theirs, slots, len(self._slots))
        self._drop()

    def _take(self, step: Step, sign: int) -> None:
        position = step.position
        bucket = position // BUCKET
        if bucket > self._newest:
            self._newest = bucket
        if bucket <= self._newest - KEPT or (valued := value(step, self._params)) is None:
            return
        x = step.x
        if not x.keys() <= self._slots.keys():
            self._learn(x)
            x = {name: size for name, size in x.items() if name in self._slots}
        self._waiting.note(step, sign, valued.reward, x, self._slots)
        if len(self._waiting) >= _WAITING:
            self._flush()

    def _learn(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._slots and len(self._slots) < _NAMES:
                self._slots[name] = len(self._slots)

    def _flush(self) -> None:
        """Add up what waits: the rows of a lane in a bucket are multiplied with each other all at once."""
        if self._waiting:
            batch, self._waiting = self._waiting.summed(self._slots), Batch()
            for number, lanes in batch.groups():
                bucket = self._bucket(number)
                bucket.room(lanes, len(self._slots))
                for lane, members in lanes.items():
                    bucket.add(lane, batch.rows[members], batch.signs[members], batch.facts[members])
            self._spend(batch)
        self._drop()

    def _spend(self, batch: Summable) -> None:
        """Note who has spent how much on how many tasks; that of a requester is only kept when it has a budget."""
        columns = (batch.positions // BUCKET, batch.positions // GRAIN, batch.tasks, batch.facts[:, MICRO])
        each = zip(batch.whose, *(column.tolist() for column in columns), strict=True)
        for (lane, requester), number, grain, tasks, micro in each:
            if tasks or micro:
                bucket = self._buckets[number]
                bucket.spend(f"role:{lane.partition('/')[0]}", grain, tasks, micro)
                if self._payers and (payer := f"requester:{requester}") in self._payers:
                    bucket.spend(payer, grain, tasks, micro)

    def _bucket(self, number: int) -> Bucket:
        """A bucket that is about to change."""
        self._all = None
        self._blocks.pop(number // _BLOCK, None)
        return self._buckets.setdefault(number, Bucket())

    def _drop(self) -> None:
        for number in [number for number in self._buckets if number <= self._newest - KEPT]:
            self._bucket(number)
            del self._buckets[number]

    # -------------------------------------------------------------------------------------- what is read

    @property
    def outcomes(self) -> int:
        """How many outcomes are counted."""
        self._flush()
        return sum(bucket.outcomes for bucket in self._buckets.values())

    def moments(self) -> dict[str, Moments]:
        """What is known of each lane, by its key, for the vocabulary; older buckets weigh less."""
        total = self._decayed()
        places = np.array([0, *(self._slots[name] + 1 for name in self._vocabulary if name in self._slots)], np.intp)
        squares = total.products[:, column(places[:, None], places[None, :])] / (ONE * ONE)
        return {
            lane: Moments(
                n=float(total.facts[row, N]),
                xx=squares[row, 1:, 1:],
                xr=squares[row, 0, 1:],
                r=float(total.facts[row, R]) / ONE,
                rr=float(squares[row, 0, 0]),
            )
            for lane, row in sorted(total.lanes.items())
            if total.facts[row, N] > 0
        }

    def summaries(self) -> dict[str, LaneSummary]:
        """Averages of each lane, by its key, and how many outcomes of all lanes there are since its first."""
        total, ages = self._decayed(), self._ages()
        return {
            lane: total.summary(row, ages.get(lane, 0))
            for lane, row in sorted(total.lanes.items())
            if total.facts[row, N] > 0
        }

    def spending(self, scope: str) -> list[tuple[int, int, int]]:
        """(grain, tasks, micro-dollars), oldest first; a grain is `GRAIN` positions of the log.

        A task counts with its first attempt, its money with each that has told what it cost. For `all`, for roles, and
        for the requesters that have a budget.
        """
        self._flush()
        sums: dict[int, list[int]] = {}
        for bucket in self._buckets.values():
            scopes = [s for s in bucket.spent if s.startswith("role:")] if scope == "all" else [scope]
            for grains in (bucket.spent[s] for s in scopes if s in bucket.spent):
                for grain, (tasks, micro) in grains.items():
                    entry = sums.setdefault(grain, [0, 0])
                    entry[0] += tasks
                    entry[1] += micro
        return [(grain, tasks, micro) for grain, (tasks, micro) in sorted(sums.items()) if tasks or micro]

    def _decayed(self) -> Decayed:
        self._flush()
        forgetting, names = self._params.forgetting, len(self._slots)
        if self._all is None or self._all.products.shape[1] < triangle(names):
            spans = sorted(self._buckets.items(), reverse=True)
            blocks = sorted({number // _BLOCK for number, _ in spans}, reverse=True)
            for block in blocks:
                if block not in self._blocks:
                    own = [bucket for number, bucket in spans if number // _BLOCK == block]
                    self._blocks[block] = decayed(own, forgetting, names)
            self._all = decayed([self._blocks[block] for block in blocks], forgetting, names)
        return self._all

    def _ages(self) -> dict[str, int]:
        ages: dict[str, int] = {}
        outcomes = 0
        for _, bucket in sorted(self._buckets.items(), reverse=True):
            outcomes += bucket.outcomes
            counts = bucket.facts[:, N].tolist()
            ages.update({lane: outcomes for lane, row in bucket.lanes.items() if counts[row] > 0})
        return ages

    # -------------------------------------------------------------------------------------- what is kept

    def digest(self) -> str:
        """SHA-256 of the sums, in hexadecimal: of their one form, so that no way to come to them shows."""
        self._flush()
        names = list(self._slots)
        whole = hashlib.sha256(bytes([_FORMAT]))
        for number, bucket in sorted(self._buckets.items()):
            whole.update(bucket.digest(number, names))
        return whole.hexdigest()

    def to_bytes(self) -> bytes:
        """A checkpoint."""
        self._flush()
        names = list(self._slots)
        buckets = [bucket.encoded(number, names) for number, bucket in sorted(self._buckets.items())]
        content = (_FORMAT, _values(self._params), self._newest, buckets)
        return zlib.compress(msgspec.msgpack.encode(content), 1)

    @classmethod
    def from_bytes(cls, data: bytes, params: Params, vocabulary: Sequence[str]) -> "Statistics":
        """What a checkpoint holds. Raises `Unreadable` when it is none, or was made under another reward."""
        read = cls(params, vocabulary)
        try:
            content = msgspec.msgpack.decode(zlib.decompress(data), type=tuple[int, bytes, int, list[Encoded]])
            form, values, newest, buckets = content
            if form != _FORMAT or values != _values(params):
                raise Unreadable("the checkpoint of the statistics was made under other parameters")
            read._newest = newest
            for encoded in buckets:
                read._learn(encoded[1])
                read._bucket(encoded[0]).load(encoded, read._slots)
        except (zlib.error, msgspec.DecodeError, ValueError, KeyError) as wrong:
            raise Unreadable(f"not a checkpoint of statistics: {wrong}") from wrong
        return read


def vector(x: Features, load: int, slots: Mapping[str, int]) -> list[tuple[int, int]]:
    """A task on a lane as the model sees it: (slot, value) of what is not zero, intercept and load included.

    Args:
        x: features of the task by name; those without a slot are left out.
        load: of the lane; all values are in units of 2**-12, and held between -1 and 1.
        slots: of the vocabulary, which begins with `features.BASE`.
    """
    pairs = [(slots[INTERCEPT], ONE)]
    if load:
        pairs.append((slots[LOAD], load if load <= ONE else ONE))
    for name, size in x.items():
        slot = slots.get(name)
        if slot is not None and name != INTERCEPT and name != LOAD:
            pairs.append((slot, size if -ONE <= size <= ONE else (ONE if size > 0 else -ONE)))
    return pairs


def _values(params: Params) -> bytes:
    """What of the parameters is in the sums: how outcomes are valued, and whose spending is noted."""
    scopes = sorted(scope for scope in params.budgets if scope.startswith("requester:"))
    return hashlib.sha256(msgspec.json.encode((params.reward, bool(params.budgets), scopes), order="sorted")).digest()
