"""What agents remember: stored, found again, rated, forgotten. The context service answers; its words go to the client
as they are."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Struct
from msgspec.structs import replace

from cca.contracts.context import Scope
from cca.contracts.memory import (
    ForgetMemory,
    GetMemory,
    GetMemoryPolicies,
    GetMemoryStats,
    Id,
    ListMemories,
    MemoryPolicy,
    Outcome,
    RateMemory,
    SearchMemories,
    SetMemoryPolicy,
    StoreMemory,
)
from cca.contracts.search import Limit
from cca.contracts.task import Short, Word
from cca.nats import subjects
from cca_gateway.call import Call
from cca_gateway.context import LONG, ask
from cca_gateway.gateway import Gateway
from cca_gateway.tokens import WhySet


class MemoryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which memories. All conditions must hold."""

    scope: Scope | None = None
    role: Word | None = None
    kind: Word | None = None
    task: Annotated[Id, Meta(description="Only those that were learned from this task.")] | None = None
    before: Annotated[Short, Meta(description="The `next` of the page before.")] | None = None
    limit: Limit = 50


class WhyForgotten(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a memory is forgotten."""

    reason: Annotated[str, Meta(max_length=2_000, description="Kept in the log.")] = ""


class MemoryFeedback(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a memory helped, and in which task; `requester` is the key's name when it is not given.

    A later word on the same task replaces the one before; without a task, each counts.
    """

    outcome: Outcome
    task: Id | None = None
    comment: Annotated[str, Meta(max_length=2_000)] = ""
    requester: Short | None = None


class _Remembered(Struct, frozen=True):
    """What the gateway itself must know of a `Remembered` that it passes on."""

    memory: str
    created: bool


_remembered = msgspec.json.Decoder(_Remembered).decode


async def store(gateway: Gateway, call: Call) -> web.Response:
    """Remember a text, 201; or 200 when the same, or nearly the same, is remembered already. Secrets in it are replaced
    before it is kept."""
    command: StoreMemory = call.body
    if command.source.requester is None:
        command = replace(command, source=replace(command.source, requester=call.requester))
    body = await ask(gateway, call, subjects.RPC_MEMORY_STORE, command, LONG)
    known = _remembered(body)
    return call.answer(body, 201 if known.created else 200, {"Location": f"/api/v1/memory/{known.memory}"})


async def list_memories(gateway: Gateway, call: Call) -> web.Response:
    """A page of memories, newest first."""
    query: MemoryQuery = call.query
    command = ListMemories(query.scope, query.role, query.kind, query.task, query.before, query.limit)
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_LIST, command))


async def search(gateway: Gateway, call: Call) -> web.Response:
    """Look for memories by words and by meaning; `why` says where each score comes from."""
    command: SearchMemories = call.body
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_SEARCH, command, LONG))


async def show(gateway: Gateway, call: Call) -> web.Response:
    """A memory: where it comes from, and what counts for and against it."""
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_GET, GetMemory(call.named["memory"])))


async def forget(gateway: Gateway, call: Call) -> web.Response:
    """Remove a memory from all tables and searches. The answer is the memory as it was."""
    why: WhyForgotten = call.query
    command = ForgetMemory(call.named["memory"], why.reason, call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_FORGET, command))


async def rate(gateway: Gateway, call: Call) -> web.Response:
    """Say whether a memory helped. What became of the tasks that had it before them counts by itself."""
    said: MemoryFeedback = call.body
    command = RateMemory(call.named["memory"], said.outcome, said.task, said.comment, said.requester or call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_RATE, command))


async def stats(gateway: Gateway, call: Call) -> web.Response:
    """How many memories there are, and how far their vectors are."""
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_STATS, GetMemoryStats()))


# ------------------------------------------------------------------------------------------ policies


async def policies(gateway: Gateway, call: Call) -> web.Response:
    """The tasks of which roles are remembered, and which are given memories."""
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_POLICIES, GetMemoryPolicies()))


async def set_policy(gateway: Gateway, call: Call) -> web.Response:
    """Remember the tasks of a role, and put memories before them; `*` is for all roles without their own policy."""
    policy: MemoryPolicy = call.body
    return await _set(gateway, call, policy)


async def remove_policy(gateway: Gateway, call: Call) -> web.Response:
    """Remember the tasks of a role no longer, and put nothing before them."""
    return await _set(gateway, call, None)


async def _set(gateway: Gateway, call: Call, policy: MemoryPolicy | None) -> web.Response:
    why: WhySet = call.query
    command = SetMemoryPolicy(call.role, policy, why.reason, call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_MEMORY_SET_POLICY, command, LONG))
