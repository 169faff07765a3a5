"""The routes of shared context: values under a scope and a key, and snapshots of a scope."""

from typing import Any

from msgspec import Raw

from cca.contracts.context import (
    LARGEST,
    ContextEntries,
    ContextEntry,
    ContextHistory,
    ContextStats,
    Restored,
    Snapshot,
    Snapshots,
)
from cca_gateway import context
from cca_gateway.route import Route

_MATCH = 'Only when the key is at this revision, for example `"17"`: what `ETag` gave.'
_NEW = "`*`: only when there is no such key."
_KNOWN = "A revision, as `ETag` gave it: the answer is 304 while it is the newest."
_ETAG = 'The revision of the value, for example `"17"`.'
_RESUME = "Streams only: the revision after which to go on."

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET",
        path="/context/stats",
        handle=context.stats,
        summary="How many values are shared, and how the context service is",
        answers={200: ContextStats},
    ),
    Route(
        method="GET",
        path="/context/{scope}",
        handle=context.list_keys,
        summary="The keys of a scope; as a stream, what becomes of them",
        query=context.ListQuery,
        headers={"Last-Event-ID": _RESUME},
        answers={200: ContextEntries},
        streams=True,
    ),
    Route(
        method="GET",
        path="/context/{scope}/{key}",
        handle=context.get,
        summary="A value",
        headers={"If-None-Match": _KNOWN},
        gives={"ETag": _ETAG},
        answers={200: ContextEntry},
        refusals=("not-found", "invalid"),
    ),
    Route(
        method="PUT",
        path="/context/{scope}/{key}",
        handle=context.set_value,
        summary="Share a value: any JSON, of up to 3 MiB; with `ttl_s`, for a time",
        query=context.SetQuery,
        body=Any,
        decode_as=Raw,
        limit=LARGEST,
        headers={"If-Match": _MATCH, "If-None-Match": _NEW},
        gives={"ETag": _ETAG},
        answers={200: ContextEntry, 201: ContextEntry},
        refusals=("bad-header", "revision-mismatch", "too-many", "bad-value", "too-deep"),
    ),
    Route(
        method="DELETE",
        path="/context/{scope}/{key}",
        handle=context.delete,
        summary="Remove a value",
        headers={"If-Match": _MATCH},
        answers={200: ContextEntry},
        refusals=("not-found", "bad-header", "revision-mismatch", "invalid"),
    ),
    Route(
        method="GET",
        path="/context/{scope}/{key}/history",
        handle=context.history,
        summary="What a key held before",
        query=context.HistoryQuery,
        answers={200: ContextHistory},
        refusals=("not-found",),
    ),
    Route(
        method="GET",
        path="/snapshots/{scope}",
        handle=context.snapshots,
        summary="The snapshots of a scope",
        query=context.HistoryQuery,
        answers={200: Snapshots},
    ),
    Route(
        method="POST",
        path="/snapshots/{scope}",
        handle=context.take_snapshot,
        summary="Keep how a scope is now",
        body=context.NewSnapshot,
        optional_body=True,
        answers={201: Snapshot},
    ),
    Route(
        method="POST",
        path="/snapshots/{scope}/restore",
        handle=context.restore,
        summary="Put a scope back to how it was",
        body=context.Restoring,
        optional_body=True,
        answers={200: Restored},
        refusals=("not-found", "too-many"),
    ),
)
