"""`cca task` against a real stack: what it prints, and its exit codes."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp.test_utils import unused_port
from tests.cli.conftest import Stack, run

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
UNKNOWN = "01890a5d-ac96-774b-bcce-b302099a8057"


def until_state(stack: Stack, task: str, state: str) -> None:
    deadline = time.monotonic() + 30
    while (now := stack.run("task", "show", task, "--json").json["state"]) != state:
        assert time.monotonic() < deadline, now
        time.sleep(0.05)


def until_listed(stack: Stack, task: str, state: str) -> None:
    """The tables follow the log a moment later."""
    deadline = time.monotonic() + 30
    while not any(task in line and f"\t{state}\t" in line for line in stack.run("task", "list", "--all").lines):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# ------------------------------------------------------------------------------------------ submit


def test_submit_prints_the_id_and_nothing_else(stack: Stack) -> None:
    ran = stack.run("task", "submit", "nobody", "two", "words")
    assert ran.code == 0
    assert UUID.fullmatch(ran.out.strip())
    assert ran.err == ""


def test_every_option_of_submit_arrives(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('{"path": "src", "n": [1]}')
    (tmp_path / "context").write_text("grüße")
    identity = str(uuid4())
    ran = stack.run(
        *("task", "submit", "nobody", "--id", identity, "--input", f"@{tmp_path / 'input.json'}"),
        *("--context", f"@{tmp_path / 'context'}", "--priority", "high", "--lane", "opus", "--kind", "review"),
        *("--requester", "alice", "--label", "a=1", "--label", "b=x=y", "--max-attempts", "7", "--timeout", "5m"),
        *("--json", "--", "--fix", "-it"),
    )
    assert ran.code == 0, ran.err
    assert ran.json["task"] == identity
    shown = stack.run("task", "show", identity, "--json").json
    submitted = shown["events"][0]["data"]
    wanted = {
        "role": "nobody",
        "description": "--fix -it",
        "input": {"path": "src", "n": [1]},
        "context": "grüße",
        "priority": "high",
        "lane": "opus",
        "kind": "review",
        "requester": "alice",
        "labels": {"a": "1", "b": "x=y"},
        "max_attempts": 7,
        "timeout_s": 300.0,
    }
    assert {key: submitted.get(key) for key in wanted} == wanted


def test_a_description_may_come_from_a_file_or_from_standard_input(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("from a file")
    by_file = stack.run("task", "submit", "nobody", "-f", str(tmp_path / "d.txt")).out.strip()
    by_stdin = stack.run("task", "submit", "nobody", "--file", "-", stdin="from stdin 🎉".encode()).out.strip()
    assert stack.run("task", "show", by_file, "--json").json["description"] == "from a file"
    assert stack.run("task", "show", by_stdin, "--json").json["description"] == "from stdin 🎉"


def test_the_same_key_is_the_same_task(stack: Stack) -> None:
    key = str(uuid4())
    first = stack.run("task", "submit", "nobody", "once", "--key", key, "--json").json
    again = stack.run("task", "submit", "nobody", "once", "--key", key, "--json").json
    assert again["task"] == first["task"]
    assert again["created"] is False
    other = stack.run("task", "submit", "nobody", "something else", "--key", key)
    assert other.code == 2
    assert other.err.startswith("Error: ") and other.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["backend"],
        ["backend", "words", "-f", "-"],
        ["Not A Role", "words"],
        ["backend", "words", "--lane", "a b"],
        ["backend", "words", "--input", "{"],
        ["backend", "words", "--input", "[1]"],
        ["backend", "words", "--input", "@/no/such/file"],
        ["backend", "words", "--context", "@/"],
        ["backend", "-f", "/no/such/file"],
        ["backend", "-f", "nul\x00"],
        ["backend", "words", "--label", "novalue"],
        ["backend", "words", "--id", "not-a-uuid"],
        ["backend", "words", "--id", UNKNOWN, "--key", "k"],
        ["backend", "words", "--priority", "urgent"],
        ["backend", "words", "--max-attempts", "0"],
        ["backend", "words", "--timeout", "soon"],
        ["backend", "words", "--wait=never"],
        ["backend", "bad \udcff bytes"],
        ["backend", "x" * 100_001],
        ["backend", "words", "--requester", "x" * 201],
        ["backend", "words", "--no-such-option"],
    ],
    ids=lambda value: " ".join(value)[:40].encode("ascii", "replace").decode(),
)
def test_bad_input_is_one_sentence_and_exit_code_2(stack: Stack, arguments: list[str]) -> None:
    ran = stack.run("task", "submit", *arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert "Error: " in ran.err and "Traceback" not in ran.err
    assert len([line for line in ran.err.splitlines() if line.startswith("Error: ")]) == 1


@pytest.mark.parametrize(
    "arguments",
    [["task", "list"], ["task", "show", UNKNOWN], ["task", "submit", "a", "b"], ["task", "watch"], ["events", "tail"]],
    ids=" ".join,
)
def test_a_gateway_that_is_not_there_is_exit_code_3(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    monkeypatch.setenv("CCA_HTTP_URL", url)
    ran = run(*arguments)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"Error: cannot reach the gateway at {url}: is the stack up? (`cca up`)\n"


def test_a_wrong_key_is_refused_with_what_to_do(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    url = stack.run("env", "--json").json["http"]
    monkeypatch.setenv("CCA_HTTP_URL", url)
    monkeypatch.setenv("CCA_API_KEY", "cca_test_aaaaaaaa_" + "b" * 44)
    ran = stack.run("task", "list")
    assert ran.code == 2
    assert "CCA_API_KEY" in ran.err and "b" * 44 not in ran.err


# ------------------------------------------------------------------------------------------ wait, result


def test_wait_prints_the_result(staffed: Stack) -> None:
    ran = staffed.run("task", "submit", "backend", "--wait", "it", "works")
    assert (ran.code, ran.out) == (0, "done: it works")


def test_a_result_that_is_no_text_is_json_and_verbatim_in_a_pipe(staffed: Stack) -> None:
    ran = staffed.run("task", "submit", "backend", "json", "--wait")
    assert ran.json == {"n": 1, "text": "\u202e\x1b[2J"}
    assert "\u202e" in ran.out


def test_no_result_prints_nothing(staffed: Stack) -> None:
    ran = staffed.run("task", "submit", "backend", "nothing", "--wait")
    assert (ran.code, ran.out) == (0, "")


def test_waiting_for_a_task_that_fails_is_exit_code_1_with_the_reason(staffed: Stack) -> None:
    ran = staffed.run("task", "submit", "backend", "fail", "--wait")
    assert (ran.code, ran.out) == (1, "")
    assert "failed after 1 attempt: " in ran.err and "no \\x1b[31mluck" in ran.err


def test_waiting_ends_when_its_time_is_over(stack: Stack) -> None:
    ran = stack.run("task", "submit", "nobody", "x", "--wait=200ms")
    assert (ran.code, ran.out) == (4, "")
    assert "no live worker for role nobody" in ran.err


def test_the_outcome_as_json_is_the_whole_task(staffed: Stack) -> None:
    ran = staffed.run("task", "submit", "backend", "x", "--wait", "--json")
    assert (ran.json["state"], ran.json["result"]) == ("completed", "done: x")


def test_result_says_when_a_task_is_not_over(stack: Stack, staffed: Stack) -> None:
    waiting = stack.run("task", "submit", "nobody", "x").out.strip()
    ran = stack.run("task", "result", waiting)
    assert (ran.code, ran.out) == (4, "")
    assert "--wait" in ran.err
    done = staffed.submit("y")
    assert staffed.run("task", "result", done, "--wait").out == "done: y"
    assert staffed.run("task", "result", done).out == "done: y"


# ------------------------------------------------------------------------------------------ list, show


def test_a_list_is_one_line_each_with_tabs(staffed: Stack) -> None:
    kind = f"k{uuid4().hex}"
    task = staffed.submit("evil\n\x1b[2J\ttab \u202e", "--kind", kind)
    staffed.run("task", "result", task, "--wait")
    until_listed(staffed, task, "completed")
    ran = staffed.run("task", "list", "--kind", kind)
    (line,) = ran.lines
    fields = line.split("\t")
    assert fields[:5] == [task, "completed", "backend", "hand", "1"]
    assert fields[7] == "evil \\x1b[2J tab \\u202e"
    assert float(fields[6]) >= 0


def test_filters_and_limits_narrow_a_list(stack: Stack) -> None:
    mark = uuid4().hex
    tasks = [
        stack.run("task", "submit", "nobody", f"t{n}", "--label", f"m={mark}", "--requester", f"r{n}").out.strip()
        for n in range(5)
    ]
    until_listed(stack, tasks[-1], "submitted")
    listed = ("task", "list", "--label", f"m={mark}")
    assert [line.split("\t")[0] for line in stack.run(*listed).lines] == tasks[::-1]
    assert len(stack.run(*listed, "--limit", "2").lines) == 2
    assert len(stack.run(*listed, "--limit", "2", "--all").lines) == 5
    assert [item["task"] for item in stack.run(*listed, "--requester", "r3", "--json").json["items"]] == [tasks[3]]
    assert stack.run(*listed, "--state", "completed", "--state", "failed").lines == []
    assert stack.run(*listed, "--search", "T4").lines[0].startswith(tasks[4])
    assert len(stack.run(*listed, "--since", "1h").lines) == 5
    assert stack.run(*listed, "--since", "0s").lines == []


def test_show_tells_everything(staffed: Stack) -> None:
    task = staffed.submit("fail", "\u202e中文🎉", "--label", "a=1", "--requester", "alice")
    staffed.run("task", "result", task, "--wait")
    ran = staffed.run("task", "show", task)
    assert ran.code == 0
    for text in (
        task,
        "failed",
        "fail \\u202e中文🎉",
        "alice",
        "a=1",
        "hand",
        "no \\x1b[31mluck",
        "submitted",
        "routed",
    ):
        assert text in ran.out, text
    assert "\x1b" not in ran.out and "\u202e" not in ran.out


def test_show_says_what_a_task_waits_for(stack: Stack) -> None:
    task = stack.run("task", "submit", "nobody", "x").out.strip()
    assert re.search(r"waits +no live worker for role nobody", stack.run("task", "show", task).out)


def test_an_id_may_be_abbreviated(stack: Stack) -> None:
    task = stack.run("task", "submit", "nobody", "x").out.strip()
    until_listed(stack, task, "submitted")
    for part in (task[-12:], task[-8:].upper(), task[:-2], f"…{task[-12:]}", task.replace("-", "")):
        assert stack.run("task", "show", part, "--json").json["task"] == task


@pytest.mark.parametrize("bad", ["x", "12345", "ffffffffffff", "not-a-uuid", UNKNOWN, "../../etc", "a\x00b", "*", "-"])
@pytest.mark.parametrize("verb", ["show", "result", "output", "cancel", "retry", "watch"])
def test_an_id_that_is_none_or_unknown_is_exit_code_2(stack: Stack, verb: str, bad: str) -> None:
    ran = stack.run("task", verb, "--", bad)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Error: ") and ran.err.count("\n") == 1


# ------------------------------------------------------------------------------------------ cancel, retry, output


def test_cancel_stops_and_retry_starts_again(stack: Stack) -> None:
    task = stack.run("task", "submit", "nobody", "x").out.strip()
    assert stack.run("task", "cancel", task, "--reason", "no longer \x1b needed").out == f"{task}\tcanceled\n"
    ran = stack.run("task", "result", task)
    assert ran.code == 1
    assert "was canceled: no longer \\x1b needed" in ran.err
    assert stack.run("task", "retry", task).out == f"{task}\tsubmitted\n"


def test_one_that_is_refused_does_not_keep_the_others(stack: Stack) -> None:
    tasks = [stack.run("task", "submit", "nobody", "x").out.strip() for _ in range(2)]
    ran = stack.run("task", "cancel", tasks[0], UNKNOWN, tasks[1], "--json")
    assert ran.code == 2
    assert [json.loads(line)["state"] for line in ran.lines] == ["canceled", "canceled"]
    assert UNKNOWN in ran.err


def test_output_is_every_byte_that_was_printed(staffed: Stack) -> None:
    task = staffed.submit("print")
    staffed.run("task", "result", task, "--wait")
    assert staffed.run("task", "output", task).raw == b"to out \x1b[31m1\x1b[0m\nto err\n"
    assert staffed.run("task", "output", task, "--stream", "stderr").raw == b"to err\n"
    assert staffed.run("task", "output", task, "--follow", "--attempt", "2").raw == b""
    pieces = [json.loads(line) for line in staffed.run("task", "output", task, "--follow", "--json").lines]
    assert [piece["stream"] for piece in pieces] == ["stdout", "stderr"]


def test_follow_prints_as_the_command_would_have(staffed: Stack) -> None:
    ran = staffed.run("task", "submit", "backend", "print", "--follow")
    assert (ran.code, ran.out, ran.err) == (0, "to out \x1b[31m1\x1b[0m\n", "to err\n")
    assert staffed.run("task", "submit", "backend", "silent", "--follow").out == "done: silent"
    assert staffed.run("task", "submit", "backend", "fail print", "--follow").code == 1


# ------------------------------------------------------------------------------------------ watch


def test_watch_prints_each_event_until_all_are_over(staffed: Stack) -> None:
    tasks = [staffed.submit("a"), staffed.submit("b")]
    ran = staffed.run("task", "watch", *tasks)
    assert ran.code == 0
    seen = {tuple(line.split("\t")[1:3]) for line in ran.lines}
    assert seen >= {(task, kind) for task in tasks for kind in ("submitted", "routed", "started", "completed")}
    assert staffed.run("task", "watch", tasks[0], staffed.submit("fail")).code == 1


def test_watch_as_json_is_the_log(staffed: Stack) -> None:
    task = staffed.submit("a")
    events = [json.loads(line) for line in staffed.run("task", "watch", task, "--json").lines]
    assert events[-1]["type"] == "cca.task.completed.v1"
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})


def test_watch_follows_a_task_that_was_tried_again_to_its_last_end(staffed: Stack) -> None:
    task = staffed.submit("fail")
    staffed.run("task", "result", task, "--wait")
    staffed.run("task", "retry", task)
    kinds = [line.split("\t")[2] for line in staffed.run("task", "watch", task).lines]
    assert kinds.count("failed") == 2


def test_without_an_id_watch_counts_the_tasks_of_each_role(staffed: Stack) -> None:
    task = staffed.submit("a")
    staffed.run("task", "result", task, "--wait")
    until_listed(staffed, task, "completed")
    lines = [line.split("\t") for line in staffed.run("task", "watch").lines]
    assert any(line[0] == "backend" and line[2] == "completed" and int(line[3]) > 0 for line in lines)


def test_ctrl_c_is_exit_code_130_and_no_traceback(staffed: Stack) -> None:
    task = staffed.submit("hold")
    until_state(staffed, task, "working")
    with staffed.start("task", "watch", task) as process:
        assert process.stdout and process.stderr
        assert "submitted" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read().strip() == ""
    staffed.run("task", "cancel", task)


def test_a_reader_that_has_seen_enough_is_no_error(staffed: Stack) -> None:
    for _ in range(3):
        staffed.submit("x")
    pipeline = subprocess.run(
        [
            "sh",
            "-c",
            '"$0" -m cca.cli.main task list --all --json | head -c 1',
            staffed.start.__globals__["sys"].executable,
        ],
        env=staffed.environment,
        capture_output=True,
        timeout=60,
    )
    assert (pipeline.stdout, pipeline.stderr) == (b"{", b"")
