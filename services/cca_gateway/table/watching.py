"""The routes of the log, of the gateway's own health, and of its description."""

from cca_gateway import documents, events, health
from cca_gateway.probes import Readiness
from cca_gateway.route import Route

_RESUME = "Events only: the position after which to go on."

ROUTES: tuple[Route, ...] = (
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
        path="/metrics",
        handle=health.metrics,
        summary="What was spent and saved, and what is kept, for Prometheus",
        answers={200: "text/plain"},
        bare=True,
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
