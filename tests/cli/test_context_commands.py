"""`cca context` against a gateway that keeps values in a dict: what it is asked, what is shown, and exit codes."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.conftest import COMMAND
from tests.cli.stand_in import Asked, StandIn, as_person, cca, problem, standing

from cca import codec
from cca.cli.context_values import value_of
from cca.contracts.context import (
    ContextChange,
    ContextEntries,
    ContextEntry,
    ContextHistory,
    ContextStats,
    Restored,
    Snapshot,
    Snapshots,
)
from cca.errors import Refused

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SCOPE = "project:web"


class Values:
    """Values as the gateway keeps them."""

    def __init__(self) -> None:
        self.held: dict[str, ContextEntry] = {}
        self.revision = 6
        self.changes = asyncio.Event()

    def __call__(self, asked: Asked) -> Any:
        parts = asked.path.split("/")[1:]
        if parts == ["context", "stats"]:
            return ContextStats(2, 1_234, 5_000_000, "open", {"hits": 3, "misses": 1})
        if parts[0] == "snapshots":
            return self._snapshots(asked, parts)
        if parts[-1] == "history":
            return ContextHistory(
                SCOPE,
                parts[2],
                (
                    ContextChange("expired", 9, NOW + timedelta(seconds=2)),
                    ContextChange("set", 7, NOW, {"a": [1, 2]}, None, 11, requester="ada", snapshot="s" * 20),
                ),
            )
        if len(parts) == 2:
            if asked.headers["Accept"] == "text/event-stream":
                return self._stream(asked)
            return ContextEntries(SCOPE, tuple(self.held[key] for key in sorted(self.held)))
        return self._value(asked, parts[2])

    def _value(self, asked: Asked, key: str) -> Any:
        there = self.held.get(key)
        if "If-Match" in asked.headers or "If-None-Match" in asked.headers:
            wanted = int(asked.headers.get("If-Match", '"0"').strip('"'))
            if wanted != (there.revision if there else 0):
                return problem(
                    412, "revision-mismatch", "Somebody else has changed it", f"at {there and there.revision}"
                )
        if asked.method == "PUT":
            self.revision += 1
            ttl = asked.query.get("ttl_s")
            gone = datetime.now(UTC) + timedelta(seconds=float(ttl)) if ttl else None
            entry = ContextEntry(SCOPE, key, self.revision, True, msgspec.Raw(asked.body), None, len(asked.body), NOW)
            self.held[key] = msgspec.structs.replace(entry, expires_at=gone)
            return self.held[key]
        if there is None:
            return problem(404, "not-found", "There is no such thing", f"{key} is not in {SCOPE}")
        if asked.method == "DELETE":
            self.revision += 1
            return ContextEntry(SCOPE, self.held.pop(key).key, self.revision, False)
        return there

    async def _stream(self, asked: Asked) -> AsyncIterator[bytes]:
        known = [
            ("set", ContextEntry(SCOPE, "plan", 7, value={"step": "\x1b[2J"}, size=10, set_at=NOW)),
            ("expired", ContextEntry(SCOPE, "plan", 8, False, expires_at=NOW + timedelta(seconds=1))),
            ("deleted", ContextEntry(SCOPE, "notes", 9, False)),
        ]
        for what, entry in known:
            yield f"id: {entry.revision}\nevent: {what}\ndata: ".encode() + codec.encode(entry) + b"\n\n"
        await self.changes.wait()

    def _snapshots(self, asked: Asked, parts: list[str]) -> Any:
        kept = Snapshot("snap1", SCOPE, NOW, 3, 2_048, 9, "before it broke", "ada")
        if parts[-1] == "restore":
            said = asked.json
            return Restored(said.get("snapshot", "snap1"), SCOPE, said.get("into", SCOPE), 2, 1, 4, 0.012)
        return kept if asked.method == "POST" else Snapshots(SCOPE, (kept,))


@pytest.fixture
async def values(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    kept = Values()
    async with standing(kept, monkeypatch) as gateway:
        yield gateway
        kept.changes.set()


async def test_a_value_comes_back_as_it_was_put(values: StandIn, tmp_path: Path) -> None:
    ran = await cca("context", "set", SCOPE, "plan", '{"step": 123456789012345678901234567890, "x": 1.00}')
    assert (ran.code, ran.out.split("\t")[:2]) == (0, ["plan", "7"]), ran.err
    assert (await cca("context", "get", SCOPE, "plan")).out == '{"step": 123456789012345678901234567890, "x": 1.00}\n'
    (tmp_path / "notes.md").write_text("# Grüße\n\nno newline at the end")
    assert (await cca("context", "set", SCOPE, "notes", f"@{tmp_path / 'notes.md'}")).code == 0
    assert (await cca("context", "get", SCOPE, "notes")).raw == (tmp_path / "notes.md").read_bytes()
    assert (await cca("context", "set", SCOPE, "n", "-", stdin=b" [1,\n2] ")).code == 0
    assert values.asked[-1].body == b"[1,\n2]"
    assert (await cca("context", "get", SCOPE, "n", "--json")).json["value"] == [1, 2]


async def test_what_is_no_json_is_a_text_unless_it_begins_like_json(values: StandIn) -> None:
    for value, body in (("7", b"7"), ("null", b"null"), ("two words", b'"two words"'), ('"7"', b'"7"')):
        assert (await cca("context", "set", SCOPE, "k", value)).code == 0
        assert values.asked[-1].body == body
    assert (await cca("context", "set", SCOPE, "k", "7", "--text")).code == 0
    assert values.asked[-1].body == b'"7"'
    ran = await cca("context", "set", SCOPE, "k", '{"step": ')
    assert ran.code == 2 and "--text takes it as a text" in ran.err
    assert (await cca("context", "set", SCOPE, "k", '{"step": ', "--text")).code == 0
    assert values.asked[-1].json == '{"step": '


@given(st.text())
def test_a_value_is_always_json_and_a_text_stays_what_it_is(text: str) -> None:
    assert msgspec.json.decode(value_of(text, True)) == text
    try:
        body = value_of(text, False)
    except Refused:
        assert text.lstrip()[:1] in ("{", "[", '"')
        return
    found = msgspec.json.decode(body)
    assert found == text or msgspec.json.encode(found)


async def test_a_revision_that_is_expected_is_a_condition(values: StandIn) -> None:
    assert (await cca("context", "set", SCOPE, "lock", '"ada"', "--expect", "0")).code == 0
    assert values.asked[-1].headers["If-None-Match"] == "*"
    ran = await cca("context", "set", SCOPE, "lock", '"bob"', "--expect", "0")
    assert (ran.code, ran.out) == (2, "")
    assert "Somebody else has changed it: at 7" in ran.err
    assert (await cca("context", "set", SCOPE, "lock", '"bob"', "--expect", "7")).code == 0
    assert values.asked[-1].headers["If-Match"] == '"7"'
    ran = await cca("context", "delete", SCOPE, "lock", "--expect", "7")
    assert ran.code == 2
    assert (await cca("context", "delete", SCOPE, "lock", "--expect", "8")).lines == ["lock\t9"]


async def test_what_must_not_be_done_twice_is_not_repeated(values: StandIn) -> None:
    def busy(asked: Asked) -> web.Response:
        return problem(503, "busy", "Not possible at the moment")

    values.handle = busy
    ran = await cca("context", "set", SCOPE, "lock", "1", "--expect", "3")
    assert ran.code == 3 and "it may have been done" in ran.err
    assert len(values.asked) == 1
    ran = await cca("context", "set", SCOPE, "lock", "1")
    assert ran.code == 3
    assert len(values.asked) > 2


async def test_time_to_live_is_a_span(values: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for given_, seconds in (("90", "90"), ("15m", "900"), ("2h", "7200"), ("1.5s", "1.5")):
        ran = await cca("context", "set", SCOPE, "k", "1", "--ttl", given_)
        assert values.asked[-1].query == {"ttl_s": seconds}
        assert ran.out.rstrip().endswith("Z")
    as_person(monkeypatch)
    assert "it is gone in 14 m" in (await cca("context", "set", SCOPE, "k", "1", "--ttl", "15m")).out


@pytest.mark.parametrize(
    "arguments",
    [
        ["set", "web", "k", "1"],
        ["set", "project:a/b", "k", "1"],
        ["set", SCOPE, "a..b", "1"],
        ["set", SCOPE, "k\n", "1"],
        ["set", SCOPE, "k", "@/no/such/file"],
        ["set", SCOPE, "k", "1", "--ttl", "soon"],
        ["set", SCOPE, "k", "1", "--expect", "-1"],
        ["set", SCOPE, "k", "bad \udcff bytes"],
        ["set", SCOPE, "k", "x" * (3 * 1024 * 1024)],
        ["get", SCOPE, "ключ"],
        ["delete", SCOPE],
        ["delete", SCOPE, "a", "b", "--expect", "1"],
        ["list", "nobody:x"],
        ["restore", SCOPE, "--into", "x"],
    ],
    ids=lambda value: " ".join(value)[:40].encode("ascii", "replace").decode(),
)
async def test_bad_input_is_one_sentence_and_nothing_is_asked(values: StandIn, arguments: list[str]) -> None:
    ran = await cca("context", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Error" in ran.err and "Traceback" not in ran.err
    assert not values.asked


async def test_a_key_that_is_not_there_is_exit_code_2(values: StandIn) -> None:
    ran = await cca("context", "get", SCOPE, "nothing")
    assert (ran.code, ran.out) == (2, "")
    await cca("context", "set", SCOPE, "b", "1")
    ran = await cca("context", "delete", SCOPE, "a", "b")
    assert ran.code == 2 and ran.lines == ["b\t8"] and "Error: a: " in ran.err


async def test_keys_are_listed_with_and_without_values(values: StandIn) -> None:
    await cca("context", "set", SCOPE, "b", '"two\\nlines"')
    await cca("context", "set", SCOPE, "a", "[1]")
    assert [line.split("\t")[:3] for line in (await cca("context", "list", SCOPE)).lines] == [
        ["a", "8", "3"],
        ["b", "7", "12"],
    ]
    ran = await cca("context", "list", SCOPE, "--prefix", "a.", "--values")
    assert values.asked[-1].query == {"prefix": "a.", "values": "true"}
    assert {line.split("\t")[0]: line.split("\t")[-1] for line in ran.lines} == {"a": "[1]", "b": "two lines"}


async def test_a_value_that_is_left_out_says_where_it_is(values: StandIn) -> None:
    large = ContextEntry(SCOPE, "big", 7, ref="ab" * 32, size=2 * 1024 * 1024, set_at=NOW)
    values.handle = lambda asked: ContextEntries(SCOPE, (large,))
    ran = await cca("context", "list", SCOPE, "--values")
    assert ran.out.rstrip().endswith("(2.0 MiB, stored as abababababab…)")


async def test_history_is_newest_first(values: StandIn) -> None:
    ran = await cca("context", "history", SCOPE, "plan", "--limit", "5")
    assert values.asked[-1].path == f"/context/{SCOPE}/plan/history"
    assert values.asked[-1].query == {"limit": "5"}
    first, second = (line.split("\t") for line in ran.lines)
    assert first[:3] == ["2026-05-01T12:00:02.000Z", "expired", "9"]
    assert second[1:4] == ["set", "7", "11"] and second[-1] == '{"a":[1,2]}'


async def test_watching_prints_each_change_until_it_is_interrupted(values: StandIn) -> None:
    arguments = [*COMMAND, "context", "watch", SCOPE, "--prefix", "pl"]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    lines = [(await process.stdout.readline()).decode() for _ in range(3)]
    process.send_signal(signal.SIGINT)
    rest, err = await process.communicate()
    assert (process.returncode, rest, err.strip()) == (130, b"", b"")
    assert lines == [
        '2026-05-01T12:00:00.000Z\tset\tplan\t7\t{"step":"\\u001b[2J"}\n',
        "2026-05-01T12:00:01.000Z\texpired\tplan\t8\t\n",
        "\tdeleted\tnotes\t9\t\n",
    ]
    assert values.asked[-1].query == {"prefix": "pl"}


async def test_watching_gives_programs_what_happened_and_the_entry(values: StandIn) -> None:
    arguments = [*COMMAND, "context", "watch", SCOPE, "--json"]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    assert process.stdout
    found = [msgspec.json.decode(await process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGINT)
    await process.wait()
    assert [(one["what"], one["key"], one["revision"]) for one in found] == [
        ("set", "plan", 7),
        ("expired", "plan", 8),
        ("deleted", "notes", 9),
    ]
    assert found[0]["value"] == {"step": "\x1b[2J"}


async def test_snapshots_are_taken_listed_and_put_back(values: StandIn) -> None:
    assert (await cca("context", "snapshot", SCOPE, "--note", "why")).out == "snap1\n"
    assert values.asked[-1].json == {"note": "why"}
    ran = await cca("context", "snapshots", SCOPE)
    assert ran.lines == ["snap1\t2026-05-01T12:00:00.000Z\t3\t2048\t9\tada\tbefore it broke"]
    assert (await cca("context", "restore", SCOPE)).lines == [f"snap1\t{SCOPE}\t2\t1\t4"]
    assert values.asked[-1].json == {}
    ran = await cca("context", "restore", SCOPE, "snap0", "--into", "agent:ada", "--exact", "--json")
    assert values.asked[-1].json == {"snapshot": "snap0", "into": "agent:ada", "exact": True}
    assert ran.json["into"] == "agent:ada"


async def test_a_person_sees_tables_and_sentences(values: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    as_person(monkeypatch)
    assert (await cca("context", "set", SCOPE, "plan", '{"a": "\\u001b[2J"}')).out == "plan is at revision 7\n"
    listed = (await cca("context", "list", SCOPE, "--values")).out
    assert "REVISION" in listed and "\x1b[2J" not in listed and "\\u001b[2J" in listed
    assert "\x1b[2J" not in (await cca("context", "get", SCOPE, "plan")).out
    assert "FROM SNAPSHOT" in (await cca("context", "history", SCOPE, "plan")).out
    assert "3 keys, 2.0 KiB" in (await cca("context", "snapshot", SCOPE)).out
    assert "2 keys set, 1 deleted, 4 as they were, in 12 ms" in (await cca("context", "restore", SCOPE)).out
    stats = (await cca("context", "stats")).out
    assert "1,234 in 2 scopes, 4.8 MiB" in stats and "PostgreSQL is away" in stats and "3 hits" in stats
    values.handle = lambda asked: ContextStats(None, None, None, "open", {})
    assert "not known while PostgreSQL is away" in (await cca("context", "stats")).out


async def test_a_pipe_gets_the_figures_one_line_each(values: StandIn) -> None:
    ran = await cca("context", "stats")
    assert ran.lines == [
        "scopes\t2",
        "keys\t1234",
        "bytes\t5000000",
        "breaker\topen",
        "held_up_ms\t0.0",
        "cache.hits\t3",
        "cache.misses\t1",
    ]


async def test_a_stack_that_is_not_there_is_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCA_HTTP_URL", "http://127.0.0.1:9")
    ran = await cca("context", "get", SCOPE, "k")
    assert ran.code == 3 and "is the stack up?" in ran.err
