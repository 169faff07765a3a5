"""Memories over HTTP: stored, found, rated, forgotten, and by which policies tasks learn."""

from typing import Any

import pytest
from tests.gateway.conftest import Api
from tests.gateway.knowledge import ContextService

from cca.contracts.memory import (
    ForgetMemory,
    GetMemory,
    GetMemoryPolicies,
    GetMemoryStats,
    ListMemories,
    MemoryPolicy,
    RateMemory,
    SearchMemories,
    SetMemoryPolicy,
    Source,
    StoreMemory,
)
from cca.errors import Refused


async def test_a_memory_is_stored_once_on_behalf_of_the_key(api: Api, context: ContextService) -> None:
    body = {"text": "Retry twice.", "kind": "lesson", "role": "backend", "source": {"repo": "web"}}
    answer = await api.post("/memory", body)
    assert (answer.status, answer.json["created"]) == (201, True)
    assert answer.headers["Location"] == "/api/v1/memory/m1"
    source = Source(repo="web", requester="admin")
    assert context.heard == [StoreMemory("Retry twice.", "lesson", role="backend", source=source)]
    answer = await api.post("/memory", {"text": "Retry twice.", "source": {"requester": "ann"}})
    assert (answer.status, answer.json["created"], answer.json["similarity"]) == (200, False, 1.0)
    assert answer.headers["Location"] == "/api/v1/memory/m1"
    assert context.last() == StoreMemory("Retry twice.", source=Source(requester="ann"))


async def test_memories_are_listed_page_by_page(api: Api, context: ContextService) -> None:
    answer = await api.get("/memory?scope=project:web&role=backend&kind=lesson&task=t1&before=newer&limit=5")
    assert (answer.status, answer.json["next"]) == (200, "older")
    assert context.heard == [ListMemories("project:web", "backend", "lesson", "t1", "newer", 5)]
    assert (await api.get("/memory")).json["items"][0]["successes"] == 2
    assert context.last() == ListMemories()
    for query in ("limit=0", "limit=201", "role=No", "scope=web", "kind=a%20b", "x=1", "before=" + "a" * 201):
        assert (await api.get(f"/memory?{query}")).problem == "invalid", query


async def test_memories_are_searched_and_scores_explained(api: Api, context: ContextService) -> None:
    body = {"query": "flaky network", "roles": ["backend", ""], "mode": "hybrid", "since": "2026-01-01T00:00:00Z"}
    answer = await api.post("/memory/search", body)
    assert (answer.status, answer.json["items"][0]["why"]["terms"]) == (200, ["retry"])
    (heard,) = context.heard
    assert isinstance(heard, SearchMemories) and (heard.roles, heard.limit) == (("backend", ""), 10)
    for odd in ({}, {"query": ""}, {"query": "x", "mode": "magic"}, {"query": "x", "limit": 0}, {"query": "x", "q": 1}):
        assert (await api.post("/memory/search", odd)).problem == "invalid", odd
    assert (await api.get("/memory/search")).status == 405


async def test_a_memory_is_shown_rated_and_forgotten(api: Api, context: ContextService) -> None:
    assert (await api.get("/memory/m1")).json["text"] == "Retry twice."
    assert context.last() == GetMemory("m1")
    body = {"outcome": "success", "task": "t1", "comment": "it did"}
    assert (await api.post("/memory/m1/feedback", body)).status == 200
    assert context.last() == RateMemory("m1", "success", "t1", "it did", "admin")
    assert (await api.post("/memory/m1/feedback", {"outcome": "failure", "requester": "ann"})).status == 200
    assert context.last() == RateMemory("m1", "failure", requester="ann")
    answer = await api.delete("/memory/m1?reason=wrong")
    assert (answer.status, answer.json["memory"]) == (200, "m1")
    assert context.last() == ForgetMemory("m1", "wrong", "admin")
    heard = len(context.heard)
    bodies: tuple[Any, ...] = ({}, {"outcome": "maybe"}, {"outcome": "success", "x": 1}, [], b"{")
    for odd in bodies:
        assert (await api.post("/memory/m1/feedback", odd)).status in (400, 422), odd
    assert len(context.heard) == heard


async def test_what_is_no_memory_is_not_found_or_refused(api: Api, context: ContextService) -> None:
    for answer in (
        await api.get("/memory/m2"),
        await api.delete("/memory/m2"),
        await api.post("/memory/m2/feedback", {"outcome": "success"}),
    ):
        assert (answer.status, answer.problem) == (404, "not-found")
    for odd in ("a%20b", "a%2Fb", "%00", "%C3%A4", "a" * 65, "a.b", "*"):
        answer = await api.raw("GET", f"/api/v1/memory/{odd}")
        assert (answer.status, answer.problem) == (422, "invalid"), odd
    for path in ("/memory/", "/memory/m1/", "/memory/m1/x", "/memory/stats/x"):
        assert (await api.get(path)).status == 404, path


@pytest.mark.parametrize("code", ["bad-id", "key-reused"])
async def test_what_the_service_refuses_is_passed_on(api: Api, context: ContextService, code: str) -> None:
    context.wrong = Refused(code, "so it is")
    answer = await api.post("/memory", {"text": "x", "id": "search"})
    assert (answer.status, answer.problem) == (422, code)


async def test_what_there_is_can_be_counted(api: Api, context: ContextService) -> None:
    assert (await api.get("/memory/stats")).json["by_role"] == {"": 1, "backend": 1}
    assert context.heard == [GetMemoryStats()]


async def test_a_policy_is_set_shown_and_removed(api: Api, context: ContextService) -> None:
    assert "roles" not in (await api.get("/memory/policies")).json
    assert context.heard == [GetMemoryPolicies()]
    answer = await api.put("/memory/policies/backend?reason=pilot", {"inject": 5, "min_score": 0.5})
    assert (answer.status, answer.json["version"]) == (200, 1)
    policy = MemoryPolicy(inject=5, min_score=0.5)
    assert context.last() == SetMemoryPolicy("backend", policy, "pilot", "admin")
    answer = await api.raw("PUT", "/api/v1/memory/policies/%2A", json={})
    assert (answer.status, answer.json["roles"].keys()) == (200, {"backend", "*"})
    assert (await api.delete("/memory/policies/backend")).json["roles"].keys() == {"*"}
    assert context.last() == SetMemoryPolicy("backend", None, "", "admin")
    assert (await api.put("/memory/policies/No%20Role", {})).problem == "bad-name"
    bodies: tuple[Any, ...] = ({"inject": 21}, {"cap": 0}, {"similar": 0.4}, {"x": 1}, [])
    for body in bodies:
        assert (await api.put("/memory/policies/backend", body)).problem == "invalid", body
