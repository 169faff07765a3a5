"""`cca agent`: run a worker, and list those that live."""

import asyncio
import importlib
import logging
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TextIO, cast

import click
import msgspec

from cca import codec, config, telemetry
from cca.cli import http
from cca.cli.exits import Exit, runs
from cca.cli.params import SPAN
from cca.cli.tables import Column, Screen
from cca.cli.text import clip, span, visible
from cca.contracts.agent import Agents
from cca.work.command import Command, ResultFormat
from cca.worker import Handler, Settled, Worker

logger = logging.getLogger("cca.worker")

REDRAW_S = 0.5
RATE_S = 10
"""The rate is that of the last so many seconds."""
SUMMARY_S = 10.0
"""How often a worker whose standard error nobody watches says what it has done, in seconds."""


@click.group()
def agent() -> None:
    """Run a worker, and list those that live."""


@agent.command("list")
@click.option("--role", help="Only of this role.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@runs
async def list_agents(role: str | None, as_json: bool) -> Exit:
    """List the live workers."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        body = await gateway.request("GET", "/agents", params={"role": role} if role else {})
    agents = codec.read(body, Agents).agents
    if as_json:
        screen.document(agents)
        return Exit.OK
    columns = [
        Column("ROLE"),
        Column("LANE"),
        Column("AGENT", grows=True),
        Column("RUNNING", "number"),
        Column("SLOTS", "number"),
        Column("HEARD"),
        Column("HOST", grows=True),
        Column("VERSION"),
    ]
    rows = [
        (a.role, a.lane, a.agent, a.running, a.concurrency, f"{span(a.silent_s)} ago", a.host, a.version)
        for a in agents
    ]
    screen.table(columns, rows, "No live workers" + (f" of role {role}" if role else "") + ".")
    return Exit.OK


@agent.command()
@click.argument("role")
@click.option("--lane", default="default", show_default=True, help="The pool inside the role.")
@click.option("--concurrency", type=click.IntRange(1, 10_000), default=1, show_default=True, help="Tasks at once.")
@click.option(
    "--exec",
    "command",
    metavar="CMD",
    help="Run this command for each task, never through a shell. It reads the task as JSON on standard input and its "
    "description in CCA_TASK_DESCRIPTION; what it prints is the result.",
)
@click.option("--python", "function", metavar="MODULE:FUNCTION", help="Call this function with each task.")
@click.option(
    "--result",
    type=click.Choice(["auto", "json", "text"]),
    default="auto",
    show_default=True,
    help="What --exec prints: auto takes a JSON object or array for what it is, anything else for text.",
)
@click.option("--name", help="The worker's name; by default the host's and a random part.")
@click.option("--grace", type=SPAN, default=30.0, help="How long running tasks may take after SIGTERM.  [default: 30s]")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each thing that happens.")
def worker(
    role: str,
    lane: str,
    concurrency: int,
    command: str | None,
    function: str | None,
    result: str,
    name: str | None,
    grace: float,
    as_json: bool,
) -> int:
    """Take tasks of ROLE until SIGTERM, and do them with a command or a Python function.

    A command ends with 0 when it is done, with 65 (EX_DATAERR) when another try is useless, with 75 (EX_TEMPFAIL) when
    another is invited; any other code fails the attempt, and the task is tried again as often as it may be.
    Canceled or out of time, it gets SIGTERM, and 1.5 seconds later SIGKILL, with all that it has started.
    """
    if (command is None) == (function is None):
        raise click.UsageError("say what does the tasks: either --exec 'CMD …' or --python MODULE:FUNCTION")
    settings = config.load()
    telemetry.log_to_stderr(settings.log.level, settings.log.format)
    ran: Command | None = None
    if command is not None:
        handler: Handler = (ran := Command(command, cast(ResultFormat, result)))
        if shutil.which(ran.argv[0]) is None:
            raise click.UsageError(f"there is no command {ran.argv[0]!r}")
    else:
        handler = _function(function or "")
    says = Says(as_json)
    working = Worker(
        role, handler, lane=lane, concurrency=concurrency, name=name, grace_s=grace, on_settled=says.settled
    )
    says.worker = working
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(says.around(working.run()))
    finally:
        if ran is not None:
            ran.close()
    return Exit.OK


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


def _function(name: str) -> Handler:
    module, colon, path = name.partition(":")
    if not colon or not module or not path:
        raise click.UsageError(f"--python {name}: write MODULE:FUNCTION")
    sys.path.insert(0, "")  # as `python -m` does: what is here can be imported
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the module does while it is imported
        raise click.UsageError(f"--python {name}: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise click.UsageError(f"--python {name}: that is no function")
    return cast(Handler, found)


class Says:
    """What a worker tells: a live line to a person, lines of JSON to a program, and otherwise a line now and then."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=RATE_S)
        self.worker: Worker | None = None

    async def around(self, work: Coroutine[Any, Any, None]) -> None:
        """Tell while `work` goes on."""
        if self._live:
            handler = logging.getLogger().handlers[0]
            assert isinstance(handler, logging.StreamHandler)
            handler.setStream(_Above(sys.stderr))
        assert self.worker is not None
        telling = asyncio.create_task(self._tell(self.worker))
        try:
            await work
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
            if self._live:
                print(f"\r\x1b[K{self._line(self.worker)}", file=sys.stderr)
            else:
                logger.info(self._line(self.worker))
            counts = self.worker.counts
            self._event("left", done=counts.done, failed=counts.failed, refused=counts.refused)

    async def _tell(self, worker: Worker) -> None:
        await worker.joined.wait()
        self._event("joined", agent=worker.name, role=worker.role, lane=worker.lane, concurrency=worker.concurrency)
        said = (0, 0)
        while True:
            line = self._line(worker)
            if self._live:
                room = os.get_terminal_size(sys.stderr.fileno()).columns - 1
                print(f"\r\x1b[K{clip(line, room)}", end="", file=sys.stderr, flush=True)
            elif (now := (worker.counts.done, worker.counts.failed)) != said:
                logger.info(line)
                said = now
            await asyncio.sleep(REDRAW_S if self._live else SUMMARY_S)

    def _line(self, worker: Worker) -> str:
        counts, now = worker.counts, time.monotonic()
        ended = counts.done + counts.failed
        before, then = self._marks[0]
        rate = (ended - then) / max(now - before, 0.001)
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, ended))
        return (
            f"{worker.role}/{worker.lane} {worker.name}: {counts.done} done, {counts.failed} failed, "
            f"{worker.running} running, {rate:.1f}/s"
        )

    def settled(self, what: Settled) -> None:
        """The outcome of an attempt is in the log."""
        if what.failure is not None:
            logger.warning("task %s failed in attempt %d: %s", what.task, what.attempt, visible(what.failure))
        self._event("settled", **msgspec.structs.asdict(what))

    def _event(self, event: str, **more: Any) -> None:
        if self._json:
            print(msgspec.json.encode({"event": event} | more).decode(), flush=True)


class _Above:
    """A terminal on which what is written stands above the live line."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        return self._terminal.write(f"\r\x1b[K{text}" if text != "\n" else text)

    def flush(self) -> None:
        self._terminal.flush()
