"""The client of the gateway (`cca.cli.http`) where a gateway misbehaves: busy, restarted, cut off, nonsense."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from cca.cli import http
from cca.cli.answers import Task, read
from cca.cli.http import Gateway
from cca.contracts.task import SubmitTask
from cca.errors import Busy, Misconfigured, Refused, Unreadable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "cca_test_abcdefgh_" + "s" * 44


@asynccontextmanager
async def gateway(handler: Handler) -> AsyncIterator[Gateway]:
    """A client of a server with one handler for everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}/"
        async with http.connect({"CCA_HTTP_URL": url, "CCA_API_KEY": KEY}) as client:
            yield client


def problem(
    status: int, code: str, title: str, detail: str = "", headers: dict[str, str] | None = None
) -> web.Response:
    body = msgspec.json.encode({"type": f"urn:cca:problem:{code}", "title": title, "detail": detail})
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)


async def test_the_key_goes_along_and_the_answer_comes_back() -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"task": "t", "state": "completed", "result": 5, "new_in_a_later_version": 1})

    async with gateway(handle) as client:
        assert read(await client.task("t"), Task).result == 5
    assert seen == [f"Bearer {KEY}"]


async def test_what_is_refused_is_said_in_the_gateways_words() -> None:
    async def handle(request: web.Request) -> web.Response:
        return problem(422, "invalid", "The request breaks a rule", "Expected `int` - at `$.max_attempts`")

    async with gateway(handle) as client:
        with pytest.raises(Refused) as error:
            await client.submit(SubmitTask("d", role="backend"))
    assert error.value.code == "invalid"
    assert str(error.value) == "The request breaks a rule: Expected `int` - at `$.max_attempts`"


async def test_a_missing_key_is_told_how_to_get_one() -> None:
    async def handle(request: web.Request) -> web.Response:
        return problem(401, "not-authenticated", "A valid API key is needed")

    async with gateway(handle) as client:
        with pytest.raises(Refused, match="CCA_API_KEY"):
            await client.task("t")


async def test_a_busy_gateway_is_asked_again() -> None:
    answers = [
        problem(503, "busy", "Not possible at the moment", headers={"Retry-After": "0"}),
        problem(429, "full", "The intake is full", headers={"Retry-After": "0"}),
        web.json_response({"task": "t", "state": "submitted"}),
    ]

    async def handle(request: web.Request) -> web.Response:
        return answers.pop(0)

    async with gateway(handle) as client:
        assert read(await client.task("t"), Task).state == "submitted"


async def test_a_gateway_that_stays_busy_is_given_up() -> None:
    asked = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return problem(503, "busy", "Not possible at the moment", "NATS is away", {"Retry-After": "0"})

    async with gateway(handle) as client:
        with pytest.raises(Busy, match="NATS is away"):
            await client.task("t")
    assert asked == http.TRIES


async def test_a_gateway_that_is_not_there_is_named_with_what_to_do() -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    async with http.connect({"CCA_HTTP_URL": url}) as client:
        with pytest.raises(Busy, match=f"cannot reach the gateway at {url}: is the stack up"):
            await client.task("t")
        with pytest.raises(Busy, match="is the stack up"):
            async for _ in client.stream("/events"):
                pass


@pytest.mark.parametrize(
    "url", ["no url at all", "ftp://h", "http://", "http://u:p@h", "http://h:99999", "http://h?q=1"]
)
async def test_a_url_that_cannot_be_a_gateways_is_said(url: str) -> None:
    with pytest.raises(Misconfigured, match="CCA_HTTP_URL"):
        async with http.connect({"CCA_HTTP_URL": url}):
            pass


async def test_a_key_that_cannot_be_sent_is_said() -> None:
    with pytest.raises(Misconfigured, match="CCA_API_KEY"):
        async with http.connect({"CCA_API_KEY": "line\nbreak"}):
            pass


async def test_text_that_is_no_unicode_is_refused() -> None:
    async with http.connect({}) as client:
        with pytest.raises(Refused, match="UTF-8"):
            await client.request("GET", "/tasks", params={"q": "\udcff"})


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff", b'{"items": 5}'])
async def test_nonsense_is_an_error_with_a_sentence(body: bytes) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=body)

    async with gateway(handle) as client:
        with pytest.raises(Unreadable, match="unexpected"):
            read(await client.task("t"), Task)
        with pytest.raises(Unreadable, match="unexpected"):
            await client.events("/events")


async def test_an_error_page_of_some_proxy_is_an_error_with_a_sentence() -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>nginx</html>")

    async with gateway(handle) as client:
        with pytest.raises(Refused, match="404"):
            await client.task("t")


async def test_pages_are_followed_to_the_end_or_the_limit() -> None:
    async def handle(request: web.Request) -> web.Response:
        begin, size = int(request.query.get("cursor", "0")), int(request.query["limit"])
        items = list(range(begin, min(begin + size, 450)))
        return web.json_response({"items": items, "next": str(begin + size) if begin + size < 450 else None})

    async with gateway(handle) as client:
        everything = [int(bytes(raw)) async for raw in client.pages("/tasks", {}, None)]
        assert everything == list(range(450))
        assert len([raw async for raw in client.pages("/tasks", {}, 201)]) == 201


def sent(seq: int) -> bytes:
    return b'id: %d\nevent: cca.task.progressed.v1\ndata: {"seq": %d}\n\n' % (seq, seq)


@pytest.mark.parametrize("cut", [b"", b"id: 4\nda", b'id: 4\nevent: x\ndata: {"seq": 4}\n', b": comment\n\n"])
async def test_a_stream_that_breaks_goes_on_after_the_last_whole_event(cut: bytes) -> None:
    resumed: list[str | None] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        resumed.append(request.headers.get("Last-Event-ID"))
        if len(resumed) == 3:
            return problem(503, "busy", "Not possible at the moment")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        after = int(resumed[-1] or 0)
        await response.write(b"retry: 1\n\n" + b"".join(sent(seq) for seq in range(after + 1, after + 4)))
        if len(resumed) < 3:
            await response.write(cut)
            assert request.transport
            request.transport.close()
        return response

    seqs: list[int] = []
    async with gateway(handle) as client:
        async for event in client.stream("/events"):
            if event is not None:
                seqs.append(msgspec.json.decode(event.data)["seq"])
            if len(seqs) == 9:
                break
    assert seqs == list(range(1, 10))
    assert resumed[:4] == [None, "3", "6", "6"]


async def test_a_stream_that_will_have_nothing_more_ends() -> None:
    asked = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if request.headers.get("Last-Event-ID") == "1":
            return web.Response(status=204)
        return web.Response(body=sent(1), content_type="text/event-stream")

    async with gateway(handle) as client:
        events = [event.id async for event in client.stream("/tasks/t/events") if event]
    assert events == ["1"]
    assert asked == 2


async def test_a_stream_that_is_refused_is_not_asked_for_again() -> None:
    async def handle(request: web.Request) -> web.Response:
        return problem(404, "not-found", "There is no such thing", "there is no task t")

    async with gateway(handle) as client:
        with pytest.raises(Refused, match="there is no task t"):
            async for _ in client.stream("/tasks/t/events"):
                pass


async def test_a_very_long_event_comes_whole() -> None:
    data = msgspec.json.encode({"text": "x" * 3_000_000})

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=b"id: 1\r\ndata: " + data + b"\r\n\r\n", content_type="text/event-stream")

    async with gateway(handle) as client:
        events = [event async for event in client.stream("/events", ends=True) if event]
    assert events[0].data.encode() == data
