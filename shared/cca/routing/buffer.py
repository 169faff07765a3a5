"""What is learned from decision by decision: the newest ones with their reward, drawn from without copying."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from msgspec import Struct

from cca.routing.algorithm import History
from cca.routing.reward import value
from cca.routing.steps import Step

SLACK = 16
"""Places of dropped entries are given back when they are a sixteenth of the buffer."""


class Experience(Struct, frozen=True):
    """A decision whose outcome is known.

    Attributes:
        step: the decision.
        reward: what its outcome was worth, between 0 and 1.
        after: the next decision about the task if this attempt failed; None when nothing came after it.
    """

    step: Step
    reward: float
    after: Step | None = None


def order(step: Step) -> tuple[int, str, int]:
    """Steps are gone through in this order, in whatever order they came."""
    return step.position, step.task, step.route


def aged(experience: Experience) -> tuple[int, str, int]:
    """How an experience is ordered: as its decision."""
    return order(experience.step)


class Replay(Sequence[Experience]):
    """The newest experiences by their position in the log, oldest first.

    Which are kept depends on what was added, not on its order. The same decision added again replaces the old one.

    Args:
        size: how many are kept, at least 1.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a buffer of {size} holds nothing")
        self.size = size
        self._kept: list[Experience] = []
        # Entries before it are dropped; they leave many at a time, so that each costs nothing to speak of.
        self._first = 0

    def __len__(self) -> int:
        return len(self._kept) - self._first

    @overload
    def __getitem__(self, place: int) -> Experience: ...
    @overload
    def __getitem__(self, place: slice) -> list[Experience]: ...
    def __getitem__(self, place: int | slice) -> Experience | list[Experience]:
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        return self._kept[self._first + place % len(self)]

    def __iter__(self) -> Iterator[Experience]:
        return (self._kept[place] for place in range(self._first, len(self._kept)))

    def add(self, experience: Experience) -> None:
        """Keep an experience, and drop the oldest if there are too many."""
        key, kept = aged(experience), self._kept
        if len(self) and key <= aged(kept[-1]):
            place = bisect_left(kept, key, lo=self._first, key=aged)
            if aged(kept[place]) == key:
                kept[place] = experience
                return
            kept.insert(place, experience)
        else:
            kept.append(experience)
        if len(self) > self.size:
            self._first += 1
            if self._first * SLACK > self.size:
                del kept[: self._first]
                self._first = 0

    def sample(self, count: int, rng: np.random.Generator) -> list[Experience]:
        """So many different ones (all when there are fewer), drawn evenly. Nothing is copied: only `count` matters."""
        return [self[place] for place in places(len(self), count, rng)]


def places(length: int, count: int, rng: np.random.Generator) -> list[int]:
    """`count` different numbers below `length` (all of them when there are fewer), drawn evenly.

    Floyd's way: one draw for each, nothing of the size of `length`
    (Bentley and Floyd, A Sample of Brilliance, CACM 30(9), 1987).
    """
    tops = np.arange(length - min(count, length), length)
    chosen: dict[int, None] = {}  # a set that keeps its order
    for top, drawn in zip(tops.tolist(), rng.integers(0, tops + 1).tolist(), strict=True):
        chosen[top if drawn in chosen else drawn] = None
    return list(chosen)


def experiences(history: History, most: int | None = None) -> Replay:
    """The newest decisions of a history whose outcome is known (`params.buffer_size` of them, or `most` if fewer)."""
    size = min(history.params.buffer_size, most or history.params.buffer_size)
    newest: list[Experience] = []
    later: dict[str, Step] = {}
    for step in sorted(history.steps, key=order, reverse=True):
        after = later.get(step.task)
        later[step.task] = step
        valued = value(step, history.params)
        if valued is not None:
            newest.append(Experience(step, valued.reward, after if step.ending != "completed" else None))
            if len(newest) == size:
                break
    replay = Replay(size)
    for experience in reversed(newest):
        replay.add(experience)
    return replay
