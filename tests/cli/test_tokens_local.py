"""`cca tokens` where no stack is needed: files, folders and standard input, with originals in a folder."""

import json
import os
import pty
import random
import struct
import subprocess
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import COMMAND, run

from cca.cli.tokens_show import bar, exactness
from cca.tokens.counting import counter, o200k
from cca.tokens.markers import refs
from cca.tokens.transcript import read

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, and no stack anywhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CCA_HTTP_URL", NOWHERE)
    yield tmp_path


def log(seed: int = 1, lines: int = 300) -> str:
    draw = random.Random(seed)
    return "".join(
        f"2026-05-01T12:{line // 60:02}:{line % 60:02}Z INFO request {draw.randrange(10**6)} in {draw.random():.3f} s\n"
        for line in range(lines)
    )


def session() -> list[dict[str, Any]]:
    """A transcript in which a tool says the same twice."""
    call = {"type": "tool_use", "id": "t", "name": "Bash", "input": {"command": "cat app.log"}}
    answer = {"type": "tool_result", "tool_use_id": "t", "content": log()}
    return [
        {"role": "user", "content": "What is in the log? É"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [answer]},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [answer]},
    ]


def on_terminal(*arguments: str, columns: int = 100) -> str:
    """What a command draws on a terminal."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = os.environ | {"TERM": "xterm-256color", "NO_COLOR": "1"}
    process = subprocess.Popen([*COMMAND, *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    drawn = b""
    try:
        while piece := os.read(ours, 65_536):
            drawn += piece
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    process.wait(30)
    return drawn.decode()


# ------------------------------------------------------------------------------------------ count


def test_files_are_counted_one_line_each_most_tokens_first(here: Path) -> None:
    (here / "a.txt").write_text("hello world")
    (here / "b.txt").write_text("hello world " * 50)
    ran = run("tokens", "count", "a.txt", "b.txt", "--model", "gpt-4o")
    assert ran.code == 0, ran.err
    expected = [("b.txt", "hello world " * 50), ("a.txt", "hello world")]
    assert ran.lines == [f"{name}\t{o200k(text)}\to200k_base\texact" for name, text in expected]


def test_standard_input_is_counted_without_a_path_or_as_a_dash() -> None:
    for arguments in ([], ["-"]):
        ran = run("tokens", "count", *arguments, "--model", "gpt-4o", "--total", stdin=b"hello world")
        assert ran.lines == ["gpt-4o\t2\to200k_base\texact"]


def test_each_model_is_a_column_and_an_estimate_says_its_error(here: Path) -> None:
    (here / "a.txt").write_text(log())
    models = ("gpt-4o", "gpt-4", "claude-sonnet-4")
    options = [part for model in models for part in ("--model", model)]
    counts = [counter(model).count(log()) for model in models]
    assert run("tokens", "count", "a.txt", *options).lines == ["\t".join(["a.txt", *map(str, counts)])]
    totals = [line.split("\t") for line in run("tokens", "count", "a.txt", *options, "--total").lines]
    assert [(model, int(tokens)) for model, tokens, *_ in totals] == list(zip(models, counts, strict=True))
    assert totals[0][3] == "exact"
    found = run("tokens", "count", "a.txt", *options, "--json").json
    assert [model["tokens"] for model in found["models"]] == counts
    assert found["rows"] == [{"name": "a.txt", "tokens": dict(zip(models, counts, strict=True)), "bytes": len(log())}]


def test_folders_are_counted_without_what_nobody_has_written(here: Path) -> None:
    for name in ("src/a.py", "src/deep/b.py", ".git/config", "node_modules/x/index.js", "src/__pycache__/a.txt"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("hello")
    (here / "src/picture.png").write_bytes(b"\x89PNG\0\0")
    (here / "src/latin.txt").write_bytes(b"caf\xe9")
    (here / "src/link.py").symlink_to(here / "src/a.py")
    found = run("tokens", "count", ".", "--json").json
    assert sorted(row["name"] for row in found["rows"]) == ["./src/a.py", "./src/deep/b.py"]
    found = run("tokens", "count", ".", "--by", "directory", "--json").json
    assert sorted(row["name"] for row in found["rows"]) == ["src", "src/deep"]
    assert found["files"] == 2


def test_kinds_add_up_to_the_total(here: Path) -> None:
    code = "x = compute(1)\n" * 30
    (here / "mixed.md").write_text(f"Some words about it.\n\n```python\n{code}```\n\n{log()}")
    found = run("tokens", "count", "mixed.md", "--by", "kind", "--model", "gpt-4o", "--json").json
    kinds = {row["name"]: row["tokens"]["gpt-4o"] for row in found["rows"]}
    assert {"log", "code"} <= kinds.keys()
    assert sum(kinds.values()) == found["models"][0]["tokens"] == o200k((here / "mixed.md").read_text())


def test_a_transcript_is_counted_by_what_is_said_and_what_the_format_adds(here: Path) -> None:
    (here / "t.json").write_text(json.dumps(session()))
    found = run("tokens", "count", "t.json", "--chat", "--model", "gpt-4o", "--json").json
    (model,) = found["models"]
    said = sum(o200k(turn.text) for turn in read(json.dumps(session())).turns)
    assert model["overhead"] > 0
    assert model["tokens"] == said + model["overhead"] == found["rows"][0]["tokens"]["gpt-4o"]
    by_kind = run("tokens", "count", "t.json", "--chat", "--by", "kind", "--model", "gpt-4o", "--json").json
    assert by_kind["models"][0]["tokens"] == model["tokens"]


def test_a_terminal_gets_a_table_with_bars_and_totals(here: Path) -> None:
    (here / "a.txt").write_text("hello world " * 300)
    (here / "b.txt").write_text("hello world " * 100)
    drawn = on_terminal("tokens", "count", "a.txt", "b.txt", "--model", "gpt-4o")
    assert "FILE" in drawn and "SHARE" in drawn and "74.9%  ███████████████" in drawn
    assert "o200k_base  exact" in drawn


def test_many_files_have_a_progress_bar_on_a_terminal(here: Path) -> None:
    for number in range(30):
        (here / f"{number}.txt").write_text("hello")
    drawn = on_terminal("tokens", "count", ".", "--model", "gpt-4o", "--total")
    assert "30/30" in drawn


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["count", "nowhere.txt"], "nowhere.txt: there is no such file or folder"),
        (["count", "binary"], "binary: is binary"),
        (["count", "latin"], "latin: is not UTF-8 (byte 3)"),
        (["count", "large"], "large: larger than 50 MB"),
        (["analyze", "nowhere.txt"], "nowhere.txt: there is no such file or folder"),
        (["analyze", "empty"], "there is no text to look at"),
        (["analyze", "text", "--strategy", "magic"], "there is no strategy magic; `cca tokens strategies` lists them"),
        (["compress", "binary", "--store", "s"], "binary: is binary"),
        (["compress", "text", "--store", "text/s"], "text/s: cannot be written to"),
        (["compress", "text", "--store", "s", "--output", "nowhere/x"], "nowhere/x: No such file or directory"),
        (["compress", "text", "--store", "s", "--strategy", "magic"], "there is no strategy magic"),
        (["compress", "empty", "--store", "s"], "empty: Is a directory"),
        (["expand", "nowhere", "--store", "s"], "nowhere: is no reference, and there is no such file"),
        (["expand", "ctx:short", "--store", "s"], "ctx:short: is no reference, and there is no such file"),
        (["policy", "set", "No Role", "--max-tokens", "5"], "'No Role' is no role"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(here: Path, arguments: list[str], said: str) -> None:
    (here / "binary").write_bytes(b"\x7fELF\0\0")
    (here / "latin").write_bytes(b"caf\xe9")
    (here / "text").write_text(log())
    (here / "empty").mkdir()
    with (here / "large").open("wb") as file:
        file.write(b"x" * 10_000)
        file.truncate(50_000_001)
    ran = run("tokens", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: {said}") and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["compress", "--target", "1.5"], ["count", "--by", "colour"], ["metrics", "--by", "x"]]
)
def test_an_option_that_makes_no_sense_is_exit_code_2(arguments: list[str]) -> None:
    ran = run("tokens", *arguments, stdin=b"text")
    assert ran.code == 2
    assert "Traceback" not in ran.err


# ------------------------------------------------------------------------------------------ analyze


def test_an_analysis_shows_kinds_repetitions_and_the_plan(here: Path) -> None:
    (here / "t.json").write_text(json.dumps(session()))
    ran = run("tokens", "analyze", "t.json", "--model", "gpt-4o")
    assert ran.code == 0, ran.err
    for said in ("KIND", "REDUNDANCY", "exact repetitions", "LIKE", "turn 2, 100%", "STRATEGY", "duplicates", "can go"):
        assert said in ran.out
    found = run("tokens", "analyze", "t.json", "--model", "gpt-4o", "--json").json
    assert found["potential"] > 0.5
    assert found["duplicates"]["share"] > 0.4
    assert len(found["turns"]) == 5
    assert {step["strategy"] for step in found["plan"]} >= {"duplicates"}


def test_several_transcripts_are_several_agents(here: Path) -> None:
    for name in ("a.json", "b.json"):
        (here / name).write_text(json.dumps(session()[:3]))
    assert run("tokens", "analyze", "a.json", "b.json", "--json").json["across"]["share"] > 0.4
    ran = run("tokens", "analyze", "a.json", "b.json", "--no-as-agents", "--json")
    assert ran.json["across"]["tokens"] == 0
    (here / "a.txt").write_text(log())
    (here / "b.txt").write_text(log())
    assert run("tokens", "analyze", "a.txt", "b.txt", "--json").json["across"]["tokens"] == 0
    assert run("tokens", "analyze", "a.txt", "b.txt", "--as-agents", "--json").json["across"]["tokens"] > 0


def test_a_level_and_strategies_are_what_the_plan_is_made_of(here: Path) -> None:
    (here / "log").write_text(log())
    assert run("tokens", "analyze", "log", "--strategy", "duplicates", "--json").json["plan"] == []
    assert run("tokens", "analyze", "log", "--level", "safe", "--json").json["plan"][0]["strategy"] == "logs"
    assert "logs" not in run("tokens", "analyze", "log", "--level", "lossless").out


def test_nothing_to_save_is_said() -> None:
    assert "Compressing it saves nothing." in run("tokens", "analyze", stdin=b"hello").out


# ------------------------------------------------------------------------------------------ compress, expand


@pytest.mark.parametrize("form", ["text", "json", "indented", "jsonl"])
def test_what_is_compressed_expands_to_the_same_bytes(here: Path, form: str) -> None:
    documents = {
        "text": f"Before.\n\n{log()}\n{log()}\r\nAfter.",
        "json": json.dumps(session()),
        "indented": json.dumps({"model": "m", "messages": session()}, indent=2, ensure_ascii=False) + "\n",
        "jsonl": "".join(json.dumps({"type": each["role"], "message": each}) + "\n" for each in session()),
    }
    original = documents[form].encode()
    (here / "in").write_bytes(original)
    ran = run("tokens", "compress", "in", "--store", "store")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.raw) < len(original) / 4
    if form in ("json", "indented"):
        json.loads(ran.raw)
    (here / "out").write_bytes(ran.raw)
    again = run("tokens", "expand", "out", "--store", "store")
    assert (again.code, again.raw) == (0, original)
    assert run("tokens", "expand", "--store", "store", stdin=ran.raw).raw == original


def test_a_reference_expands_with_or_without_its_prefix_and_the_document_is_stored_whole(here: Path) -> None:
    ran = run("tokens", "compress", "--store", "store", "--verbose", stdin=log().encode())
    (ref,) = refs(ran.out)
    original = run("tokens", "expand", ref, "--store", "store").out
    assert run("tokens", "expand", f"ctx:{ref}", "--store", "store").out == original
    assert log().startswith(original.rstrip("\n"))
    whole = ran.err.rpartition("ctx:")[2].strip()
    assert run("tokens", "expand", f"ctx:{whole}", "--store", "store").out == log()
    assert run("tokens", "expand", ref, f"ctx:{whole}", "--store", "store").out.count("\n") >= 2 * log().count("\n")


def test_the_summary_goes_to_standard_error_when_it_is_asked_for(here: Path) -> None:
    ran = run("tokens", "compress", "--store", "s", "--verbose", stdin=log().encode())
    assert "STRATEGY" not in ran.out
    assert "saved) for claude-sonnet-4" in ran.err and "logs" in ran.err
    found = run("tokens", "compress", "--store", "s", "--output", "file", "--json", stdin=log().encode()).json
    assert (here / "file").read_text() == found["texts"][0] == ran.out
    assert found["after"] < found["before"]
    assert found["cuts"][0]["strategy"] == "logs"


def test_a_missed_target_is_said_and_fails_only_when_it_is_strict() -> None:
    arguments = ("tokens", "compress", "--store", "s", "--max-tokens", "5")
    ran = run(*arguments, stdin=log().encode())
    assert ran.code == 0
    assert ran.err.startswith("The target was missed by ")
    assert run(*arguments, "--strict", stdin=log().encode()).code == 1
    assert run("tokens", "compress", "--store", "s", "--target", "0.5", "--strict", stdin=log().encode()).err == ""


def test_a_cached_beginning_stays_and_a_legend_explains(here: Path) -> None:
    (here / "t.json").write_text(json.dumps(session()))
    left = json.loads(run("tokens", "compress", "t.json", "--store", "s", "--cached", "5").out)
    assert left == session()
    left = json.loads(run("tokens", "compress", "t.json", "--store", "s", "--cached", "3", "--legend").out)
    assert left[2] == session()[2]
    ran = run("tokens", "compress", "--legend", "--store", "s", stdin=log().encode())
    assert ran.out.startswith("[ctx: ") and "cca tokens expand" in ran.lines[0]
    assert run("tokens", "expand", "--store", "s", stdin=ran.raw).out == log()


def test_messages_that_were_left_out_are_named_where_they_cannot_be_put_back(here: Path) -> None:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    for number in range(20):
        call = {"type": "tool_use", "id": f"t{number}", "name": "Bash", "input": {"command": log(number, 20)}}
        messages.append({"role": "assistant", "content": [call]})
        answer = {"type": "tool_result", "tool_use_id": f"t{number}", "content": "word " * (50 + number)}
        messages.append({"role": "user", "content": [answer]})
    (here / "t.json").write_text(json.dumps(messages))
    ran = run("tokens", "compress", "t.json", "--store", "s", "--level", "strong", "--max-tokens", "3000", "--verbose")
    assert [message["role"] for message in json.loads(ran.out)] == [message["role"] for message in messages]
    (here / "small.json").write_bytes(ran.raw)
    again = run("tokens", "expand", "small.json", "--store", "s")
    assert again.code == 0
    assert "Several messages went into one marker" in again.err
    whole = ran.err.rpartition("ctx:")[2].strip()
    assert run("tokens", "expand", f"ctx:{whole}", "--store", "s").out == json.dumps(messages)


def test_a_missing_original_is_one_sentence_and_exit_code_1(here: Path) -> None:
    out = run("tokens", "compress", "--store", "store", stdin=log().encode()).raw
    ran = run("tokens", "expand", "--store", "elsewhere", stdin=out)
    assert (ran.code, ran.raw) == (1, out)
    assert ran.err == f"Error: not, or no longer, stored: ctx:{refs(out.decode())[0]}\n"
    ran = run("tokens", "expand", "ctx:" + "a" * 20, "--store", "elsewhere")
    assert (ran.code, ran.out) == (1, "")
    found = run("tokens", "expand", "--store", "elsewhere", "--json", stdin=out)
    assert found.code == 1
    assert found.json["missing"] == refs(out.decode())


def test_a_changed_original_is_not_taken_for_one(here: Path) -> None:
    out = run("tokens", "compress", "--store", "store", stdin=log().encode())
    (here / "store" / refs(out.out)[0]).write_text("something else")
    ran = run("tokens", "expand", "--store", "store", stdin=out.raw)
    assert (ran.code, ran.out) == (2, "")
    assert "is not the text that was stored there" in ran.err


def test_text_without_markers_expands_to_itself() -> None:
    for text in (b"", b"nothing\r\n", b"[ctx:short 3 lines]\n", b'{"a": 1}\n'):
        assert run("tokens", "expand", "--store", "s", stdin=text).raw == text


@pytest.mark.parametrize("arguments", [["compress"], ["expand", "ctx:" + "a" * 20]])
def test_without_a_stack_the_error_names_the_folder_option(arguments: list[str]) -> None:
    ran = run("tokens", *arguments, stdin=log().encode())
    assert (ran.code, ran.out) == (3, "")
    assert "is the stack up?" in ran.err and "--store DIR" in ran.err


def test_a_transcript_with_lone_surrogates_stays_one(here: Path) -> None:
    messages = [{"role": "user", "content": f"\ud800 {log()}"}]
    (here / "t.json").write_text(json.dumps(messages))
    ran = run("tokens", "compress", "t.json", "--store", "s")
    assert ran.code == 0, ran.err
    (here / "out.json").write_bytes(ran.raw)
    assert json.loads(run("tokens", "expand", "out.json", "--store", "s").out) == messages
    assert "\\ud800" in run("tokens", "compress", "t.json", "--store", "s", "--json").out


# ------------------------------------------------------------------------------------------ strategies, parts


def test_strategies_are_listed_with_what_they_do() -> None:
    found = {each["name"]: each for each in run("tokens", "strategies", "--json").json}
    assert {"duplicates", "delta", "logs", "json", "mask", "history"} <= found.keys()
    assert found["logs"]["level"] == "safe" and "log" in found["logs"]["kinds"]
    assert all(each["summary"] for each in found.values())
    assert len(run("tokens", "strategies").lines) == len(found)


def test_bars_are_as_long_as_their_share() -> None:
    assert [bar(share, 4) for share in (0.0, 0.001, 0.25, 0.5, 1.0, 7.0)] == ["", "▏", "█", "██", "████", "████"]
    assert [exactness(True, 0.0), exactness(False, 0.061), exactness(False, 0.0)] == ["exact", "±6.1%", "estimate"]
