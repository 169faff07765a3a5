"""Code search over HTTP: directories are indexed by jobs, and searched."""

import pytest
from msgspec.structs import replace
from tests.gateway.conftest import Api
from tests.gateway.knowledge import ContextService

from cca.contracts.code import CancelCodeJob, DropCode, GetCodeJob, GetCodeStats, IndexCode, ListCodeJobs, SearchCode
from cca.errors import Refused


async def test_a_job_is_begun_looked_at_and_canceled(api: Api, context: ContextService) -> None:
    body = {"path": "/srv/web", "project": "web", "exclude": ["*.min.js"], "languages": ["python", "tsx"]}
    answer = await api.post("/code/index", body)
    assert (answer.status, answer.json["tally"]["done"]) == (202, 4)
    assert answer.headers["Location"] == "/api/v1/code/jobs/j1"
    asked = IndexCode("/srv/web", "web", exclude=("*.min.js",), languages=("python", "tsx"), requester="admin")
    assert context.heard == [asked]
    assert (await api.get("/code/jobs/j1")).json["state"] == "running"
    assert context.last() == GetCodeJob("j1")
    assert (await api.post("/code/jobs/j1/cancel")).status == 200
    assert context.last() == CancelCodeJob("j1", "admin")
    assert (await api.get("/code/jobs?project=web&limit=3")).json["items"][0]["job"] == "j1"
    assert context.last() == ListCodeJobs("web", 3)
    await api.post("/code/index", body | {"requester": "ann"})
    assert context.last() == replace(asked, requester="ann")


async def test_code_is_searched(api: Api, context: ContextService) -> None:
    body = {"query": "parse a date", "languages": ["python"], "kinds": ["function"], "path": "lib/", "limit": 3}
    answer = await api.post("/code/search", body)
    assert (answer.status, answer.json["mode"], answer.json["note"]) == (200, "lexical", "there is no embedder")
    assert answer.json["items"][0]["start_line"] == 1
    assert context.heard == [SearchCode("parse a date", None, ("python",), ("function",), "lib/", 3)]


async def test_a_project_is_dropped_and_what_is_left_is_told(api: Api, context: ContextService) -> None:
    assert (await api.delete("/code/projects/web")).json["roots"] == ["/srv"]
    assert context.heard == [DropCode("web", "admin")]
    assert (await api.get("/code/stats")).json["projects"][0]["languages"] == {"python": 40}
    assert context.last() == GetCodeStats()
    for odd in ("Web", "a%20b", "%2e%2e", "a" * 64):
        answer = await api.raw("DELETE", f"/api/v1/code/projects/{odd}")
        assert (answer.status, answer.problem) == (422, "invalid"), odd


async def test_what_breaks_a_rule_is_named(api: Api, context: ContextService) -> None:
    for path, body in (
        ("index", {}),
        ("index", {"path": ""}),
        ("index", {"path": "/srv", "project": "No"}),
        ("index", {"path": "/srv", "languages": ["cobol"]}),
        ("index", {"path": "/srv", "what": 1}),
        ("search", {"query": ""}),
        ("search", {"query": "x", "limit": 201}),
        ("search", {"query": "x", "languages": "python"}),
    ):
        answer = await api.post(f"/code/{path}", body)
        assert (answer.status, answer.problem) == (422, "invalid"), (path, body)
    assert (await api.get("/code/jobs?limit=0")).problem == "invalid"
    assert (await api.get("/code/jobs/a%2Fb")).problem == "invalid"
    assert context.heard == []
    for method, path in (("GET", "/code/jobs/j2"), ("POST", "/code/jobs/j2/cancel")):
        assert (await api.request(method, f"/api/v1{path}")).problem == "not-found"


@pytest.mark.parametrize(
    ("code", "status"),
    [("not-allowed", 403), ("not-found", 404), ("bad-path", 422), ("bad-glob", 422), ("too-many-files", 422)],
)
async def test_what_the_service_refuses_is_passed_on(api: Api, context: ContextService, code: str, status: int) -> None:
    context.wrong = Refused(code, "this path is not below a directory that may be indexed")
    answer = await api.post("/code/index", {"path": "/etc"})
    assert (answer.status, answer.problem, answer.json["detail"]) == (status, code, str(context.wrong))
