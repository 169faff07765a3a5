"""One line of the route table."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from msgspec import Struct

from cca_gateway.bodies import LIMIT
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway

Handler = Callable[[Gateway, Call], Awaitable[web.StreamResponse]]


class Route(Struct, frozen=True, kw_only=True):
    """One method on one path.

    Attributes:
        path: below `BASE`; what stands in braces is a name, one of `paths.PARAMETERS`.
        handle: what answers.
        summary: one line for the documentation.
        answers: status to the type of the JSON body, or to a media type.
        refusals: codes of `problems.KINDS` that are particular to the route.
        body: the type of the request's JSON body.
        decode_as: what the body is decoded as, when that differs.
        optional_body: whether the body may be left out.
        query: a Struct whose fields are the query parameters.
        headers: request headers that matter, by name, each with what it does.
        gives: headers of the answer that matter, by name, each with what it says.
        limit: bytes of the body, at most.
        open: needs no key, and is also offered without `BASE`.
        bare: is also offered without `BASE`, though it needs a key.
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
    gives: dict[str, str] = {}
    limit: int = LIMIT
    open: bool = False
    bare: bool = False
    browser: bool = False
    streams: bool = False
