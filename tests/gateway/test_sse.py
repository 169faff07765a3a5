"""Server-sent events as such: their form, silence, clients that are gone or stuck, and too many of them."""

import asyncio

import aiohttp
import pytest
from tests.gateway.conftest import Api, eventually

from cca_gateway import gateway as gateway_module
from cca_gateway import sse


def test_an_event_is_three_lines_whatever_is_in_it() -> None:
    assert sse.frame(7, "a.b", b'{"x":1}') == b'id: 7\nevent: a.b\ndata: {"x":1}\n\n'
    odd = sse.frame(7, "a\r\nid: 8\nb", b'{\n"x"\r:\r\n1}')
    assert odd.count(b"\n") == 4 and b"\r" not in odd
    assert odd.split(b"\n")[0] == b"id: 7"


async def test_silence_is_filled_with_comments(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.02)
    async with api.stream("/events") as stream:
        lines = [await stream.response.content.readline() for _ in range(6)]
    assert lines == [b"retry: 1000\n", b"\n", b": keep-alive\n", b"\n", b": keep-alive\n", b"\n"]


async def test_a_client_that_goes_away_leaves_nothing_behind(api: Api) -> None:
    task = await api.submit()
    for path in ("/events", f"/tasks/{task}/events", f"/tasks/{task}/output"):
        async with api.stream(path):
            assert api.gateway.streams == 1
            assert api.gateway.wakes.subjects
        await eventually(lambda: _nothing(api))


async def _nothing(api: Api) -> bool:
    return api.gateway.streams == 0 and not api.gateway.wakes.subjects


async def test_a_client_that_takes_nothing_is_given_up(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "STUCK", 0.2)
    for _ in range(8):
        await api.post("/tasks/batch", [{"description": "x" * 9_000, "role": "r"}] * 100)
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    try:
        head = f"GET /api/v1/events?after=0 HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\n"
        writer.write(f"{head}Accept: text/event-stream\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await eventually(lambda: _nothing(api))
    finally:
        writer.close()


async def test_there_is_room_for_so_many_streams(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "STREAMS", 2)
    async with api.stream("/events"), api.stream("/events"):
        answer = await api.get("/events", headers={"Accept": "text/event-stream"})
        assert (answer.status, answer.problem) == (503, "busy")
        assert (await api.get("/events")).status == 200
    await eventually(lambda: _nothing(api))
    async with api.stream("/events") as stream:
        assert stream.status == 200


async def test_what_goes_wrong_in_a_stream_ends_it_and_is_logged(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bytes:
        raise TypeError("unforeseen")

    await api.submit()
    monkeypatch.setattr(sse, "frame", broken)
    async with api.stream("/events?after=0") as stream:
        with pytest.raises(aiohttp.ClientPayloadError):  # not the end that a finished stream has
            await stream.rest()
    (record,) = [record for record in caplog.records if record.name == "cca_gateway" and record.exc_info]
    assert "the stream broke" in record.getMessage()
    await eventually(lambda: _nothing(api))
