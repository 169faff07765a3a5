"""A stand-in for cca_tokens: answers its requests on the real bus with canned replies, and counts nothing.

The service itself is tested in tests/service_tokens, and with the gateway in tests/gateway/test_tokens_http.py.
"""

from contextlib import AsyncExitStack
from typing import Self

from cca.contracts.ledger import (
    GetRecommendations,
    GetTokenMetrics,
    GetTokenPolicies,
    Recommendation,
    Recommendations,
    SetTokenPolicy,
    Spending,
    TokenMetrics,
    TokenPolicies,
)
from cca.contracts.tokens import (
    Analysis,
    AnalyzeTokens,
    Compressed,
    CompressTokens,
    CountTokens,
    Cut,
    Expanded,
    ExpandText,
    Repetition,
    Share,
    Step,
    TokenCounts,
    TurnAnalysis,
)
from cca.errors import CcaError, Refused
from cca.message import Command, Meta
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.nats.micro import Service

REF = "mb2w4kq5zr7tdhx3ynuv"
NONE = Share(0, 0.0)
ANALYSIS = Analysis(
    model="gpt-5",
    method="o200k_base",
    exact=True,
    tokens=10,
    lines=2,
    characters=40,
    kinds={"log": Share(10, 1.0)},
    duplicates=NONE,
    near=NONE,
    boilerplate=NONE,
    across=NONE,
    potential=0.5,
    after=5,
    plan=(Step("logs", 5, 1),),
    turns=(TurnAnalysis(0, "tool", 10, "log"),),
    repetitions=(Repetition("line", (0, 1), 2, 4),),
)
SPENT = Spending({"role": "backend"}, attempts=3, input=900, output=100, cost_usd=0.5, saved={"logs": 40}, ratio=1.2)
ADVICE = Recommendation("compress-context", "role:backend", "Compress it.", {"tokens": 900.0}, 400, "high")


class TokenService:
    """What it was asked stands in `heard`; `wrong`, when set, is raised instead of every answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._service = bus, Service(bus, "cca_tokens", "")
        self.policies = TokenPolicies()
        self.heard: list[Command] = []
        self.wrong: CcaError | None = None

    async def start(self, stack: AsyncExitStack) -> Self:
        serve = self._service.serve
        await serve(subjects.RPC_TOKENS_COUNT, CountTokens, self._count, TokenCounts)
        await serve(subjects.RPC_TOKENS_ANALYZE, AnalyzeTokens, self._analyze, Analysis)
        await serve(subjects.RPC_TOKENS_COMPRESS, CompressTokens, self._compress, Compressed)
        await serve(subjects.RPC_TOKENS_EXPAND, ExpandText, self._expand, Expanded)
        await serve(subjects.RPC_TOKENS_POLICIES, GetTokenPolicies, self._policies, TokenPolicies)
        await serve(subjects.RPC_TOKENS_SET_POLICY, SetTokenPolicy, self._set, TokenPolicies)
        await serve(subjects.RPC_TOKENS_METRICS, GetTokenMetrics, self._metrics, TokenMetrics)
        await serve(subjects.RPC_TOKENS_RECOMMEND, GetRecommendations, self._recommend, Recommendations)
        await self._bus.flush()  # who asks from here on is heard
        stack.push_async_callback(self._service.stop)
        return self

    def _hear(self, command: Command) -> None:
        self.heard.append(command)
        if self.wrong is not None:
            raise self.wrong

    async def _count(self, command: CountTokens, _: Meta) -> TokenCounts:
        self._hear(command)
        each = tuple(len(turn.text) for turn in command.turns)
        return TokenCounts(command.model, sum(each), each, "characters", True)

    async def _analyze(self, command: AnalyzeTokens, _: Meta) -> Analysis:
        self._hear(command)
        return ANALYSIS

    async def _compress(self, command: CompressTokens, _: Meta) -> Compressed:
        self._hear(command)
        cut = Cut(REF, "logs", "log", 0, 0, 1, 10, 5)
        texts = (f"[ctx:{REF} lines]", None)
        return Compressed(texts, REF, command.how.model, "characters", True, 10, 5, {"logs": 5}, (cut,))

    async def _expand(self, command: ExpandText, _: Meta) -> Expanded:
        self._hear(command)
        if command.ref is not None and not command.ref.endswith(REF):
            raise Refused("not-found", f"{command.ref} is not, or no longer, stored")
        return Expanded("the original", (REF,))

    async def _policies(self, command: GetTokenPolicies, _: Meta) -> TokenPolicies:
        self._hear(command)
        return self.policies

    async def _set(self, command: SetTokenPolicy, _: Meta) -> TokenPolicies:
        self._hear(command)
        roles = {role: policy for role, policy in self.policies.roles.items() if role != command.role}
        if command.policy is not None:
            roles[command.role] = command.policy
        self.policies = TokenPolicies(self.policies.version + 1, roles)
        return self.policies

    async def _metrics(self, command: GetTokenMetrics, _: Meta) -> TokenMetrics:
        self._hear(command)
        return TokenMetrics((SPENT,), SPENT)

    async def _recommend(self, command: GetRecommendations, _: Meta) -> Recommendations:
        self._hear(command)
        return Recommendations((ADVICE,), 3, 1_000, 0.5)
