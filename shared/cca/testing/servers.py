"""Real servers for tests: a nats-server and a PostgreSQL in temporary directories, on free ports, easily killed.

They end with the process that started them, however it ends.
"""

import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from cca.config import NatsSettings, PostgresSettings
from cca.stack import nats_server, postgres_server
from cca.stack.program import Program

_PATIENCE_S = 30.0


class Running:
    """A server process; a context manager that stops it and removes its files."""

    def __init__(self, prefix: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=prefix))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has printed since it was made."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def _start(self, program: Program, ready: Callable[[int], bool]) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                program.command(),
                env=dict(program.env),
                cwd=program.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _PATIENCE_S
        while not ready(self._process.pid):
            if self._process.poll() is not None:
                raise RuntimeError(f"{program.name} ended with {self._process.returncode}:\n{self.log[-2000:]}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{program.name} is not ready after {_PATIENCE_S:g} s:\n{self.log[-2000:]}")
            time.sleep(0.005)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL. Its files stay."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NatsServer(Running):
    """A nats-server with JetStream and users, as `cca up` runs it; it keeps its port and files over `kill`.

    Attributes:
        settings: how to connect, as the user `service`.
        admin: how to connect as people and agents do.
    """

    def __init__(self, durability: str = "always", monitor: bool = False) -> None:
        super().__init__("cca-nats-")
        users = [nats_server.User(name, secrets.token_urlsafe(24)) for name in ("service", "admin")]
        self.server = nats_server.NatsServer(
            directory=self.directory,
            port=nats_server.free_port(),
            monitor_port=nats_server.free_port() if monitor else 0,
            users=users,
            durability=durability,
        )
        self.settings, self.admin = (
            NatsSettings(url=self.server.url, user=user.name, password=user.password) for user in users
        )

    def start(self) -> Self:
        """Start it, again if need be, and wait until it takes connections."""
        self._start(self.server.prepare(), lambda _: self.server.answers())
        return self


class PostgresServer(Running):
    """A PostgreSQL with pgvector that does not sync to disk."""

    def __init__(self, durable: bool = False) -> None:
        super().__init__("cca-pg-")
        self.server = postgres_server.PostgresServer(
            directory=self.directory / "postgres",
            socket_directory=postgres_server.socket_directory_in(self.directory / "run"),
            password=secrets.token_urlsafe(24),
            superuser_password=secrets.token_urlsafe(24),
            durable=durable,
        )

    def start(self) -> Self:
        """Start it, again if need be, and wait until it takes connections."""
        self._start(self.server.prepare(), self.server.answers)
        return self

    def settings(self, database: str = postgres_server.DATABASE) -> PostgresSettings:
        """How to connect to one of its databases as the role `cca`."""
        return PostgresSettings(url=self.server.url_of(postgres_server.USER, database), password=self.server.password)

    def superuser(self, database: str = "postgres") -> PostgresSettings:
        """How to connect as the superuser."""
        return PostgresSettings(
            url=self.server.url_of(postgres_server.SUPERUSER, database), password=self.server.superuser_password
        )
