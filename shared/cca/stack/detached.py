"""A stack in the background: started by a process that waits until it is ready, stopped by its lock."""

import os
import signal
import subprocess
import sys
import time

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cca.errors import Busy, CcaError, Misconfigured, Refused, Unreadable
from cca.stack.layout import Layout
from cca.stack.plan import Wish
from cca.stack.program import age_s
from cca.stack.supervisor import Stack, clear

__all__ = ["Outcome", "Pipe", "clear", "start", "stop"]

_ERRORS: dict[str, type[CcaError]] = {kind.__name__: kind for kind in (Busy, Misconfigured, Unreadable)}


class Outcome(Struct, frozen=True):
    """How the start went, as the supervisor reports it."""

    ready_s: float = 0.0
    http_url: str = ""
    nats_url: str = ""
    notes: tuple[str, ...] = ()
    error: str | None = None
    kind: str = ""
    code: str = ""


class Pipe:
    """Reports once to the process that started the supervisor."""

    speaks = False

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def made(self, stack: Stack) -> None:
        pass

    def ready(self, stack: Stack) -> None:
        plan = stack.plan
        self._say(Outcome(stack.ready_s or 0.0, plan.http_url, plan.nats_url, plan.notes))

    def tick(self, stack: Stack) -> None:
        pass

    def stopping(self) -> None:
        pass

    def ended(self) -> None:
        error = sys.exc_info()[1]
        code = error.code if isinstance(error, Refused) else ""
        text = str(error) if error else "it was stopped before it was ready"
        self._say(Outcome(error=text, kind=type(error).__name__, code=code))

    def _say(self, outcome: Outcome) -> None:
        if self._handle >= 0:
            try:
                os.write(self._handle, msgspec.json.encode(outcome))
            except OSError:
                pass  # whoever asked has gone
            os.close(self._handle)
            self._handle = -1


def start(wish: Wish) -> Outcome:
    """Start a stack in the background and wait until it is ready. Raises what the supervisor could not overcome."""
    layout = Layout(wish.directory)
    layout.make()
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "cca.cli.main", "up", "--dir", str(layout.directory)]
    command += ["--durability", wish.durability, "--report-to", str(writing)]
    for option, port in (("--http-port", wish.http_port), ("--nats-port", wish.nats_port)):
        command += [option, str(port)] if port is not None else []
    with (layout.logs / "supervisor.err").open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    if not said:
        lines = (layout.logs / "supervisor.err").read_text(errors="replace").strip().splitlines()
        raise CcaError(f"the supervisor ended with exit code {process.wait()}: {lines[-1] if lines else ''}")
    outcome = msgspec.json.decode(said, type=Outcome)
    if outcome.error is not None:
        process.wait()
        if outcome.kind == "Refused":
            raise Refused(outcome.code, outcome.error)
        raise _ERRORS.get(outcome.kind, CcaError)(outcome.error)
    return replace(outcome, ready_s=age_s() or outcome.ready_s)


def stop(layout: Layout, timeout_s: float) -> None:
    """Tell the supervisor to stop and wait until it has. Raises `Busy` when that takes longer."""
    deadline = time.monotonic() + timeout_s
    holder = None
    while layout.is_taken() or (holder is not None and holder.alive()):
        if holder is None and (holder := layout.holder()) is not None:
            holder.signal(signal.SIGTERM)
        if time.monotonic() > deadline:
            raise Busy(f"the stack in {layout.directory} has not stopped after {timeout_s:g} s")
        time.sleep(0.02)
