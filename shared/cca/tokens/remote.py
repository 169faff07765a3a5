"""The token service, asked from a program: `client.tokens`.

async with Client.connect() as client:
    counted = await client.tokens.count(text, model="gpt-5")
    small = await client.tokens.compress(text, max_tokens=2_000)
    assert await client.tokens.expand(small.texts[0]) == text
"""

from collections.abc import Sequence
from typing import Any

from cca.ask import Ask
from cca.contracts.ledger import (
    Dimension,
    GetRecommendations,
    GetTokenMetrics,
    GetTokenPolicies,
    Recommendations,
    RolePolicy,
    SetTokenPolicy,
    TokenMetrics,
    TokenPolicies,
)
from cca.contracts.tokens import (
    Analysis,
    AnalyzeTokens,
    Compressed,
    CompressTokens,
    CountTokens,
    Expanded,
    ExpandText,
    Folding,
    TokenCounts,
    Turn,
)
from cca.nats import subjects
from cca.tokens.markers import is_ref

Text = str | Turn | Sequence[str | Turn]
"""A text, or the turns of a transcript in order."""


class Tokens:
    """The token service. Every method raises `Busy` when there is no answer for a while, and `Refused` when it is no.

    Texts are a string, a `Turn`, or several of both. All of a request must fit in one message: 4 MB as `cca up` has it.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def count(
        self, text: Text, model: str = "claude-sonnet-4", *, chat: bool = False, tools: Sequence[dict[str, Any]] = ()
    ) -> TokenCounts:
        """How many tokens it is for a model; with `chat`, what its provider's chat format adds, and `tools`."""
        command = CountTokens(turns(text), model, chat, tuple(tools))
        return await self._ask(subjects.RPC_TOKENS_COUNT, command, TokenCounts)

    async def analyze(self, text: Text, **how: Any) -> Analysis:
        """What it is made of, and how much of it could go. `how` are the fields of `cca.contracts.tokens.Folding`."""
        return await self._ask(subjects.RPC_TOKENS_ANALYZE, AnalyzeTokens(turns(text), Folding(**how)), Analysis)

    async def compress(
        self,
        text: Text,
        *,
        role: str | None = None,
        agent: str | None = None,
        task: str | None = None,
        requester: str | None = None,
        **how: Any,
    ) -> Compressed:
        """The same in fewer tokens; what was cut out is stored, and its markers expand to it.

        small = await client.tokens.compress(turns, level="strong", max_tokens=20_000)

        `how` are the fields of `cca.contracts.tokens.Folding`; `role`, `agent`, `task` and `requester` say for whom.
        """
        command = CompressTokens(turns(text), Folding(**how), role, agent, task, requester)
        return await self._ask(subjects.RPC_TOKENS_COMPRESS, command, Compressed)

    async def expand(
        self, text: str, *, agent: str | None = None, role: str | None = None, task: str | None = None
    ) -> str:
        """The original of a reference (`ctx:…`), or of a text with markers in it; see `expanded`."""
        return (await self.expanded(text, agent=agent, role=role, task=task)).text

    async def expanded(
        self, text: str, *, agent: str | None = None, role: str | None = None, task: str | None = None
    ) -> Expanded:
        """The same, with what was expanded and what is not stored. Raises `Refused` (`not-found`, `too-large`)."""
        ref = is_ref(text)
        command = ExpandText(ref, None if ref else text, agent, role, task)
        return await self._ask(subjects.RPC_TOKENS_EXPAND, command, Expanded)

    # ------------------------------------------------------------------------------------ the economy

    async def metrics(self, by: Sequence[Dimension] = (), **only: Any) -> TokenMetrics:
        """What was spent and saved, a row for each combination of dimensions.

        spent = await client.tokens.metrics(by=("role", "model"), since_s=86_400)

        `only` are the other fields of `cca.contracts.tokens.GetTokenMetrics`.
        """
        return await self._ask(subjects.RPC_TOKENS_METRICS, GetTokenMetrics(tuple(by), **only), TokenMetrics)

    async def recommend(self, role: str | None = None, since_s: float = 7 * 86_400.0) -> Recommendations:
        """What would save tokens, most first."""
        return await self._ask(subjects.RPC_TOKENS_RECOMMEND, GetRecommendations(role, since_s), Recommendations)

    async def policies(self) -> TokenPolicies:
        """Which roles' contexts are compressed before dispatch."""
        return await self._ask(subjects.RPC_TOKENS_POLICIES, GetTokenPolicies(), TokenPolicies)

    async def set_policy(self, role: str, policy: RolePolicy | None, reason: str = "") -> TokenPolicies:
        """Compress the contexts of a role's tasks, or of all other roles (`*`); None: no longer."""
        return await self._ask(subjects.RPC_TOKENS_SET_POLICY, SetTokenPolicy(role, policy, reason), TokenPolicies)


def turns(text: Text) -> tuple[Turn, ...]:
    """Texts as turns."""
    if isinstance(text, str | Turn):
        text = (text,)
    return tuple(Turn(one) if isinstance(one, str) else one for one in text)
