"""The one wrapper around every handler: find the route, ask for the key, decode, answer; errors become problems."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from cca.errors import Busy, CcaError
from cca_gateway import paths, problems
from cca_gateway.auth import authenticate, is_known
from cca_gateway.bodies import check_type, decoded, decoder, query_reader, read
from cca_gateway.call import EVENT_STREAM, JSON, Call
from cca_gateway.gateway import Gateway
from cca_gateway.paths import Paths
from cca_gateway.problems import Problem
from cca_gateway.route import Route
from cca_gateway.routes import BASE

logger = logging.getLogger("cca_gateway")


class _Endpoint:
    """A route with what is prepared once: its decoders, and the form of its answers."""

    __slots__ = ("decode", "media_type", "read_query", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        kind = route.decode_as or route.body
        self.decode: Callable[[bytes], Any] | None = decoder(kind) if kind is not None else None
        self.read_query = query_reader(route.query) if route.query is not None else None
        first = next(iter(route.answers.values()))
        self.media_type = first if isinstance(first, str) else JSON


class Edge:
    """What aiohttp's server calls for each request."""

    def __init__(self, gateway: Gateway, routes: tuple[Route, ...]) -> None:
        self.gateway = gateway
        self._paths: Paths[dict[str, _Endpoint]] = Paths()
        for route in routes:
            endpoint = _Endpoint(route)
            for path in (BASE + route.path, route.path) if route.open or route.bare else (BASE + route.path,):
                methods = self._paths.at(path, {})
                methods[route.method] = endpoint
                if route.method == "GET" and not route.streams:
                    methods["HEAD"] = endpoint  # aiohttp leaves the body out

    async def __call__(self, request: BaseRequest) -> web.StreamResponse:
        call = Call(request)
        try:
            return await self._answer(call)
        except CcaError as error:
            if problems.is_internal(error):
                return self._unforeseen(call, error)
            return problems.answer(error, call.id)
        except asyncio.CancelledError:
            if not self.gateway.closing:
                raise  # the client is gone; what it has submitted goes on without it
            return problems.answer(Busy("the service is about to stop"), call.id)
        except Exception as error:
            return self._unforeseen(call, error)

    async def _answer(self, call: Call) -> web.StreamResponse:
        gateway, request = self.gateway, call.request
        path = request.raw_path
        methods, names = self._paths.find(path.partition("?")[0] if path.startswith("/") else request.path)
        endpoint = methods.get(request.method) if methods else None
        if endpoint is not None and endpoint.route.open:
            call.known = is_known(gateway.keys, request)
        else:
            key = authenticate(gateway.keys, request, browser=endpoint is not None and endpoint.route.browser)
            call.known, call.key = True, key.name or key.id
        if methods is None:
            raise Problem("not-found", "there is no such path; GET /api/v1/openapi.json lists what there is")
        if endpoint is None:
            allowed = {"Allow": ", ".join(sorted(methods))}
            raise Problem("method-not-allowed", f"offered here: {allowed['Allow']}", allowed)
        if not call.accepts(endpoint.media_type) and not (endpoint.route.streams and call.prefers_stream()):
            offered = [endpoint.media_type] + [EVENT_STREAM] * endpoint.route.streams
            raise Problem("not-acceptable", f"offered here: {', '.join(offered)}")
        if names:
            call.named = paths.read(names)
        if endpoint.read_query is not None:
            call.query = endpoint.read_query(request)
        if endpoint.decode is not None:
            if not endpoint.route.optional_body:
                check_type(request)
            body = await read(request, endpoint.route.limit)
            if body or not endpoint.route.optional_body:
                check_type(request)
                call.body = await decoded(endpoint.decode, body)
        return await endpoint.route.handle(gateway, call)

    def _unforeseen(self, call: Call, error: Exception) -> web.Response:
        path = call.request.raw_path.partition("?")[0]
        logger.error("request %s: %s %r failed", call.id, call.request.method, path, exc_info=error)
        text = "unforeseen; it is logged under this request's id"
        return problems.answer(Problem("internal", text), call.id)
