"""`cca agent worker` as a process: signals, kills, and servers that come and go."""

import asyncio
import json
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cca import Client, Worker
from cca.config import NatsSettings
from cca.contracts.agent import Agents, ListAgents
from cca.contracts.task import TaskAttemptFailed, TaskStarted
from cca.nats import streams, subjects
from cca.testing.servers import NatsServer
from cca.worker import Task

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")

Start = Callable[..., Any]
"""Starts `cca agent worker` with these arguments."""

PYTHON = shlex.quote(sys.executable)
SLEEPER = """
import os, sys, time
child = os.fork()
if child == 0:
    time.sleep(600)
with open(os.environ["PIDS"], "w") as file:
    print(os.getpid(), child, file=file)
time.sleep(600)
"""
GATED = """
import os, time
open(os.environ["STARTED"], "w").close()
while not os.path.exists(os.environ["GATE"]):
    time.sleep(0.01)
print("finished")
"""


def script(text: str) -> str:
    return f"{PYTHON} -c {shlex.quote(text)}"


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def there(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.01)


async def agents(client: Client, count: int) -> None:
    """Wait until so many workers are there."""
    async with asyncio.timeout(20):
        while len((await client.bus.ask(subjects.RPC_AGENTS, ListAgents(), Agents)).agents) != count:
            await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------ stopping


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a gated command waits for; `<gate>.started` says that it does."""
    path = tmp_path / "gate"
    monkeypatch.setenv("STARTED", f"{path}.started")
    monkeypatch.setenv("GATE", str(path))
    return path


@pytest.mark.covers("STAB-005")
async def test_sigterm_lets_the_running_task_finish_and_ends_with_0(client: Client, work: Start, gate: Path) -> None:
    worker = work("backend", "--exec", script(GATED), "--json")
    task = await client.submit("backend", "x")
    await there(Path(f"{gate}.started"))
    ending = asyncio.create_task(worker.end(signal.SIGTERM))
    await asyncio.wait({ending}, timeout=0.3)
    later = await client.submit("backend", "later")
    gate.touch()
    assert await ending == 0
    assert (await task.get()).result == "finished"
    assert (await later.get()).attempt == 0  # no new work
    await agents(client, 0)
    said = [json.loads(line) for line in worker.stdout.splitlines()]
    assert [line["event"] for line in said] == ["joined", "settled", "left"]
    assert said[-1] == {"event": "left", "done": 1, "failed": 0, "refused": 0}


@pytest.mark.covers("STAB-005")
@pytest.mark.parametrize("impatient", [False, True], ids=["grace is over", "second signal"])
async def test_a_task_that_does_not_end_in_time_resumes_on_another_worker_at_once(
    client: Client, work: Start, gate: Path, impatient: bool
) -> None:
    worker = work("backend", "--exec", script(GATED), "--grace", "600s" if impatient else "0.2s")
    task = await client.submit("backend", "x")
    await there(Path(f"{gate}.started"))

    async def handle(task: Task) -> str:
        return f"attempt {task.attempt}"

    async with Worker("backend", handle):
        worker.process.send_signal(signal.SIGTERM)
        if impatient:
            async with asyncio.timeout(20):
                while "asked to stop" not in worker.stderr:
                    await asyncio.sleep(0.01)
            worker.process.send_signal(signal.SIGTERM)
        assert await task.result(10) == "attempt 2"
        assert await worker.ended() == 0
    events = [one.event async for one in task.events()]
    (lost,) = [event for event in events if isinstance(event, TaskAttemptFailed)]
    assert (lost.failure.kind, lost.failure.message) == ("lost", "the worker was stopped before the attempt had ended")


async def test_an_idle_worker_ends_at_once(client: Client, work: Start) -> None:
    worker = work("backend", "--exec", "true")
    await agents(client, 1)
    assert await worker.end(signal.SIGINT) == 0
    await agents(client, 0)


async def test_a_worker_that_waits_for_a_router_can_be_stopped(
    nats: NatsSettings, access: NatsSettings, work: Start
) -> None:
    worker = work("backend", "--exec", "true")
    async with asyncio.timeout(30):
        while "the router does not answer" not in worker.stderr:
            await asyncio.sleep(0.05)
    assert await worker.end(signal.SIGTERM) == 0


# ------------------------------------------------------------------------------------------ kills


@pytest.mark.covers("H6", "H4")
async def test_a_killed_worker_leaves_no_command_behind_and_its_task_goes_to_another(
    client: Client, work: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIDS", str(tmp_path / "pids"))
    worker = work("backend", "--exec", script(SLEEPER))
    task = await client.submit("backend", "x")
    await there(tmp_path / "pids")
    async with asyncio.timeout(20):
        while len(pids := [int(pid) for pid in (tmp_path / "pids").read_text().split()]) != 2:
            await asyncio.sleep(0.01)
    assert await worker.end(signal.SIGKILL) == -signal.SIGKILL

    async def handle(task: Task) -> str:
        return f"attempt {task.attempt}"

    async with Worker("backend", handle):
        async with asyncio.timeout(10):
            while any(map(is_alive, pids)):
                await asyncio.sleep(0.01)
        assert await task.result(streams.ACK_WAIT.total_seconds() + 5) == "attempt 2"
    starts = [one.event async for one in task.events() if isinstance(one.event, TaskStarted)]
    assert [start.delivery for start in starts] == [1, 2]


async def test_a_worker_goes_on_when_nats_was_killed(
    nats_server: NatsServer, own_access: NatsSettings, own_router: Any
) -> None:
    runs: list[str] = []
    gate = asyncio.Event()

    async def handle(task: Task) -> str:
        runs.append(task.description)
        if task.description == "during":
            await gate.wait()
        return task.description

    async with Worker("backend", handle, concurrency=2), Client.connect() as client:
        assert (await client.run("backend", "before", wait_s=20)).result == "before"
        during = await client.submit("backend", "during")
        async with asyncio.timeout(20):
            while "during" not in runs:
                await asyncio.sleep(0.01)
        await asyncio.to_thread(nats_server.kill)
        gate.set()  # its result is ready while nobody can hear it
        await asyncio.to_thread(nats_server.start)
        assert await during.result(40) == "during"
        assert (await client.run("backend", "after", wait_s=40)).result == "after"
    assert runs == ["before", "during", "after"]


async def test_no_result_is_lost_while_the_router_is_away(
    nats_server: NatsServer, own_access: NatsSettings, own_router: Any
) -> None:
    runs: list[str] = []
    gate = asyncio.Event()

    async def handle(task: Task) -> str:
        runs.append(task.description)
        await gate.wait()
        return task.description

    async with Worker("backend", handle, concurrency=20) as worker, Client.connect() as client:
        handles = [await client.submit("backend", str(n)) for n in range(20)]
        async with asyncio.timeout(20):
            while len(runs) < 20:
                await asyncio.sleep(0.01)
        own_router.end(signal.SIGKILL)
        gate.set()
        async with asyncio.timeout(20):
            while worker.running:
                await asyncio.sleep(0.01)
        waiting = asyncio.gather(*(one.result(60) for one in handles))
        await own_router.start()
        assert await waiting == [str(n) for n in range(20)]
    assert len(runs) == 20


# ------------------------------------------------------------------------------------------ the command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either --exec 'CMD …' or --python MODULE:FUNCTION"),
        (("--exec", "true", "--python", "a:b"), "either --exec"),
        (("--exec", "/nonexistent"), "there is no command '/nonexistent'"),
        (("--exec", "echo 'open"), "cannot be read"),
        (("--exec", ""), "empty"),
        (("--python", "nonsense"), "write MODULE:FUNCTION"),
        (("--python", "no_such_module:f"), "No module named 'no_such_module'"),
        (("--python", "json:nothing"), "nothing"),
        (("--python", "json:__name__"), "no function"),
        (("--exec", "true", "--lane", "a.b"), "a lane must be"),
        (("--exec", "true", "--concurrency", "0"), "concurrency"),
    ],
)
async def test_a_worker_that_cannot_be_says_why_in_a_sentence(
    access: NatsSettings, work: Start, arguments: tuple[str, ...], said: str
) -> None:
    worker = work("backend", *arguments)
    assert await worker.ended() == 2
    assert said in worker.stderr and not worker.stdout


async def test_a_python_function_is_found_where_the_command_runs(
    client: Client, work: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_handlers.py").write_text("async def shout(task):\n    return task.description.upper()\n")
    monkeypatch.chdir(tmp_path)
    work("backend", "--python", "my_handlers:shout", "--lane", "loud", "--name", "w-1")
    view = await client.run("backend", "hello", wait_s=20)
    assert (view.result, view.lane, view.agent) == ("HELLO", "loud", "w-1")
