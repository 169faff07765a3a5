"""A real PostgreSQL with pgvector: making its files, how to start it, and when it is ready."""

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from cca.errors import Misconfigured
from cca.stack import binaries
from cca.stack.program import Account, Program, mark, named, unprivileged

DATABASE = "cca"
USER = "cca"
SUPERUSER = "postgres"
_LONGEST_SOCKET_PATH = 107  # sun_path, less the NUL
_ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_CONFIGURATION = """\
# Written by `cca up`; changes are lost.
listen_addresses = '{addresses}'
port = {port}
unix_socket_directories = '{socket_directory}'
unix_socket_permissions = 0777      # the directory is private, and a password is asked for
max_connections = 60
password_encryption = 'scram-sha-256'
shared_buffers = 256MB
work_mem = 8MB
maintenance_work_mem = 64MB
effective_cache_size = 512MB
random_page_cost = 1.1
jit = off
huge_pages = off
io_method = sync                    # no worker processes for input and output
max_worker_processes = 4
max_parallel_workers = 2
max_parallel_workers_per_gather = 1
max_logical_replication_workers = 0
max_wal_senders = 0
wal_level = minimal
wal_compression = on
max_wal_size = 1GB
checkpoint_timeout = 15min
fsync = {durable}
full_page_writes = {durable}
dynamic_shared_memory_type = {shared_memory}
timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso, ymd'
log_line_prefix = '%m [%p] %q%a '
lc_messages = 'C'
"""

_ACCESS = """\
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
"""


class PostgresServer(Struct, frozen=True, kw_only=True):
    """One PostgreSQL on a Unix socket and, when asked, on loopback.

    Attributes:
        directory: everything that it keeps.
        socket_directory: where its socket is; see `socket_directory_in`.
        password: of the role `cca`, which owns the database `cca` and can do nothing else.
        superuser_password: of the role `postgres`.
        port: part of the socket's name, and the TCP port.
        tcp: whether it listens on loopback too.
        durable: False trades safety for speed: for tests, whose data nobody misses.
    """

    directory: Path
    socket_directory: Path
    password: str
    superuser_password: str
    port: int = 5432
    tcp: bool = False
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def url(self) -> str:
        """Without a password."""
        return self.url_of(USER, DATABASE)

    def url_of(self, user: str, database: str) -> str:
        if self.tcp:
            return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_directory))}&port={self.port}"

    def prepare(self) -> Program:
        """Make the database on first use, write the configuration, and say how to start the server.

        Takes about two seconds on first use. Raises `Misconfigured` with PostgreSQL's own words.
        """
        programs = binaries.postgres_bin()
        account = unprivileged(self.data)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own(self.directory, account)
        self.socket_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _own(self.socket_directory, account)
        if not self.data.exists():
            self._create(programs, account)
        self._configure(self.data, account)
        self._forget_dead()
        return Program(
            name="postgres",
            argv=(str(programs / "postgres"), "-D", str(self.data)),
            env=_ENV,
            cwd=self.directory,
            account=account,
            stop_signal=signal.SIGINT,  # "fast": connections are ended, nothing is lost
            death_signal=signal.SIGINT,
        )

    def _configure(self, data: Path, account: Account | None) -> None:
        values = {
            "addresses": "127.0.0.1" if self.tcp else "",
            "port": self.port,
            "socket_directory": self.socket_directory,
            "durable": "on" if self.durable else "off",
            # Files on disk are slower, but a test's server that is killed and removed leaves none in /dev/shm.
            "shared_memory": "posix" if self.durable else "mmap",
        }
        for name, text in (("postgresql.conf", _CONFIGURATION.format_map(values)), ("pg_hba.conf", _ACCESS)):
            (data / name).write_text(text, encoding="utf-8")
            (data / name).chmod(0o600)
            _own(data / name, account)

    def _create(self, programs: Path, account: Account | None) -> None:
        # Making a database wants to know the user's name; running it does not.
        maker = account or named()
        # All or nothing: a directory called `data` is one that was finished.
        unfinished = self.directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self.directory, prefix=".password.") as file:
            file.write(self.superuser_password + "\n")
            file.flush()
            _own(Path(file.name), account)
            self._run(
                maker,
                [str(programs / "initdb"), "--pgdata", str(unfinished), "--username", SUPERUSER]
                + ["--pwfile", file.name, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
                + ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
                + ([] if self.durable else ["--no-sync"]),
            )
        self._configure(unfinished, account)
        # The extension goes into the template, so that every database has it: only a superuser may create it.
        statements = (
            "CREATE EXTENSION vector",
            f"CREATE ROLE {USER} LOGIN PASSWORD '{self.password}'",
            f"CREATE DATABASE {DATABASE} OWNER {USER}",
        )
        single = [str(programs / "postgres"), "--single", "-j", "-D", str(unfinished)]
        self._run(maker, [*single, "template1"], "".join(f"{s};\n\n" for s in statements))
        unfinished.rename(self.data)

    def _run(self, account: Account | None, argv: list[str], text: str = "") -> None:
        program = Program(name=argv[0], argv=tuple(argv), env=_ENV, cwd=self.directory, account=account)
        done = subprocess.run(
            program.command(), input=text, env=dict(_ENV), cwd="/", capture_output=True, text=True, errors="replace"
        )
        said = done.stderr.replace(self.password, "***").strip()
        if done.returncode != 0 or "ERROR:" in said or "FATAL:" in said:
            raise Misconfigured(f"{Path(argv[0]).name} failed: {said or done.stdout.strip() or done.returncode}")

    def _pid(self) -> tuple[int, bool]:
        """The number in the server's own pid file (0: none), and whether it says that it is ready."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return 0, False
        number = int(lines[0]) if lines and lines[0].strip().lstrip("-").isdigit() else 0
        return abs(number), len(lines) >= 8 and lines[7].strip() == "ready"

    def _forget_dead(self) -> None:
        """Remove the pid file of a server that was killed when its number now belongs to another process.

        PostgreSQL only sees that the number is in use, and would refuse to start.
        """
        pid, _ = self._pid()
        if pid and not _is_postgres_in(pid, self.data):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def answers(self, pid: int) -> bool:
        """Whether the server that was started as `pid` takes connections."""
        return self._pid() == (pid, True)


def _own(path: Path, account: Account | None) -> None:
    if account is None:
        return
    try:
        os.chown(path, account.uid, account.gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # This namespace knows root alone: the server will be root under another number, and own what root owns.


def _is_postgres_in(pid: int, data: Path) -> bool:
    """Whether this process is a PostgreSQL server on these files: it works in its data directory."""
    if not mark(pid).identity:
        return False
    import psutil

    try:
        process = psutil.Process(pid)
        return "postgres" in process.name() and Path(process.cwd()) == data.resolve()
    except psutil.AccessDenied:
        return True  # somebody else's: PostgreSQL decides
    except psutil.Error:
        return False


def socket_directory_in(directory: Path, port: int = 5432) -> Path:
    """Where the socket can be: `directory`, or a new private one among the temporary files if that cannot hold one.

    The path of a socket is short by nature, and PostgreSQL takes a comma or a quote in it for more than a name.
    """
    with contextlib.suppress(OSError):
        directory = directory.resolve()
    short = len(os.fsencode(directory / f".s.PGSQL.{port}")) <= _LONGEST_SOCKET_PATH
    if short and not set(str(directory)) & set(",\"'\\"):
        return directory
    return Path(tempfile.mkdtemp(prefix="cca-pg-"))
