"""Bad requests: each has its problem, and none is a 500."""

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest
from tests.gateway.conftest import Answer, Api

from cca.errors import Busy, Conflict, Refused, Unreadable
from cca.message import Seq
from cca_gateway import problems
from cca_gateway.problems import KINDS, Problem
from cca_gateway.routes import ROUTES

TASK = {"description": "sort the list", "role": "backend"}
JSON = {"Content-Type": "application/json"}


async def test_a_path_or_method_that_is_not_offered(api: Api) -> None:
    for path in ("/", "/api/v1", "/api/v1/", "/api/v2/tasks", "/api/v1/tasks/", "/api/v1/tasks//events", "/api/v1/x"):
        answer = await api.raw("GET", path)
        assert (answer.status, answer.problem) == (404, "not-found"), path
    for method, path, allowed in (
        ("DELETE", "/api/v1/tasks", "GET, HEAD, POST"),
        ("PUT", "/api/v1/tasks/batch", "POST"),
        ("POST", "/api/v1/tasks/x/events", "GET"),
        ("OPTIONS", "/api/v1/agents", "GET, HEAD"),
        ("PATCH", "/api/v1/agents", "GET, HEAD"),
    ):
        answer = await api.raw(method, path)
        assert (answer.status, answer.problem, answer.headers["Allow"]) == (405, "method-not-allowed", allowed)


async def test_a_head_is_a_get_without_its_body(api: Api) -> None:
    answer = await api.request("HEAD", "/api/v1/agents")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_form_that_is_not_offered(api: Api) -> None:
    task = await api.submit()
    for accept in ("text/html", "application/json;q=0", "application/xml, text/*;q=0.1", "json", ""):
        answer = await api.get("/agents", headers={"Accept": accept})
        assert (answer.status, answer.problem) == (406, "not-acceptable"), accept
    for accept in (
        "*/*",
        "application/*",
        "text/html, application/json;q=0.1",
        "APPLICATION/JSON",
        "text/x, */*;q=0.1",
    ):
        assert (await api.get("/agents", headers={"Accept": accept})).status == 200, accept
    for path in (f"/tasks/{task}/events", "/events"):
        assert (await api.get(path, headers={"Accept": "text/html"})).status == 406
    assert (await api.get(f"/tasks/{task}/output", headers={"Accept": "application/json"})).status == 406


async def test_a_body_must_be_json_and_say_so(api: Api) -> None:
    body = b'{"description": "x", "role": "r"}'
    for content_type in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/jsonx",
        "",
    ):
        answer = await api.post("/tasks", body, headers={"Content-Type": content_type})
        assert (answer.status, answer.problem) == (415, "unsupported-media-type"), content_type
    for content_type in ("application/json;charset=UTF-8", "Application/JSON", "application/cloudevents+json"):
        assert (await api.post("/tasks", body, headers={"Content-Type": content_type})).status == 202, content_type
    packed = await api.post("/tasks", gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert (packed.status, packed.problem) == (415, "unsupported-media-type")


UNREADABLE = [
    (b"", "a JSON body is needed"),
    (b"{", "truncated"),
    (b'{"description": "x", "role": "r"}}', "trailing"),
    (b"\xff\xfe", "malformed"),
    (b"\xef\xbb\xbf{}", "malformed"),
    ('{"description": "x"}'.encode("utf-16"), "malformed"),
    (b'{"description": "\xff", "role": "r"}', "utf-8"),
    (b'{"description": "\\ud800", "role": "r"}', "surrogate"),
    (b'{"description": "a\x00b", "role": "r"}', "invalid"),
    (b'{"description": "x", "role": "r", "input": {"a": NaN}}', "malformed"),
    (b'{"description": "x", "role": "r", "input": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_001, "100 levels"),
    (b'{"description": "x", "role": "r", "input": {"a": ' + b"[" * 900 + b"]" * 900 + b"}}", "100 levels"),
    (b'{"description": "x", "role": "r", "input": {"a": ' + b"[" * 100_000, "100 levels"),
    (b"not json", "malformed"),
]


async def test_what_is_no_json_is_unreadable(api: Api) -> None:
    for body, said in UNREADABLE:
        answer = await api.post("/tasks", body)
        assert (answer.status, answer.problem) == (400, "unreadable"), body[:80]
        assert said in answer.json["detail"], body[:80]


BROKEN: list[tuple[Any, str]] = [
    ({"role": "r"}, "`description`"),
    ({"description": "x"}, "`role`"),
    ({"description": "", "role": "r"}, "$.description"),
    ({"description": "x" * 100_001, "role": "r"}, "$.description"),
    ({"description": "a\x00b", "role": "r"}, "$.description"),
    ({"description": "x", "role": "r", "input": {"a": ["b\x00"]}}, "$.input.a[0]"),
    ({"description": "x", "role": "r", "input": {"a\x00": 1}}, "$.input"),
    ({"description": 5, "role": "r"}, "$.description"),
    ({"description": "x", "role": None}, "`role`"),
    ({"description": "x", "role": "r", "priority": "urgent"}, "$.priority"),
    ({"description": "x", "role": "r", "max_attempts": 0}, "$.max_attempts"),
    ({"description": "x", "role": "r", "max_attempts": 1.5}, "$.max_attempts"),
    ({"description": "x", "role": "r", "max_attempts": True}, "$.max_attempts"),
    ({"description": "x", "role": "r", "timeout_s": -1}, "$.timeout_s"),
    ({"description": "x", "role": "r", "labels": {"a": 1}}, "$.labels"),
    ({"description": "x", "role": "r", "labels": {str(n): "" for n in range(51)}}, "$.labels"),
    ({"description": "x", "role": "r", "retry": {"factor": 0.5}}, "$.retry.factor"),
    ({"description": "x", "role": "r", "input": []}, "$.input"),
    ({"description": "x", "role": "r", "wait": True}, "`wait`"),
    ({"description": "x", "role": "r", "type": "cca.task.cancel.v1"}, "$.type"),
    ([], "array"),
    ("x", "str"),
    (None, "null"),
]


async def test_a_broken_rule_is_named_with_its_place(api: Api) -> None:
    for body, place in BROKEN:
        answer = await api.post("/tasks", b"null" if body is None else body)
        assert (answer.status, answer.problem) == (422, "invalid"), str(body)[:80]
        assert place in answer.json["detail"], str(body)[:80]


async def test_a_backslash_before_u0000_is_no_nul(api: Api) -> None:
    assert (await api.post("/tasks", rb'{"description": "\\u0000", "role": "r"}')).status == 202


async def test_text_at_its_limit_is_taken(api: Api) -> None:
    assert (await api.post("/tasks", TASK | {"description": "🧹" * 100_000, "context": "x" * 100_000})).status == 202


async def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 65_536

    for data in (BytesIO(b" " * (1024 * 1024 + 1)), chunks()):
        answer = await api.request("POST", "/api/v1/tasks", data=data, headers=JSON)
        assert (answer.status, answer.problem) == (413, "too-large")
    numbers = b"[" + b",".join([b"1e15"] * 200_000) + b"]"  # a megabyte, and three as the bus would carry them
    answer = await api.post("/tasks", BytesIO(b'{"description": "x", "role": "r", "input": {"a": ' + numbers + b"}}"))
    assert (answer.status, answer.problem) == (413, "too-large")
    assert (await api.post("/tasks", TASK)).status == 202  # the connection to the bus has survived


NO_HTTP = [
    b"\r\n\r\n",
    b"GARBAGE\r\n\r\n",
    b"GET /\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
    b"POST /api/v1/tasks HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST /api/v1/tasks HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET \xff\xfe HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


async def test_what_is_no_http_is_answered_and_forgotten(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    for request in NO_HTTP:
        answer = await raw(api, request)
        assert b" 500 " not in answer and b"Traceback" not in answer, request[:40]
        if answer:
            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 401")), request[:40]
            assert b"application/problem+json" in answer and b"aiohttp" not in answer, request[:40]
        assert (await api.get("/livez")).status == 200
    assert not [record for record in caplog.records if record.name.startswith(("aiohttp", "cca_gateway"))]


async def test_a_client_that_asks_whether_to_send_its_body_is_told(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    body = b'{"description": "x", "role": "r"}'
    for size, answers in ((len(body), [b"100", b"202"]), (2_000_000, [b"413"])):
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\nContent-Length: {size}\r\n"
        writer.write(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert (await reader.readline()).split()[1] == answers[0]
        if len(answers) > 1:
            assert await reader.readline() == b"\r\n"
            writer.write(body)
            assert (await reader.readline()).split()[1] == answers[1]
        writer.close()


async def test_a_body_that_breaks_off_is_no_error_of_ours(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    head = f"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.key}\r\n"
    for rest in (
        "Content-Length: 100\r\n\r\n{",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "Content-Length: 9\r\n\r\n",
    ):
        answer = await raw(api, (head + rest).encode())
        assert b" 500 " not in answer
    assert (await api.get("/livez")).status == 200
    assert not [record for record in caplog.records if record.name.startswith(("aiohttp", "cca_gateway"))]


async def raw(api: Api, data: bytes) -> bytes:
    """What is answered to bytes on a connection that is then half closed."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.covers("STAB-002")
async def test_the_unforeseen_is_a_500_with_an_id_that_is_logged_once(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise TypeError("secret detail")

    monkeypatch.setattr(api.gateway, "ask", broken)
    answer = await api.get("/agents", headers={"X-Request-Id": "job-9"})
    assert (answer.status, answer.problem) == (500, "internal")
    assert answer.json["request_id"] == "job-9"
    assert "secret" not in answer.body.decode() and "Traceback" not in answer.body.decode()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "job-9" in record.getMessage()
    monkeypatch.undo()
    assert (await api.get("/agents")).status == 200


@pytest.mark.covers("STAB-002")
async def test_a_result_that_is_no_json_ends_as_a_failure_that_can_be_shown(busy: Api) -> None:
    answer = await busy.post(
        "/tasks", TASK | {"input": {"nan": True}, "max_attempts": 1}, headers={"Prefer": "wait=20"}
    )
    assert answer.status == 200
    assert answer.json["state"] in ("failed", "completed")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Busy("later"), "busy"),
        (Unreadable("odd"), "unreadable"),
        (Refused("not-found", "no"), "not-found"),
        (Refused("key-reused", "no"), "key-reused"),
        (Refused("already-over", "no"), "already-over"),
        (Refused("full", "no"), "full"),
        (Refused("something-new", "no"), "something-new"),
        (Problem("not-acceptable", "no"), "not-acceptable"),
    ],
)
def test_every_error_has_its_status(error: Any, code: str) -> None:
    response = problems.answer(error, "id")
    body = Answer(response.status, response.headers, bytes(response.body))  # type: ignore[arg-type]  # it is bytes
    assert body.problem == code
    assert response.status == KINDS.get(code, (422, ""))[0]
    assert ("Retry-After" in response.headers) is (response.status in (429, 503))
    assert not problems.is_internal(error)


def test_what_says_nothing_about_the_request_is_internal() -> None:
    assert problems.is_internal(Conflict("cca.events.task.x", Seq(1)))


def test_routes_refuse_with_codes_that_exist() -> None:
    for route in ROUTES:
        assert set(route.refusals) <= KINDS.keys()
