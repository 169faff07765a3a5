"""What a stack will run: which servers are ours, on which ports, and what each service is told."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from cca import config
from cca.config import Settings
from cca.errors import Misconfigured
from cca.stack import credentials
from cca.stack.credentials import ADMIN, SERVICE, Credentials
from cca.stack.layout import DEFAULT, Layout, State
from cca.stack.nats_server import NatsServer, User, free_port
from cca.stack.postgres_server import PostgresServer, socket_directory_in
from cca.stack.program import Program
from cca.stack.services import ServiceProcess

DEFAULT_HTTP_PORT = 8580
DEFAULT_NATS_PORT = 4222


class Wish(Struct, frozen=True, kw_only=True):
    """What was asked for. A port of None is the usual one or, when that is taken, a free one; 0 is any free one."""

    directory: Path
    http_port: int | None = None
    nats_port: int | None = None
    durability: str = "always"


class Plan(Struct, frozen=True, kw_only=True):
    """What will run. `nats` and `postgres` are None when servers elsewhere are used.

    `notes` are sentences for whoever started the stack.
    """

    layout: Layout
    settings: Settings
    credentials: Credentials
    environ: Mapping[str, str]
    durability: str
    http_port: int
    nats: NatsServer | None
    postgres: PostgresServer | None
    notes: tuple[str, ...] = ()

    @property
    def http_url(self) -> str:
        return f"http://{self.http_probe_host}:{self.http_port}"

    @property
    def http_probe_host(self) -> str:
        host = self.settings.http.host
        return "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else host

    @property
    def nats_url(self) -> str:
        return self.nats.url if self.nats else self.settings.nats.url

    @property
    def nats_user(self) -> str | None:
        return ADMIN if self.nats else self.settings.nats.user

    @property
    def postgres_url(self) -> str:
        return self.postgres.url if self.postgres else self.settings.postgres.url

    @property
    def external(self) -> tuple[str, ...]:
        """The servers that are not ours."""
        return tuple(n for n, server in (("nats", self.nats), ("postgres", self.postgres)) if server is None)

    def service(self, service: ServiceProcess) -> Program:
        """How to start a service. What it is told holds the names of files with secrets, never a secret of ours."""
        return Program(
            name=service.package,
            argv=(sys.executable, "-m", service.package),
            env=self._service_environment(),
            cwd=self.layout.directory,
        )

    def _service_environment(self) -> dict[str, str]:
        told = {
            "CCA_HTTP_HOST": self.settings.http.host,
            "CCA_HTTP_PORT": str(self.http_port),
            "CCA_HTTP_KEYS_FILE": str(self.credentials.keys_file),
            "CCA_HTTP_PEPPER_FILE": str(self.credentials.file("pepper")),
            "PYTHONUNBUFFERED": "1",
        }
        if not self.settings.context.roots and self.layout.directory.name == DEFAULT:
            # What may be indexed is what one works on: the directory that the stack belongs to.
            told["CCA_CONTEXT_ROOTS"] = str(self.layout.directory.parent)
        ours = ["CCA_DIR", "CCA_HTTP_"]
        if self.nats:
            told |= {
                "CCA_NATS_URL": self.nats.url,
                "CCA_NATS_USER": SERVICE,
                "CCA_NATS_PASSWORD_FILE": str(self.credentials.file("service_password")),
            }
            ours += ["CCA_NATS_", "CCA_API_KEY"]
            if "CCA_LOG_BATCH_FROM" not in self.environ:
                if self.nats.durability == "interval":
                    told["CCA_LOG_BATCH_FROM"] = "0"  # a single publish costs no sync at all (ADR 0003)
                elif self.nats.staging.possible():
                    told["CCA_LOG_BATCH_FROM"] = "3"  # a batch costs one sync, as a single publish does (ADR 0013)
        if self.postgres:
            told |= {
                "CCA_POSTGRES_URL": self.postgres.url,
                "CCA_POSTGRES_PASSWORD_FILE": str(self.credentials.file("postgres_password")),
            }
            ours += ["CCA_POSTGRES_URL", "CCA_POSTGRES_PASSWORD"]
        passed = {name: value for name, value in self.environ.items() if not name.startswith(tuple(ours))}
        file = Path(passed.get("CCA_CONFIG", config.FILE_NAME))
        if file.is_file():
            passed["CCA_CONFIG"] = str(file.absolute())  # a service works in another directory
        return passed | told


def describes_stack(environ: Mapping[str, str]) -> bool:
    """Whether this environment is what `cca env` printed for an embedded stack: then it names no server elsewhere."""
    key = environ.get("CCA_API_KEY")
    if not key:
        return False
    for directory in {environ.get("CCA_DIR", DEFAULT), DEFAULT}:
        try:
            if credentials.read(Layout(Path(directory)).secrets, "admin_key") == key:
                return True
        except Misconfigured:
            continue
    return False


def make(wish: Wish, before: State | None, environ: Mapping[str, str] | None = None) -> Plan:
    """Decide what to run, and make the secrets on first use. `before` is what the stack here was last.

    Raises `Misconfigured` for settings that are wrong and for a port that is wanted and taken.
    """
    environ = dict(os.environ if environ is None else environ)
    if describes_stack(environ):
        for name in ("CCA_NATS_URL", "CCA_NATS_USER", "CCA_HTTP_URL", "CCA_API_KEY"):
            environ.pop(name, None)
    settings, sources = config.load_with_sources(environ)
    layout = Layout(wish.directory)
    secrets = credentials.ensure(layout.secrets)
    notes: list[str] = []
    http_wish = settings.http.port if wish.http_port is None and "http.port" in sources else wish.http_port
    http_port = _port("HTTP", http_wish, DEFAULT_HTTP_PORT, before.http_url if before else None, notes)
    nats = postgres = None
    if "nats.url" in sources:
        notes.append(f"uses the NATS server at {settings.nats.url} ({sources['nats.url']})")
    else:
        nats = NatsServer(
            directory=layout.nats,
            port=_port("NATS", wish.nats_port, DEFAULT_NATS_PORT, before.nats_url if before else None, notes),
            monitor_port=free_port(),
            durability=wish.durability,
            users=[User(SERVICE, secrets.service_password), User(ADMIN, secrets.admin_key)],
        )
    if "postgres.url" in sources:
        notes.append(f"uses the PostgreSQL at {settings.postgres.url} ({sources['postgres.url']})")
    else:
        postgres = PostgresServer(
            directory=layout.postgres,
            socket_directory=socket_directory_in(layout.sockets),
            password=secrets.postgres_password,
            superuser_password=secrets.postgres_superuser_password,
        )
    return Plan(
        layout=layout,
        settings=settings,
        credentials=secrets,
        environ=environ,
        durability=wish.durability,
        http_port=http_port,
        nats=nats,
        postgres=postgres,
        notes=tuple(notes),
    )


def _port(what: str, wanted: int | None, usual: int, last_url: str | None, notes: list[str]) -> int:
    if wanted is not None:
        port = free_port(wanted)
        if wanted not in (0, port):
            raise Misconfigured(f"port {wanted}, wanted for {what}, is taken; 0 is any free one")
        return port
    # The port of last time, so that clients that know it find the stack again.
    last = urlsplit(last_url).port if last_url else None
    port = free_port(last or usual)
    if port != usual and port != last:
        notes.append(f"port {last or usual} is taken: {what} is on {port}")
    return port
