"""How routing is learned: what was configured, and which version decides. What is asked of it: `learner`.

Events are emitted by cca_learner. There is one aggregate, `routing`: `cca.events.policy.routing`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cca.contracts.task import Short
from cca.message import Event, Reply

ROUTING = "routing"
"""The key of the aggregate, and of the snapshot in the bucket."""

Algorithm = Literal[
    "linear-pm",
    "linucb",
    "epsilon-greedy",
    "thompson",
    "weighted-random",
    "least-loaded",
    "round-robin",
    "uniform",
    "static",
    "q-learning",
    "dqn",
    "ppo",
]
"""Policies that can decide live; `uniform` draws evenly, `static` is the table of the kill switch."""

Unit = Annotated[float, Meta(ge=0, le=1)]
Weight = Annotated[float, Meta(ge=0, le=100)]
Usd = Annotated[float, Meta(gt=0, le=1_000_000)]
LaneKey = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$(?!\n)")]
"""Role and lane: `backend/opus`."""
Scope = Annotated[str, Meta(pattern=r"^(all|role:[a-z0-9][a-z0-9_-]{0,62}|requester:[^\x00-\x1f]{1,200})$(?!\n)")]
"""Whose tasks: `all`, `role:backend`, `requester:alice`."""
Version = Annotated[int, Meta(ge=0)]


# ------------------------------------------------------------------------------------------ what can be set


class References(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What counts as middling for a sort of task: at this value the component of the reward is one half."""

    latency_s: Annotated[float, Meta(gt=0, le=604_800)] = 60.0
    tokens: Annotated[float, Meta(gt=0, le=1e9)] = 20_000.0
    cost_usd: Usd = 0.5


class Reward(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How good an outcome is: the weighted mean of the components that are known, between 0 and 1.

    Components: `success` (1 or 0), `quality` (what `task.rated` says), `latency`, `tokens` and `money`
    (reference / (reference + value); 0 for latency and tokens when the attempt failed), `deadline` (1 when met).
    `money` counts nothing while a budget is set: its price does that then (ADR 0017).

    Attributes:
        references: what counts as middling.
        by_kind: the same for declared sorts of tasks.
    """

    success: Weight = 0.6
    quality: Weight = 0.15
    latency: Weight = 0.1
    tokens: Weight = 0.0
    money: Weight = 0.15
    deadline: Weight = 0.1
    references: References = References()
    by_kind: Annotated[dict[Short, References], Meta(max_length=64)] = {}


class Params(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Everything about routing that can be set at run time. Each range is checked.

    Attributes:
        floor: the share of decisions that is spread evenly over the candidates, so that none is forgotten.
        burn_in: how often a lane is tried before the model has a say about it.
        variance_scale: how much of the posterior's deviation probability matching uses.
        prior_precision: of the features (the intercept's is 1).
        forgetting: weight of an observation for each decision that was made after it.
        epsilon: share of exploration of epsilon-greedy, Q-learning and DQN.
        alpha: width of LinUCB's confidence bound, in deviations.
        learning_rate, discount: of Q-learning, DQN and PPO.
        ema_alpha: weight of the newest attempt in the moving averages of agents and lanes.
        table_size: entries of Q-learning's table at most.
        buffer_size: decisions that are kept for training and evaluation at most.
        hidden: units of the hidden layer of DQN and PPO.
        update_s: seconds between two versions at least.
        backlog: a lane whose queue is longer than this many times its capacity is passed over while another is free.
        breaker_failures, breaker_s: after so many failures in a row a lane is passed over for so many seconds.
        in_flight: quota of a lane: tasks that may be queued or running there at once.
        budgets: mean cost per task to aim for, in USD, by scope.
        ceilings: a lane whose mean cost is above this, in USD, is masked, by scope.
        table: weights of lanes for `static`; lanes that are not in it get none.
        reward: how outcomes are valued.
    """

    floor: Annotated[float, Meta(ge=0, le=0.5)] = 0.02
    burn_in: Annotated[int, Meta(ge=0, le=1_000)] = 2
    variance_scale: Annotated[float, Meta(gt=0, le=10)] = 0.35
    prior_precision: Annotated[float, Meta(gt=0, le=1_000)] = 2.0
    forgetting: Annotated[float, Meta(ge=0.9, le=1)] = 0.9995
    epsilon: Unit = 0.05
    alpha: Annotated[float, Meta(ge=0, le=10)] = 0.7
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 0.1
    discount: Unit = 0.9
    ema_alpha: Annotated[float, Meta(gt=0, le=1)] = 0.1
    table_size: Annotated[int, Meta(ge=1, le=1_000_000)] = 100_000
    buffer_size: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000
    hidden: Annotated[int, Meta(ge=1, le=256)] = 32
    update_s: Annotated[float, Meta(ge=0.05, le=3_600)] = 1.0
    backlog: Annotated[float, Meta(gt=0, le=1e6)] = 8.0
    breaker_failures: Annotated[int, Meta(ge=1, le=1_000)] = 10
    breaker_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    in_flight: Annotated[dict[LaneKey, Annotated[int, Meta(ge=0, le=1_000_000)]], Meta(max_length=256)] = {}
    budgets: Annotated[dict[Scope, Usd], Meta(max_length=64)] = {}
    ceilings: Annotated[dict[Scope, Usd], Meta(max_length=64)] = {}
    table: Annotated[dict[LaneKey, Weight], Meta(max_length=256)] = {}
    reward: Reward = Reward()


# ------------------------------------------------------------------------------------------ events


class PolicyConfigured(Event, frozen=True, tag="cca.policy.configured.v1"):
    """From here on routing is decided and learned in this way. `reason` says who or what wanted it."""

    policy: str
    algorithm: Algorithm
    params: Params
    reason: str = ""
    requester: str | None = None


class VocabularyGrown(Event, frozen=True, tag="cca.policy.vocabulary-grown.v1"):
    """Features that the model has not known so far; each gets the next free slot, for ever."""

    policy: str
    names: tuple[str, ...]


class PolicyUpdated(Event, frozen=True, tag="cca.policy.updated.v1"):
    """A new version of the policy, made of the log up to `position`.

    Attributes:
        position: the last event that it was learned from.
        digest: SHA-256 of the integer statistics that it was derived from; a replay up to `position` gives the same.
        decisions: how many decisions with a known outcome these hold.
    """

    policy: str
    version: int
    position: int
    algorithm: Algorithm
    digest: str
    decisions: int


class ShadowStarted(Event, frozen=True, tag="cca.policy.shadow-started.v1"):
    """A candidate is tried beside the live policy, on its decisions, from `position` on.

    With `promote` it takes over when its advantage is above 0 with 95 % confidence.
    """

    policy: str
    algorithm: str
    position: int
    promote: bool = False
    requester: str | None = None


class ShadowStopped(Event, frozen=True, tag="cca.policy.shadow-stopped.v1"):
    """The candidate is tried no longer."""

    policy: str
    reason: str = ""


PolicyEvent = PolicyConfigured | VocabularyGrown | PolicyUpdated | ShadowStarted | ShadowStopped


# ------------------------------------------------------------------------------------------ snapshot


class LaneSummary(Struct, frozen=True, omit_defaults=True):
    """A lane as its decisions tell it: averages in which old outcomes weigh less. None while nothing is known.

    Attributes:
        n: how many outcomes, old ones counted for less.
        age: decisions since its first one that is remembered.
    """

    n: float = 0.0
    success: float | None = None
    latency_s: float | None = None
    tokens: float | None = None
    cost_usd: float | None = None
    reward: float | None = None
    age: int = 0


class PolicySnapshot(Reply, frozen=True, tag="cca.policy.snapshot.v1"):
    """What a router needs to decide: one version of the policy, kept in the bucket `CCA_STATE`.

    Attributes:
        version, position, digest: of `PolicyUpdated`.
        vocabulary: the names of the features, by slot.
        lanes: what is known of each lane, by `role/lane`.
        prices: reward that a dollar costs, by the scope of the budget.
        model: parameters of the algorithm, in its own encoding.
    """

    version: int
    position: int
    digest: str
    algorithm: Algorithm
    params: Params
    vocabulary: tuple[str, ...]
    lanes: dict[str, LaneSummary] = {}
    prices: dict[str, float] = {}
    model: bytes = b""
