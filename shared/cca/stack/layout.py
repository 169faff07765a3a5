"""Where everything of one stack is: a directory, the lock that one supervisor holds, and what it writes down."""

import fcntl
import os
import stat
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from cca.errors import Misconfigured, Refused
from cca.keys import write_private
from cca.stack.program import Mark, mark

DEFAULT = ".cca"


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process of the stack, as written down. `since` is when it came into this state, a Unix time."""

    name: str
    state: str
    since: float
    process: Mark | None = None
    restarts: int = 0
    url: str | None = None
    said: str | None = None


class State(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the supervisor writes down for `cca status`, `cca env` and the supervisor after it."""

    supervisor: Mark
    started: float
    durability: str
    http_url: str
    nats_url: str
    nats_user: str | None
    nats_context: str | None
    postgres_url: str
    monitor_url: str | None = None
    external: tuple[str, ...] = ()
    ready_s: float | None = None
    parts: tuple[Part, ...] = ()


def _locked(handle: int, how: int) -> bool:
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Layout:
    """The directory of one stack. All of it is readable by its owner alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.secrets = self.directory / "secrets"
        self.logs = self.directory / "logs"
        self.nats = self.directory / "nats"
        self.postgres = self.directory / "postgres"
        self.sockets = self.directory / "run"
        self._state = self.directory / "state.json"
        self._lock = self.directory / "lock"

    def make(self) -> None:
        """Make what is missing. Raises `Misconfigured` when that is not possible."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in (self.directory, self.secrets, self.logs, self.nats, self.postgres):
                part.mkdir(mode=0o700, exist_ok=True)
                if part.stat().st_uid == os.geteuid():
                    part.chmod(0o700)
            ignore = self.directory / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n")
        except OSError as error:
            raise Misconfigured(f"{self.directory} cannot be used: {error.strerror}: {error.filename}") from None

    def is_private(self) -> bool:
        """Whether the directory is ours alone, so that what it says of servers and keys can be trusted."""
        try:
            found = self.directory.stat()
        except OSError:
            return False
        return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

    # ------------------------------------------------------------------------------------ lock

    def take(self) -> int:
        """Become the only supervisor, until the process ends. Raises `Refused` when there is another."""
        try:
            handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Misconfigured(f"{self._lock} cannot be opened: {error.strerror}") from None
        # Whoever only looks whether the lock is taken has it for a moment, and writes nothing into it.
        deadline = time.monotonic() + 1
        while not _locked(handle, fcntl.LOCK_EX):
            holder = self.holder()
            if holder is not None or time.monotonic() > deadline:
                os.close(handle)
                who = f" (process {holder.pid})" if holder else ""
                raise Refused("running", f"a stack already runs in {self.directory}{who}; `cca down` stops it")
            time.sleep(0.01)
        os.ftruncate(handle, 0)
        os.pwrite(handle, msgspec.json.encode(mark(os.getpid())), 0)
        return handle

    def is_taken(self) -> bool:
        """Whether a supervisor lives."""
        try:
            handle = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not _locked(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)

    def holder(self) -> Mark | None:
        """The supervisor, by what it wrote into the lock file."""
        try:
            found = msgspec.json.decode(self._lock.read_bytes(), type=Mark)
        except (OSError, msgspec.DecodeError):
            return None
        return found if found.alive() else None

    # ------------------------------------------------------------------------------------ state

    def write(self, state: State) -> None:
        write_private(self._state, msgspec.json.encode(state).decode(), durable=False)

    def read(self) -> State | None:
        """What the last supervisor wrote; None when there is nothing that can be read."""
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=State)
        except (OSError, msgspec.DecodeError):
            return None

    def running(self) -> State:
        """What the supervisor that lives wrote. Raises `Refused` when none does."""
        state = self.read() if self.is_taken() else None
        if state is None:
            raise Refused("not-running", f"no stack runs in {self.directory}; start one with `cca up`")
        return state
