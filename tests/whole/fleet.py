"""The services as processes on a real nats-server and PostgreSQL, to be killed one by one."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from cca import keys
from cca.config import NatsSettings, PostgresSettings
from cca.contracts.agent import Agents, ListAgents
from cca.contracts.task import (
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRejected,
    TaskStarted,
    TaskSubmitted,
)
from cca.errors import CcaError
from cca.message import Event
from cca.nats import subjects
from cca.nats.bus import connect
from cca.nats.frames import recorded
from cca.nats.log import JetStreamLog
from cca.stack.nats_server import free_port
from cca.testing.servers import NatsServer

TERMINAL = (TaskCompleted, TaskFailed, TaskCanceled, TaskRejected)
PATIENCE_S = 30.0

WORKER = """
import asyncio, sys
from cca import Worker

async def handle(task):
    await asyncio.sleep(0.02)
    return {"echo": task.description, "attempt": task.attempt}

asyncio.run(Worker(sys.argv[1], handle, concurrency=int(sys.argv[2]), name=sys.argv[3]).run())
"""


class Fleet:
    """Starts services and workers with settings of their own; `kill` is SIGKILL. Their logs are kept apart."""

    def __init__(self, server: NatsServer, postgres: PostgresSettings | None = None) -> None:
        self.nats, self.admin, self.postgres = server.settings, server.admin, postgres
        self.directory = Path(tempfile.mkdtemp(prefix="cca-fleet-"))
        self.http_port = free_port()
        self.http = f"http://127.0.0.1:{self.http_port}"
        pepper = keys.new_pepper()
        self.key, stored = keys.new_key(pepper, name="test")
        self._pepper, self._keys_file = pepper, self.directory / "keys.json"
        keys.save(self._keys_file, (stored,))
        self.more: dict[str, str] = {}
        """Further settings of what is started from now on."""
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def environment(self) -> dict[str, str]:
        settings = {
            "CCA_NATS_URL": self.nats.url,
            "CCA_NATS_USER": self.nats.user or "",
            "CCA_NATS_PASSWORD": self.nats.password or "",
            "CCA_HTTP_PORT": str(self.http_port),
            "CCA_HTTP_KEYS_FILE": str(self._keys_file),
            "CCA_HTTP_PEPPER": self._pepper,
            "CCA_HTTP_URL": self.http,
            "CCA_API_KEY": self.key,
        }
        if self.postgres is not None:
            settings |= {"CCA_POSTGRES_URL": self.postgres.url, "CCA_POSTGRES_PASSWORD": self.postgres.password or ""}
        mine = {name: value for name, value in os.environ.items() if not name.startswith("CCA_")}
        return mine | settings | self.more

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def start(self, name: str, *command: str) -> None:
        """Start a process under a name; a service's name is its module."""
        command = command or ("-m", name)
        with (self.directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, *command], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    async def start_service(self, name: str) -> None:
        """Start a service and wait until it answers."""
        self.start(name)
        await self.ready(name)

    async def ready(self, name: str) -> None:
        """Wait until a service answers `$SRV.PING.<name>`."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                async with connect(self.nats, "fleet") as bus:
                    await bus.request(f"$SRV.PING.{name}", b"", timeout=1)
                    return
            except CcaError:
                if time.monotonic() > deadline or self._running[name].poll() is not None:
                    raise RuntimeError(f"{name} is not ready:\n{self.log(name)[-3000:]}") from None
                await asyncio.sleep(0.05)

    def start_worker(self, role: str, concurrency: int = 16, name: str = "worker-1") -> None:
        """Start a worker whose handler takes 20 ms."""
        self.start(name, "-c", WORKER, role, str(concurrency), name)

    async def joined(self, name: str = "worker-1") -> None:
        """Wait until a worker is in the router's roster."""
        async with connect(self.nats, "fleet") as bus:
            while True:
                roster = await bus.ask(subjects.RPC_AGENTS, ListAgents(), Agents)
                if any(agent.agent == name for agent in roster.agents):
                    return
                await asyncio.sleep(0.02)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self, name: str, patience_s: float = PATIENCE_S) -> int:
        """SIGTERM; the exit code."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(patience_s)

    def run(self, *command: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run a `cca` command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cca.cli.main", *command],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def history(settings: NatsSettings) -> dict[str, list[Event]]:
    """Every task's events, as the log has them."""
    found: dict[str, list[Event]] = {}
    async with connect(settings, "history") as bus:
        async for raw in JetStreamLog(bus).scan("cca.events.task.>"):
            one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
            found.setdefault(raw.subject.rpartition(".")[2], []).append(one.event)
    return found


def assert_each_ended_once(events: dict[str, list[Event]], accepted: set[str]) -> Counter[str]:
    """Every accepted task is in the log, was submitted once and has exactly one end. How often each was started."""
    assert accepted <= set(events), f"{len(accepted - set(events))} accepted tasks are not in the log"
    starts: Counter[str] = Counter()
    for task in accepted:
        kinds = [type(event) for event in events[task]]
        assert kinds.count(TaskSubmitted) == 1, (task, kinds)
        assert sum(issubclass(kind, TERMINAL) for kind in kinds) == 1, (task, kinds)
        assert issubclass(kinds[-1], TERMINAL), (task, kinds)
        attempts = [event.attempt for event in events[task] if isinstance(event, TaskStarted)]
        assert attempts == sorted(set(attempts)), (task, attempts)
        starts[task] = len(attempts)
    return starts
