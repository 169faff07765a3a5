"""What is asked of the token service about text (`cca.rpc.tokens.*`), and what it answers. About money: `ledger`."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from cca.contracts.task import Short, Word
from cca.message import Command, Reply

LIMIT = 50_000_000
"""Bytes of text that are looked at in one request, at most; over the bus a message holds less."""

ContentKind = Literal[
    "prose", "code", "json", "log", "table", "diff", "search", "tests", "listing", "build", "trace", "folded"
]
"""What a piece of text is. `folded` is what an earlier compression has left: it is not touched again."""
Level = Literal["lossless", "safe", "strong"]
"""`lossless`: everything still stands there, in fewer tokens. `safe`: routine is summed up, what is rare stays.
`strong`: comments and the bodies of old code go too, and under a budget old observations and messages."""
Speaker = Literal["system", "user", "assistant", "tool"]
Model = Annotated[str, Meta(min_length=1, max_length=100, description="Name of a model, as its provider spells it.")]
Ref = Annotated[str, Meta(pattern=r"^[a-z2-7]{20}$(?!\n)")]
"""A reference to a text: 100 bits of its BLAKE2b, in base 32. In a marker `ctx:` stands before it."""


class Turn(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One message of a transcript, or a whole text.

    Attributes:
        text: what it says.
        role: who says it.
        name: of the tool that answers, or of the file that the text is.
        agent: whose transcript it belongs to, when several are looked at together.
        pinned: it must stay as it is.
    """

    text: str
    role: Speaker = "user"
    name: Short | None = None
    agent: Short | None = None
    pinned: bool = False


class Folding(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How text is to be compressed.

    Attributes:
        level: how far it may go.
        strategies: only these, by name; all of the level when None.
        model: whose tokens count.
        max_tokens: go on until all turns together are within this, or nothing more can be folded.
        target_reduction: go on until this share of the tokens is saved, between 0 and 1.
        cached: so many turns at the beginning are in the provider's cache, and stay byte for byte.
        recent: so many turns at the end are not masked and not dropped.
        legend: begin with a line that says what markers are and how they are expanded.
    """

    level: Level = "safe"
    strategies: Annotated[tuple[Short, ...], Meta(max_length=50)] | None = None
    model: Model = "claude-sonnet-4"
    max_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None
    target_reduction: Annotated[float, Meta(gt=0, lt=1)] | None = None
    cached: Annotated[int, Meta(ge=0)] = 0
    recent: Annotated[int, Meta(ge=0)] = 4
    legend: bool = False


class Cut(Struct, frozen=True, omit_defaults=True):
    """A piece of text that was replaced: where it was, what it was, and what that saved.

    Attributes:
        ref: expands to the original.
        turn, line: where the replacement stands, counted from 0.
        lines: how many lines it stands for.
        before, after: tokens.
    """

    ref: str
    strategy: str
    kind: ContentKind
    turn: int
    line: int
    lines: int
    before: int
    after: int


# ------------------------------------------------------------------------------------------ count


class CountTokens(Command, frozen=True, tag="cca.tokens.count.v1", forbid_unknown_fields=True):
    """Ask how many tokens these turns are for a model (`cca.rpc.tokens.count`). Answer: `TokenCounts`.

    `chat` adds what a provider's chat format puts around each message, and `tools` are JSON Schemas of tools.
    """

    turns: Annotated[tuple[Turn, ...], Meta(min_length=1, max_length=10_000)]
    model: Model = "claude-sonnet-4"
    chat: bool = False
    tools: Annotated[tuple[dict[str, Any], ...], Meta(max_length=1_000)] = ()


class TokenCounts(Reply, frozen=True, tag="cca.tokens.counts.v1"):
    """How many tokens.

    Attributes:
        tokens: in all; `each` turn by itself, `overhead` for the chat format and the tools.
        method: what counted: `o200k_base`, `cl100k_base`, `ctok:…`, `ratio:…`.
        exact: whether the provider would count the same.
        error: the 95th percentile of the relative error of an estimate, as it was measured; 0 when exact.
        correction: an estimate was multiplied by this, after what workers reported of the model.
    """

    model: str
    tokens: int
    each: tuple[int, ...]
    method: str
    exact: bool
    overhead: int = 0
    error: float = 0.0
    correction: float = 1.0


# ------------------------------------------------------------------------------------------ analyze


class AnalyzeTokens(Command, frozen=True, tag="cca.tokens.analyze.v1", forbid_unknown_fields=True):
    """Ask what these turns are made of (`cca.rpc.tokens.analyze`). Answer: `Analysis`."""

    turns: Annotated[tuple[Turn, ...], Meta(min_length=1, max_length=10_000)]
    how: Folding = Folding()


class Share(Struct, frozen=True):
    """So many tokens, and what share of all that is, between 0 and 1."""

    tokens: int
    share: float


class TurnAnalysis(Struct, frozen=True, omit_defaults=True):
    """What one turn contributes.

    Attributes:
        kind: what most of it is.
        repeated: tokens that stood in an earlier turn already.
        like: the earlier turn that it resembles most, and how much (Jaccard similarity of its shingles).
    """

    turn: int
    role: Speaker
    tokens: int
    kind: ContentKind
    name: str | None = None
    agent: str | None = None
    repeated: int = 0
    like: int | None = None
    similarity: float = 0.0


class Repetition(Struct, frozen=True, omit_defaults=True):
    """A piece of text that occurs more than once: its beginning, where, and the tokens of all but the first."""

    preview: str
    turns: tuple[int, ...]
    times: int
    tokens: int
    agents: tuple[str, ...] = ()


class Step(Struct, frozen=True):
    """What one strategy saves when the plan is followed."""

    strategy: str
    saved: int
    cuts: int


class Analysis(Reply, frozen=True, tag="cca.tokens.analysis.v1"):
    """What the turns are made of, and how much of it could go.

    Attributes:
        kinds: tokens by kind of content; they add up to `tokens`.
        duplicates: tokens in exact repetitions; `near`: in turns that resemble an earlier one, without those.
        boilerplate: tokens in licence texts, banners and the like.
        across: tokens that occur with more than one agent.
        potential: share of the tokens that `plan` saves; `level` and strategies are those that were asked for.
        long_lines: lines of more than 200 characters.
    """

    model: str
    method: str
    exact: bool
    tokens: int
    lines: int
    characters: int
    kinds: dict[str, Share]
    duplicates: Share
    near: Share
    boilerplate: Share
    across: Share
    potential: float
    after: int
    plan: tuple[Step, ...]
    turns: tuple[TurnAnalysis, ...]
    repetitions: tuple[Repetition, ...]
    code_blocks: int = 0
    long_lines: int = 0


# ------------------------------------------------------------------------------------------ compress


class CompressTokens(Command, frozen=True, tag="cca.tokens.compress.v1", forbid_unknown_fields=True):
    """Ask for fewer tokens (`cca.rpc.tokens.compress`). Answer: `Compressed`. The originals are stored first.

    `role`, `agent` and `task` say for whom, and stand in the metrics.
    """

    turns: Annotated[tuple[Turn, ...], Meta(min_length=1, max_length=10_000)]
    how: Folding = Folding()
    role: Word | None = None
    agent: Short | None = None
    task: Short | None = None
    requester: Short | None = None


class Compressed(Reply, frozen=True, tag="cca.tokens.compressed-text.v1"):
    """The turns with fewer tokens; each cut leaves a marker that expands to the original.

    Attributes:
        texts: one for each turn; None for a turn that was dropped into the marker of an earlier one.
        original: reference to all of the original text.
        before, after: tokens; `saved` by strategy.
        reached: whether `max_tokens` and `target_reduction` were reached; `short` is by how many tokens not.
    """

    texts: tuple[str | None, ...]
    original: str
    model: str
    method: str
    exact: bool
    before: int
    after: int
    saved: dict[str, int]
    cuts: tuple[Cut, ...]
    reached: bool = True
    short: int = 0


class CondenseContext(Command, frozen=True, tag="cca.tokens.condense.v1", forbid_unknown_fields=True):
    """The router asks for a task's context within its budget (`cca.rpc.tokens.condense`). Answer: `Condensed`."""

    task: str
    role: str
    context: str


class Condensed(Reply, frozen=True, tag="cca.tokens.condensed.v1"):
    """The context as the worker gets it. `context` is None when it may stay as it is.

    `saved` has tokens, and `cuts` how many pieces were folded, by strategy; for the rest see `cca.task.condensed.v1`.
    """

    context: str | None = None
    version: int = 0
    model: str = ""
    exact: bool = False
    before: int = 0
    after: int = 0
    saved: dict[str, int] = {}
    refs: tuple[str, ...] = ()
    original: str = ""
    reached: bool = True
    cuts: dict[str, int] = {}


# ------------------------------------------------------------------------------------------ expand


class ExpandText(Command, frozen=True, tag="cca.tokens.expand.v1", forbid_unknown_fields=True):
    """Ask for originals (`cca.rpc.tokens.expand`): of one reference, or of all markers in a text. Answer: `Expanded`.

    `ref` may have `ctx:` before it. Exactly one of `ref` and `text`.
    """

    ref: Annotated[str, Meta(max_length=30)] | None = None
    text: str | None = None
    agent: Short | None = None
    role: Word | None = None
    task: Short | None = None


class Expanded(Reply, frozen=True, tag="cca.tokens.expanded-text.v1"):
    """The original. `refs` were expanded; `missing` are not, or no longer, stored, and their markers stand in it."""

    text: str
    refs: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
