"""Whatever is sent, wherever: a refusal with its reason, and no harm to what is sent in between."""

import asyncio
import logging
import random
import re
from typing import Any
from urllib.parse import quote_from_bytes

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.gateway.conftest import Answer, Api, eventually
from tests.gateway.knowledge import ContextService
from tests.gateway.learner import Learner
from tests.gateway.tokens import TokenService

from cca.contracts.code import IndexCode, SearchCode
from cca.contracts.context import RestoreSnapshot
from cca.contracts.learner import EvaluatePolicy, RunShadow
from cca.contracts.ledger import RolePolicy
from cca.contracts.memory import MemoryPolicy, RateMemory, SearchMemories, StoreMemory
from cca.contracts.policy import Params
from cca.contracts.task import RateTask, SubmitTask
from cca.contracts.tokens import CompressTokens, CountTokens, ExpandText
from cca_gateway.route import Route
from cca_gateway.routes import BASE, ROUTES

GOOD = {
    "description": "sort the list",
    "role": "nobody",
    "input": {"a": [1, None]},
    "labels": {"a": "b"},
    "max_attempts": 2,
    "retry": {"factor": 2.0},
}
TASK = "01890a5d-ac96-774b-bcce-b302099a8057"
NAMES = {"task": TASK, "role": "backend", "scope": "project:web", "key": "plan", "memory": "m1", "job": "j1"}
CODES = {200, 201, 202, 304, 400, 404, 406, 409, 412, 413, 415, 422}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
KINDS = (
    SubmitTask, RateTask, Params, EvaluatePolicy, RunShadow, CountTokens, CompressTokens, ExpandText, RolePolicy,
    StoreMemory, SearchMemories, RateMemory, MemoryPolicy, IndexCode, SearchCode, RestoreSnapshot
)  # fmt: skip
FIELDS = st.sampled_from(sorted({name for kind in KINDS for name in kind.__struct_fields__}))
BODIES = (
    st.binary(max_size=200)
    | JSON.map(msgspec.json.encode)
    | st.dictionaries(FIELDS, JSON, max_size=6).map(lambda odd: msgspec.json.encode(GOOD | odd))
    | st.dictionaries(FIELDS, JSON | st.floats(0, 1) | st.text(max_size=50), max_size=3).map(msgspec.json.encode)
    | st.lists(st.dictionaries(FIELDS, JSON, max_size=4), max_size=4).map(msgspec.json.encode)
)
HEADERS = st.dictionaries(
    st.sampled_from(
        (
            "Prefer",
            "Idempotency-Key",
            "Accept",
            "X-Request-Id",
            "traceparent",
            "Last-Event-ID",
            "If-Match",
            "If-None-Match",
        )
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=30),
    max_size=2,
)


def reasonable(answer: Answer) -> bool:
    """An answer as it may be to whatever was sent; a refusal says why."""
    assert answer.status in CODES, (answer.status, answer.body)
    if answer.status >= 400:
        assert answer.problem and answer.json["detail"]
    return answer.status < 400


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([route for route in ROUTES if route.method in ("POST", "PUT", "DELETE")]),
    st.sampled_from(("", "?replace=true")),
    BODIES,
    HEADERS,
)
async def test_no_body_is_a_500(
    api: Api,
    learner: Learner,
    tokens: TokenService,
    context: ContextService,
    route: Route,
    query: str,
    body: bytes,
    headers: dict[str, str],
) -> None:
    path = BASE + re.sub(r"{(\w+)}", lambda name: NAMES.get(name[1], "web"), route.path) + query
    headers = {name: value for name, value in headers.items() if "wait" not in value}
    reasonable(await api.request(route.method, path, data=body, headers={"Content-Type": "application/json"} | headers))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([route for route in ROUTES if route.method in ("GET", "DELETE") and not route.path.endswith("z")]),
    st.none() | st.binary(max_size=12),
    st.lists(
        st.tuples(
            st.text(max_size=8)
            | st.sampled_from(
                (
                    "q",
                    "limit",
                    "after",
                    "types",
                    "route",
                    "replay",
                    "points",
                    "by",
                    "since_s",
                    "prefix",
                    "values",
                    "before",
                    "ttl_s",
                )
            ),
            st.binary(max_size=12) | st.sampled_from((b"1", b"true")),
        )
    ),
    HEADERS,
)
async def test_no_question_is_a_500(
    api: Api,
    learner: Learner,
    tokens: TokenService,
    context: ContextService,
    route: Route,
    given_name: bytes | None,
    query: list[tuple[str, bytes]],
    headers: dict[str, str],
) -> None:
    named = quote_from_bytes(given_name, safe="") if given_name else None
    path = BASE + re.sub(r"{(\w+)}", lambda name: named or NAMES.get(name[1], "web"), route.path)
    asked = "&".join(f"{quote_from_bytes(name.encode(), safe='')}={quote_from_bytes(value)}" for name, value in query)
    answer = await api.raw(route.method, f"{path}?{asked}", headers=headers)
    assert answer.status in CODES | {503}, (answer.status, answer.body)  # 503: there are no tables here
    if answer.status >= 400:
        assert answer.problem != "internal"


def spoiled(good: bytes, chance: random.Random) -> bytes:
    """A good body after an accident."""
    body = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body))
        match chance.randrange(5):
            case 0:
                body[at] = chance.randrange(256)
            case 1:
                del body[at : at + chance.randint(1, 9)]
            case 2:
                body[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 5)))
            case 3:
                body[at:at] = chance.choice((b"null", b"[[", b"{", b'"', b"\\u0000", b"-1e999", b",", b"\xf0\x9f"))
            case _:
                body = body[:at] or bytearray(b" ")
    return bytes(body)


async def test_a_thousand_malformed_bodies_lose_no_good_task(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    chance, body = random.Random(1), msgspec.json.encode(GOOD)
    accepted = refused = 0
    tasks: list[str] = []

    async def one(number: int) -> None:
        nonlocal accepted, refused
        if reasonable(await api.post("/tasks", spoiled(body, chance))):
            accepted += 1
        else:
            refused += 1
        if number % 10 == 0:
            answer = await api.post("/tasks", body)
            assert answer.status == 202
            tasks.append(answer.json["task"])

    for start in range(0, 1_000, 50):
        await asyncio.gather(*(one(start + number) for number in range(50)))
    assert accepted + refused == 1_000 and refused > 700
    assert len(set(tasks)) == 100

    async def all_there() -> Any:
        answers = await asyncio.gather(*(api.get(f"/tasks/{task}") for task in tasks))
        return {answer.json["state"] for answer in answers} == {"submitted"}

    await eventually(all_there)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
