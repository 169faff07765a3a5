"""Every route, in one table: the HTTP router and the OpenAPI document are both made from it."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from msgspec import Struct

from cca.contracts.agent import Agents
from cca.contracts.task import SubmitTask, TaskAccepted, TaskView
from cca_gateway import agents, documents, events, health, listing, output, tasks
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway
from cca_gateway.probes import Readiness

BASE = "/api/v1"

Handler = Callable[[Gateway, Call], Awaitable[web.StreamResponse]]


class Route(Struct, frozen=True, kw_only=True):
    """One method on one path.

    Attributes:
        path: below `BASE`; `{task}` stands for a task id.
        handle: what answers.
        summary: one line for the documentation.
        answers: status to the type of the JSON body, or to a media type.
        refusals: codes of `problems.KINDS` that are particular to the route.
        body: the type of the request's JSON body.
        decode_as: what the body is decoded as, when that differs.
        optional_body: whether the body may be left out.
        query: a Struct whose fields are the query parameters.
        headers: request headers that matter, by name, each with what it does.
        open: needs no key, and is also offered without `BASE`.
        browser: a page for people: Basic credentials are asked for and taken.
        streams: also offered as server-sent events.
    """

    method: str
    path: str
    handle: Handler
    summary: str
    answers: dict[int, Any]
    refusals: tuple[str, ...] = ()
    body: Any = None
    decode_as: Any = None
    optional_body: bool = False
    query: type[Struct] | None = None
    headers: dict[str, str] = {}
    open: bool = False
    browser: bool = False
    streams: bool = False


_IDEMPOTENCY = (
    "Unique per requester, for ever. The same key with the same task is answered with what is known of it "
    "(`Idempotency-Replayed: true`); with another task it is refused."
)
_WAIT = "`wait=N`: wait up to N seconds for the outcome (RFC 7240)."
_RESUME = "Events only: the position after which to go on."

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/tasks",
        handle=tasks.submit,
        summary="Submit a task; with `Prefer: wait=N`, wait for its outcome",
        body=SubmitTask,
        headers={"Idempotency-Key": _IDEMPOTENCY, "Prefer": _WAIT},
        answers={202: TaskAccepted, 200: TaskView},
        refusals=("key-reused", "full"),
    ),
    Route(
        method="POST",
        path="/tasks/batch",
        handle=tasks.submit_batch,
        summary="Submit up to 1,000 tasks; each is accepted or refused by itself",
        body=tasks.Batch,
        decode_as=tasks.RawBatch,
        headers={"Idempotency-Key": "Each task without a key or an id of its own gets this one and its index."},
        answers={200: tasks.BatchResult},
    ),
    Route(
        method="GET",
        path="/tasks",
        handle=listing.tasks,
        summary="List tasks, newest first",
        query=listing.TaskQuery,
        answers={200: listing.TaskPage},
    ),
    Route(
        method="GET",
        path="/tasks/{task}",
        handle=tasks.show,
        summary="What is known of a task; with `Prefer: wait=N`, once it is over",
        headers={"Prefer": _WAIT},
        answers={200: tasks.TaskDetail},
        refusals=("not-found", "bad-id"),
    ),
    Route(
        method="GET",
        path="/tasks/{task}/events",
        handle=events.of_task,
        summary="The history of a task; as a stream, until it is over",
        query=events.Slice,
        headers={"Last-Event-ID": _RESUME},
        answers={200: events.EventPage},
        refusals=("not-found", "bad-id"),
        streams=True,
    ),
    Route(
        method="GET",
        path="/tasks/{task}/output",
        handle=output.of_task,
        summary="What a task printed; as a stream, until it is over",
        query=output.OutputQuery,
        headers={"Last-Event-ID": _RESUME},
        answers={200: "text/plain"},
        refusals=("not-found", "bad-id"),
        streams=True,
    ),
    Route(
        method="POST",
        path="/tasks/{task}/cancel",
        handle=tasks.cancel,
        summary="Stop a queued or running task",
        body=tasks.Why,
        optional_body=True,
        answers={200: TaskView},
        refusals=("not-found", "bad-id", "already-over"),
    ),
    Route(
        method="POST",
        path="/tasks/{task}/retry",
        handle=tasks.retry,
        summary="Try a failed or canceled task again",
        body=tasks.Why,
        optional_body=True,
        answers={202: TaskView},
        refusals=("not-found", "bad-id", "not-over"),
    ),
    Route(
        method="GET",
        path="/agents",
        handle=agents.roster,
        summary="The live agents",
        query=agents.RosterQuery,
        answers={200: Agents},
    ),
    Route(
        method="GET",
        path="/roles",
        handle=agents.roles,
        summary="Every role that has been seen: its live agents, its tasks by state",
        answers={200: agents.Roles},
    ),
    Route(
        method="GET",
        path="/workloads",
        handle=agents.workloads,
        summary="How busy each lane is, and how its tasks have ended",
        answers={200: agents.Workloads},
    ),
    Route(
        method="GET",
        path="/activity",
        handle=agents.activity,
        summary="What each live agent is doing",
        answers={200: agents.Activity},
    ),
    Route(
        method="GET",
        path="/events",
        handle=events.of_all,
        summary="The log: a page of it, or as a stream what happens from now on",
        query=events.LogSlice,
        headers={"Last-Event-ID": _RESUME},
        answers={200: events.EventPage},
        streams=True,
    ),
    Route(
        method="GET",
        path="/livez",
        handle=health.live,
        summary="Whether the process answers",
        answers={200: health.Status},
        open=True,
    ),
    Route(
        method="GET",
        path="/readyz",
        handle=health.ready,
        summary="Whether NATS, PostgreSQL and the router answer; details for those with a key",
        answers={200: Readiness, 503: Readiness},
        open=True,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        handle=documents.openapi_json,
        summary="This interface as an OpenAPI 3.1 document",
        answers={200: "application/json"},
        browser=True,
    ),
    Route(
        method="GET",
        path="/docs",
        handle=documents.page,
        summary="This interface as a page for people",
        answers={200: "text/html"},
        browser=True,
    ),
)
