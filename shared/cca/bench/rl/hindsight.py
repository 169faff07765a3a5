"""What is compared against: chance, and what one could have earned knowing everything beforehand."""

import itertools

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca.bench.rl.world import Floats, World
from cca.routing.features import ONE

RIDGE = 1.0
"""Precision of the prior on the weights of the linear policy."""


class Marks(Struct):
    """Worth of each task, had it been routed in one of these ways.

    Attributes:
        random: the mean over the lanes.
        fixed: the lane that was best over all tasks, every time.
        linear: the policy that hindsight allows: a linear one that has seen every outcome of every lane, once for
            each phase; where there are several attempts, the best plan (lanes in turn) for each sort of task.
        oracle: for each task by itself what was best.
    """

    random: Floats
    fixed: Floats
    linear: Floats
    oracle: Floats


def marks(world: World) -> Marks:
    """All of them for one test bed."""
    return _of_lanes(world) if world.attempts == 1 else _of_plans(world)


def design(world: World) -> Floats:
    """The features of all tasks as a matrix, with an intercept; every name has a column, however rare."""
    rows = [job.features() for job in world.jobs]
    column = {name: place for place, name in enumerate(sorted({name for row in rows for name in row}), start=1)}
    found = np.zeros((len(rows), len(column) + 1))
    found[:, 0] = 1.0
    for place, row in enumerate(rows):
        for name, value in row.items():
            found[place, column[name]] = value / ONE
    return found


def _of_lanes(world: World) -> Marks:
    begins, tasks = np.array(world.begins), len(world.jobs)
    there = begins <= np.arange(tasks)[:, None]
    values = np.where(there, world.expected, -np.inf)
    # A lane that was not there all the time cannot have been the one fixed choice.
    whole = np.flatnonzero(begins == 0)
    fixed = whole[np.argmax(world.expected[:, whole].mean(0))]
    x, chosen = design(world), np.empty(tasks, dtype=np.int64)
    for begin, end in itertools.pairwise((*world.phases, tasks)):
        rows = slice(begin, end)
        gram = x[rows].T @ x[rows] + RIDGE * np.eye(x.shape[1])
        predicted = x[rows] @ np.linalg.solve(gram, x[rows].T @ world.expected[rows])
        chosen[rows] = np.argmax(np.where(there[rows], predicted, -np.inf), axis=1)
    return Marks(
        random=np.where(there, world.expected, 0).sum(1) / there.sum(1),
        fixed=world.expected[:, fixed],
        linear=world.expected[np.arange(tasks), chosen],
        oracle=values.max(1),
    )


def _of_plans(world: World) -> Marks:
    """Where a task can be tried again, what is chosen is a plan: a lane for each attempt."""
    tasks, lanes = len(world.jobs), len(world.lanes)
    plans = list(itertools.product(range(lanes), repeat=world.attempts))
    values = np.empty((tasks, len(plans)))
    for task in range(tasks):
        known: dict[tuple[int, ...], float] = {}
        for place, plan in enumerate(plans):
            tried = _tried(world.solved[task], plan)
            if tried not in known:
                known[tried] = world.worth(task, tried)
            values[task, place] = known[tried]
    kinds = np.array([job.kind for job in world.jobs])
    linear = np.empty(tasks)
    for kind in np.unique(kinds):
        rows = kinds == kind
        linear[rows] = values[rows][:, np.argmax(values[rows].mean(0))]
    same = [place for place, plan in enumerate(plans) if len(set(plan)) == 1]
    fixed = same[int(np.argmax(values[:, same].mean(0)))]
    return Marks(random=values.mean(1), fixed=values[:, fixed], linear=linear, oracle=values.max(1))


def _tried(solved: NDArray[np.bool_], plan: tuple[int, ...]) -> tuple[int, ...]:
    """The lanes of a plan that are needed: it ends with the first success."""
    for attempt, lane in enumerate(plan):
        if solved[lane, attempt]:
            return plan[: attempt + 1]
    return plan
