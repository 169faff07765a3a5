"""Outcomes that wait to be added up: noted one by one, made into arrays all at once, many times faster than singly."""

from collections.abc import Iterator, Mapping
from math import inf, nan

import numpy as np
from msgspec import Struct

from cca.routing.buckets import (
    BUCKET,
    FACTS,
    MICRO,
    MICRO_N,
    MS,
    MS_N,
    SUCCESS,
    TOKENS,
    TOKENS_N,
    Floats,
    Integers,
    N,
    R,
)
from cca.routing.features import INTERCEPT, LOAD, ONE, Features
from cca.routing.steps import Step

_LIMIT = 2**40 - 1
"""Milliseconds, tokens and micro-dollars of one outcome at most."""
_POSITION, _SIGN, _LOAD, _NAMES, _REWARD, _COMPLETED, _LATENCY, _TOKENS, _COST, _FIRST = range(10)


class Batch:
    """Outcomes that were noted, each to be added (1) or taken back (-1)."""

    def __init__(self) -> None:
        self._noted: list[tuple[float, ...]] = []
        self._whose: list[tuple[str, str | None]] = []
        self._slots: list[int] = []
        self._sizes: list[int] = []

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, step: Step, sign: int, reward: float, x: Features, slots: Mapping[str, int]) -> None:
        """Note an outcome that was worth `reward`; each of its features `x` has a slot."""
        tokens, cost = step.tokens, step.cost_usd
        self._noted.append(
            (
                step.position,
                sign,
                step.load if step.load <= ONE else ONE,
                len(x),
                reward,
                step.ending == "completed",
                step.latency_s,
                nan if tokens is None else tokens if tokens <= _LIMIT else _LIMIT,
                nan if cost is None else cost,
                not x.get("attempt"),
            )
        )
        self._whose.append((step.lane, step.requester))
        self._slots += [slots[name] for name in x]
        self._sizes += x.values()

    def summed(self, slots: Mapping[str, int]) -> "Summable":
        """All that was noted, as arrays; `slots` are those that names have by now."""
        noted = np.array(self._noted, np.float64)
        return Summable(
            whose=self._whose,
            positions=noted[:, _POSITION].astype(np.int64),
            signs=noted[:, _SIGN],
            rows=self._rows(noted, slots),
            facts=_facts(noted),
            tasks=(noted[:, _FIRST] * noted[:, _SIGN]).astype(np.int64),
        )

    def _rows(self, noted: Floats, slots: Mapping[str, int]) -> Floats:
        rows = np.zeros((len(noted), len(slots) + 1))
        try:
            sizes = np.array(self._sizes, np.float64)
        except OverflowError:  # integers have no end, and nobody who writes into a log is held to one
            sizes = np.array([min(max(size, -ONE), ONE) for size in self._sizes], np.float64)
        which = np.repeat(np.arange(len(noted)), noted[:, _NAMES].astype(np.int64))
        rows[which, np.array(self._slots, np.int64) + 1] = np.clip(sizes, -ONE, ONE)
        rows[:, 0] = np.rint(noted[:, _REWARD] * ONE)
        rows[:, 1 + slots[INTERCEPT]] = ONE
        rows[:, 1 + slots[LOAD]] = noted[:, _LOAD]
        return rows


class Summable(Struct, frozen=True):
    """Outcomes as arrays, in the order in which they were noted.

    Attributes:
        whose: lane and requester.
        positions: in the log.
        signs: 1 to add, -1 to take back.
        rows: reward, and features by slot, as `statistics.vector` has them; whole numbers.
        facts: by `buckets`, already by their sign.
        tasks: 1 for the first attempt of a task, else 0; by its sign.
    """

    whose: list[tuple[str, str | None]]
    positions: Integers
    signs: Floats
    rows: Floats
    facts: Integers
    tasks: Integers

    def groups(self) -> Iterator[tuple[int, dict[str, list[int]]]]:
        """Buckets, with the outcomes in them by lane."""
        groups: dict[int, dict[str, list[int]]] = {}
        for index, (number, (lane, _)) in enumerate(zip((self.positions // BUCKET).tolist(), self.whose, strict=True)):
            groups.setdefault(number, {}).setdefault(lane, []).append(index)
        yield from groups.items()


def _facts(noted: Floats) -> Integers:
    facts = np.zeros((len(noted), FACTS))
    facts[:, R] = np.rint(noted[:, _REWARD] * ONE)
    facts[:, N] = 1
    facts[:, SUCCESS] = noted[:, _COMPLETED]
    # Clocks of two machines may run backwards: a span of less than nothing is one of nothing, and still a span.
    told = ((MS, MS_N, _LATENCY, 1e3, -inf), (TOKENS, TOKENS_N, _TOKENS, 1.0, 0.0), (MICRO, MICRO_N, _COST, 1e6, 0.0))
    for total, count, place, unit, least in told:
        known = np.isfinite(noted[:, place]) & (noted[:, place] >= least)
        amounts = np.clip(np.where(known, noted[:, place], 0), 0, _LIMIT)  # first, lest the product be too large
        facts[:, total] = np.rint(np.minimum(amounts * unit, _LIMIT))
        facts[:, count] = known
    return (facts * noted[:, _SIGN, None]).astype(np.int64)
