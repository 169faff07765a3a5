"""Who takes part: the product's algorithms, what they replace, and a challenger; by the names of the table."""

import importlib.util
from collections.abc import Callable, Sequence
from typing import get_args

from cca.bench.rl.learned import Learned
from cca.bench.rl.old import OldQ
from cca.bench.rl.play import Player
from cca.bench.rl.vowpal import Vowpal
from cca.bench.rl.world import World
from cca.contracts.policy import Algorithm
from cca.routing.algorithms import ALGORITHMS

UPDATE = 10
"""Decisions between two versions: about ten tasks a second, and a version each (`Params.update_s`)."""
SLOW = {"q-learning": 0.05, "dqn": 0.1, "ppo": 0.2}
"""Algorithms that go through all decisions for each version: they wait for this share of new ones."""
APART = {
    "uniform": "chance is worked out exactly",
    "static": "its table is whatever somebody writes into it",
}
"""Algorithms that do not take part, and why."""

Make = Callable[[World], Player]


def _learned(name: Algorithm) -> Make:
    share = SLOW.get(name, 0.0)
    if name in ("weighted-random", "least-loaded", "round-robin"):
        share = 1.0  # one version is like the other

    def make(world: World) -> Player:
        return Learned(name, name, ALGORITHMS[name], world.params, UPDATE, share)

    return make


def _vowpal(name: str, exploration: str) -> Make:
    return lambda world: Vowpal(name, exploration, world.params)


def entrants() -> dict[str, Make]:
    """Everybody, by name. Vowpal Wabbit takes part where it is installed."""
    found: dict[str, Make] = {name: _learned(name) for name in get_args(Algorithm) if name not in APART}
    found["predecessor"] = lambda world: OldQ.exact(world.lanes, world.params)
    found["predecessor-lanes"] = lambda world: OldQ.kinder(world.lanes, world.params)
    if importlib.util.find_spec("vowpalwabbit") is not None:
        found["vw-squarecb"] = _vowpal("vw-squarecb", "--squarecb")
        # The best of 0.1, 0.25 and 0.5 (the usual one) on three of the test beds, with seeds that no table shows.
        found["vw-regcb"] = _vowpal("vw-regcb", "--regcbopt --learning_rate 0.1")
    return found


def chosen(names: Sequence[str] | None) -> list[str]:
    """Names of those who take part: all, or these. Raises ValueError for one that does not exist."""
    everybody = list(entrants())
    if names is None:
        return everybody
    if unknown := set(names) - set(everybody):
        raise ValueError(f"{', '.join(sorted(unknown))}: not one of {', '.join(everybody)}")
    return list(dict.fromkeys(names))
