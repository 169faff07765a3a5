"""Every algorithm by the name under which it is configured."""

from collections.abc import Mapping

from cca.contracts.policy import PolicySnapshot
from cca.errors import Refused
from cca.routing import challenger
from cca.routing.algorithm import Learner
from cca.routing.dqn import DQN
from cca.routing.linear import EpsilonGreedy, LinearPM, LinUCB
from cca.routing.policy import Policy
from cca.routing.ppo import PPO
from cca.routing.simple import LEAST_LOADED, ROUND_ROBIN, STATIC, UNIFORM, WEIGHTED_RANDOM
from cca.routing.tabular import QLearning
from cca.routing.thompson import Thompson

ALGORITHMS: Mapping[str, Learner] = {
    "linear-pm": LinearPM(),
    "linucb": LinUCB(),
    "epsilon-greedy": EpsilonGreedy(),
    "thompson": Thompson(),
    "weighted-random": WEIGHTED_RANDOM,
    "least-loaded": LEAST_LOADED,
    "round-robin": ROUND_ROBIN,
    "uniform": UNIFORM,
    "static": STATIC,
    "q-learning": QLearning(),
    "dqn": DQN(),
    "ppo": PPO(),
}
"""What can decide live: all of `contracts.policy.Algorithm`."""


def challengers() -> dict[str, Learner]:
    """What can be evaluated: all that can decide live, and Vowpal Wabbit where it is installed."""
    found = dict(ALGORITHMS)
    if challenger.installed():
        found["vowpal-wabbit"] = challenger.VowpalWabbit("squarecb")
        found["vowpal-wabbit-regcb"] = challenger.VowpalWabbit("regcb")
    return found


def learner_of(name: str) -> Learner:
    """The algorithm of a name, challengers included. Raises `Refused` when there is none."""
    known = challengers()
    if name not in known:
        raise Refused("unknown-algorithm", f"there is no algorithm {name!r}; there are {', '.join(sorted(known))}")
    return known[name]


def policy_of(snapshot: PolicySnapshot) -> Policy:
    """What decides by a snapshot. Raises `Unreadable` for a model that is not its algorithm's."""
    return ALGORITHMS[snapshot.algorithm].policy(snapshot)
