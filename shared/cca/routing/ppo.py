"""PPO: a network whose outputs are the chances of the lanes themselves, moved in small steps from what was logged."""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.policy import Params, PolicySnapshot
from cca.routing.algorithm import Fitted, History
from cca.routing.buffer import Replay, experiences
from cca.routing.networks import (
    RECENT,
    Adam,
    Examples,
    Flags,
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
from cca.routing.pacing import priced, prices
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.simple import even

CHUNKS, SMALLEST = 24, 64
"""The history is gone through in so many chunks, oldest first, none smaller than this."""
EPOCHS = 4
BATCH = 64
WORK = 16_000
"""A history that is shorter than this is gone through again, up to `ROUNDS` times."""
ROUNDS = 30
CLIP = 0.2
"""How far the chance of a choice may move within a chunk, as a share of what it was."""
RARE = 0.01
"""Logged chances below this count as this; old logs have zeros."""
LIGHT, HEAVY = 0.5, 5.0
"""The least and the most that a choice counts, which the policy would make more seldom or more often than was logged.
Without the first, a policy that is sure and wrong would hardly notice what others were logged to earn."""
ENTROPY = 0.01
"""What keeping the chances apart from certainty is worth, beside advantages of about 1."""
FLAT = 0.05
"""Advantages are divided by their deviation, but not by less than this: where all is equal, nothing is learned."""
STEEP = 20.0
"""Outputs of the network are held within this, so that no chance is ever exactly nothing."""


class Softmax(Struct, frozen=True):
    """Draws lanes with the chances that the network gives them; a floor is spread evenly over all."""

    heads: Heads
    floor: float
    burn_in: int
    name: str = "ppo/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        answers = self.heads.ask(case.x, [lane.key for lane in lanes], self.burn_in)
        known = [answer for answer in answers if answer is not None]
        if not known:
            return Judgement(even(len(lanes)), [0.0] * len(lanes))
        # A lane that was tried too little is taken to be as good as the best.
        best = max(known)
        scores = np.clip([best if answer is None else answer for answer in answers], -STEEP, STEEP)
        shares = np.exp(scores - scores.max())
        probabilities = self.floor / len(lanes) + (1 - self.floor) * shares / shares.sum()
        return Judgement(probabilities.tolist(), scores.tolist())


class PPO(Struct, frozen=True):
    """Proximal policy optimisation (Schulman and others, 2017), on a log that other versions have written.

    The objective has the ratio of a chance to the logged one, clipped around what the policy itself said when it came
    to the chunk (Queeney and others, Generalized PPO, 2021): clipped around the logged chances, as the original is, a
    fit could never move further than `CLIP` away from whatever was logged.

    Prices are paid while it is trained, out of the rewards: a network that gives chances, and not what to expect,
    has nothing that they could be taken from later.

    The same history gives the same bytes on the same machine; processors of another kind round sums differently.
    """

    summary: str = "A small network that is the policy itself, moved by clipped steps; explores by its own chances."

    def fit(self, history: History) -> Fitted:
        replay = experiences(history, RECENT)
        rows = examples(replay, history.vocabulary, history.params.forgetting)
        rng = seeded(replay)
        if history.params.budgets:
            rows = replace(rows, reward=rows.reward - charged(replay, rows.lanes, history))
        width, hidden = rows.x.shape[1], history.params.hidden
        actor = fresh(width, hidden, len(rows.lanes), rng)
        loss = trained(actor, rows, history.params, rng) if len(rows) else None
        return Fitted(pack("ppo/1", actor, rows.lanes, rows.tried), loss)

    def policy(self, snapshot: PolicySnapshot) -> Softmax:
        """The policy of a network. Raises `Unreadable` for a model that is none."""
        return Softmax(unpack("ppo/1", snapshot), snapshot.params.floor, snapshot.params.burn_in)


def charged(replay: Replay, lanes: Sequence[str], history: History) -> Floats:
    """What the lane that each example took costs at today's prices, in units of reward."""
    known = set(lanes)
    money = priced(prices(history.statistics, history.params), history.statistics.summaries())
    return np.array(
        [
            money.penalty(Case(step.x, step.requester), [LaneLoad(*step.lane.partition("/")[::2], 1)])[0]
            for step in (experience.step for experience in replay)
            if step.lane in known
        ],
        np.float64,
    )


def trained(actor: Network, rows: Examples, params: Params, rng: np.random.Generator) -> float:
    """Train a policy in place on at least one example; the answer is the mean squared error of its baseline."""
    width, hidden = actor.inner.shape
    critic = fresh(width, hidden, 1, rng, float(rows.reward.mean()))
    size = max(SMALLEST, -(-len(rows) // CHUNKS))
    rounds = min(ROUNDS, max(1, WORK // len(rows)))
    rate = adams_rate(params)
    acting, valuing = Adam(actor.parameters, rate), Adam(critic.parameters, rate)
    losses: list[float] = []
    for _ in range(rounds):
        losses = []
        for start in range(0, len(rows), size):
            chunk = np.arange(start, min(start + size, len(rows)), dtype=np.intp)
            losses.append(_learn(chunk, rows, actor, acting, critic, valuing, params.discount, rng))
    return float(np.mean(losses))


def _learn(
    chunk: Places,
    rows: Examples,
    actor: Network,
    acting: Adam,
    critic: Network,
    valuing: Adam,
    discount: float,
    rng: np.random.Generator,
) -> float:
    """Improve policy and baseline on one chunk; the answer is the mean squared error that the baseline came with."""
    taken, able = rows.taken[chunk], rows.open[chunk]
    each = np.arange(len(chunk))
    before = chances(actor(rows.x[chunk]), able)[each, taken]
    weight = np.clip(before / np.clip(np.nan_to_num(rows.propensity[chunk]), RARE, 1.0), LIGHT, HEAVY)
    weight /= max(float(weight.mean()), RARE)

    later = critic(rows.x_after[chunk])[:, 0]
    reward = rows.reward[chunk]
    earned = np.where(rows.last[chunk], reward, (1 - discount) * reward + discount * later)
    advantage = earned - critic(rows.x[chunk])[:, 0]
    loss = float(np.mean(advantage * advantage))
    advantage -= np.average(advantage, weights=weight)
    advantage /= max(float(np.sqrt(np.average(advantage * advantage, weights=weight))), FLAT)

    # Adam makes steps of one size whatever the size of the slope; so what is old moves them less far.
    pace = float(rows.weight[chunk[-1]])
    for _ in range(EPOCHS):
        mixed = rng.permutation(len(chunk))
        for start in range(0, len(chunk), BATCH):
            batch = mixed[start : start + BATCH]
            x, count = rows.x[chunk[batch]], len(batch)
            hidden = actor.hidden(x)
            slope = ascent(
                hidden @ actor.outer + actor.outer_bias,
                able[batch],
                taken[batch],
                before[batch],
                weight[batch],
                advantage[batch],
            )
            acting.step(actor.gradient(x, hidden, -slope / count), pace)
            hidden = critic.hidden(x)
            off = (hidden @ critic.outer + critic.outer_bias)[:, 0] - earned[batch]
            valuing.step(critic.gradient(x, hidden, (weight[batch] * off / count)[:, None]), pace)
    return loss


def chances(outputs: Floats, able: Flags) -> Floats:
    """Softmax over the lanes that could be chosen, one row for each decision; the others have no chance."""
    held = np.where(able, np.clip(outputs, -STEEP, STEEP), -np.inf)
    shares = np.exp(held - held.max(1, keepdims=True))
    answer: Floats = shares / shares.sum(1, keepdims=True)
    return answer


def objective(outputs: Floats, able: Flags, taken: Places, before: Floats, weight: Floats, advantage: Floats) -> Floats:
    """What is to be made large, for each decision.

    Args:
        outputs: of the network, for every lane.
        able: which lanes could be chosen.
        taken: the one that was.
        before: the chance that the policy gave it when it came to the chunk.
        weight: `before` by the logged chance.
        advantage: by how much the outcome was better than expected.
    """
    now = chances(outputs, able)
    ratio = now[np.arange(len(taken)), taken] / before
    kept = np.minimum(ratio * advantage, np.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
    answer: Floats = weight * kept + ENTROPY * entropy(now)
    return answer


def ascent(outputs: Floats, able: Flags, taken: Places, before: Floats, weight: Floats, advantage: Floats) -> Floats:
    """How `objective` changes with each output."""
    now = chances(outputs, able)
    each = np.arange(len(taken))
    ratio = now[each, taken] / before
    moving = np.where(advantage > 0, ratio < 1 + CLIP, ratio > 1 - CLIP)
    pull = np.where(moving, weight * ratio * advantage, 0.0)
    slope = -pull[:, None] * now
    slope[each, taken] += pull
    logs = np.log(np.where(now > 0, now, 1.0))
    slope -= ENTROPY * now * (logs + entropy(now)[:, None])
    # What is held at its limit moves no further.
    answer: Floats = np.where(np.abs(outputs) < STEEP, slope, 0.0)
    return answer


def entropy(shares: Floats) -> Floats:
    """How far each row is from certainty, in nats."""
    answer: Floats = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(1)
    return answer
