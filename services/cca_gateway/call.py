"""One request as a handler sees it: authenticated, decoded, with the preferences that its headers express."""

import re
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from cca.ids import uuid7
from cca.telemetry import trace_of
from cca_gateway.problems import Problem

JSON = "application/json"
EVENT_STREAM = "text/event-stream"
WAIT_LIMIT = 3_600.0
"""Seconds that a request can wait for an outcome at most; a client that wants more asks again."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._~:+/=-]{1,128}\Z")
_KEY = re.compile(r"[\x20-\x7e]{1,200}\Z")


class Call:
    """A request on its way through the gateway.

    Attributes:
        request: aiohttp's request.
        id: its name in answers and logs.
        known: whether a valid key came with it; always true unless the route needs none.
        key: the name of that key; empty when the route needs none.
        named: the names in its path, each in its one form.
        body: the decoded body, of the route's type.
        query: the decoded query parameters, of the route's type.
    """

    __slots__ = ("body", "id", "key", "known", "named", "query", "request")

    def __init__(self, request: BaseRequest) -> None:
        self.request = request
        presented = request.headers.get("X-Request-Id")
        self.id = presented if presented and _REQUEST_ID.match(presented) else uuid7()
        self.known = False
        self.key = ""
        self.named: dict[str, str] = {}
        self.body: Any = None
        self.query: Any = None

    @property
    def task(self) -> str:
        """The task id in its path."""
        return self.named["task"]

    @property
    def role(self) -> str:
        """The role in its path, or `*`."""
        return self.named["role"]

    @property
    def requester(self) -> str:
        """On whose behalf it is, unless the body says: of the holder of the key, by its name."""
        return self.key[:200]

    @property
    def headers(self) -> dict[str, str] | None:
        """What goes along on the bus: the trace context, when the client sent a valid one."""
        trace = self.request.headers.get("traceparent")
        return {"traceparent": trace} if trace is not None and trace_of(trace) == trace else None

    @property
    def wait(self) -> float | None:
        """The seconds of `Prefer: wait=N` (RFC 7240); None when the client does not want to wait.

        A preference that cannot be understood is ignored, as the RFC demands; `Preference-Applied` tells.
        """
        if "Prefer" not in self.request.headers:
            return None
        for preference in ",".join(self.request.headers.getall("Prefer")).split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            if name.strip().lower() == "wait":
                seconds = value.strip().strip('"')
                if seconds.isascii() and seconds.isdigit() and (wait := float(seconds[:9])) > 0:
                    return min(wait, WAIT_LIMIT)
                return None
        return None

    @property
    def idempotency_key(self) -> str | None:
        """The `Idempotency-Key`, with or without the quotes of a structured header. Raises `Problem`."""
        key = self.request.headers.get("Idempotency-Key")
        if key is None:
            return None
        if len(key) >= 2 and key[0] == key[-1] == '"':
            key = key[1:-1]
        if not _KEY.match(key):
            raise Problem("bad-header", "Idempotency-Key must be 1 to 200 printable ASCII characters")
        return key

    def accepts(self, media_type: str) -> bool:
        """Whether the client takes this media type (RFC 9110, without weighing)."""
        accept = self.request.headers.get("Accept")
        if accept is None or accept == "*/*" or accept == media_type:
            return True
        group = media_type.partition("/")[0] + "/*"
        for one in ",".join(self.request.headers.getall("Accept")).split(","):
            name, _, parameters = one.partition(";")
            if name.strip().lower() in (media_type, group, "*/*"):
                weight = parameters.replace(" ", "").lower()
                if weight not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
                    return True
        return False

    def prefers_stream(self) -> bool:
        """Whether the client asks for server-sent events by name."""
        return EVENT_STREAM in self.request.headers.get("Accept", "").lower()

    def answer(
        self, body: bytes, status: int = 200, headers: dict[str, str] | None = None, media_type: str = JSON
    ) -> web.Response:
        """A response with the headers that every response has."""
        every = {
            "Content-Type": media_type,
            "X-Request-Id": self.id,
            "Cache-Control": "no-store",
            "Server": "cca",
        }
        if headers:
            every.update(headers)
        return web.Response(status=status, body=body, headers=every)
