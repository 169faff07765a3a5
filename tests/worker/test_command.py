"""Commands: what they are told, what becomes of what they print and of how they end, and how they are ended."""

import asyncio
import json
import os
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cca import Client, Worker
from cca.contracts.task import TaskEvent, TaskView
from cca.contracts.work import DoTask
from cca.errors import Misconfigured
from cca.work.command import KEPT, Command, ResultFormat, environment
from cca.worker import Fail, Task

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands need process groups")

PYTHON = shlex.quote(sys.executable)


def script(text: str) -> str:
    """A command line that runs a piece of Python."""
    return f"{PYTHON} -c {shlex.quote(text)}"


@asynccontextmanager
async def commanded(line: str, result: ResultFormat = "auto", **options: Any) -> AsyncIterator[Worker]:
    """A worker that runs a command."""
    command = Command(line, result)
    try:
        async with Worker("backend", command, **options) as worker:
            yield worker
    finally:
        command.close()


async def outcome(
    client: Client, line: str, description: str = "work", result: ResultFormat = "auto", **fields: Any
) -> TaskView:
    async with commanded(line, result):
        return await client.run("backend", description, **({"wait_s": 30, "max_attempts": 1} | fields))


async def output(client: Client, task: str, stream: str) -> bytes:
    return b"".join([chunk async for chunk in client.output(task) if chunk.stream == stream])


async def until_there(path: Path) -> str:
    """What a file holds once it is written."""
    async with asyncio.timeout(20):
        while not path.exists() or not path.read_text().endswith("\n"):
            await asyncio.sleep(0.01)
    return path.read_text()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ------------------------------------------------------------------------------------------ what it is told


async def test_a_command_reads_the_task_on_standard_input(client: Client) -> None:
    view = await outcome(
        client, "cat", "say it", input={"n": 1}, context="ctx", labels={"a": "b"}, kind="review", requester="me"
    )
    assert view.result == {
        "attempt": 1, "task": view.task, "route": 1, "role": "backend", "lane": "default", "description": "say it",
        "input": {"n": 1}, "context": "ctx", "priority": "normal", "kind": "review", "requester": "me",
        "labels": {"a": "b"}, "max_attempts": 1, "timeout_s": None, "original": None, "memories": [],
    }  # fmt: skip


@pytest.mark.covers("H10")
@pytest.mark.parametrize(
    "text",
    ["--version", "-", "--", "; rm -rf /", "$(touch pwned)", "`id`", "a\nb", "{}", "'\"\\", "* ?", "%s", "\x1b[2J"],
)
async def test_text_of_a_task_is_data_and_never_an_argument(client: Client, text: str, tmp_path: Path) -> None:
    told = script("import os, sys; print(sys.argv[1:], os.environ['CCA_TASK_DESCRIPTION'], sep='|', end='')")
    view = await outcome(client, f"{told} -- {{}}", text, result="text")
    assert view.result == f"['--', '{{}}']|{text}".rstrip("\n")
    assert not Path("pwned").exists()


async def test_a_command_knows_its_task_and_not_the_credentials_of_its_worker(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CCA_HTTP_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CCA_NATS_PASSWORD", "secret-password")
    monkeypatch.setenv("NATS_PASSWORD", "secret-password")
    monkeypatch.setenv("MY_OWN_KEY", "mine")
    monkeypatch.setenv("CCA_NATS_USER", os.environ.get("CCA_NATS_USER", "admin"))
    monkeypatch.setenv("CCA_NATS_PASSWORD", os.environ["CCA_API_KEY"])
    view = await outcome(client, script("import os, json; print(json.dumps(dict(os.environ)))"))
    env = view.result
    ours = {name: env[name] for name in env if name.startswith(("CCA_", "NATS_"))}
    assert ours == {
        "CCA_TASK_ID": view.task, "CCA_TASK_ATTEMPT": "1", "CCA_TASK_ROLE": "backend",
        "CCA_TASK_DESCRIPTION": "work", "CCA_HTTP_URL": "http://127.0.0.1:1",
    }  # fmt: skip
    assert env["MY_OWN_KEY"] == "mine" and env["TRACEPARENT"].startswith("00-")
    assert os.environ["CCA_API_KEY"] not in json.dumps(env)


async def test_a_description_that_is_too_long_for_a_variable_is_on_standard_input_alone(client: Client) -> None:
    line = script(
        "import os, sys, json; task = json.load(sys.stdin); "
        "print(json.dumps([len(task['description']), os.environ.get('CCA_TASK_DESCRIPTION_OMITTED')]))"
    )
    view = await outcome(client, line, "字" * 100_000)
    assert view.result[0] == 100_000 and "standard input" in view.result[1]


def test_a_description_that_no_variable_can_hold_is_refused() -> None:
    work = DoTask("01890a5d-ac96-774b-bcce-b302099a8057", 1, "backend", "default", "a\x00b")
    with pytest.raises(Fail, match="NUL") as caught:
        environment(Task(work, 1, lambda: pytest.fail("said something"), dict, KEPT), {})
    assert (caught.value.kind, caught.value.retryable) == ("rejected", False)


# ------------------------------------------------------------------------------------------ what it prints


@pytest.mark.parametrize(
    ("printed", "result", "expected"),
    [
        ('{"a": 1}\n', "auto", {"a": 1}),
        ("[1, 2]", "auto", [1, 2]),
        ("12", "auto", "12"),
        ("true\n", "auto", "true"),
        ('{"a": NaN}', "auto", '{"a": NaN}'),
        ('{"a": 1} trailing', "auto", '{"a": 1} trailing'),
        ("", "auto", ""),
        ('{"a": 1}\n', "text", '{"a": 1}'),
        ("12", "json", 12),
        ("null", "json", None),
        ("two\nlines\n\n", "auto", "two\nlines"),
    ],
)
async def test_what_is_printed_is_the_result(
    client: Client, printed: str, result: ResultFormat, expected: object
) -> None:
    view = await outcome(client, script(f"print({printed!r}, end='')"), result=result)
    assert (view.state, view.result) == ("completed", expected)


@pytest.mark.parametrize("printed", ["", "no json", "{", '{"a": NaN}'])
async def test_where_json_is_promised_anything_else_is_rejected(client: Client, printed: str) -> None:
    view = await outcome(client, script(f"print({printed!r}, end='')"), result="json")
    assert view.state == "failed" and view.failure is not None
    assert view.failure.kind == "rejected" and "not JSON" in view.failure.message


@pytest.mark.covers("NEW-SEC-002")
async def test_output_of_every_script_is_verbatim_on_its_subject_and_readable_in_the_result(
    client: Client, tmp_path: Path
) -> None:
    raw = "漢字 👩‍👩‍👧 e\u0301 ".encode() * 2_000 + b"\xff\xfe\x80 cut in the middle: " + "字".encode()[:2]
    (tmp_path / "raw").write_bytes(raw)
    view = await outcome(client, f"cat {tmp_path / 'raw'}")
    assert view.result == raw.decode("utf-8", "replace")
    assert await output(client, view.task, "stdout") == raw


async def test_output_is_streamed_while_the_command_runs(client: Client, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    line = script(
        f"import os, time; print('early', flush=True)\nwhile not os.path.exists({str(gate)!r}): time.sleep(.01)"
    )
    async with commanded(line):
        task = await client.submit("backend", "x")
        async with asyncio.timeout(20):
            async with aclosing(task.output()) as chunks:
                async for chunk in chunks:
                    assert chunk.startswith(b"early") and (chunk.attempt, chunk.stream) == (1, "stdout")
                    break
        assert (await task.get()).state == "working"
        gate.touch()
        assert await task.result(20) == "early"


async def test_more_than_the_result_can_hold_is_cut_with_a_note_and_whole_on_its_subject(client: Client) -> None:
    size = 3 * KEPT
    view = await outcome(client, script(f"import sys; sys.stdout.write('é\\x01' * {size // 3})"))
    assert view.state == "completed"
    assert f"[cut: {size} bytes in all" in view.result[-200:] and view.result.startswith("é\x01é\x01")
    assert len(await output(client, view.task, "stdout")) == size


async def test_a_json_result_is_never_cut(client: Client) -> None:
    view = await outcome(client, script(f"print('[' + '1,' * {KEPT} + '1]')"), result="json")
    assert view.state == "failed" and view.failure is not None and "too large" in view.failure.message


# ------------------------------------------------------------------------------------------ how it ends


@pytest.mark.parametrize(("code", "retryable"), [(1, True), (65, False), (75, True), (255, True)])
async def test_an_exit_code_is_a_failure_with_the_end_of_standard_error(
    client: Client, code: int, retryable: bool
) -> None:
    view = await outcome(client, script(f"import sys; print('why: 字' * 5000, file=sys.stderr); sys.exit({code})"))
    assert view.state == "failed" and view.failure is not None
    assert (view.failure.kind, view.failure.exit_code, view.failure.retryable) == ("error", code, retryable)
    assert view.failure.detail.endswith("why: 字\n") and len(view.failure.detail) <= 8 * 1024
    assert f"ended with exit code {code}" in view.failure.message


async def test_a_command_that_is_killed_or_cannot_start_says_so(client: Client) -> None:
    killed = await outcome(client, "sh -c 'kill -9 $$'")
    missing = await outcome(client, "/nonexistent/command")
    assert killed.failure is not None and killed.failure.message == "sh was killed by SIGKILL"
    assert missing.failure is not None and "cannot start /nonexistent/command: No such file" in missing.failure.message


@pytest.mark.parametrize("line", ["", "   ", "echo 'open"])
def test_a_command_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(Misconfigured):
        Command(line)


FAMILY = """
import os, sys, time
{ignore}
child = os.fork()
if child == 0:
    time.sleep(600)
with open({path!r}, "w") as file:
    print(os.getpid(), child, file=file)
time.sleep(600)
"""


def family(path: Path, stubborn: bool = False) -> str:
    """A command with a child of its own; it writes both process ids into a file, and sleeps."""
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" if stubborn else ""
    return script(FAMILY.format(path=str(path), ignore=ignore))


@pytest.mark.covers("H4")
@pytest.mark.parametrize("stubborn", [False, True])
async def test_cancel_ends_the_whole_process_group(client: Client, tmp_path: Path, stubborn: bool) -> None:
    async with commanded(family(tmp_path / "pids", stubborn)) as worker:
        task = await client.submit("backend", "x")
        pids = [int(pid) for pid in (await until_there(tmp_path / "pids")).split()]
        assert all(map(is_alive, pids))
        begun = time.monotonic()
        assert (await task.cancel()).state == "canceled"
        async with asyncio.timeout(20):
            while any(map(is_alive, pids)):
                await asyncio.sleep(0.01)
        assert stubborn or time.monotonic() - begun < 2
        async with asyncio.timeout(20):
            while worker.running or not worker.counts.refused:  # its message is settled, and its slot is free
                await asyncio.sleep(0.01)


async def test_a_command_that_takes_too_long_is_ended(client: Client, tmp_path: Path) -> None:
    view = await outcome(client, family(tmp_path / "pids"), timeout_s=1.0)
    assert view.failure is not None and view.failure.kind == "timeout"
    pids = [int(pid) for pid in (await until_there(tmp_path / "pids")).split()]
    assert not any(map(is_alive, pids))


async def test_what_a_command_leaves_running_ends_with_it(client: Client, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    view = await outcome(client, f"sh -c {shlex.quote(f'sleep 600 & echo $! > {pids}; echo done')}")
    assert view.result == "done"
    assert not is_alive(int(pids.read_text()))


# ------------------------------------------------------------------------------------------ one path for both


def _record(event: Any) -> dict[str, Any]:
    """An event without what differs from task to task."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    for name in ("task", "agent", "work", "seed", "duration_s", "fingerprint", "candidates", "propensity", "retry_at"):
        fields.pop(name, None)
    return {"type": type(event).__name__} | fields


@pytest.mark.covers("NEW-STAB-001")
@pytest.mark.parametrize(
    ("line", "raises"),
    [
        ("echo fine", None),
        (script("import sys; print('x', file=sys.stderr); sys.exit(65)"), Fail("", retryable=False, exit_code=65)),
        ("/nonexistent/command", Fail("")),
        ("sleep 600", "timeout"),
    ],
    ids=["success", "exec failure", "spawn failure", "timeout"],
)
async def test_a_command_and_a_function_leave_the_same_records(client: Client, line: str, raises: Any) -> None:
    async def function(task: Task) -> str:
        if raises == "timeout":
            await asyncio.sleep(600)
        elif raises is not None:
            raise Fail(str(said.message), retryable=said.retryable, exit_code=said.exit_code, detail=said.detail)
        return "fine"

    fields: dict[str, Any] = {"max_attempts": 1, "timeout_s": 0.5 if raises == "timeout" else None, "wait_s": 30}
    by_command = await outcome(client, line, **fields)
    said = by_command.failure or Fail("")
    async with Worker("backend", function):
        by_function = await client.run("backend", "work", **fields)
    records: list[list[dict[str, Any]]] = []
    for view in (by_command, by_function):
        events: list[TaskEvent | Any] = [one.event async for one in client.events(view.task)]
        records.append([_record(event) for event in events])
    assert records[0] == records[1]
    assert len(records[0]) == 4
