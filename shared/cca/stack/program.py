"""A process of the stack as data: what to run, as whom, and how to stop it; and recognising it again later."""

import os
import pwd
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from cca.errors import Misconfigured

_LAUNCHER = Path(__file__).with_name("launch.py")


class Account(Struct, frozen=True):
    """Whom a process runs as."""

    uid: int
    gid: int


class Program(Struct, frozen=True, kw_only=True):
    """What to run.

    Attributes:
        argv: the absolute path of the program and its arguments; never a secret.
        env: its whole environment.
        account: whom to become; None stays who we are.
        stop_signal: asks it to stop in good order.
        death_signal: what it gets when its parent is gone.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGTERM

    def command(self) -> list[str]:
        """The command line that this process may start. The program will not outlive us."""
        who = f"{self.account.uid}:{self.account.gid}" if self.account else "-"
        start = [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), str(int(self.death_signal)), who]
        return [*start, *self.argv]


def unprivileged(owned: Path) -> Account | None:
    """Whom to run as a program that refuses root: None for an ordinary user.

    As root it is the owner of what `owned` already holds, else `nobody`.
    """
    if os.geteuid() != 0:
        return None
    if owned.exists() and owned.stat().st_uid != 0:
        return Account(owned.stat().st_uid, owned.stat().st_gid)
    return _nobody()


def named() -> Account | None:
    """Whom to run as a program that wants to know our name: None, unless this system has none for us."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return _nobody()
    return None


def _nobody() -> Account:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise Misconfigured("PostgreSQL has to run as `nobody` here, whom this system does not know") from None
    return Account(nobody.pw_uid, nobody.pw_gid)


def identity(pid: int) -> str | None:
    """What tells this process from a later one with the same number; None when it is not there."""
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        return None if fields[0] == "Z" else f"{boot}/{fields[19]}"
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def age_s() -> float:
    """How long this process has lived, in seconds; 0 where the system does not say."""
    if sys.platform != "linux":
        return 0.0
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


class Mark(Struct, frozen=True):
    """A process that was started: its number, and what makes the number unmistakable."""

    pid: int
    identity: str

    def alive(self) -> bool:
        return identity(self.pid) == self.identity

    def signal(self, number: signal.Signals) -> None:
        """Signal it if it still lives."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


def mark(pid: int) -> Mark:
    """The mark of a process that lives."""
    return Mark(pid, identity(pid) or "")
