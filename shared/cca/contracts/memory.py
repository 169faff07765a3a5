"""What agents remember: stored, found again, put before tasks, and counted by what became of those."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from cca.contracts.context import Scope
from cca.contracts.ledger import EVERYONE as EVERYONE
from cca.contracts.ledger import PolicyRole
from cca.contracts.prepared import Recollection
from cca.contracts.search import EmbedderInfo, Limit, Mode, Query, Why
from cca.contracts.task import Short, Word
from cca.message import Command, Event, Reply

PROJECT = "project:default"
"""The scope of what is said of no project in particular."""
LONGEST = 20_000
"""Characters of a memory, at most."""
POLICIES = "policies"
"""The aggregate that holds the policies: `cca.events.memory.policies`."""

MemoryText = Annotated[str, Meta(min_length=1, max_length=LONGEST)]
Id = Annotated[str, Meta(max_length=64)]
Aware = Annotated[datetime, Meta(tz=True)]
"""A time with its zone."""
Outcome = Literal["success", "failure"]
Labels = Annotated[dict[Short, Short], Meta(max_length=50)]


class Source(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a memory comes from: what is known of the task, agent, role and repository, and who asked for it."""

    task: Id | None = None
    agent: Short | None = None
    role: Short | None = None
    repo: Short | None = None
    requester: Short | None = None


class MemoryPolicy(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is remembered of a role's tasks, and what its tasks are given of it. Roles without one do neither.

    Attributes:
        store: the outcome of each finished task becomes a memory.
        inject: so many memories are put before a task, at most; 0 for none.
        max_tokens: they are within this together.
        min_score: what scores less than this is not put before a task.
        cap: so many memories of the role are kept; the least useful go first.
        half_life_days: what was not useful for so long counts half.
        similar: a new memory that is at least so similar (cosine) to one of the same scope and role is merged into it.
    """

    store: bool = True
    inject: Annotated[int, Meta(ge=0, le=20)] = 3
    max_tokens: Annotated[int, Meta(ge=50, le=20_000)] = 1_000
    min_score: Annotated[float, Meta(ge=0, le=2)] = 0.35
    cap: Annotated[int, Meta(ge=1, le=1_000_000)] = 5_000
    half_life_days: Annotated[float, Meta(gt=0, le=36_500)] = 90.0
    similar: Annotated[float, Meta(ge=0.5, le=1)] = 0.95


# ------------------------------------------------------------------------------------------ commands


class StoreMemory(Command, frozen=True, tag="cca.memory.store.v1", forbid_unknown_fields=True):
    """Remember a text (`cca.rpc.memory.store`). Answer: `Remembered`. Secrets in it are replaced before it is kept.

    Attributes:
        kind: what sort it is: `solution`, `failure`, `lesson`, `fact`, `procedure`, or a word of one's own.
        scope: where it holds; searches can be limited to a scope.
        role: whose work it is about; None when it is for all.
        id: a name for it; the same again is answered with what is there.
        successes, failures: how often it is known to have helped, and not.
        created_at: when it was first known, for what is imported; now when None.
    """

    text: MemoryText
    kind: Word = "fact"
    scope: Scope = PROJECT
    role: Word | None = None
    labels: Labels = {}
    source: Source = Source()
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")] | None = None
    successes: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    failures: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0
    created_at: Aware | None = None


class GetMemory(Command, frozen=True, tag="cca.memory.get.v1", forbid_unknown_fields=True):
    """Ask for a memory (`cca.rpc.memory.get`). Answer: `MemoryView`. Refused (`not-found`) when it is forgotten."""

    memory: Id


class ListMemories(Command, frozen=True, tag="cca.memory.list.v1", forbid_unknown_fields=True):
    """Ask for memories, newest first (`cca.rpc.memory.list`). Answer: `Memories`. `before` is the `next` of a page."""

    scope: Scope | None = None
    role: Word | None = None
    kind: Word | None = None
    task: Id | None = None
    before: Short | None = None
    limit: Limit = 50


class SearchMemories(Command, frozen=True, tag="cca.memory.search.v1", forbid_unknown_fields=True):
    """Look for memories (`cca.rpc.memory.search`). Answer: `MemoryHits`, best first.

    Attributes:
        roles: those of these roles, and with `""` those of none; all when empty. So with `kinds`.
        since, until: those that were stored in this time.
        mode: how they are ranked; without an embedder it is `lexical`, and the answer says so.
        min_score: no worse than this.
    """

    query: Query
    scope: Scope | None = None
    roles: Annotated[tuple[Short, ...], Meta(max_length=20)] = ()
    kinds: Annotated[tuple[Word, ...], Meta(max_length=20)] = ()
    since: Aware | None = None
    until: Aware | None = None
    limit: Limit = 10
    mode: Mode = "hybrid"
    min_score: float = 0.0


class RateMemory(Command, frozen=True, tag="cca.memory.rate.v1", forbid_unknown_fields=True):
    """Say whether a memory helped (`cca.rpc.memory.rate`). Answer: `MemoryView`.

    Attributes:
        task: in which task; a later word on the same task replaces the one before. None: it counts each time.
    """

    memory: Id
    outcome: Outcome
    task: Id | None = None
    comment: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class ForgetMemory(Command, frozen=True, tag="cca.memory.forget.v1", forbid_unknown_fields=True):
    """Remove a memory from all tables and searches (`cca.rpc.memory.forget`). Answer: `MemoryView`, as it was."""

    memory: Id
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class RecallMemories(Command, frozen=True, tag="cca.memory.recall.v1", forbid_unknown_fields=True):
    """The router asks what is to be put before a task (`cca.rpc.memory.recall`). Answer: `Recalled`."""

    task: str
    role: str
    description: str
    kind: str | None = None
    labels: dict[str, str] = {}


class SetMemoryPolicy(Command, frozen=True, tag="cca.memory.set-policy.v1", forbid_unknown_fields=True):
    """Set a role's policy, or with None take it away (`cca.rpc.memory.set-policy`). Answer: `MemoryPolicies`."""

    role: PolicyRole
    policy: MemoryPolicy | None
    reason: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class GetMemoryPolicies(Command, frozen=True, tag="cca.memory.get-policies.v1", forbid_unknown_fields=True):
    """Ask for the policies (`cca.rpc.memory.policies`). Answer: `MemoryPolicies`."""


class GetMemoryStats(Command, frozen=True, tag="cca.memory.get-stats.v1", forbid_unknown_fields=True):
    """Ask how many memories there are, and how searches work (`cca.rpc.memory.stats`). Answer: `MemoryStats`."""


# ------------------------------------------------------------------------------------------ events


class MemoryStored(Event, frozen=True, tag="cca.memory.stored.v1"):
    """Something is remembered. `redacted` says how many secrets of which sort were taken out of `text`."""

    memory: str
    text: str
    kind: str
    scope: str
    digest: str
    role: str | None = None
    labels: dict[str, str] = {}
    source: Source = Source()
    redacted: dict[str, int] = {}
    successes: int = 0
    failures: int = 0
    created_at: datetime | None = None


class MemoryMerged(Event, frozen=True, tag="cca.memory.merged.v1"):
    """The same was learned again, from `source`; `similarity` is the cosine, 1 for the same text."""

    memory: str
    source: Source
    similarity: float


class MemoryRated(Event, frozen=True, tag="cca.memory.rated.v1"):
    """It helped, or did not. `was`: what had been said of the same task, which this replaces."""

    memory: str
    outcome: Outcome
    task: str | None = None
    was: Outcome | None = None
    comment: str = ""
    requester: str | None = None


class MemoryForgotten(Event, frozen=True, tag="cca.memory.forgotten.v1"):
    """It is forgotten. `why` is `asked` or `capped` (there were more than the policy of its role keeps)."""

    memory: str
    why: Literal["asked", "capped"]
    reason: str = ""
    requester: str | None = None


class MemoryPolicySet(Event, frozen=True, tag="cca.memory.policy-set.v1"):
    """What is remembered of a role's tasks and put before them, from `version` on; None: nothing."""

    version: int
    role: str
    policy: MemoryPolicy | None
    reason: str = ""
    requester: str | None = None


MemoryEvent = MemoryStored | MemoryMerged | MemoryRated | MemoryForgotten


# ------------------------------------------------------------------------------------------ replies


class Remembered(Reply, frozen=True, tag="cca.memory.remembered.v1"):
    """It is in the log. `created` is False when it was there, or was merged into one that is so `similar`."""

    memory: str
    created: bool
    similarity: float = 0.0
    redacted: dict[str, int] = {}


class MemoryView(Reply, frozen=True, tag="cca.memory.view.v1"):
    """A memory.

    Attributes:
        successes, failures: tasks that had it before them and were completed, or failed; and ratings by hand.
        merged: how often the same was learned again.
        used: tasks that had it before them; `used_at` the last time.
        seq: position in the log of its last change.
    """

    memory: str
    text: str
    kind: str
    scope: str
    created_at: datetime
    role: str | None = None
    labels: dict[str, str] = {}
    source: Source = Source()
    successes: int = 0
    failures: int = 0
    merged: int = 0
    used: int = 0
    used_at: datetime | None = None
    redacted: dict[str, int] = {}
    seq: int = 0


class Memories(Reply, frozen=True, tag="cca.memory.page.v1"):
    """Memories, newest first; `next` is for the next page, None on the last."""

    items: tuple[MemoryView, ...]
    next: str | None = None


class MemoryHit(Struct, frozen=True):
    """A memory that was found, its score, and where that comes from."""

    memory: MemoryView
    score: float
    why: Why


class MemoryHits(Reply, frozen=True, tag="cca.memory.hits.v1"):
    """What was found, best first.

    Attributes:
        mode: how it was ranked, which may be `lexical` where more was asked for; `note` says why.
        embedder: whose vectors were compared; None for `lexical`.
        cached: the answer is from before, and nothing has changed since.
        took_ms: milliseconds that the service needed.
    """

    items: tuple[MemoryHit, ...]
    mode: Mode
    embedder: str | None = None
    note: str = ""
    cached: bool = False
    took_ms: float = 0.0


class Recalled(Reply, frozen=True, tag="cca.memory.recalled.v1"):
    """What is to be put before a task: `text` holds `memories`; both empty when nothing is good enough."""

    text: str = ""
    memories: tuple[Recollection, ...] = ()
    tokens: int = 0
    version: int = 0
    embedder: str | None = None


class MemoryPolicies(Reply, frozen=True, tag="cca.memory.policies.v1"):
    """The policies by role, `*` for all others. `version` counts their changes."""

    version: int = 0
    roles: dict[str, MemoryPolicy] = {}


class MemoryStats(Reply, frozen=True, tag="cca.memory.stats.v1"):
    """How many memories there are, by kind and by role (empty: of none), and what makes their vectors."""

    memories: int
    by_kind: dict[str, int]
    by_role: dict[str, int]
    successes: int
    failures: int
    embedders: tuple[EmbedderInfo, ...]
