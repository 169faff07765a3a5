"""DQN: Q-learning with a network, which also says something of tasks that it has never seen in just this form."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct

from cca.contracts.policy import Params, PolicySnapshot
from cca.routing.algorithm import Fitted, History
from cca.routing.buffer import experiences, places
from cca.routing.networks import (
    RECENT,
    Adam,
    Examples,
    Floats,
    Heads,
    Network,
    Places,
    adams_rate,
    examples,
    fresh,
    pack,
    seeded,
    unpack,
)
from cca.routing.pacing import Prices, priced
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.tabular import judged

BATCH = 64
FEWEST, MOST = 200, 1_500
"""Batches of a fit."""
OFTEN = 16
"""How often an experience is drawn, more or less, within these limits."""
COPIED = 50
"""Batches after which the target network becomes what the trained one is."""
HUBER = 1.0
"""Up to this error the loss is a square, beyond it a line. Rewards lie between 0 and 1, so it is means that are
learned (a smaller one would learn medians, of rewards that are mostly one of two values)."""
DECAY = 0.02


class Greedy(Struct, frozen=True):
    """Takes the lane that the network expects most of, except for a share that explores."""

    heads: Heads
    epsilon: float
    burn_in: int
    prices: Prices
    name: str = "dqn/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        values = self.heads.ask(case.x, [lane.key for lane in lanes], self.burn_in)
        return judged(values, self.prices.penalty(case, lanes), self.epsilon)


class DQN(Struct, frozen=True):
    """Deep Q-network (Mnih and others, 2015): replayed batches, a target network that lags, the Huber loss.

    The same history gives the same bytes on the same machine; processors of another kind round sums differently.
    """

    summary: str = "A small network trained by Q-learning; like q-learning, and it generalises between tasks."

    def fit(self, history: History) -> Fitted:
        replay = experiences(history, RECENT)
        rows = examples(replay, history.vocabulary, history.params.forgetting)
        rng = seeded(replay)
        width, hidden = rows.x.shape[1], history.params.hidden
        network = fresh(width, hidden, len(rows.lanes), rng, float(rows.reward.mean()) if len(rows) else 0.0)
        loss = trained(network, rows, history.params, rng) if len(rows) else None
        return Fitted(pack("dqn/1", network, rows.lanes, rows.tried), loss)

    def policy(self, snapshot: PolicySnapshot) -> Greedy:
        """The policy of a network. Raises `Unreadable` for a model that is none."""
        params = snapshot.params
        heads = unpack("dqn/1", snapshot)
        return Greedy(heads, params.epsilon, params.burn_in, priced(snapshot.prices, snapshot.lanes))


def trained(network: Network, rows: Examples, params: Params, rng: np.random.Generator) -> float:
    """Train a network in place on at least one example; the answer is the mean loss of the last tenth of batches."""
    batches = min(max(OFTEN * len(rows) // BATCH, FEWEST), MOST)
    adam = Adam(network.parameters, adams_rate(params), DECAY)
    target = network
    losses = []
    for batch in range(batches):
        if batch % COPIED == 0:
            target = network.copy()
        drawn = np.array(places(len(rows), BATCH, rng), np.intp)
        x = rows.x[drawn]
        hidden = network.hidden(x)
        each = np.arange(len(drawn))
        taken = rows.taken[drawn]
        error = (hidden @ network.outer + network.outer_bias)[each, taken] - targets(rows, drawn, target, params)
        clipped = np.clip(error, -HUBER, HUBER)
        slope = np.zeros((len(drawn), len(rows.lanes)))
        slope[each, taken] = clipped * rows.weight[drawn] / len(drawn)
        # Ever smaller steps: the last batches would otherwise decide more than all before them.
        adam.step(network.gradient(x, hidden, slope), 1 - batch / batches)
        losses.append(float(np.mean(clipped * (error - clipped / 2))))
    return float(np.mean(losses[-max(1, batches // 10) :]))


def targets(rows: Examples, drawn: Places, target: Network, params: Params) -> Floats:
    """What each attempt was worth, by the best that the target network expects of the attempt after it."""
    found = rows.reward[drawn]
    going_on = np.flatnonzero(~rows.last[drawn])
    if len(going_on):
        after = drawn[going_on]
        best = np.where(rows.open_after[after], target(rows.x_after[after]), -np.inf).max(1)
        found[going_on] = (1 - params.discount) * found[going_on] + params.discount * best
    return found
