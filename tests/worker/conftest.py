"""A real router beside the real NATS of each test: in the test's own event loop, or as a process to be killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cca.client import Client
from cca.config import NatsSettings, Settings
from cca.errors import Busy
from cca.nats import setup
from cca.nats.bus import connect
from cca.nats.micro import Service
from cca.testing.servers import NatsServer
from cca_router.__main__ import start


def environment(access: NatsSettings) -> dict[str, str]:
    """The environment of a process that is to use a server."""
    ours = {"CCA_NATS_URL": access.url, "CCA_NATS_USER": access.user, "CCA_NATS_PASSWORD": access.password}
    return os.environ | {name: value for name, value in ours.items() if value is not None}


class RouterProcess:
    """`python -m cca_router`, to be killed and started again."""

    def __init__(self, access: NatsSettings) -> None:
        self._access = access
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen([sys.executable, "-m", "cca_router"], env=environment(self._access))
        async with connect(self._access, "test") as bus:
            while True:
                assert self._process.poll() is None, "the router ended by itself"
                try:
                    await bus.request("$SRV.PING.cca_router", b"", timeout=1.0)
                    return
                except Busy:
                    await asyncio.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None


@pytest.fixture
async def router(nats: NatsSettings) -> AsyncIterator[None]:
    """A router on the shared server, in this event loop."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(connect(nats, "cca_router"))
        await setup.ensure(bus, 1)
        service = Service(bus, "cca_router", "The life of a task.")
        stack.push_async_callback(service.stop)
        await start(Settings(nats=nats), service, bus, stack)
        await service.start()
        await bus.flush()
        yield


@pytest.fixture
def access(monkeypatch: pytest.MonkeyPatch, shared_nats: NatsServer) -> NatsSettings:
    """What people and agents have, the URL and the API key; they are in the environment."""
    monkeypatch.setenv("CCA_NATS_URL", shared_nats.admin.url)
    monkeypatch.setenv("CCA_API_KEY", shared_nats.admin.password or "")
    return shared_nats.admin


@pytest.fixture
async def client(router: None, access: NatsSettings) -> AsyncIterator[Client]:
    """A client of a system that has a router."""
    async with Client.connect() as one:
        yield one


@pytest.fixture
def own_access(monkeypatch: pytest.MonkeyPatch, nats_server: NatsServer) -> NatsSettings:
    """The same for the test's own server, which may be killed."""
    monkeypatch.setenv("CCA_NATS_URL", nats_server.admin.url)
    monkeypatch.setenv("CCA_API_KEY", nats_server.admin.password or "")
    return nats_server.admin


@pytest.fixture
async def own_router(nats_server: NatsServer, own_access: NatsSettings) -> AsyncIterator[RouterProcess]:
    """A router as a process, on the test's own server."""
    one = RouterProcess(nats_server.settings)
    await one.start()
    yield one
    one.end(signal.SIGKILL)


class WorkerProcess:
    """`cca agent worker …` as a process; what it prints is in files."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._out, self._err = directory / "stdout", directory / "stderr"
        command = [sys.executable, "-m", "cca.cli.main", "agent", "worker", *arguments]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    async def end(self, number: int) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return await self.ended()

    async def ended(self) -> int:
        """The exit code, once it has ended."""
        return await asyncio.to_thread(self.process.wait, 40)

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers, which end with the test and must not have left a traceback."""
    started: list[WorkerProcess] = []

    def start(*arguments: str) -> WorkerProcess:
        directory = tmp_path / f"worker-{len(started)}"
        directory.mkdir()
        started.append(WorkerProcess(directory, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        assert "Traceback" not in one.stderr
