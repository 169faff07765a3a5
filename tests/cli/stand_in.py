"""A gateway to test commands against: each test says what it answers, and sees what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import Struct
from tests.cli.conftest import Ran, run


class Asked(Struct, frozen=True):
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


Handle = Callable[[Asked], Any]
"""Gives what is answered: a Struct or a document, a `web.Response`, or an iterator of server-sent events."""


class StandIn:
    """A gateway that answers as it is told."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.asked: list[Asked] = []

    async def respond(self, request: web.Request) -> web.StreamResponse:
        path = request.raw_path.partition("?")[0].removeprefix("/api/v1")
        asked = Asked(request.method, path, dict(request.query), dict(request.headers), await request.read())
        self.asked.append(asked)
        answer = self.handle(asked)
        if isinstance(answer, web.Response):
            return answer
        if isinstance(answer, AsyncIterator):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            async for piece in answer:
                await response.write(piece)
            return response
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def problem(status: int, code: str, title: str, detail: str = "") -> web.Response:
    """A refusal as the gateway says it."""
    body = msgspec.json.encode({"type": f"urn:cca:problem:{code}", "title": title, "detail": detail})
    headers = {"Retry-After": "0"}
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)


@asynccontextmanager
async def standing(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    """A gateway that the commands find."""
    found = StandIn(handle)
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", found.respond)
    async with TestServer(app) as listening:
        monkeypatch.setenv("CCA_HTTP_URL", f"http://127.0.0.1:{listening.port}")
        yield found


Cca = Callable[..., Awaitable[Ran]]


async def cca(*arguments: str, stdin: bytes = b"") -> Ran:
    """Run a command beside the gateway."""
    return await asyncio.to_thread(run, *arguments, stdin=stdin)


def as_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands print as on a terminal of 80 columns, without styles."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # `rich` takes the pipe for a terminal
    monkeypatch.setenv("TERM", "dumb")
