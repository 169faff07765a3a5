"""What contexts may cost, what was spent and saved, what would save more; and what the token service records.

Events are emitted by cca_tokens. Two sorts of aggregate: `policies`, and one for each text that was folded, under its
reference.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from cca.contracts.task import Short
from cca.contracts.tokens import Level, Model
from cca.message import Command, Event, Reply

POLICIES = "policies"
"""The key of the aggregate that holds the policies, and of their snapshot in the bucket."""
EVERYONE = "*"
"""The role whose policy holds for every role that has none of its own."""


# ------------------------------------------------------------------------------------------ policies


class RolePolicy(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What becomes of the context of a role's tasks before they are dispatched.

    Attributes:
        max_tokens: a context of more is compressed until it is within this, or as far as `level` goes.
        model: whose tokens count.
        level, strategies: see `Folding`.
    """

    max_tokens: Annotated[int, Meta(ge=1, le=10_000_000)]
    model: Model = "claude-sonnet-4"
    level: Level = "safe"
    strategies: Annotated[tuple[Short, ...], Meta(max_length=50)] | None = None


PolicyRole = Annotated[str, Meta(pattern=r"^(\*|[a-z0-9][a-z0-9_-]{0,62})$(?!\n)")]


class GetTokenPolicies(Command, frozen=True, tag="cca.tokens.get-policies.v1", forbid_unknown_fields=True):
    """Ask which contexts are compressed (`cca.rpc.tokens.policies`). Answer: `TokenPolicies`."""


class SetTokenPolicy(Command, frozen=True, tag="cca.tokens.set-policy.v1", forbid_unknown_fields=True):
    """Set the policy of a role, or of all others (`*`); None removes it (`cca.rpc.tokens.set-policy`).
    Answer: `TokenPolicies`."""

    role: PolicyRole
    policy: RolePolicy | None = None
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class TokenPolicies(Reply, frozen=True, tag="cca.tokens.policies.v1"):
    """The policies by role, in the version that the router decides by; also kept in the bucket `CCA_STATE`."""

    version: int = 0
    roles: dict[str, RolePolicy] = {}


# ------------------------------------------------------------------------------------------ metrics


Dimension = Literal["task", "agent", "lane", "role", "requester", "model", "kind", "day"]


class GetTokenMetrics(Command, frozen=True, tag="cca.tokens.get-metrics.v1", forbid_unknown_fields=True):
    """Ask what was spent and saved (`cca.rpc.tokens.metrics`). Answer: `TokenMetrics`.

    Attributes:
        by: one row for each combination of these that occurs; one row of totals when empty.
        since_s: only attempts that ended in the last so many seconds.
        role, agent, task, requester, model: only these.
        limit: rows at most, most tokens first.
    """

    by: Annotated[tuple[Dimension, ...], Meta(max_length=4)] = ()
    since_s: Annotated[float, Meta(gt=0)] | None = None
    role: Short | None = None
    agent: Short | None = None
    task: Short | None = None
    requester: Short | None = None
    model: Short | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


class Spending(Struct, frozen=True, omit_defaults=True):
    """What was spent under some dimensions.

    Attributes:
        key: the values of the dimensions that were asked for, by name; what is not known is empty.
        attempts: that reported a usage; `failed` of them failed, and used `failed_tokens` (input and output).
        input, output: tokens that were neither read from nor written to a cache; `cache_read`, `cache_write`: those.
        cost_usd: in all; `estimated_usd` of it is from the price table, the rest as workers reported it.
        peak: the largest context of one request.
        condensed: tasks whose context was compressed; `saved`: tokens by strategy.
        cuts: pieces that were folded; `retrieved` of them were expanded later.
        ratio: input tokens that were billed per token that was counted before, where workers reported both.
    """

    key: dict[str, str]
    attempts: int = 0
    failed: int = 0
    failed_tokens: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost_usd: float = 0.0
    estimated_usd: float = 0.0
    peak: int = 0
    condensed: int = 0
    saved: dict[str, int] = {}
    cuts: int = 0
    retrieved: int = 0
    ratio: float | None = None


class TokenMetrics(Reply, frozen=True, tag="cca.tokens.metrics.v1"):
    """What was spent and saved: rows, and the total of all that fit the conditions."""

    rows: tuple[Spending, ...]
    total: Spending


class GetRecommendations(Command, frozen=True, tag="cca.tokens.get-recommendations.v1", forbid_unknown_fields=True):
    """Ask what would save tokens (`cca.rpc.tokens.recommend`). Answer: `Recommendations`."""

    role: Short | None = None
    since_s: Annotated[float, Meta(gt=0)] = 7 * 86_400.0


class Recommendation(Struct, frozen=True, omit_defaults=True):
    """Something that would save tokens, and why we think so.

    Attributes:
        code: stable: `compress-context`, `loosen-policy`, `cache-prefix`, `share-context`, `failed-attempts`, …
        subject: what it is about: `role:backend`, `lane:backend/opus`, `model:…`.
        text: one sentence that says what to do.
        evidence: the numbers behind it, by name.
        saves_tokens, saves_usd: what would be saved in the time that was looked at, if it had been done.
        severity: `high` when it is a tenth of everything spent, `medium` from a fiftieth on.
        command: how to do it, when a command does it.
    """

    code: str
    subject: str
    text: str
    evidence: dict[str, float]
    saves_tokens: int
    severity: Literal["low", "medium", "high"] = "low"
    saves_usd: float = 0.0
    command: str = ""


class Recommendations(Reply, frozen=True, tag="cca.tokens.recommendations.v1"):
    """What would save tokens, most first; and what was looked at."""

    recommendations: tuple[Recommendation, ...]
    attempts: int
    tokens: int
    cost_usd: float


# ------------------------------------------------------------------------------------------ events


class TokensCompressed(Event, frozen=True, tag="cca.tokens.compressed.v1"):
    """Somebody had text compressed (`cca.rpc.tokens.compress`). For a task's context, see `cca.task.condensed.v1`.

    `saved` has tokens, and `cuts` how many pieces were folded, by strategy.
    """

    ref: str
    model: str
    before: int
    after: int
    saved: dict[str, int]
    cuts: dict[str, int]
    level: Level = "safe"
    role: str | None = None
    agent: str | None = None
    task: str | None = None
    requester: str | None = None


class TokensExpanded(Event, frozen=True, tag="cca.tokens.expanded.v1"):
    """Somebody wanted the original of a cut after all: what compression should have left in place.

    `strategy` and `role` are of the compression that made the cut.
    """

    ref: str
    strategy: str
    tokens: int
    role: str | None = None
    agent: str | None = None
    task: str | None = None


class TokenPolicySet(Event, frozen=True, tag="cca.tokens.policy-set.v1"):
    """From here on the contexts of a role are compressed in this way; None: not at all."""

    version: int
    role: str
    policy: RolePolicy | None = None
    reason: str = ""
    requester: str | None = None


TokenEvent = TokensCompressed | TokensExpanded | TokenPolicySet
