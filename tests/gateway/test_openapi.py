"""The interface describes itself: completely, truly, and in a form that others can read."""

import re
import subprocess
import sys
from typing import Any

import jsonschema
import msgspec
import pytest
from tests.gateway.conftest import Api
from tests.gateway.knowledge import ContextService
from tests.gateway.learner import Learner
from tests.gateway.test_tasks import ended
from tests.gateway.tokens import REF, TokenService

from cca_gateway import documents, openapi
from cca_gateway.problems import KINDS
from cca_gateway.routes import BASE, ROUTES

DOCUMENT = openapi.document()


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_every_route_is_in_the_document_and_nothing_else() -> None:
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == {(route.method, BASE + route.path) for route in ROUTES}
    assert len(described) == len(ROUTES)


def test_every_reference_leads_somewhere() -> None:
    for reference in references(DOCUMENT):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found


def test_every_schema_is_one() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = [one for methods in DOCUMENT["paths"].values() for one in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"] and operation["description"] and operation["tags"]
        for parameter in operation.get("parameters", ()):
            jsonschema.Draft202012Validator.check_schema(parameter["schema"])


def test_names_that_were_published_stay() -> None:
    assert DOCUMENT["components"]["schemas"]["Why"]["properties"].keys() == {"reason", "requester"}
    assert "dense" in DOCUMENT["components"]["schemas"]["SearchWhy"]["properties"]
    assert not [name for name in DOCUMENT["components"]["schemas"] if "." in name]


def test_headers_that_an_answer_gives_are_described() -> None:
    found = DOCUMENT["paths"][f"{BASE}/context/{{scope}}/{{key}}"]["get"]["responses"]
    assert "ETag" in found["200"]["headers"] and "304" in found


def test_every_kind_of_problem_is_described() -> None:
    described = " ".join(answer["description"] for answer in DOCUMENT["components"]["responses"].values())
    assert all(f"`urn:cca:problem:{code}`" in described for code in KINDS)


def test_no_pattern_is_pythons_alone() -> None:
    assert r"(?!\n)" not in msgspec.json.encode(DOCUMENT).decode()
    assert r"\\Z" not in msgspec.json.encode(DOCUMENT).decode()


def test_it_can_be_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "cca_gateway.openapi"], capture_output=True, check=True)
    assert msgspec.json.decode(done.stdout) == msgspec.json.decode(msgspec.json.encode(DOCUMENT))


def filled(path: str, task: str = "") -> str:
    """A path with names that the stand-in knows."""
    names = {"scope": "project:web", "key": "plan", "memory": "m1", "job": "j1", "project": "web", "task": task}
    return re.sub(r"{(\w+)}", lambda name: names[name[1]], path)


def validate(path: str, method: str, status: int, body: Any) -> None:
    answer = DOCUMENT["paths"][BASE + path][method]["responses"][str(status)]
    if "$ref" in answer:
        answer = DOCUMENT["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    (content,) = (one for form, one in answer["content"].items() if "json" in form)
    jsonschema.Draft202012Validator(content["schema"] | {"components": DOCUMENT["components"]}).validate(body)


async def test_the_answers_are_as_described(
    full: Api, learner: Learner, tokens: TokenService, context: ContextService
) -> None:
    task = await full.submit(labels={"a": "b"}, retry={"initial_s": 0}, input={"fail": "x"}, max_attempts=2)
    assert await ended(full, task) == "failed"
    done = await full.post("/tasks", {"description": "x", "role": "backend"}, headers={"Prefer": "wait=20"})
    validate("/tasks", "post", 200, done.json)
    accepted = await full.post("/tasks", {"description": "x", "role": "backend"})
    validate("/tasks", "post", 202, accepted.json)
    batch = await full.post("/tasks/batch", [{"description": "x", "role": "backend"}, {}])
    validate("/tasks/batch", "post", 200, batch.json)
    queued = await full.submit(role="nobody")
    canceled = await full.post(f"/tasks/{queued}/cancel")
    validate("/tasks/{task}/cancel", "post", 200, canceled.json)
    validate("/tasks/{task}/retry", "post", 202, (await full.post(f"/tasks/{queued}/retry")).json)
    validate("/tasks/{task}/retry", "post", 409, (await full.post(f"/tasks/{done.json['task']}/retry")).json)
    validate("/tasks/{task}/feedback", "post", 200, (await full.post(f"/tasks/{task}/feedback", {"quality": 1})).json)
    validate("/tasks", "post", 422, (await full.post("/tasks", {})).json)
    for path, body in (
        ("/rl/algorithm", {"algorithm": "thompson"}),
        ("/rl/params", {"budgets": {"role:backend": 0.2}, "reward": {"money": 0.3}}),
        ("/rl/train", None),
        ("/rl/evaluate", {"algorithm": "dqn"}),
        ("/rl/shadow", {"verb": "start", "algorithm": "ppo"}),
        ("/tokens/count", {"turns": [{"text": "x"}], "model": "gpt-5", "chat": True, "tools": [{"name": "ls"}]}),
        ("/tokens/analyze", {"turns": [{"text": "x", "role": "tool"}], "how": {"level": "strong"}}),
        ("/tokens/compress", {"turns": [{"text": "x"}], "how": {"max_tokens": 5}, "role": "backend"}),
        ("/tokens/expand", {"ref": f"ctx:{REF}"}),
    ):
        validate(path, "post", 200, (await full.post(path, body)).json)
    validate("/rl/params", "post", 422, (await full.post("/rl/params", {"floor": 2})).json)
    policy = await full.put("/tokens/policies/backend", {"max_tokens": 5, "strategies": ["logs"]})
    validate("/tokens/policies/{role}", "put", 200, policy.json)
    validate("/tokens/policies/{role}", "delete", 200, (await full.delete("/tokens/policies/backend")).json)
    validate("/tokens/policies/{role}", "put", 422, (await full.put("/tokens/policies/A", {"max_tokens": 5})).json)
    key, policy_of = "/context/{scope}/{key}", "/memory/policies/{role}"
    created = await full.put("/context/project:web/plan", {"a": [1]}, headers={"If-None-Match": "*"})
    validate(key, "put", 201, created.json)
    validate(key, "put", 200, (await full.put("/context/project:web/plan?ttl_s=5", 1)).json)
    validate(key, "put", 412, (await full.put("/context/project:web/plan", 1, headers={"If-Match": '"1"'})).json)
    validate(policy_of, "put", 200, (await full.put("/memory/policies/backend", {"inject": 2})).json)
    validate(policy_of, "delete", 200, (await full.delete("/memory/policies/backend")).json)
    posts: tuple[tuple[str, Any, int], ...] = (
        ("/snapshots/{scope}", None, 201),
        ("/snapshots/{scope}/restore", {"exact": True}, 200),
        ("/memory", {"text": "x"}, 201),
        ("/memory", {"text": "x"}, 200),
        ("/memory/search", {"query": "x"}, 200),
        ("/memory/{memory}/feedback", {"outcome": "success"}, 200),
        ("/code/index", {"path": "/srv"}, 202),
        ("/code/jobs/{job}/cancel", None, 200),
        ("/code/search", {"query": "x"}, 200),
    )
    for path, sent, status in posts:
        validate(path, "post", status, (await full.post(filled(path), sent)).json)
    for route in ROUTES:
        if route.method == "GET" and "text/" not in str(route.answers[200]) and route.path != "/openapi.json":
            answer = await full.get(filled(route.path, task))
            assert answer.status == 200, (route.path, answer.body)
            validate(route.path, "get", 200, answer.json)
    for path in (key, "/memory/{memory}", "/code/projects/{project}"):
        validate(path, "delete", 200, (await full.delete(filled(path))).json)


@pytest.mark.parametrize("path", ["/rl/params", "/rl/evaluate", "/rl/shadow", "/tasks/{task}/feedback"])
async def test_a_body_that_is_taken_fits_the_description(api: Api, learner: Learner, path: str) -> None:
    taken: dict[str, Any] = {
        "/rl/params": {"in_flight": {"backend/opus": 3}, "budgets": {"requester:ann": 1, "all": 0.1}},
        "/rl/evaluate": {"algorithm": "linucb", "since_s": 60, "params": {"alpha": 1}},
        "/rl/shadow": {},
        "/tasks/{task}/feedback": {"quality": 0.5, "comment": "fine", "requester": "ann"},
    }
    schema = DOCUMENT["paths"][BASE + path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    described = jsonschema.Draft202012Validator(schema | {"components": DOCUMENT["components"]})
    assert described.is_valid(taken[path])
    assert not described.is_valid(taken[path] | {"nonsense": 1})
    task = "01890a5d-ac96-774b-bcce-b302099a8057"
    assert (await api.post(path.replace("{task}", task), taken[path])).status in (200, 404)
    assert (await api.post(path.replace("{task}", task), taken[path] | {"nonsense": 1})).status == 422


@pytest.mark.parametrize("body", [{"description": "x"}, {"role": "r"}, {"description": "", "role": "r"}, {}, []])
async def test_what_is_refused_does_not_fit_the_description(api: Api, body: Any) -> None:
    schema = DOCUMENT["paths"]["/api/v1/tasks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    described = jsonschema.Draft202012Validator(schema | {"components": DOCUMENT["components"]})
    assert not described.is_valid(body)
    assert (await api.post("/tasks", body)).status == 422
    assert described.is_valid({"description": "x", "role": "r", "labels": {"a": "b"}})


async def test_the_document_and_the_page_are_served(api: Api) -> None:
    assert (await api.get("/openapi.json")).json == msgspec.json.decode(msgspec.json.encode(DOCUMENT))
    page = await api.get("/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    text = page.body.decode()
    assert all(BASE + route.path in text for route in ROUTES)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//|<script|@import|url\(", text)


def test_the_page_shows_text_as_text() -> None:
    odd = msgspec.json.decode(msgspec.json.encode(DOCUMENT).replace(b"Cancel", b"<b>"))
    odd["info"]["title"] = "<script>alert(1)</script>"
    assert b"<script" not in documents.html(odd)
