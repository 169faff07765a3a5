"""Shared context over HTTP: values with revisions, lists, snapshots; and what is said while the service is away."""

import asyncio
from io import BytesIO
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from tests.gateway.conftest import Api, eventually
from tests.gateway.knowledge import ContextService
from tests.gateway.test_tasks import ended

from cca.contracts.context import (
    LARGEST,
    DeleteContext,
    GetContext,
    GetContextHistory,
    GetContextStats,
    ListContext,
    ListSnapshots,
    RestoreSnapshot,
    SetContext,
    TakeSnapshot,
)
from cca.errors import Busy, Refused
from cca.nats import subjects

PLAN = "/context/project:web/plan"
JSON_BODY = {"Content-Type": "application/json"}


async def put(api: Api, value: Any, **headers: str) -> Any:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await api.put(PLAN, msgspec.json.encode(value), headers=named)


# ------------------------------------------------------------------------------------------ values


@pytest.mark.parametrize("value", [{"step": 1}, [], "text", "", 0, 1.5, True, None, {"deep": [[[{"a": "ä🙂"}]]]}])
async def test_a_value_comes_back_as_it_was_put(api: Api, context: ContextService, value: Any) -> None:
    answer = await put(api, value)
    assert (answer.status, answer.json["revision"], answer.headers["ETag"]) == (200, 11, '"11"')
    assert context.heard == [SetContext("project:web", "plan", value, requester="admin")]
    answer = await api.get(PLAN)
    assert (answer.status, answer.headers["ETag"], answer.json.get("value")) == (200, '"11"', value)
    assert context.last() == GetContext("project:web", "plan")
    head = await api.request("HEAD", f"/api/v1{PLAN}")
    assert (head.status, head.headers["ETag"], head.body) == (200, '"11"', b"")


async def test_a_value_can_be_for_a_time(api: Api, context: ContextService) -> None:
    answer = await api.put(f"{PLAN}?ttl_s=90", 1)
    assert answer.json["expires_at"] == "2026-11-01T12:01:30Z"
    for odd in ("0", "0.5", "-1", "nan", "inf", "x", "", "31536001", "1&ttl_s=2"):
        answer = await api.put(f"{PLAN}?ttl_s={odd}", 1)
        assert (answer.status, answer.problem) == (422, "invalid"), odd
    assert len(context.heard) == 1


async def test_scope_and_key_may_be_escaped(api: Api, context: ContextService) -> None:
    await put(api, 1)
    for path in ("/context/project%3Aweb/plan", "/context/project:web/%70lan", "/context/project:web/plan?"):
        answer = await api.raw("GET", f"/api/v1{path}")
        assert (answer.status, answer.json["key"]) == (200, "plan")
    dotted = "files.main_py.summary-2"
    assert (await api.put(f"/context/task:01890a5d-ac96-774b-bcce-b302099a8057/{dotted}", 2)).status == 200
    assert context.last() == SetContext("task:01890a5d-ac96-774b-bcce-b302099a8057", dotted, 2, requester="admin")


ODD = (
    "a..b",
    ".a",
    "a.",
    "a b",
    "a/b",
    "a%00b",
    "ä",
    "🙂",
    "*",
    ">",
    "$x",
    "a" * 201,
    ".".join("a" * 11),
    "a\n",
    "..",
    ".",
)


async def test_what_is_no_key_is_refused(api: Api, context: ContextService) -> None:
    for key in ODD:
        answer = await api.raw("GET", f"/api/v1/context/project:web/{quote(key, safe='').replace('.', '%2E')}")
        assert (answer.status, answer.problem) == (422, "invalid"), key
        assert answer.json["detail"].endswith("at `{key}` in the path")
    for scope in (
        "web",
        "project:",
        "project:a.b",
        "project:a:b",
        "projects:a",
        "Project:a",
        ":",
        "project:" + "a" * 101,
    ):
        for path in (f"/context/{scope}", f"/context/{scope}/plan", f"/snapshots/{scope}"):
            answer = await api.raw("GET", f"/api/v1{path}")
            assert (answer.status, answer.problem) == (422, "invalid"), path
            assert answer.json["detail"].endswith("at `{scope}` in the path")
    for path in (
        "/context",
        "/context/",
        "/context//plan",
        "/context/project:web/",
        "/context/project:web/a/b",
        "/snapshots",
    ):
        assert (await api.raw("GET", f"/api/v1{path}")).status == 404, path
    assert context.heard == []


async def test_a_write_can_expect_a_revision(api: Api, context: ContextService) -> None:
    assert (await put(api, 1, If_Match='"10"')).status == 412
    answer = await put(api, 1, If_None_Match="*")
    assert (answer.status, answer.headers["ETag"]) == (201, '"11"')
    answer = await put(api, 2, If_None_Match="*")
    assert (answer.status, answer.problem, answer.json["detail"]) == (
        412,
        "revision-mismatch",
        "expected 0, and it is 11",
    )
    assert (await put(api, 2, If_Match='"11"')).headers["ETag"] == '"12"'
    assert (await put(api, 3, If_Match='"11"')).problem == "revision-mismatch"
    assert (await api.delete(PLAN, headers={"If-Match": '"11"'})).problem == "revision-mismatch"
    answer = await api.delete(PLAN, headers={"If-Match": '"12"'})
    assert (answer.status, answer.json["there"]) == (200, False)
    assert context.last() == DeleteContext("project:web", "plan", 12, "admin")
    assert (await put(api, 4, If_Match='"0"')).status == 201


async def test_a_condition_that_is_not_understood_is_not_passed_over(api: Api, context: ContextService) -> None:
    for name, text in (
        ("If-Match", "*"),
        ("If-Match", "12"),
        ("If-Match", 'W/"12"'),
        ("If-Match", '"12", "13"'),
        ("If-Match", '"-1"'),
        ("If-Match", '""'),
        ("If-Match", f'"{"9" * 30}"'),
        ("If-Match", '"x"'),
        ("If-None-Match", '"12"'),
        ("If-None-Match", ""),
    ):
        for method in ("PUT", "DELETE"):
            answer = await api.request(method, f"/api/v1{PLAN}", data=b"1", headers={name: text} | JSON_BODY)
            assert (answer.status, answer.problem) == (400, "bad-header"), (name, text)
    both = {"If-Match": '"1"', "If-None-Match": "*"}
    assert (await api.put(PLAN, 1, headers=both)).problem == "bad-header"
    assert context.heard == []


async def test_who_has_the_newest_is_told_so(api: Api, context: ContextService) -> None:
    await put(api, 1)
    for known in ('"11"', 'W/"11"', '"9", "11"', "*"):
        answer = await api.get(PLAN, headers={"If-None-Match": known})
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", '"11"')
    for other in ('"1"', '"111"', "11", ""):
        assert (await api.get(PLAN, headers={"If-None-Match": other})).status == 200


async def test_what_is_gone_is_not_found(api: Api, context: ContextService) -> None:
    answer = await api.get(PLAN, headers={"If-None-Match": "*"})
    assert (answer.status, answer.problem) == (404, "not-found")
    await put(api, 1)
    assert (await api.delete(PLAN)).status == 200
    assert (await api.get(PLAN)).status == 404
    assert (await api.delete(PLAN)).problem == "not-found"


async def test_a_value_may_be_three_mebibytes_and_no_more(api: Api, context: ContextService) -> None:
    text = "ä" * (LARGEST // 2 - 1)
    assert (await put(api, text)).status == 200
    assert (await api.get(PLAN)).json["value"] == text
    answer = await put(api, text + "x")
    assert (answer.status, answer.problem) == (413, "too-large")
    unsized = BytesIO(b'"' + b"x" * LARGEST)  # chunked: its length is not said before
    answer = await api.request("PUT", f"/api/v1{PLAN}", data=unsized, headers=JSON_BODY, chunked=True)
    assert (answer.status, answer.problem) == (413, "too-large")
    wide = b"[" + b"[]," * 300_000 + b"[]]"  # many parts: looked through beside the event loop
    assert (await api.put(PLAN, wide)).status == 200
    deep = b"[" * 101 + b"]" * 101
    assert (await api.put(PLAN, deep)).problem == "unreadable"
    for broken in (b"", b"{", b"1 2", b"nan", b'"\\ud800"', b"\xff"):
        assert (await api.put(PLAN, broken)).problem == "unreadable", broken
    assert (await put(api, {"a": "\x00"})).problem == "invalid"
    plain = {"Content-Type": "text/plain"}
    assert (await api.request("PUT", f"/api/v1{PLAN}", data=b"1", headers=plain)).status == 415


# ------------------------------------------------------------------------------------------ lists


async def test_the_keys_of_a_scope_are_listed(api: Api, context: ContextService) -> None:
    await put(api, 1)
    answer = await api.get("/context/project:web")
    assert [one["key"] for one in answer.json["items"]] == ["plan"]
    assert context.last() == ListContext("project:web")
    assert (await api.get("/context/project:web?prefix=pl&values=true")).status == 200
    assert context.last() == ListContext("project:web", "pl", True)
    for query in ("prefix=a..b", "prefix=*", "values=maybe", "after=-1", "limit=1"):
        assert (await api.get(f"/context/project:web?{query}")).problem == "invalid", query


async def test_the_history_of_a_key_is_told(api: Api, context: ContextService) -> None:
    answer = await api.get(f"{PLAN}/history?limit=5")
    assert (answer.status, answer.json["items"][0]["value"]) == (200, "before")
    assert context.heard == [GetContextHistory("project:web", "plan", 5)]
    assert (await api.get(f"{PLAN}/history?limit=0")).problem == "invalid"


async def test_snapshots_are_taken_listed_and_restored(api: Api, context: ContextService) -> None:
    answer = await api.post("/snapshots/project:web", {"note": "before the move"})
    assert (answer.status, answer.json["snapshot"]) == (201, "s1")
    assert context.last() == TakeSnapshot("project:web", "before the move", "admin")
    assert (await api.post("/snapshots/project:web")).status == 201
    assert (await api.get("/snapshots/project:web?limit=3")).json["items"][0]["keys"] == 2
    assert context.last() == ListSnapshots("project:web", 3)
    how = {"snapshot": "s1", "into": "project:copy", "exact": True}
    answer = await api.post("/snapshots/project:web/restore", how)
    assert (answer.status, answer.json["unchanged"]) == (200, 1)
    assert context.last() == RestoreSnapshot("project:web", "s1", "project:copy", True, "admin")
    assert (await api.post("/snapshots/project:web/restore")).status == 200
    assert context.last() == RestoreSnapshot("project:web", requester="admin")
    bodies: tuple[Any, ...] = ({"into": "nowhere"}, {"snapshot": "s" * 65}, {"what": 1}, [], "x")
    for body in bodies:
        assert (await api.post("/snapshots/project:web/restore", body)).problem == "invalid", body
    assert (await api.get("/snapshots/project:web/restore")).status == 405


async def test_how_the_service_is_can_be_asked(api: Api, context: ContextService) -> None:
    assert (await api.get("/context/stats")).json["breaker"] == "closed"
    assert context.heard == [GetContextStats()]


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(("code", "status"), [("too-large", 413), ("too-many", 422), ("what-nobody-knows", 422)])
async def test_what_the_service_refuses_is_passed_on(api: Api, context: ContextService, code: str, status: int) -> None:
    context.wrong = Refused(code, "so it is")
    answer = await put(api, 1)
    assert (answer.status, answer.problem, answer.json["detail"]) == (status, code, "so it is")


async def test_what_the_service_cannot_do_now_is_said(api: Api, context: ContextService) -> None:
    context.wrong = Busy("PostgreSQL does not answer; it is asked again in 0.5 s")
    answer = await api.post("/memory/search", {"query": "x"})
    assert (answer.status, answer.json["detail"], answer.headers["Retry-After"]) == (503, str(context.wrong), "1")


async def test_without_the_service_that_is_said_and_tasks_go_on(busy: Api) -> None:
    query = {"query": "x"}
    answers = [
        await put(busy, 1),
        await busy.get(PLAN),
        await busy.delete(PLAN),
        await busy.get("/context/project:web"),
        await busy.get(f"{PLAN}/history"),
        await busy.get("/context/stats"),
        await busy.get("/snapshots/project:web"),
        await busy.post("/snapshots/project:web"),
        await busy.post("/snapshots/project:web/restore"),
        await busy.post("/memory", {"text": "x"}),
        await busy.get("/memory"),
        await busy.get("/memory/m1"),
        await busy.post("/memory/search", query),
        await busy.post("/memory/m1/feedback", {"outcome": "success"}),
        await busy.delete("/memory/m1"),
        await busy.get("/memory/stats"),
        await busy.get("/memory/policies"),
        await busy.put("/memory/policies/backend", {}),
        await busy.delete("/memory/policies/backend"),
        await busy.post("/code/index", {"path": "/srv"}),
        await busy.get("/code/jobs"),
        await busy.get("/code/jobs/j1"),
        await busy.post("/code/jobs/j1/cancel"),
        await busy.post("/code/search", query),
        await busy.get("/code/stats"),
        await busy.delete("/code/projects/web"),
    ]
    for answer in answers:
        assert (answer.status, answer.problem) == (503, "busy")
        assert answer.json["detail"].startswith("the context service does not answer (nobody answers on cca.rpc.")
        assert answer.headers["Retry-After"] == "1"
    assert await ended(busy, await busy.submit()) == "completed"


async def test_nothing_is_to_be_had_without_a_key(api: Api, context: ContextService) -> None:
    for method, path in (("GET", PLAN), ("PUT", PLAN), ("GET", "/memory"), ("POST", "/code/search")):
        assert (await api.anonymous(method, f"/api/v1{path}")).status == 401
    assert context.heard == []


async def test_who_waits_is_told_when_the_gateway_stops(api: Api) -> None:
    silent = await api.bus.subscribe(subjects.RPC_CONTEXT_RESTORE, lambda _: None)
    waiting = asyncio.create_task(api.post("/snapshots/project:web/restore"))

    async def waits() -> bool:
        return api.gateway.waiters > 0

    await eventually(waits)
    api.gateway.close()
    assert (await waiting).problem == "busy"
    await silent.unsubscribe()
