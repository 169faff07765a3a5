"""What was spent and saved, as sums: what advice is derived from."""

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

from msgspec import Struct

from cca.contracts.ledger import EVERYONE, RolePolicy

CHARACTERS = 4
"""Characters of a context that are taken for a token, where nobody has counted."""
OUTPUT, CACHE_READ, CACHE_WRITE = 5.0, 0.1, 1.25
"""What these tokens cost compared to input that is not cached: about the same with all large providers."""

WINDOWS: tuple[tuple[str, int], ...] = (
    ("claude", 200_000),
    ("gpt-4.1", 1_047_576),
    ("gpt-4o", 128_000),
    ("gpt-5", 400_000),
    ("o1", 200_000),
    ("o3", 200_000),
    ("o4", 200_000),
    ("gemini", 1_048_576),
    ("deepseek", 128_000),
)
"""Tokens that models take at once, by the beginnings of their names."""


class Used(Struct, frozen=True):
    """What the attempts of a role, lane, kind of task and model used together.

    Attributes:
        attempts: that have told a usage; `failed` of them used `failed_tokens` for nothing.
        input, output: tokens neither read from nor written to a cache; `cache_read`, `cache_write`: those.
        peak: the largest single request.
        resent: input beyond the largest request of each attempt: most of it had been sent before.
    """

    role: str = ""
    lane: str = ""
    kind: str = ""
    model: str = ""
    attempts: int = 0
    failed: int = 0
    failed_tokens: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost_usd: float = 0.0
    peak: int = 0
    resent: int = 0

    @property
    def given(self) -> int:
        """All input, wherever it came from."""
        return self.input + self.cache_read + self.cache_write

    @property
    def tokens(self) -> int:
        return self.given + self.output

    @property
    def input_price(self) -> float:
        """USD per token of input that is not cached, taken from what all of it has cost; 0 when nobody knows."""
        weighed = self.input + OUTPUT * self.output + CACHE_READ * self.cache_read + CACHE_WRITE * self.cache_write
        return self.cost_usd / weighed if weighed > 0 else 0.0


class Contexts(Struct, frozen=True):
    """The contexts with which tasks of a role were submitted.

    Attributes:
        tasks: that came with one; `tokens` in all, at `CHARACTERS` each.
        condensed: of them were compressed, from `before` to `after` tokens.
        missed: of those are over their budget still, with `missed_after` tokens together.
        potential: share of the tokens that compression would save of `sampled` recent ones; None when not measured.
    """

    role: str
    tasks: int = 0
    tokens: int = 0
    condensed: int = 0
    before: int = 0
    after: int = 0
    missed: int = 0
    missed_after: int = 0
    potential: float | None = None
    sampled: int = 0


class Cuts(Struct, frozen=True):
    """What compression has cut out for a role, and what was wanted back.

    Attributes:
        cuts: pieces that were folded, `saved` tokens in all.
        retrieved: how often one was expanded, by strategy; `retrieved_tokens` in all.
        by_strategy: the cuts, as far as the strategy is known.
    """

    role: str
    cuts: int = 0
    saved: int = 0
    retrieved: Mapping[str, int] = {}
    retrieved_tokens: int = 0
    by_strategy: Mapping[str, int] = {}


class Shared(Struct, frozen=True):
    """A context that several tasks of a role came with: the reference of the text, and the tokens of one copy."""

    role: str
    ref: str
    tasks: int
    tokens: int

    @property
    def again(self) -> int:
        """Tokens of all copies but the first."""
        return max(self.tasks - 1, 0) * self.tokens


class Facts(Struct, frozen=True):
    """All that advice is derived from; of one stretch of time.

    Attributes:
        used: by role, lane, kind and model, each combination once.
        policies: what contexts are compressed by now, by role.
        windows: tokens that models take at once, by the beginnings of their names.
    """

    used: tuple[Used, ...] = ()
    contexts: tuple[Contexts, ...] = ()
    cuts: tuple[Cuts, ...] = ()
    shared: tuple[Shared, ...] = ()
    policies: Mapping[str, RolePolicy] = {}
    windows: tuple[tuple[str, int], ...] = WINDOWS

    def policy(self, role: str) -> RolePolicy | None:
        """By what the contexts of a role are compressed."""
        return self.policies.get(role) or self.policies.get(EVERYONE)

    def window(self, model: str) -> int | None:
        """How many tokens a model takes at once; None when that is not known."""
        name = model.lower().rpartition("/")[2]
        return next((window for beginning, window in self.windows if name.startswith(beginning)), None)


def together(used: Iterable[Used], **key: Any) -> Used:
    """The sum of several, under another key: `role`, `lane`, `kind`, `model`."""
    sums: dict[str, Any] = dict.fromkeys(_SUMS, 0)
    peak = 0
    for one in used:
        for name in _SUMS:
            sums[name] += getattr(one, name)
        peak = max(peak, one.peak)
    return Used(**key, **sums, peak=peak)


_SUMS = [name for name in Used.__struct_fields__ if name not in ("role", "lane", "kind", "model", "peak")]


def wilson(good: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Between which bounds a rate lies of which `good` of `n` was seen; at 95 % for the `z` of 1.96 (Wilson, 1927)."""
    if n <= 0:
        return 0.0, 1.0
    rate = min(max(good / n, 0.0), 1.0)
    middle = rate + z * z / (2 * n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    return max((middle - half) / whole, 0.0), min((middle + half) / whole, 1.0)
