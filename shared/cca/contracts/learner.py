"""What the learner is asked (`cca.rpc.learner.*`), and what it answers."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cca.contracts.policy import Algorithm, LaneSummary, Params
from cca.contracts.task import Short
from cca.message import Command, Reply


class GetPolicy(Command, frozen=True, tag="cca.policy.get.v1", forbid_unknown_fields=True):
    """Ask how routing is learned now (`cca.rpc.learner.status`). Answer: `PolicyStatus`."""


class Shadow(Struct, frozen=True, omit_defaults=True):
    """A candidate beside the live policy: by how much it is better, per decision, with 95 % bounds."""

    algorithm: str
    position: int
    promote: bool
    decisions: int = 0
    ess: float = 0.0
    advantage: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: str = ""


class PolicyStatus(Reply, frozen=True, tag="cca.policy.status.v1"):
    """How routing is learned now, and from what.

    Attributes:
        version, position, digest: of the newest version.
        head: the last event that the learner has read.
        decisions: outcomes in the statistics; `buffered`: decisions that are kept one by one.
        reward: mean reward of those that are kept, and of the newest hundred of them.
        table_size: entries of Q-learning's table; 0 for the others.
        loss: of the last fit, for the algorithms that have one.
        fit_s: seconds that it took.
        explored: share of the kept decisions that were not the best guess.
        available: what can be configured, each with a sentence.
    """

    algorithm: Algorithm
    params: Params
    version: int
    position: int
    digest: str
    head: int
    decisions: int
    buffered: int
    lanes: dict[str, LaneSummary]
    prices: dict[str, float]
    vocabulary: tuple[str, ...]
    reward: float | None = None
    reward_recent: float | None = None
    success: float | None = None
    explored: float | None = None
    table_size: int = 0
    loss: float | None = None
    fit_s: float = 0.0
    shadow: Shadow | None = None
    available: dict[str, str] = {}


class ConfigurePolicy(Command, frozen=True, tag="cca.policy.configure.v1", forbid_unknown_fields=True):
    """Change the algorithm, or parameters (`cca.rpc.learner.configure`); what is None stays. Answer: `PolicyStatus`.

    `params` replaces all of them.
    """

    algorithm: Algorithm | None = None
    params: Params | None = None
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class TrainPolicy(Command, frozen=True, tag="cca.policy.train.v1", forbid_unknown_fields=True):
    """Make a new version now, whatever the interval (`cca.rpc.learner.train`). Answer: `PolicyStatus`."""


class ExplainTask(Command, frozen=True, tag="cca.policy.explain.v1", forbid_unknown_fields=True):
    """Ask why a task was routed as it was (`cca.rpc.learner.explain`). Answer: `Explanation`.

    Attributes:
        route: which decision about the task; the last by default.
        replay: make the policy again from the log and decide again, and say whether the same comes out.
    """

    task: str
    route: Annotated[int, Meta(ge=1)] | None = None
    replay: bool = False


class Explained(Struct, frozen=True, omit_defaults=True):
    """A lane that was considered: what was known, what was expected, how likely it was to be chosen.

    `contributions`: how much each feature of the task adds to the expected reward, largest first.
    """

    role: str
    lane: str
    probability: float
    score: float
    mean: float | None = None
    deviation: float | None = None
    masked: str | None = None
    features: dict[str, float] = {}
    contributions: dict[str, float] = {}


class Replayed(Struct, frozen=True, omit_defaults=True):
    """What came out when the decision was made again from the log.

    Attributes:
        equal: whether everything below is as it was recorded.
        lane: key of the lane, `role/lane`.
        digest: of the statistics that were made again; `recorded_digest` is what the log says.
        events: how many events were read for it, in `seconds`.
        difference: what differs, in words; empty when equal.
    """

    equal: bool
    lane: str
    propensity: float
    digest: str
    recorded_digest: str
    events: int
    seconds: float
    difference: str = ""


class Explanation(Reply, frozen=True, tag="cca.policy.explanation.v1"):
    """Why a task was routed as it was.

    Attributes:
        x: the task's features, in units of 1.
        draw: the number between 0 and 1 that chose, from `seed`.
        explored: the chosen lane was not the one with the best score.
        runner_up: the best other lane; `against` is by how much each feature speaks for the chosen one against it.
        outcome: what became of it, and `reward` what that was worth, with its `components`.
    """

    task: str
    route: int
    role: str
    lane: str
    policy: str
    version: int
    propensity: float
    seed: int
    draw: float
    explored: bool
    x: dict[str, float]
    candidates: tuple[Explained, ...]
    runner_up: str | None = None
    against: dict[str, float] = {}
    prices: dict[str, float] = {}
    outcome: str | None = None
    reward: float | None = None
    components: dict[str, float] = {}
    replay: Replayed | None = None
    note: str = ""


class EvaluatePolicy(Command, frozen=True, tag="cca.policy.evaluate.v1", forbid_unknown_fields=True):
    """Ask what a policy would have earned on logged decisions (`cca.rpc.learner.evaluate`). Answer: `Evaluation`.

    Attributes:
        algorithm: the candidate; trained on the earlier half of the decisions, valued on the later.
        since_s: only decisions of the last so many seconds.
        params: the candidate's; the live ones by default.
    """

    algorithm: Annotated[str, Meta(max_length=40)]
    since_s: Annotated[float, Meta(gt=0)] | None = None
    params: Params | None = None


class Estimate(Struct, frozen=True):
    """One estimator's value of a policy: mean reward per decision, standard error, and 95 % interval."""

    method: Literal["logged", "ips", "snips", "dr"]
    value: float
    error: float
    low: float
    high: float


class Evaluation(Reply, frozen=True, tag="cca.policy.evaluation.v1"):
    """What a policy would have earned. No verdict is given below an effective sample size of 50."""

    algorithm: str
    decisions: int
    trained_on: int
    ess: float
    estimates: tuple[Estimate, ...]
    verdict: str


class RunShadow(Command, frozen=True, tag="cca.policy.shadow.v1", forbid_unknown_fields=True):
    """Start, stop or look at a candidate beside the live policy (`cca.rpc.learner.shadow`). Answer: `PolicyStatus`."""

    verb: Literal["start", "stop", "status"] = "status"
    algorithm: Annotated[str, Meta(max_length=40)] | None = None
    promote: bool = False
    requester: Short | None = None


class GetHistory(Command, frozen=True, tag="cca.policy.history.v1", forbid_unknown_fields=True):
    """Ask how learning went (`cca.rpc.learner.history`), in `points` groups of decisions. Answer: `PolicyHistory`."""

    points: Annotated[int, Meta(ge=1, le=1_000)] = 50
    role: str | None = None


class HistoryPoint(Struct, frozen=True, omit_defaults=True):
    """A group of successive decisions: how they went, and the share of each lane."""

    position: int
    time: float
    decisions: int
    reward: float | None = None
    success: float | None = None
    cost_usd: float | None = None
    explored: float = 0.0
    shares: dict[str, float] = {}


class CalibrationPoint(Struct, frozen=True):
    """Decisions whose expected reward was about `expected`: what they really earned."""

    expected: float
    earned: float
    decisions: int


class PolicyHistory(Reply, frozen=True, tag="cca.policy.learning-history.v1"):
    """How learning went, oldest first, over the decisions that are kept."""

    points: tuple[HistoryPoint, ...]
    calibration: tuple[CalibrationPoint, ...] = ()


class GetWorkloads(Command, frozen=True, tag="cca.policy.workloads-get.v1", forbid_unknown_fields=True):
    """Ask for the moving averages of lanes and live agents (`cca.rpc.learner.workloads`). Answer: `Averages`."""


class Average(Struct, frozen=True, omit_defaults=True):
    """Exponential moving averages over the attempts of an agent or a lane, newest weighing `ema_alpha`.

    Tokens and money are those of attempts that told them; None while none has.
    """

    attempts: int
    success: float
    duration_s: float
    tokens: float | None = None
    cost_usd: float | None = None


class Averages(Reply, frozen=True, tag="cca.policy.averages.v1"):
    """Moving averages, of lanes by `role/lane` and of live agents by name; who is gone is not in it."""

    alpha: float
    lanes: dict[str, Average]
    agents: dict[str, Average]
