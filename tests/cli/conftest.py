"""The commands against a real stack, started by `cca up` itself, with one worker."""

import contextlib
import json
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import Struct

from cca.cli.main import main
from cca.stack import binaries
from cca.stack.program import Program

COMMAND = (sys.executable, "-m", "cca.cli.main")

WORKER = """
import asyncio, signal
from cca import Worker
from cca.worker import Fail

async def handle(task):
    text = task.description
    if "print" in text:
        await task.output(b"to out \\x1b[31m1\\x1b[0m\\n")
        await task.output(b"to err\\n", "stderr")
    if "hold" in text:
        await task.progress("half \\u202e way", 0.5)
        await asyncio.sleep(600)
    if "nothing" in text:
        return None
    if "fail" in text:
        raise Fail("no \\x1b[31mluck", retryable=False)
    if "json" in text:
        return {"n": 1, "text": "\\u202e\\x1b[2J"}
    return "done: " + text

asyncio.run(Worker("backend", handle, concurrency=16, name="hand").run())
"""


class Ran(Struct, frozen=True):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str
    raw: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(*arguments: str, stdin: bytes = b"") -> Ran:
    """Run a command in this process, into pipes."""
    before = dict(os.environ)  # `main` adds what it finds out about the stack
    with CliRunner().isolation(input=stdin) as (out, err, _):
        code: Any = None
        try:
            main(list(arguments))
        except SystemExit as exit:
            code = exit.code
        finally:
            os.environ.clear()
            os.environ.update(before)
        sys.stdout.flush()
        sys.stderr.flush()
        raw = out.getvalue()
        return Ran(int(code or 0), raw.decode(), err.getvalue().decode(), raw)


class Stack:
    """A running stack."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self.directory, self.environment = directory, environment

    def run(self, *arguments: str, stdin: bytes = b"") -> Ran:
        """Run a command in this process, into pipes; `CCA_DIR` says which stack."""
        return run(*arguments, stdin=stdin)

    def submit(self, *words: str) -> str:
        """Submit a task for the worker; its id."""
        ran = self.run("task", "submit", "backend", *words)
        assert ran.code == 0, ran.err
        return ran.out.strip()

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """A command as a process of its own."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def on_terminal(self, *arguments: str, columns: int = 100, environment: dict[str, str] | None = None) -> str:
        """What a command draws on a terminal of its own."""
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        variables = self.environment | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | (environment or {})
        process = subprocess.Popen([*COMMAND, *arguments], env=variables, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        drawn = b""
        with contextlib.suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 65_536):
                drawn += piece
        os.close(ours)
        process.wait(30)
        return drawn.decode()


@pytest.fixture(scope="session")
def _stack() -> Iterator[Stack]:
    try:
        binaries.nats_server()
    except Exception as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))
    directory = Path(tempfile.mkdtemp(prefix="cca-cli-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CCA_")}
    environment |= {"CCA_DIR": str(directory / ".cca"), "XDG_CONFIG_HOME": str(directory)}
    arguments = ("up", "--json", "--http-port", "0", "--nats-port", "0")
    # As a program of the stack itself: it stops, in good order, when the tests are killed.
    up = Program(name="up", argv=(*COMMAND, *arguments), env=environment, cwd=directory)
    log = directory / "up.log"
    with log.open("wb") as err, subprocess.Popen(up.command(), env=environment, stdout=PIPE, stderr=err) as process:
        assert process.stdout
        assert process.stdout.readline(), log.read_text()  # it is ready
        try:
            yield Stack(directory, environment)
        finally:
            process.terminate()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _worker(_stack: Stack) -> Iterator[None]:
    exports = subprocess.run([*COMMAND, "env", "--json"], env=_stack.environment, capture_output=True, check=True)
    found = json.loads(exports.stdout)
    variables = _stack.environment | {"CCA_NATS_URL": found["nats"], "CCA_API_KEY": found["api_key"]}
    log = (_stack.directory / "worker.log").open("wb")
    worker = Program(name="worker", argv=(sys.executable, "-c", WORKER), env=variables, cwd=_stack.directory)
    process = subprocess.Popen(worker.command(), env=variables, stdout=log, stderr=log)
    try:
        roster, deadline = [*COMMAND, "agent", "list", "--json"], time.monotonic() + 60
        while b'"hand"' not in subprocess.run(roster, env=_stack.environment, capture_output=True).stdout:
            alive = process.poll() is None and time.monotonic() < deadline
            assert alive, (_stack.directory / "worker.log").read_text()
        yield
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.fixture
def stack(_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack without workers, which the commands of this test find."""
    monkeypatch.setenv("CCA_DIR", _stack.environment["CCA_DIR"])
    return _stack


@pytest.fixture
def staffed(stack: Stack, _worker: None) -> Stack:
    """A stack with a worker for role backend."""
    return stack
