"""Errors as RFC 9457 problem details: every refusal has a stable type, and no bad input is a 500."""

from collections.abc import Mapping

import msgspec
from aiohttp import web
from msgspec import Struct

from cca.errors import Busy, CcaError, Refused, Unreadable

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:cca:problem:"

KINDS: dict[str, tuple[int, str]] = {
    "unreadable": (400, "The request cannot be read"),
    "bad-header": (400, "A header cannot be read"),
    "not-authenticated": (401, "A valid API key is needed"),
    "forbidden": (403, "This key may not do that"),
    "not-found": (404, "There is no such thing"),
    "not-allowed": (403, "That may not be done here"),
    "method-not-allowed": (405, "The method is not offered here"),
    "not-acceptable": (406, "The answer is not offered in that form"),
    "already-over": (409, "The task is over"),
    "not-over": (409, "The task is not over"),
    "not-routed": (409, "The task has not been routed"),
    "job-running": (409, "A job is at it"),
    "project-exists": (409, "The project is another directory"),
    "not-recorded": (409, "Too little was recorded for that"),
    "revision-mismatch": (412, "Somebody else has changed it"),
    "too-large": (413, "The request is too large"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "invalid": (422, "The request breaks a rule"),
    "bad-id": (422, "This id cannot be used"),
    "unknown-algorithm": (422, "There is no such algorithm"),
    "bad-params": (422, "These parameters cannot be used"),
    "bad-name": (422, "This is not a name of a role"),
    "unknown-strategy": (422, "There is no such strategy"),
    "too-hard": (422, "That would take too long"),
    "too-many": (422, "There are too many already"),
    "bad-cursor": (422, "This is not where a page ends"),
    "bad-value": (422, "This value cannot be stored"),
    "too-deep": (422, "The value is nested too deep"),
    "bad-path": (422, "This path cannot be used"),
    "bad-glob": (422, "This is not a pattern of file names"),
    "too-many-files": (422, "There are too many files"),
    "not-text": (422, "This is not text that JSON can hold"),
    "key-reused": (422, "The key was used for something else"),
    "full": (429, "The intake is full"),
    "internal": (500, "Something unforeseen went wrong"),
    "busy": (503, "Not possible at the moment"),
}
"""Status and title by code. A refusal whose code is not listed is a 422 with its own text."""

RETRY_AFTER = {429: "5", 503: "1"}
"""Seconds, by status."""


class ProblemDetails(Struct, frozen=True, omit_defaults=True):
    """What went wrong (RFC 9457).

    Attributes:
        type: stable; what programs compare.
        title: the same for the same type.
        status: the HTTP status.
        detail: a sentence about this very request; it names the place in the body when there is one.
        request_id: the `X-Request-Id` under which the log knows it.
        task: the id of the task that it is about, when known.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    request_id: str = ""
    task: str | None = None


class Problem(CcaError):
    """The request is answered with a problem."""

    def __init__(
        self, code: str, detail: str, headers: Mapping[str, str] | None = None, task: str | None = None
    ) -> None:
        self.code, self.headers, self.task = code, headers or {}, task
        super().__init__(detail)


def details(error: CcaError, request_id: str = "") -> ProblemDetails:
    """What an error says to the outside."""
    if isinstance(error, Problem | Refused):
        code = error.code
    elif isinstance(error, Unreadable):
        code = "unreadable"
    elif isinstance(error, Busy):
        code = "busy"
    else:
        code = "internal"
    status, title = KINDS.get(code, (422, "The request is refused"))
    task = error.task if isinstance(error, Problem) else None
    return ProblemDetails(TYPE + code, title, status, str(error), request_id, task)


def is_internal(error: CcaError) -> bool:
    """Whether an error says nothing about the request, and everything about us."""
    return not isinstance(error, Problem | Refused | Unreadable | Busy)


def answer(error: CcaError, request_id: str) -> web.Response:
    """The response that an error becomes."""
    problem = details(error, request_id)
    headers = {"Content-Type": MEDIA_TYPE, "Server": "cca", "Cache-Control": "no-store"}
    if request_id:
        headers["X-Request-Id"] = request_id
    if problem.status in RETRY_AFTER:
        headers["Retry-After"] = RETRY_AFTER[problem.status]
    if isinstance(error, Problem):
        headers.update(error.headers)
    return web.Response(status=problem.status, body=msgspec.json.encode(problem), headers=headers)
