"""Tokens over HTTP: counted, looked at, compressed, given back; and what is said while the service is away."""

import asyncio
from io import BytesIO
from typing import Any

import pytest
from tests.gateway.conftest import Api, Stack, eventually
from tests.gateway.test_tasks import ended
from tests.gateway.tokens import REF, TokenService
from tests.service_tokens.conftest import LOG

from cca.contracts.ledger import GetRecommendations, GetTokenMetrics, RolePolicy, SetTokenPolicy
from cca.contracts.tokens import AnalyzeTokens, CompressTokens, CountTokens, ExpandText, Folding, Turn
from cca.errors import Busy, Refused
from cca.nats import subjects

TURNS = [{"text": "some words", "role": "tool", "name": "grep"}, {"text": "more"}]
ASKED = (Turn("some words", "tool", "grep"), Turn("more"))


async def test_tokens_are_counted(api: Api, tokens: TokenService) -> None:
    answer = await api.post("/tokens/count", {"turns": TURNS, "model": "gpt-5"})
    assert (answer.status, answer.json["tokens"], answer.json["each"]) == (200, 14, [10, 4])
    assert tokens.heard == [CountTokens(ASKED, "gpt-5")]
    tools = [{"name": "ls", "n": 10**30}]
    assert (await api.post("/tokens/count", {"turns": TURNS, "chat": True, "tools": tools})).status == 200
    assert isinstance(tokens.heard[-1], CountTokens) and tokens.heard[-1].chat


async def test_text_is_looked_at(api: Api, tokens: TokenService) -> None:
    answer = await api.post("/tokens/analyze", {"turns": TURNS, "how": {"level": "strong"}})
    assert (answer.status, answer.json["potential"], answer.json["kinds"]["log"]["tokens"]) == (200, 0.5, 10)
    assert tokens.heard == [AnalyzeTokens(ASKED, Folding("strong"))]


async def test_text_is_compressed_on_behalf_of_the_key(api: Api, tokens: TokenService) -> None:
    body = {"turns": TURNS, "how": {"max_tokens": 7}, "role": "backend", "task": "t"}
    answer = await api.post("/tokens/compress", body)
    assert (answer.status, answer.json["texts"], answer.json["saved"]) == (
        200,
        [f"[ctx:{REF} lines]", None],
        {"logs": 5},
    )
    assert tokens.heard == [CompressTokens(ASKED, Folding(max_tokens=7), "backend", None, "t", "admin")]
    assert (await api.post("/tokens/compress", body | {"requester": "ann"})).status == 200
    assert isinstance(tokens.heard[-1], CompressTokens) and tokens.heard[-1].requester == "ann"


async def test_originals_are_given_back(api: Api, tokens: TokenService) -> None:
    answer = await api.post("/tokens/expand", {"ref": f"ctx:{REF}", "agent": "b-1"})
    assert (answer.status, answer.json["text"], answer.json["refs"]) == (200, "the original", [REF])
    assert tokens.heard == [ExpandText(f"ctx:{REF}", agent="b-1")]
    answer = await api.post("/tokens/expand", {"ref": "a" * 20})
    assert (answer.status, answer.problem) == (404, "not-found")


async def test_what_was_spent_is_shown_by_what_is_asked_for(api: Api, tokens: TokenService) -> None:
    answer = await api.get("/tokens/metrics?by=role,model&by=day&since_s=3600&requester=ann&limit=5")
    assert (answer.status, answer.json["rows"][0]["saved"]) == (200, {"logs": 40})
    assert tokens.heard == [GetTokenMetrics(("role", "model", "day"), 3600.0, requester="ann", limit=5)]
    assert (await api.get("/tokens/metrics")).json["total"]["input"] == 900
    assert tokens.heard[-1] == GetTokenMetrics()
    for query in ("by=colour", "by=role,role,role,role,role", "limit=0", "limit=1001", "since_s=0", "x=1"):
        assert (await api.get(f"/tokens/metrics?{query}")).problem == "invalid", query


async def test_advice_comes_with_its_numbers(api: Api, tokens: TokenService) -> None:
    answer = await api.get("/tokens/recommendations?role=backend&since_s=60")
    assert answer.json["recommendations"][0]["evidence"] == {"tokens": 900.0}
    assert tokens.heard == [GetRecommendations("backend", 60.0)]
    assert (await api.get("/tokens/recommendations")).status == 200
    assert tokens.heard[-1] == GetRecommendations()


async def test_a_policy_is_set_shown_and_removed(api: Api, tokens: TokenService) -> None:
    assert "roles" not in (await api.get("/tokens/policies")).json
    answer = await api.put("/tokens/policies/backend?reason=pilot", {"max_tokens": 500, "level": "strong"})
    assert (answer.status, answer.json["version"]) == (200, 1)
    policy = RolePolicy(500, level="strong")
    assert tokens.heard[-1] == SetTokenPolicy("backend", policy, "pilot", "admin")
    for everyone in ("*", "%2A"):
        answer = await api.raw("PUT", f"/api/v1/tokens/policies/{everyone}", json={"max_tokens": 9})
        assert (answer.status, answer.json["roles"]["*"]) == (200, {"max_tokens": 9})
    assert (await api.get("/tokens/policies")).json["roles"].keys() == {"backend", "*"}
    assert (await api.delete("/tokens/policies/backend")).json["roles"].keys() == {"*"}
    assert tokens.heard[-1] == SetTokenPolicy("backend", None, "", "admin")


async def test_only_a_role_can_have_a_policy(api: Api, tokens: TokenService) -> None:
    for role in ("Backend", "a%20b", "%F0%9F%99%82", "a" * 64, "%00", "**"):
        answer = await api.raw("PUT", f"/api/v1/tokens/policies/{role}", json={"max_tokens": 5})
        assert (answer.status, answer.problem) == (422, "bad-name"), role
    assert (await api.put("/tokens/policies/", {"max_tokens": 5})).status == 404
    assert (await api.put("/tokens/policies/a/b", {"max_tokens": 5})).status == 404
    assert (await api.post("/tokens/policies/backend", {"max_tokens": 5})).status == 405
    bodies: tuple[Any, ...] = ({}, {"max_tokens": 0}, {"max_tokens": 5, "level": "much"}, {"max_tokens": 5, "x": 1}, [])
    for body in (*bodies, None):
        answer = await api.put("/tokens/policies/backend", body)
        assert answer.status in (400, 415, 422), body
    assert tokens.heard == []


BROKEN: list[tuple[str, Any]] = [
    ("count", {}),
    ("count", {"turns": []}),
    ("count", {"turns": [{"text": "x", "role": "nobody"}]}),
    ("count", {"turns": [{"text": "x"}], "model": ""}),
    ("count", {"turns": [{"text": "x"}], "text": "x"}),
    ("analyze", {"turns": [{"text": "x"}], "how": {"level": "much"}}),
    ("compress", {"turns": [{"text": "x"}], "how": {"target_reduction": 1}}),
    ("compress", {"turns": [{"text": "x"}], "how": {"max_tokens": 0}}),
    ("compress", {"turns": [{"text": "x"}], "role": "No Role"}),
    ("expand", {"ref": "a" * 31}),
    ("expand", {"ref": 5}),
]


async def test_what_breaks_a_rule_is_named(api: Api, tokens: TokenService) -> None:
    for path, body in BROKEN:
        answer = await api.post(f"/tokens/{path}", body)
        assert (answer.status, answer.problem) == (422, "invalid"), (path, body)
    assert (await api.post("/tokens/count", b'{"turns":[{"text":"\\ud800"}]}')).problem == "unreadable"
    assert (await api.post("/tokens/count", BytesIO(b'{"turns":[{"text":"' + b"x" * 2_000_000))).problem == "too-large"
    assert (await api.anonymous("POST", "/api/v1/tokens/count")).status == 401
    assert tokens.heard == []


@pytest.mark.parametrize(
    ("code", "status"),
    [("unknown-strategy", 422), ("too-large", 413), ("too-hard", 422), ("too-many", 422), ("not-text", 422)],
)
async def test_what_the_service_refuses_is_passed_on(api: Api, tokens: TokenService, code: str, status: int) -> None:
    tokens.wrong = Refused(code, "so it is")
    answer = await api.post("/tokens/compress", {"turns": TURNS})
    assert (answer.status, answer.problem, answer.json["detail"]) == (status, code, "so it is")


async def test_without_the_service_that_is_said_and_tasks_go_on(busy: Api) -> None:
    answers = [
        await busy.post("/tokens/count", {"turns": TURNS}),
        await busy.post("/tokens/analyze", {"turns": TURNS}),
        await busy.post("/tokens/compress", {"turns": TURNS}),
        await busy.post("/tokens/expand", {"ref": REF}),
        await busy.get("/tokens/metrics"),
        await busy.get("/tokens/recommendations"),
        await busy.get("/tokens/policies"),
        await busy.put("/tokens/policies/backend", {"max_tokens": 5}),
        await busy.delete("/tokens/policies/backend"),
    ]
    for answer in answers:
        assert (answer.status, answer.problem) == (503, "busy")
        assert answer.json["detail"].startswith("the token service does not answer (nobody answers on cca.rpc.tokens.")
        assert answer.headers["Retry-After"] == "1"
    assert await ended(busy, await busy.submit()) == "completed"


async def test_what_the_service_cannot_do_now_is_said(api: Api, tokens: TokenService) -> None:
    tokens.wrong = Busy("the tables cannot be read at the moment")
    answer = await api.get("/tokens/metrics")
    assert (answer.status, answer.json["detail"]) == (503, str(tokens.wrong))


async def test_who_waits_is_told_when_the_gateway_stops(api: Api) -> None:
    silent = await api.bus.subscribe(subjects.RPC_TOKENS_COMPRESS, lambda _: None)
    waiting = asyncio.create_task(api.post("/tokens/compress", {"turns": TURNS}))

    async def waits() -> bool:
        return api.gateway.waiters > 0

    await eventually(waits)
    api.gateway.close()
    assert (await waiting).problem == "busy"
    await silent.unsubscribe()


# ------------------------------------------------------------------------------------------ the service itself


async def test_with_the_service_itself_text_goes_there_and_comes_back(full: Api, stack: Stack) -> None:
    await stack.real_tokens()
    turns = [{"text": LOG, "role": "tool"}]
    counted = (await full.post("/tokens/count", {"turns": turns, "model": "gpt-5"})).json
    assert counted["exact"] and counted["tokens"] > 5_000
    how = {"model": "gpt-5", "target_reduction": 0.5}
    small = (await full.post("/tokens/compress", {"turns": turns, "how": how})).json
    assert small["before"] == counted["tokens"] > 2 * small["after"]
    (text,) = small["texts"]
    assert (await full.post("/tokens/expand", {"text": text})).json["text"] == LOG
    assert (await full.post("/tokens/expand", {"ref": small["original"]})).json["text"] == LOG
    assert (await full.post("/tokens/analyze", {"turns": turns * 2})).json["duplicates"]["share"] > 0.4
    answer = await full.post("/tokens/compress", {"turns": turns, "how": {"strategies": ["magic"]}})
    assert (answer.status, answer.problem) == (422, "unknown-strategy")
    answer = await full.put("/tokens/policies/backend", {"max_tokens": 5, "strategies": ["magic"]})
    assert (answer.status, answer.problem) == (422, "unknown-strategy")
    assert (await full.put("/tokens/policies/backend", {"max_tokens": 5})).json["version"] == 1
    assert (await full.get("/tokens/policies")).json["roles"] == {"backend": {"max_tokens": 5}}
    assert (await full.get("/tokens/metrics?by=role")).json["total"] is not None
    assert (await full.get("/tokens/recommendations")).json["recommendations"] == []
