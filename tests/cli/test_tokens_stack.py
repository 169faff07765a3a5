"""`cca tokens` where the gateway answers: what it is asked, what is shown, and how errors end."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec import Struct
from tests.cli.conftest import Ran, run

from cca.contracts.ledger import Recommendation, Recommendations, RolePolicy, Spending, TokenMetrics, TokenPolicies
from cca.contracts.tokens import Compressed, CompressTokens, Expanded, ExpandText
from cca.tokens import markers
from cca.tokens.compress import compress

LOG = "".join(
    f"2026-05-01T12:00:{line % 60:02}Z INFO request {line * 7919} took {line % 13} ms\n" for line in range(300)
)
TOTAL = Spending(
    key={},
    attempts=12,
    failed=2,
    failed_tokens=3_000,
    input=40_000,
    output=9_000,
    cache_read=50_000,
    cache_write=1_000,
    cost_usd=1.25,
    estimated_usd=0.5,
    peak=30_000,
    condensed=4,
    saved={"logs": 7_000, "json": 3_000},
    cuts=10,
    retrieved=1,
    ratio=1.034,
)
ROWS = (
    Spending({"role": "backend", "model": "opus"}, attempts=10, input=30_000, output=9_000, cost_usd=1.0, cuts=10),
    Spending({"role": "docs", "model": ""}, attempts=2, input=10_000, cost_usd=0.25),
)
ADVICE = Recommendation(
    "compress-context",
    "role:backend",
    "Compress the contexts of role backend.",
    {"tasks": 12, "potential": 0.625},
    40_000,
    "high",
    0.8,
    "cca tokens policy set backend --max-tokens 8000",
)


class Server:
    """A gateway that keeps originals and policies, and what it was asked."""

    def __init__(self) -> None:
        self.blobs: dict[str, str] = {}
        self.policies: dict[str, RolePolicy] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.busy = False

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/api/v1/tokens/")
        self.asked.append(
            (request.method, request.raw_path.partition("?")[0].removeprefix("/api/v1/tokens/"), dict(request.query))
        )
        if self.busy:
            return problem(503, "busy", "Not possible at the moment")
        answer: Struct
        if path == "compress":
            command = msgspec.json.decode(await request.read(), type=CompressTokens)
            folded = compress(command.turns, command.how)
            self.blobs |= folded.blobs
            fields = {name: getattr(folded, name) for name in folded.__struct_fields__ if name != "blobs"}
            answer = Compressed(model=command.how.model, method="test", exact=True, **fields)
        elif path == "expand":
            question = msgspec.json.decode(await request.read(), type=ExpandText)
            if question.ref is not None and question.ref not in self.blobs:
                return problem(404, "not-found", "There is no such text")
            text = self.blobs[question.ref] if question.ref is not None else question.text or ""
            missing = tuple(ref for ref in markers.refs(text) if ref not in self.blobs)
            answer = Expanded(markers.expand(text, self.blobs.get), (), missing)
        elif path == "metrics":
            answer = TokenMetrics(ROWS if "by" in request.query else (TOTAL,), TOTAL)
        elif path == "recommendations":
            answer = Recommendations((ADVICE,) if "role" in request.query else (), 12, 100_000, 1.25)
        else:
            role = path.removeprefix("policies").removeprefix("/")
            if request.method == "PUT":
                self.policies[role] = msgspec.json.decode(await request.read(), type=RolePolicy)
            elif request.method == "DELETE":
                self.policies.pop(role, None)
            answer = TokenPolicies(len(self.asked), self.policies)
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")


def problem(status: int, code: str, title: str) -> web.Response:
    body = msgspec.json.encode({"type": f"urn:cca:problem:{code}", "title": title})
    headers = {"Retry-After": "0"}
    return web.Response(status=status, body=body, content_type="application/problem+json", headers=headers)


Cca = Callable[..., Awaitable[Ran]]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """A gateway, which the commands find."""
    found = Server()
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", found.handle)
    async with TestServer(app) as listening:
        monkeypatch.setenv("CCA_HTTP_URL", f"http://127.0.0.1:{listening.port}")
        yield found


async def cca(*arguments: str, stdin: bytes = b"") -> Ran:
    """Run a command beside the server."""
    return await asyncio.to_thread(run, "tokens", *arguments, stdin=stdin)


async def test_the_stack_compresses_and_gives_back_the_original(server: Server) -> None:
    ran = await cca("compress", "--level", "safe", "--verbose", stdin=LOG.encode())
    assert ran.code == 0, ran.err
    assert "saved) for claude-sonnet-4, test" in ran.err
    assert len(ran.raw) < len(LOG) / 4
    (ref,) = markers.refs(ran.out)
    assert (await cca("expand", stdin=ran.raw)).out == LOG
    assert LOG.startswith((await cca("expand", f"ctx:{ref}")).out)
    assert [path for _, path, _ in server.asked] == ["compress", "expand", "expand"]


async def test_a_transcript_is_expanded_turn_by_turn(server: Server) -> None:
    messages = json.dumps([{"role": "user", "content": "Look."}, {"role": "tool", "content": LOG}], indent=2)
    ran = await cca("compress", stdin=messages.encode())
    assert json.loads(ran.out)[0] == {"role": "user", "content": "Look."}
    server.asked.clear()
    assert (await cca("expand", stdin=ran.raw)).out == messages
    assert len(server.asked) == 1  # the other turn has no marker


async def test_an_original_that_the_stack_has_no_longer_is_exit_code_1(server: Server) -> None:
    ran = await cca("compress", stdin=LOG.encode())
    server.blobs.clear()
    again = await cca("expand", stdin=ran.raw)
    assert (again.code, again.raw) == (1, ran.raw)
    gone = await cca("expand", "a" * 20)
    assert (gone.code, gone.out) == (1, "")
    assert gone.err == f"Error: not, or no longer, stored: ctx:{'a' * 20}\n"


async def test_metrics_are_rows_by_what_is_asked(server: Server) -> None:
    ran = await cca("metrics", "--by", "role,model", "--since", "7d", "--role", "backend", "--limit", "5")
    assert ran.code == 0, ran.err
    asked = {"by": "role,model", "since_s": "604800", "role": "backend", "limit": "5"}
    assert server.asked == [("GET", "metrics", asked)]
    rows = [line.split("\t") for line in ran.lines]
    assert rows[0][:3] == ["backend", "opus", "39000"]
    assert rows[1][:3] == ["docs", "", "10000"]
    assert (await cca("metrics", "--json")).json["total"]["saved"] == {"logs": 7_000, "json": 3_000}


async def test_recommendations_name_the_command(server: Server) -> None:
    ran = await cca("recommend", "--role", "backend", "--since", "30d")
    assert server.asked == [("GET", "recommendations", {"role": "backend", "since_s": "2592000"})]
    assert ran.out.startswith("high\tcompress-context\trole:backend\t40000\t0.8000\tCompress the contexts")
    assert (await cca("recommend")).out == ""
    found = (await cca("recommend", "--role", "backend", "--json")).json
    assert found["recommendations"][0]["command"].startswith("cca tokens policy set")


async def test_policies_are_listed_set_and_removed(server: Server) -> None:
    assert (await cca("policy", "list")).out == ""
    ran = await cca(
        "policy", "set", "backend", "--max-tokens", "8000", "--level", "strong", "--strategy", "logs", "--reason", "why"
    )
    assert ran.code == 0, ran.err
    assert (await cca("policy", "set", "*", "--max-tokens", "20000")).code == 0
    assert server.policies == {
        "backend": RolePolicy(8_000, level="strong", strategies=("logs",)),
        "*": RolePolicy(20_000),
    }
    assert [line.split("\t")[:2] for line in (await cca("policy", "list")).lines] == [
        ["backend", "8000"],
        ["*", "20000"],
    ]
    assert (await cca("policy", "remove", "*", "--json")).json["roles"].keys() == {"backend"}
    changes = [(method, path, query) for method, path, query in server.asked if method != "GET"]
    assert changes[0] == ("PUT", "policies/backend", {"reason": "why"})
    assert changes[1][1] == changes[2][1] == "policies/*" or changes[1][1] == changes[2][1] == "policies/%2A"


async def test_a_busy_stack_is_exit_code_3(server: Server) -> None:
    server.busy = True
    ran = await cca("compress", stdin=LOG.encode())
    assert (ran.code, ran.out) == (3, "")
    assert "Not possible at the moment" in ran.err and "--store DIR" in ran.err


@pytest.mark.parametrize("command", [["metrics"], ["recommend"], ["policy", "list"]])
async def test_a_stack_that_is_not_there_is_exit_code_3(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCA_HTTP_URL", "http://127.0.0.1:9")
    ran = await cca(*command)
    assert ran.code == 3
    assert "is the stack up?" in ran.err


async def test_a_person_sees_tables_bars_and_totals(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # `rich` takes the pipe for a terminal
    monkeypatch.setenv("COLUMNS", "200")
    shown: dict[str, Any] = {}
    for command in (("metrics", "--by", "role,model"), ("recommend", "--role", "backend"), ("policy", "list")):
        ran = await cca(*command)
        assert ran.code == 0, ran.err
        shown[command[0]] = ran.out
    assert "█" in shown["metrics"]
    for said in ("100,000 tokens", "in 12 attempts, $1.2500", "attempts that failed", "1.034 input tokens", "logs"):
        assert said in shown["metrics"]
    for said in (
        "high",
        "Compress the contexts of role backend.",
        "saves 40,000 tokens (40.0%), $0.8000",
        "potential 0.625",
    ):
        assert said in shown["recommend"]
    assert "No context is compressed" in shown["policy"]
