"""The list of tasks: filters, and pages that stay right while tasks come and go."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from cca.contracts.task import Failure, Short, State, Word
from cca_gateway import queries
from cca_gateway.bodies import WHOLE
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.problems import Problem

Label = Annotated[str, Meta(pattern=r"^[^=]{1,200}=.{0,200}$", description="`name=value`; may be repeated"), WHOLE]
Instant = Annotated[datetime, Meta(tz=True)]
Search = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="In the description, whatever its case; `%` and `_` stand for themselves.",
    ),
]
Cursor = Annotated[str, Meta(max_length=64, description="The `next` of the page before.")]


class TaskQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks. All conditions must hold; of several states one."""

    state: tuple[State, ...] = ()
    role: Word | None = None
    lane: Word | None = None
    kind: Short | None = None
    requester: Short | None = None
    agent: Short | None = None
    label: tuple[Label, ...] = ()
    since: Annotated[Instant, Meta(description="Created then or later (RFC 3339, with a zone).")] | None = None
    until: Annotated[Instant, Meta(description="Created before then.")] | None = None
    q: Search | None = None
    cursor: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class TaskSummary(Struct, frozen=True, omit_defaults=True):
    """A task in a list, as the tables have it: a moment behind the log, without input, context and result, and
    with the beginning of its description."""

    task: str
    state: str
    role: str | None = None
    description: str | None = None
    priority: str = "normal"
    lane: str | None = None
    kind: str | None = None
    requester: str | None = None
    labels: dict[str, str] = {}
    agent: str | None = None
    attempt: int = 0
    max_attempts: int = 3
    failure: Failure | None = None
    reason: str | None = None
    waiting: str | None = None
    progress: str | None = None
    fraction: float | None = None
    retry_at: datetime | None = None
    duration_s: float | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    quality: float | None = None


class TaskPage(Struct, frozen=True):
    """Tasks, newest first; `next`, when there are more, is the `cursor` of the next page."""

    items: list[TaskSummary]
    next: str | None


_encode = msgspec.json.Encoder().encode
_FIELDS = TaskSummary.__struct_fields__


async def tasks(gateway: Gateway, call: Call) -> web.Response:
    """A page of tasks."""
    query: TaskQuery = call.query
    found = await queries.tasks(gateway.tables, _conditions(query), query.limit + 1)
    page = found[: query.limit]
    items = [TaskSummary(*(row[name] for name in _FIELDS)) for row in page]
    more = len(found) > query.limit
    return call.answer(_encode(TaskPage(items, _cursor(page[-1]["first_seq"]) if more else None)))


def _conditions(query: TaskQuery) -> dict[str, object]:
    wanted: dict[str, Any] = {
        "state": list(query.state) or None,
        "role": query.role,
        "lane": query.lane,
        "kind": query.kind,
        "requester": query.requester,
        "agent": query.agent,
        "labels": dict(label.split("=", 1) for label in query.label) or None,
        "since": query.since,
        "until": query.until,
        "text": None if query.q is None else queries.like(query.q),
        "before": None if query.cursor is None else _position(query.cursor),
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _cursor(position: int) -> str:
    return base64.urlsafe_b64encode(f"1:{position}".encode()).decode().rstrip("=")


def _position(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
        version, _, position = text.partition(":")
        if version == "1" and position.isdigit() and len(position) < 19:
            return int(position)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise Problem("invalid", "this is not the `next` of a page - at `?cursor`")
