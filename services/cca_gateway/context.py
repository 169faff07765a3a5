"""What agents share: values under a scope and a key, and snapshots of a scope. The context service answers; its words
go to the client as they are."""

from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta, Raw, Struct

from cca.contracts.context import (
    DeleteContext,
    GetContext,
    GetContextHistory,
    GetContextStats,
    ListContext,
    ListSnapshots,
    Note,
    Prefix,
    RestoreSnapshot,
    Scope,
    SetContext,
    TakeSnapshot,
    Ttl,
)
from cca.message import Command
from cca.nats import subjects
from cca_gateway import context_watch
from cca_gateway.call import Call
from cca_gateway.conditions import ABSENT, etag, expected, has
from cca_gateway.events import After
from cca_gateway.gateway import Gateway

PATIENCE = 10.0
"""Seconds that the context service has to say what it knows."""
LONG = 60.0
"""Seconds that it has to look through much, or to write much."""

Most = Annotated[int, Meta(ge=1, le=1_000)]


class SetQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For how long a value holds."""

    ttl_s: Ttl | None = None


class ListQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys of a scope."""

    prefix: Annotated[Prefix, Meta(description="Only keys that begin so.")] = ""
    values: (
        Annotated[bool, Meta(description="With values of up to 64 KiB; by default only a stream has them.")] | None
    ) = None
    after: (
        Annotated[
            After, Meta(description="Streams only: what changed after this revision, instead of what is there now.")
        ]
        | None
    ) = None


class HistoryQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the newest."""

    limit: Most = 50


class NewSnapshot(Struct, frozen=True, forbid_unknown_fields=True):
    """What the snapshot is for."""

    note: Note = ""


class Restoring(Struct, frozen=True, forbid_unknown_fields=True):
    """From which snapshot (the newest when None), into which scope (its own when None); `exact`: keys that the snapshot
    does not have are deleted."""

    snapshot: Annotated[str, Meta(max_length=64)] | None = None
    into: Scope | None = None
    exact: bool = False


class _Entry(Struct, frozen=True):
    """What the gateway itself must know of a `ContextEntry` that it passes on."""

    revision: int


_entry = msgspec.json.Decoder(_Entry).decode


async def ask(gateway: Gateway, call: Call, subject: str, command: Command, timeout: float = PATIENCE) -> bytes:
    """The body of the context service's answer. Raises `Problem` `busy` when none came, and what it refuses."""
    return await gateway.ask_service(
        "context service", subject, command, call.headers, timeout, "tasks go on without it"
    )


# ------------------------------------------------------------------------------------------ values


async def set_value(gateway: Gateway, call: Call) -> web.Response:
    """Put a value under a key. `ETag` is its revision; with `If-Match` or `If-None-Match: *` it is only put there when
    nobody else has changed the key since, and 412 says that somebody has."""
    wanted = expected(call)
    value: Raw = call.body  # as it came, so that numbers keep their digits
    command = SetContext(call.named["scope"], call.named["key"], value, call.query.ttl_s, wanted, call.requester)
    body = await ask(gateway, call, subjects.RPC_CONTEXT_SET, command)
    return call.answer(body, 201 if wanted == ABSENT else 200, {"ETag": etag(_entry(body).revision)})


async def get(gateway: Gateway, call: Call) -> web.Response:
    """The value of a key, its revision, and until when it holds. It needs no tables."""
    command = GetContext(call.named["scope"], call.named["key"])
    body = await ask(gateway, call, subjects.RPC_CONTEXT_GET, command)
    revision = _entry(body).revision
    headers = {"ETag": etag(revision)}
    return call.answer(b"", 304, headers) if has(call, revision) else call.answer(body, 200, headers)


async def delete(gateway: Gateway, call: Call) -> web.Response:
    """Remove a key. The log keeps what it held."""
    command = DeleteContext(call.named["scope"], call.named["key"], expected(call), call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_CONTEXT_DELETE, command))


async def list_keys(gateway: Gateway, call: Call) -> web.StreamResponse:
    """The keys of a scope by name; as a stream, what is there, oldest first, and then each change: events `set`,
    `deleted` and `expired`, whose `id` is the revision."""
    query: ListQuery = call.query
    if call.prefers_stream():
        with_values = query.values is not False
        return await context_watch.follow(gateway, call, call.named["scope"], query.prefix, with_values, query.after)
    command = ListContext(call.named["scope"], query.prefix, bool(query.values))
    return call.answer(await ask(gateway, call, subjects.RPC_CONTEXT_LIST, command))


async def history(gateway: Gateway, call: Call) -> web.Response:
    """What a key held before, newest first."""
    command = GetContextHistory(call.named["scope"], call.named["key"], call.query.limit)
    return call.answer(await ask(gateway, call, subjects.RPC_CONTEXT_HISTORY, command))


async def stats(gateway: Gateway, call: Call) -> web.Response:
    """How many values there are, whether the service reaches its tables, and what its cache does."""
    return call.answer(await ask(gateway, call, subjects.RPC_CONTEXT_STATS, GetContextStats()))


# ------------------------------------------------------------------------------------------ snapshots


async def snapshots(gateway: Gateway, call: Call) -> web.Response:
    """The snapshots of a scope, newest first."""
    command = ListSnapshots(call.named["scope"], call.query.limit)
    return call.answer(await ask(gateway, call, subjects.RPC_CONTEXT_SNAPSHOTS, command))


async def take_snapshot(gateway: Gateway, call: Call) -> web.Response:
    """Keep how all of a scope is now."""
    said: NewSnapshot = call.body or NewSnapshot()
    command = TakeSnapshot(call.named["scope"], said.note, call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_CONTEXT_SNAPSHOT, command, LONG), 201)


async def restore(gateway: Gateway, call: Call) -> web.Response:
    """Put a scope back to how it was. What is so already is left alone, so that it can be asked again."""
    said: Restoring = call.body or Restoring()
    command = RestoreSnapshot(call.named["scope"], said.snapshot, said.into, said.exact, call.requester)
    return call.answer(await ask(gateway, call, subjects.RPC_CONTEXT_RESTORE, command, LONG))
