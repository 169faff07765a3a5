"""aiohttp's low-level HTTP server, without what the gateway does better itself: routing, access log, error pages."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from cca.errors import Misconfigured
from cca_gateway import problems
from cca_gateway.problems import Problem

logger = logging.getLogger("cca_gateway")

IDLE = 75.0
"""Seconds after which an idle connection is closed."""
GRACE = 5.0
"""Seconds that requests have to end when the service stops."""

Handler = Callable[[BaseRequest], Awaitable[web.StreamResponse]]


class _Connection(web.RequestHandler):
    """A connection whose unreadable requests are answered like all others, and are not an error of ours."""

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        if status >= 500:
            logger.error("a request failed outside its handler", exc_info=exc)
            response = problems.answer(Problem("internal", "unforeseen"), "")
        else:
            logger.debug("an unreadable request: %s", exc)
            response = problems.answer(Problem("unreadable", "this is not a valid HTTP request"), "")
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


@asynccontextmanager
async def listening(handler: Handler, host: str, port: int) -> AsyncIterator[int]:
    """Serve, and end gracefully: what is being answered has `GRACE` seconds. Yields the port, chosen when it is 0."""
    options: dict[str, Any] = {"access_log": None, "keepalive_timeout": IDLE, "auto_decompress": False}
    # With cancellation, a waiting client that goes away leaves nothing behind here.
    server = _Server(handler, handler_cancellation=True, **options)
    runner = web.ServerRunner(server, shutdown_timeout=GRACE)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            raise Misconfigured(f"cannot listen on {host}:{port} (http.host, http.port): {error.strerror}") from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
