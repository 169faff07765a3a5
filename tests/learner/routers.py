"""What a router and its workers write into the log when they have a version of the policy."""

import random
from collections.abc import Sequence

from tests.learner.histories import LANES, ROLE, Said, task_of

from cca.contracts.policy import PolicySnapshot
from cca.contracts.task import Failure, TaskCompleted, TaskFailed, TaskRouted, TaskStarted, TaskSubmitted, Usage
from cca.routing.algorithms import policy_of
from cca.routing.features import Vocabulary, described, known
from cca.routing.policy import Case, LaneLoad, choose, seed_of

IDLE = [LaneLoad(ROLE, lane, 4) for lane in LANES]


def routed(number: int, snapshot: PolicySnapshot, lanes: Sequence[LaneLoad] = IDLE) -> list[Said]:
    """A task as a router that has this version decides about it, and what becomes of it."""
    task, draw = task_of(number), random.Random(number)
    kind = draw.choice(("review", "docs"))
    x = described(size=20, kind=kind, requester="alice")
    case = Case(known(x, Vocabulary(snapshot.vocabulary).slots()), "alice")
    seed = seed_of(task, 1)
    choice = choose(policy_of(snapshot), seed, case, lanes, (), snapshot.lanes)
    lane, time = choice.lane.lane, float(number)
    success, cost = LANES[lane]
    ended: TaskCompleted | TaskFailed
    if draw.random() < success:
        ended = TaskCompleted(task, 1, f"{lane}-0", None, Usage(10, 10, cost), 1.0)
    else:
        ended = TaskFailed(task, 1, f"{lane}-0", Failure("error", "no luck"), 1.0)
    return [
        (TaskSubmitted(task, ROLE, "x" * 20, "f" * 64, kind=kind, requester="alice"), time),
        (
            TaskRouted(
                task,
                1,
                ROLE,
                lane,
                choice.policy,
                choice.propensity,
                seed,
                choice.candidates,
                choice.explored,
                snapshot.version,
                dict(case.x),
            ),
            time,
        ),
        (TaskStarted(task, 1, 1, f"{lane}-0", lane, 1, 1), time),
        (ended, time + 1),
    ]
