"""`cca memory` against a gateway that keeps memories in a dict: what it is asked, what is shown, and exit codes."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from msgspec.structs import replace
from tests.cli.stand_in import Asked, StandIn, as_person, cca, problem, standing

from cca.contracts.memory import (
    Memories,
    MemoryHit,
    MemoryHits,
    MemoryPolicies,
    MemoryPolicy,
    MemoryStats,
    MemoryView,
    Remembered,
    SearchMemories,
    Source,
    StoreMemory,
)
from cca.contracts.search import EmbedderInfo, Why

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ROUND = 3
"""Memories on a page of this gateway, at most."""
TASK = "01890a5d-ac96-774b-bcce-b302099a8057"


class Kept:
    """Memories as the gateway keeps them."""

    def __init__(self) -> None:
        self.held: dict[str, MemoryView] = {}
        self.policies: dict[str, MemoryPolicy] = {}

    def __call__(self, asked: Asked) -> Any:
        parts = asked.path.split("/")[2:]
        match asked.method, parts:
            case "POST", []:
                return self._store(msgspec.json.decode(asked.body, type=StoreMemory))
            case "GET", []:
                return self._page(asked)
            case "POST", ["search"]:
                return self._search(msgspec.json.decode(asked.body, type=SearchMemories))
            case "GET", ["stats"]:
                embedders = (
                    EmbedderInfo("minilm-l6-v2-int8", "abc", 384, "active", 10, 10),
                    EmbedderInfo("ollama:nomic", "def", 768, "building", 10, 4, "\x1b[2J is away"),
                )
                return MemoryStats(len(self.held), {"fact": 7, "lesson": 3}, {"": 4, "backend": 6}, 5, 2, embedders)
            case _, ["policies", *names]:
                role = [unquote(name) for name in names]
                if asked.method == "PUT":
                    self.policies[role[0]] = msgspec.json.decode(asked.body, type=MemoryPolicy)
                elif asked.method == "DELETE":
                    self.policies.pop(role[0], None)
                return MemoryPolicies(1, self.policies)
            case _, [memory, *_] if memory not in self.held:
                return problem(404, "not-found", "There is no such thing")
            case "GET", [memory]:
                return self.held[memory]
            case "DELETE", [memory]:
                return self.held.pop(memory)
            case "POST", [memory, "feedback"]:
                now = self.held[memory]
                said = asked.json["outcome"]
                self.held[memory] = replace(
                    now, successes=now.successes + (said == "success"), failures=now.failures + (said == "failure")
                )
                return self.held[memory]
        return problem(404, "not-found", "There is no such route")

    def _store(self, said: StoreMemory) -> Any:
        if "refuse me" in said.text:
            return problem(422, "invalid", "The request breaks a rule", "\x1b[2J at `$.text`")
        memory = said.id or hashlib.sha256(f"{said.scope}{said.role}{said.text}".encode()).hexdigest()[:20]
        if memory in self.held:
            return Remembered(memory, False, 1.0)
        secrets = {"password": 1} if "hunter2" in said.text else {}
        self.held[memory] = MemoryView(
            memory,
            said.text.replace("hunter2", "[redacted:password]"),
            said.kind,
            said.scope,
            said.created_at or NOW + timedelta(seconds=len(self.held)),
            said.role,
            said.labels,
            said.source,
            said.successes,
            said.failures,
            redacted=secrets,
            seq=len(self.held) + 1,
        )
        return Remembered(memory, True, redacted=secrets)

    def _page(self, asked: Asked) -> Memories:
        """Newest first; `next` is how many have been seen."""
        found = [one for one in reversed(self.held.values()) if asked.query.get("role") in (None, one.role)]
        begin = int(asked.query.get("before", "0"))
        end = begin + min(int(asked.query["limit"]), ROUND)
        return Memories(tuple(found[begin:end]), str(end) if end < len(found) else None)

    def _search(self, said: SearchMemories) -> MemoryHits:
        why = Why(0.8125, 2, 1.0, 1, 0.75, ("pool", "database"), 1.1, 0.9)
        found = tuple(
            MemoryHit(one, 0.9 - number / 10, why if number == 0 else Why(lexical=0.5, lexical_rank=11))
            for number, one in enumerate(list(self.held.values())[: said.limit])
        )
        note = "" if said.mode == "lexical" else "the embedder is away"
        return MemoryHits(found, "lexical", None, note, True, 1.5)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
async def gateway(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    async with standing(kept, monkeypatch) as found:
        yield found


async def test_every_option_of_store_arrives(gateway: StandIn, kept: Kept, tmp_path: Path) -> None:
    ran = await cca(
        *("memory", "store", "the pool holds 10 connections", "--kind", "lesson", "--scope", "project:web"),
        *("--role", "backend", "--label", "a=1", "--task", TASK, "--agent", "ada", "--repo", "web", "--id", "pool"),
    )
    assert (ran.code, ran.out) == (0, "pool\n"), ran.err
    assert kept.held["pool"] == MemoryView(
        *("pool", "the pool holds 10 connections", "lesson", "project:web", NOW, "backend", {"a": "1"}),
        source=Source(TASK, "ada", "backend", "web"),
        seq=1,
    )
    (tmp_path / "text").write_text("grüße\n")
    assert (await cca("memory", "store", f"@{tmp_path / 'text'}")).code == 0
    assert (await cca("memory", "store", "-", stdin=b"from stdin")).code == 0
    assert [one.text for one in kept.held.values()][1:] == ["grüße\n", "from stdin"]
    again = await cca("memory", "store", "-", "--json", stdin=b"from stdin")
    assert again.json["created"] is False


async def test_secrets_that_were_taken_out_are_told_and_not_shown(gateway: StandIn) -> None:
    ran = await cca("memory", "store", "the password is hunter2")
    assert ran.code == 0 and "1 password" in ran.err and "hunter2" not in ran.err + ran.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["store", " \n"],
        ["store", "x" * 20_001],
        ["store", "x", "--kind", "Not A Word"],
        ["store", "x", "--scope", "web"],
        ["store", "x", "--id", "a/b"],
        ["store", "x", "--label", "novalue"],
        ["store", "bad \udcff bytes"],
        ["search"],
        ["search", "x", "--limit", "0"],
        ["search", "x", "--mode", "magic"],
        ["search", "x", "--role", "Not A Role"],
        ["show", "a/../b"],
        ["rate", "m1", "perhaps"],
        ["forget"],
        ["import", "/no/such/file"],
        ["policy", "set", "Not A Role"],
        ["policy", "set", "backend", "--similar", "2"],
    ],
    ids=lambda value: " ".join(value)[:40].encode("ascii", "replace").decode(),
)
async def test_bad_input_is_one_sentence_and_nothing_is_asked(gateway: StandIn, arguments: list[str]) -> None:
    ran = await cca("memory", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Error" in ran.err and "Traceback" not in ran.err
    assert not [asked for asked in gateway.asked if asked.method != "GET"]


async def test_hits_say_how_they_were_ranked(gateway: StandIn) -> None:
    await cca("memory", "store", "the pool\nof the database", "--id", "a", "--role", "backend")
    await cca("memory", "store", "something else", "--id", "b")
    before = datetime.now(UTC)
    ran = await cca(
        *("memory", "search", "database", "pool", "--scope", "project:default", "--role", "backend", "--no-role"),
        *("--kind", "fact", "--since", "7d", "--limit", "5", "--min-score", "0.25", "--explain"),
    )
    said = msgspec.json.decode(gateway.asked[-1].body, type=SearchMemories)
    assert said == SearchMemories(
        "database pool", "project:default", ("backend", ""), ("fact",), said.since, None, 5, "hybrid", 0.25
    )
    assert said.since and abs(said.since - before + timedelta(days=7)) < timedelta(minutes=1)
    first, second = (line.split("\t") for line in ran.lines)
    assert first[:8] == ["0.9000", "a", "fact", "project:default", "backend", "2026-05-01T12:00:00.000Z", "0", "0"]
    assert first[8] == "the pool of the database"
    assert first[9] == (
        "meaning 0.812 (2nd); words 1.000 (1st); 75% of the terms by weight: pool, database; "
        "×1.1 for how often it helped; ×0.9 for its age"
    )
    assert second[9] == "words 0.500 (11th)"
    assert ran.err == "ranked lexical, not hybrid: the embedder is away\n"
    assert (await cca("memory", "search", "x", "--mode", "lexical")).err == ""
    assert (await cca("memory", "search", "x", "--json")).json["cached"] is True


async def test_memories_are_listed_page_by_page(gateway: StandIn) -> None:
    for number in range(8):
        await cca("memory", "store", f"text {number}", "--id", f"m{number}")
    ran = await cca("memory", "list", "--limit", "5")
    assert [line.split("\t")[0] for line in ran.lines] == ["m7", "m6", "m5", "m4", "m3"]
    assert [asked.query for asked in gateway.asked[-2:]] == [{"limit": "5"}, {"limit": "2", "before": "3"}]
    assert len((await cca("memory", "list", "--all", "--json")).json["items"]) == 8
    await cca("memory", "list", "--scope", "role:x", "--role", "r", "--kind", "fact", "--task", TASK)
    asked = {"scope": "role:x", "role": "r", "kind": "fact", "task": TASK, "limit": "20"}
    assert gateway.asked[-1].query == asked


async def test_a_memory_is_shown_rated_and_forgotten(gateway: StandIn, kept: Kept) -> None:
    await cca("memory", "store", "text", "--id", "m1")
    assert (await cca("memory", "rate", "m1", "success", "--task", TASK, "--comment", "yes")).out == "m1\t1\t0\n"
    assert gateway.asked[-1].json == {"outcome": "success", "comment": "yes", "task": TASK}
    assert (await cca("memory", "rate", "m1", "failure")).out == "m1\t1\t1\n"
    assert "helped" in (await cca("memory", "show", "m1")).out
    ran = await cca("memory", "forget", "nothing", "m1", "--reason", "old")
    assert ran.code == 2 and ran.lines == ["m1\tforgotten"] and "Error: nothing: " in ran.err
    assert gateway.asked[-1].query == {"reason": "old"} and not kept.held
    assert (await cca("memory", "show", "m1")).code == 2


async def test_an_export_imports_again_and_twice_changes_nothing(gateway: StandIn, kept: Kept, tmp_path: Path) -> None:
    file = tmp_path / "memories.ndjson"
    for number in range(50):
        await cca("memory", "store", f"text {number}\n\u2028é", "--label", f"n={number}", "--role", "r")
    before = dict(kept.held)
    ran = await cca("memory", "export", str(file))
    assert (ran.code, ran.out, ran.err) == (0, "", f"50 memories are in {file}\n")
    assert file.read_bytes() == (await cca("memory", "export")).raw
    assert [path.name for path in tmp_path.iterdir()] == ["memories.ndjson"]
    kept.held.clear()
    assert (await cca("memory", "import", str(file))).out == "50\t0\t0\n"
    assert {key: replace(one, seq=0) for key, one in kept.held.items()} == {
        key: replace(one, seq=0) for key, one in before.items()
    }
    assert (await cca("memory", "import", "--json", stdin=file.read_bytes())).json == {
        "stored": 0,
        "there": 50,
        "refused": 0,
        "redacted": 0,
    }
    assert (await cca("memory", "export", str(tmp_path / "no" / "such"))).code == 2


async def test_a_line_that_is_refused_is_no_harm_to_the_others(gateway: StandIn, kept: Kept, tmp_path: Path) -> None:
    file = tmp_path / "mixed"
    lines = [
        b'{"text": "good", "of a newer version": 1, "source": {"task": "t", "newer": 2}}',
        b"",
        b"{broken",
        b'{"no text": 1}',
        b'{"text": "\xff"}',
        b'{"text": "refuse me"}',
        b'{"text": "' + b"x" * 2_000_000 + b'"}',
        b'{"text": "the password is hunter2", "memory": "last"}',
    ]
    file.write_bytes(b"\n".join(lines))
    ran = await cca("memory", "import", str(file))
    assert (ran.code, ran.out) == (2, "2\t0\t5\n")
    assert kept.held.keys() >= {"last"} and len(kept.held) == 2
    for number in (3, 4, 5, 6):
        assert f"Error: line {number}: " in ran.err
    assert "\x1b[2J" not in ran.err


async def test_an_import_stops_when_the_gateway_is_away_or_the_key_is_wrong(gateway: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b'{"text": "x"}\n' * 100)
    gateway.handle = lambda asked: problem(401, "not-authenticated", "A valid API key is needed")
    assert (await cca("memory", "import", str(file))).code == 2
    assert len(gateway.asked) <= 32
    gateway.handle = lambda asked: problem(503, "busy", "Not possible at the moment")
    ran = await cca("memory", "import", str(file))
    assert ran.code == 3 and "0 lines are done, and may be imported again" in ran.err


async def test_a_policy_keeps_what_is_not_given(gateway: StandIn, kept: Kept) -> None:
    assert (await cca("memory", "policy", "set", "backend", "--inject", "5", "--no-store", "--reason", "why")).code == 0
    assert kept.policies == {"backend": MemoryPolicy(store=False, inject=5)}
    assert gateway.asked[-1].query == {"reason": "why"}
    assert (await cca("memory", "policy", "set", "backend", "--half-life-days", "7", "--cap", "10")).code == 0
    assert kept.policies["backend"] == MemoryPolicy(store=False, inject=5, half_life_days=7, cap=10)
    assert (await cca("memory", "policy", "set", "*")).code == 0
    assert [line.split("\t")[:4] for line in (await cca("memory", "policy", "list")).lines] == [
        ["backend", "no", "5", "1000"],
        ["*", "yes", "3", "1000"],
    ]
    ran = await cca("memory", "policy", "remove", "backend", "--json")
    assert "backend" not in ran.json["roles"]


async def test_a_person_sees_hits_tables_and_figures(gateway: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "one line \x1b[2J\nand another\nabout the pool of the database\n" + "中文🎉" * 100
    await cca("memory", "store", text, "--id", "m1", "--role", "backend", "--label", "a=1", "--repo", "web")
    await cca("memory", "rate", "m1", "success")
    as_person(monkeypatch)
    found = await cca("memory", "search", "pool", "--explain")
    assert found.out.startswith("0.900  m1  fact  project:default  backend  ")
    assert "helped 1 of 1 times" in found.out and "about the pool of the database" in found.out
    assert "75% of the terms by weight" in found.out and "\x1b[2J" not in found.out
    assert "from the cache" in found.err and "ranked lexical, not hybrid" in found.err
    shown = (await cca("memory", "show", "m1")).out
    assert (
        "helped   1 of 1 times" in shown
        and "repo web" in shown
        and "a=1" in shown
        and "中文🎉" * 100 in shown
        and "\x1b[2J" not in shown
    )
    assert "AGAIN" in (await cca("memory", "list")).out
    stats = (await cca("memory", "stats")).out
    assert "helped 5 times and did not 2 times" in stats and "(none)" in stats
    assert "4 of 10 (40%)" in stats and "\\x1b[2J is away" in stats
    assert "changes that" in (await cca("memory", "policy", "list")).out
    await cca("memory", "policy", "set", "backend", "--cap", "9000")
    assert "9,000" in (await cca("memory", "policy", "list")).out
    assert (await cca("memory", "rate", "m1", "failure")).out == "m1 helped 1 times, and did not 1 times\n"


async def test_a_pipe_gets_the_figures_one_line_each(gateway: StandIn) -> None:
    assert (await cca("memory", "stats")).lines == [
        "kind\tfact\t7",
        "kind\tlesson\t3",
        "role\tbackend\t6",
        "role\t(none)\t4",
        "embedder\tminilm-l6-v2-int8\t10\t10\tactive",
        "embedder\tollama:nomic\t4\t10\tbuilding",
    ]


async def test_a_task_shows_the_memories_that_were_put_before_it(
    gateway: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"memory": "m2", "score": 0.5}
    recalled = {"seq": 2, "type": "cca.task.recalled.v1", "data": {"memories": [said], "tokens": 20}}
    tables: list[Any] = [{"memory": "m1", "score": 0.75, "kind": "lesson", "text": "the \x1b[2J pool", "at": NOW}]

    def task(asked: Asked) -> Any:
        if asked.path.endswith("/events"):
            return {"items": [recalled], "next": None}
        return {"task": TASK, "state": "working", "description": "fix it", "memories": tables}

    gateway.handle = task
    shown = (await cca("task", "show", TASK)).out
    assert "memories that were put before it" in shown and "1 memory before it, 20 tokens" in shown
    assert "0.750" in shown and "lesson" in shown and "the \\x1b[2J pool" in shown
    tables.clear()  # they are a moment behind, and the history is not
    shown = (await cca("task", "show", TASK)).out
    assert "0.500" in shown and "m2" in shown
    assert (await cca("task", "show", TASK, "--json")).json["memories"] == []
