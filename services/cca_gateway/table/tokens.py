"""The routes of tokens: count, compress, expand, what was spent."""

from cca.contracts.ledger import Recommendations, RolePolicy, TokenMetrics, TokenPolicies
from cca.contracts.tokens import (
    Analysis,
    AnalyzeTokens,
    Compressed,
    CompressTokens,
    CountTokens,
    Expanded,
    ExpandText,
    TokenCounts,
)
from cca_gateway import tokens
from cca_gateway.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/tokens/count",
        handle=tokens.count,
        summary="How many tokens a text is for a model",
        body=CountTokens,
        answers={200: TokenCounts},
        refusals=("too-hard",),
    ),
    Route(
        method="POST",
        path="/tokens/analyze",
        handle=tokens.analyze,
        summary="What a text is made of, and how much of it could go",
        body=AnalyzeTokens,
        answers={200: Analysis},
        refusals=("unknown-strategy", "too-hard"),
    ),
    Route(
        method="POST",
        path="/tokens/compress",
        handle=tokens.compress,
        summary="The same text in fewer tokens; what was cut out can be had again",
        body=CompressTokens,
        answers={200: Compressed},
        refusals=("unknown-strategy", "too-hard"),
    ),
    Route(
        method="POST",
        path="/tokens/expand",
        handle=tokens.expand,
        summary="The original of what was cut out",
        body=ExpandText,
        answers={200: Expanded},
        refusals=("not-found", "not-text"),
    ),
    Route(
        method="GET",
        path="/tokens/metrics",
        handle=tokens.metrics,
        summary="What was spent and saved, by task, agent, lane, role, requester, model, kind or day",
        query=tokens.MetricsQuery,
        answers={200: TokenMetrics},
    ),
    Route(
        method="GET",
        path="/tokens/recommendations",
        handle=tokens.recommendations,
        summary="What would save tokens",
        query=tokens.AdviceQuery,
        answers={200: Recommendations},
    ),
    Route(
        method="GET",
        path="/tokens/policies",
        handle=tokens.policies,
        summary="Which contexts are compressed before dispatch",
        answers={200: TokenPolicies},
    ),
    Route(
        method="PUT",
        path="/tokens/policies/{role}",
        handle=tokens.set_policy,
        summary="Compress the contexts of a role's tasks; `*` for all roles without a policy of their own",
        query=tokens.WhySet,
        body=RolePolicy,
        answers={200: TokenPolicies},
        refusals=("bad-name", "unknown-strategy", "too-many"),
    ),
    Route(
        method="DELETE",
        path="/tokens/policies/{role}",
        handle=tokens.remove_policy,
        summary="Compress the contexts of a role's tasks no longer",
        query=tokens.WhySet,
        answers={200: TokenPolicies},
        refusals=("bad-name",),
    ),
)
