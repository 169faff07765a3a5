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
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import Struct

from cca.cli.main import main
from cca.stack import binaries

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
    up = ["up", "--detach", "--http-port", "0", "--nats-port", "0"]
    started = subprocess.run([*COMMAND, *up], env=environment, capture_output=True, text=True, timeout=120)
    assert started.returncode == 0, started.stderr
    try:
        yield Stack(directory, environment)
    finally:
        subprocess.run([*COMMAND, "down"], env=environment, capture_output=True, timeout=120)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _worker(_stack: Stack) -> Iterator[None]:
    exports = subprocess.run([*COMMAND, "env", "--json"], env=_stack.environment, capture_output=True, check=True)
    found = json.loads(exports.stdout)
    variables = _stack.environment | {"CCA_NATS_URL": found["nats"], "CCA_API_KEY": found["api_key"]}
    log = (_stack.directory / "worker.log").open("wb")
    process = subprocess.Popen([sys.executable, "-c", WORKER], env=variables, stdout=log, stderr=log)
    try:
        roster = [*COMMAND, "agent", "list", "--json"]
        while b'"hand"' not in subprocess.run(roster, env=variables, capture_output=True, timeout=60).stdout:
            assert process.poll() is None, (_stack.directory / "worker.log").read_text()
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
