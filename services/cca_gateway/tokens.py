"""Tokens: counted, looked at, compressed, given back, and what was spent. The token service answers; its words go to
the client as they are."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from cca.contracts.ledger import (
    Dimension,
    GetRecommendations,
    GetTokenMetrics,
    GetTokenPolicies,
    RolePolicy,
    SetTokenPolicy,
)
from cca.contracts.task import Short, Word
from cca.contracts.tokens import AnalyzeTokens, CompressTokens, CountTokens, ExpandText
from cca.message import Command
from cca.nats import subjects
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.problems import Problem

PATIENCE = 10.0
"""Seconds that the token service has to say what it knows."""
LONG = 60.0
"""Seconds that it has to look at text."""

DIMENSIONS = 4
"""By so many at once can it be told what was spent."""


class MetricsQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was spent by whom: a row for each combination of `by`, most tokens first."""

    by: tuple[Dimension, ...] = ()
    since_s: (
        Annotated[float, Meta(gt=0, description="Only attempts that ended in the last so many seconds.")] | None
    ) = None
    role: Short | None = None
    agent: Short | None = None
    task: Short | None = None
    requester: Short | None = None
    model: Short | None = None
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100


class AdviceQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """About which role, and in which time."""

    role: Word | None = None
    since_s: Annotated[float, Meta(gt=0, description="Only what was spent in the last so many seconds.")] = 7 * 86_400.0


class WhySet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a policy is set or removed."""

    reason: Annotated[str, Meta(max_length=2_000, description="Kept in the log.")] = ""


async def ask(gateway: Gateway, call: Call, subject: str, command: Command, timeout: float = PATIENCE) -> web.Response:
    """The token service's answer. Raises `Problem` `busy` when none came, and what the service refuses."""
    said = await gateway.ask_service("token service", subject, command, call.headers, timeout, "tasks go on without it")
    return call.answer(said)


# ------------------------------------------------------------------------------------------ text


async def count(gateway: Gateway, call: Call) -> web.Response:
    """Count the tokens of turns for a model; `exact` says whether the provider would count the same."""
    command: CountTokens = call.body
    return await ask(gateway, call, subjects.RPC_TOKENS_COUNT, command, LONG)


async def analyze(gateway: Gateway, call: Call) -> web.Response:
    """Say what turns are made of, what is in them more than once, and how much of it compression would save."""
    command: AnalyzeTokens = call.body
    return await ask(gateway, call, subjects.RPC_TOKENS_ANALYZE, command, LONG)


async def compress(gateway: Gateway, call: Call) -> web.Response:
    """Say the same in fewer tokens. The originals are stored first, for 90 days."""
    command: CompressTokens = call.body
    if command.requester is None:
        command = replace(command, requester=call.requester)
    return await ask(gateway, call, subjects.RPC_TOKENS_COMPRESS, command, LONG)


async def expand(gateway: Gateway, call: Call) -> web.Response:
    """Give back originals: of one reference (404 when it is not, or no longer, stored), or of all markers in a text."""
    command: ExpandText = call.body
    return await ask(gateway, call, subjects.RPC_TOKENS_EXPAND, command, LONG)


# ------------------------------------------------------------------------------------------ what was spent


async def metrics(gateway: Gateway, call: Call) -> web.Response:
    """Tokens, cost and savings, added up from the tables."""
    query: MetricsQuery = call.query
    if len(query.by) > DIMENSIONS:
        raise Problem("invalid", f"at most {DIMENSIONS} dimensions at once - at `?by`")
    command = GetTokenMetrics(
        by=query.by,
        since_s=query.since_s,
        role=query.role,
        agent=query.agent,
        task=query.task,
        requester=query.requester,
        model=query.model,
        limit=query.limit,
    )
    return await ask(gateway, call, subjects.RPC_TOKENS_METRICS, command)


async def recommendations(gateway: Gateway, call: Call) -> web.Response:
    """What would save tokens, with the numbers behind it."""
    query: AdviceQuery = call.query
    return await ask(gateway, call, subjects.RPC_TOKENS_RECOMMEND, GetRecommendations(query.role, query.since_s))


# ------------------------------------------------------------------------------------------ policies


async def policies(gateway: Gateway, call: Call) -> web.Response:
    """The contexts of which roles are compressed before dispatch, and how far."""
    return await ask(gateway, call, subjects.RPC_TOKENS_POLICIES, GetTokenPolicies())


async def set_policy(gateway: Gateway, call: Call) -> web.Response:
    """Compress the contexts of a role's tasks when they are over its budget; `*` is for all roles without their own."""
    policy: RolePolicy = call.body
    return await _set(gateway, call, policy)


async def remove_policy(gateway: Gateway, call: Call) -> web.Response:
    """Compress the contexts of a role's tasks no longer."""
    return await _set(gateway, call, None)


async def _set(gateway: Gateway, call: Call, policy: RolePolicy | None) -> web.Response:
    why: WhySet = call.query
    command = SetTokenPolicy(call.role, policy, why.reason, call.requester)
    return await ask(gateway, call, subjects.RPC_TOKENS_SET_POLICY, command, LONG)
