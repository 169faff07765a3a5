"""The Q-learning that this project replaces, as it stands in `crates/cca-rl/src/algorithm.rs` and `state.rs` of CCA.

Its state is two numbers, rounded to two decimals; the sort of the task is not in it, nor are the agents. The best
action is the last one among equals, as Rust's `max_by` has it: in a state never seen that is the twelfth, which no role
stands behind, so the task goes to the coordinator, the first lane here. An outcome is learned as that of the role it
went to. There are no propensities; those below are what its draw amounts to. Its table has no bound.
"""

from collections.abc import Sequence

from cca.bench.rl.world import Job
from cca.contracts.policy import Params
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.reward import value
from cca.routing.steps import Step

RATE, EPSILON, DECAY, LEAST = 0.1, 0.1, 0.999, 0.01
ACTIONS, ROLES = 12, 7
"""Actions it has, and how many of them are roles; the others end at the coordinator."""


class OldQ:
    """The predecessor's learner, trained with each outcome as it comes (it never was: its engine was not called).

    Args:
        lanes: keys of all lanes there will be, in the order of its actions.
        actions, roles: as many as there were, or one for each lane: kinder than the original.
    """

    every = 1
    share = 1.0  # it has no versions

    def __init__(self, name: str, lanes: Sequence[str], params: Params, actions: int, roles: int) -> None:
        self.name = name
        self._lanes, self._params = list(lanes), params
        self._actions, self._roles = actions, min(roles, len(lanes))
        self._table: dict[str, list[float]] = {}
        self._epsilon = EPSILON

    @classmethod
    def exact(cls, lanes: Sequence[str], params: Params) -> "OldQ":
        return cls("predecessor", lanes, params, ACTIONS, ROLES)

    @classmethod
    def kinder(cls, lanes: Sequence[str], params: Params) -> "OldQ":
        return cls("predecessor-lanes", lanes, params, len(lanes), len(lanes))

    def known(self, x: dict[str, int]) -> dict[str, int]:
        return {}

    @staticmethod
    def key(job: Job) -> str:
        return f"{job.complexity:.2f}_{job.tokens:.2f}"

    def judge(self, job: Job, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        values = self._table.get(self.key(job), [0.0] * self._actions)
        best = max(range(self._actions), key=lambda action: (values[action], action))
        place = {lane.key: index for index, lane in enumerate(lanes)}
        probabilities = [0.0] * len(lanes)
        for action in range(self._actions):
            drawn = self._epsilon / self._actions + (1 - self._epsilon) * (action == best)
            # A role without agents is like an action without a role.
            probabilities[place.get(self._lane(action), 0)] += drawn
        return Judgement(probabilities, probabilities)

    def routed(self, step: Step) -> None:
        pass

    def heard(self, job: Job, step: Step) -> None:
        valued = value(step, self._params)
        if valued is None:
            return
        values = self._table.setdefault(self.key(job), [0.0] * self._actions)
        action = self._lanes.index(step.lane)
        values[action] += RATE * (valued.reward - values[action])
        self._epsilon = max(LEAST, self._epsilon * DECAY)

    def refit(self, position: int) -> None:
        pass

    def _lane(self, action: int) -> str:
        return self._lanes[action if action < self._roles else 0]
