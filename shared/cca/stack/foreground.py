"""The supervisor as a process: starts a stack, says when it is ready, and stops it when it is told to."""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console
from rich.live import Live

from cca.stack import environment, figures
from cca.stack.layout import Layout
from cca.stack.log_file import LogFile
from cca.stack.plan import Wish
from cca.stack.supervisor import Stack, running
from cca.stack.view import screen

logger = logging.getLogger("cca.stack")

_REDRAW_S = 1.0
_MEASURE_EVERY = 5
"""Adding up memory walks every page table: once in so many redraws."""


class Listener(Protocol):
    """Who is told how it goes."""

    speaks: bool
    """Whether warnings are also for standard error; they are always in the supervisor's log."""

    def made(self, stack: Stack) -> None:
        """The stack is about to start."""

    def ready(self, stack: Stack) -> None:
        """Everything answers."""

    def tick(self, stack: Stack) -> None:
        """Some time has passed."""

    def stopping(self) -> None:
        """It was told to stop."""

    def ended(self) -> None:
        """The stack has stopped, or could not start; an error follows by itself."""


class Show:
    """Tells a person, with a table that stays up to date where there is a terminal; or a program, in JSON."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._console = Console()
        self.speaks = not self._console.is_terminal  # a table would be torn apart
        self._live: Live | None = None
        self._ticks = 0
        self._memory: dict[int, int] = {}

    def made(self, stack: Stack) -> None:
        if self._json:
            return
        if self._console.is_terminal:
            # Drawn by us: a thread of rich's own would be one more thing to fork beside.
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
            self.tick(stack)
        else:
            for note in stack.plan.notes:
                print(f"note: {note}", flush=True)

    def ready(self, stack: Stack) -> None:
        if self._json:
            found = environment.description(stack.plan.layout, stack.state) | {"ready_s": stack.ready_s}
            print(json.dumps(found), flush=True)
        elif self._live:
            self._ticks = 0
            self.tick(stack)
        else:
            print(f"ready in {stack.ready_s:.1f} s: {stack.plan.http_url} and {stack.plan.nats_url}")
            print('next, in another terminal: eval "$(cca env)"', flush=True)

    def tick(self, stack: Stack) -> None:
        if self._live:
            state = stack.state
            if self._ticks % _MEASURE_EVERY == 0:
                pids = [part.process.pid for part in state.parts if part.process]
                self._memory = figures.memory([state.supervisor.pid, *pids])
            self._ticks += 1
            self._live.update(screen(state, stack.plan.notes, self._memory), refresh=True)

    def stopping(self) -> None:
        if self._live:
            self._live.stop()
            self._console.print("stopping …", style="dim")

    def ended(self) -> None:
        if self._live:
            self._live.stop()


def run(wish: Wish, listener: Listener) -> int:
    """Run a stack until SIGTERM, SIGINT or SIGHUP; a second signal hurries it. Returns the exit code.

    130 when it was interrupted before it was ready. Raises what kept it from starting.
    """
    return asyncio.run(_run(wish, listener))


async def _run(wish: Wish, listener: Listener) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    try:
        async with running(wish, hurry) as stack:
            with _logged(stack.plan.layout, listener.speaks):
                listener.made(stack)
                return await _watch(stack, listener, stop)
    finally:
        listener.ended()


async def _watch(stack: Stack, listener: Listener, stop: asyncio.Event) -> int:
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    said = False
    try:
        while not stopping.done():
            await asyncio.wait(
                {stopping} if said else {starting, stopping},
                timeout=_REDRAW_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if starting.done() and not said:
                starting.result()  # raises what kept it from starting
                said = True
                logger.info("ready in %.1f s", stack.ready_s)
                listener.ready(stack)
            listener.tick(stack)
        listener.stopping()
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
    return 0 if said else 130


class _ToFile(logging.Handler):
    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self._file = file
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._file.write(self.format(record).encode(errors="replace") + b"\n")


@contextlib.contextmanager
def _logged(layout: Layout, speaks: bool) -> Iterator[None]:
    root = logging.getLogger()
    with LogFile(layout.logs / "supervisor.log") as file:
        handlers: list[logging.Handler] = [_ToFile(file)]
        if speaks:
            handlers.append(logging.StreamHandler(sys.stderr))
        root.setLevel(logging.INFO)
        for handler in handlers:
            root.addHandler(handler)
        try:
            yield
        finally:
            for handler in handlers:
                root.removeHandler(handler)
