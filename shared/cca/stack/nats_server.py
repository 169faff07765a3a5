"""A real nats-server with JetStream: its configuration, how to start it, and when it is ready."""

import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from cca.keys import write_private
from cca.nats.names import EVENTS
from cca.stack import binaries
from cca.stack.program import Program
from cca.stack.staging import Staging

ACCOUNT = "CORE"
MAX_PAYLOAD = 4 * 1024 * 1024
_SYNC = {"always": "always", "interval": "2m"}


class User(Struct, frozen=True):
    """Somebody who may connect."""

    name: str
    password: str


class NatsServer(Struct, frozen=True, kw_only=True):
    """One nats-server on loopback.

    Attributes:
        directory: everything that it keeps: the configuration and the streams.
        port: for clients.
        monitor_port: for its HTTP monitoring; 0 for none.
        durability: `always` acknowledges what is on disk; `interval` syncs every two minutes and can lose those.
        users: who may connect. Without credentials nobody may.
    """

    directory: Path
    port: int
    users: Sequence[User]
    monitor_port: int = 0
    durability: str = "always"
    name: str = "cca"

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str | None:
        return f"http://127.0.0.1:{self.monitor_port}" if self.monitor_port else None

    @property
    def staging(self) -> Staging:
        """Where the batches of the log are prepared."""
        return Staging(self.directory / "jetstream" / ACCOUNT / "streams" / EVENTS)

    def prepare(self) -> Program:
        """Write the configuration, readable by its owner alone, and say how to start the server with it."""
        binary = binaries.nats_server()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = self.directory / "nats.conf"
        write_private(configuration, self._configuration())
        return Program(
            name="nats",
            argv=(str(binary), "--config", str(configuration)),
            # A soft limit: the collector works harder near it, so that a burst does not stay resident.
            env={"PATH": "/usr/bin:/bin", "GOMEMLIMIT": "1GiB"},
            cwd=self.directory,
        )

    def _configuration(self) -> str:
        users = "\n".join(
            f"      {{ user: {json.dumps(u.name)}, password: {json.dumps(u.password)} }}" for u in self.users
        )
        monitor = f"http: 127.0.0.1:{self.monitor_port}\n" if self.monitor_port else ""
        return (
            f"# Written by `cca up`; changes are lost.\n"
            f"server_name: {json.dumps(self.name)}\n"
            f"listen: 127.0.0.1:{self.port}\n{monitor}"
            f"max_payload: {MAX_PAYLOAD}\n"
            f"jetstream {{\n"
            f"  store_dir: {json.dumps(str(self.directory), ensure_ascii=False)}\n"
            f"  sync_interval: {_SYNC[self.durability]}\n"
            f"}}\n"
            # Streams live in an account of their own, so that roles can get accounts beside it.
            f"accounts {{\n  {ACCOUNT} {{\n    jetstream: enabled\n    users: [\n{users}\n    ]\n  }}\n}}\n"
        )

    def answers(self) -> bool:
        """Whether it takes connections; by then it has recovered its streams. Blocks for a second at most."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there on loopback, otherwise any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server will
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("there is no free port")
