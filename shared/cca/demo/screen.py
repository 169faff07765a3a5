"""How the demo looks: bars per role and a ticker on a terminal, plain lines elsewhere, and the outcome."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cca.cli.tables import Column
from cca.cli.tables import Screen as Output
from cca.cli.text import clip, visible
from cca.demo.board import Board
from cca.demo.summary import Summary

LINE_EVERY_S = 2.0
"""Between two lines of progress where nobody sees a screen."""
TICKS = 6


class Screen:
    """Shows what happens on standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._first: float | None = None
        self._line_at = 0.0
        self._live: Live | None = None
        self._steps: list[str] = []

    @contextmanager
    def open(self) -> Iterator["Screen"]:
        """Take the terminal, if there is one, until the end of the block."""
        if not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, refresh_per_second=5, transient=True) as self._live:
            yield self
        self._live = None

    def say(self, text: str) -> None:
        """A step of the demo."""
        line = f"{time.monotonic() - self._begun:5.1f} s  {text}"
        if self._live is not None:
            self._live.console.print(Text(line, "bold"))
        else:
            self._console.print(Text(line))

    def show(self, board: Board) -> None:
        """How things stand."""
        now = time.monotonic()
        self._first = self._first or now
        if self._live is not None:
            self._live.update(self._picture(board, now - self._first))
        elif now >= self._line_at:
            self._line_at = now + LINE_EVERY_S
            roles = ", ".join(f"{row.role} {row.done}/{row.tasks}" for row in board.rows())
            running = sum(row.running for row in board.rows())
            self.say(f"{board.over} of {len(board.cards)} done, {running} running: {roles}")

    def _picture(self, board: Board, seconds: float) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
        for title in ("role", "", "done", "running", "queued", "redelivered"):
            table.add_column(title, justify="left" if title in ("role", "") else "right", no_wrap=True)
        for row in board.rows():
            bar = ProgressBar(total=row.tasks, completed=row.done, width=30)
            again = Text(str(row.redelivered), "bold yellow" if row.redelivered else "dim")
            table.add_row(row.role, bar, f"{row.done}/{row.tasks}", str(row.running), str(row.queued), again)
        rate = Text(f"{board.over / seconds if seconds else 0:.0f} tasks/s", "dim")
        ticks = [
            Text(f"  {tick.time:%H:%M:%S} {clip(visible(tick.text), self._console.width - 14)}", _style(tick.important))
            for tick in board.ticks[-TICKS:]
        ]
        return Group(table, rate, *ticks)


LOOK_FURTHER = (
    'eval "$(cca env --dir .cca-demo)"',
    "cca task list --role security          # and: cca task show ID",
    'curl -H "Authorization: Bearer $CCA_API_KEY" "$CCA_HTTP_URL/api/v1/tasks?role=security"',
    "nats --context \"$NATS_CONTEXT\" sub 'cca.>'",
)
"""The commands of a stack that is there; with `--keep` they are printed with its own directory and ids."""


def _style(important: bool) -> str:
    return "yellow" if important else "dim"


def outcome(output: Output, found: Summary) -> None:
    """Print the findings, the numbers and what to do next."""
    output.say(f"The worst of {found.findings:,} findings, from PostgreSQL:", "bold")
    columns = (
        *(Column("severity"), Column("tool"), Column("rule")),
        *(Column("where"), Column("what", grows=True)),
    )
    rows = [
        (top.severity, top.tool, top.rule, f"{clip(_below(top.path, found.code), 36)}:{top.line}", top.text)
        for top in found.top
    ]
    output.table(columns, rows, "nothing to complain about", header=True)
    output.say()
    titles = ("tasks", "completed", "attempts", "redelivered", "retried", "findings")
    output.table(
        (Column("role"), *(Column(title, "number") for title in titles)),
        [(r.role, r.tasks, r.completed, r.attempts, r.redelivered, r.retried, r.findings) for r in found.roles],
        "no task",
        header=True,
    )
    output.say()
    _verdict(output, found)
    output.say()
    if found.commands:
        output.say("To look further:", "bold")
        for command in found.commands:
            output.say(f"  {command}")
    else:
        output.say("To look further, let the stack stay: make demo ARGS=--keep. Then, in another terminal:", "bold")
        for command in LOOK_FURTHER:
            output.say(f"  {command}")


def _below(path: str, root: str) -> str:
    try:
        return str(Path(path).relative_to(root))
    except ValueError:
        return path


def _verdict(output: Output, found: Summary) -> None:
    output.parts(
        ("✓ " if found.ok else "✗ ", "bold green" if found.ok else "bold red"),
        (f"{found.completed} of {found.tasks} tasks completed", "bold"),
        (
            f" in {found.wall_s:.1f} s ({found.tasks_per_s:.0f} tasks/s): {found.attempts} attempts,"
            f" {found.redelivered} redelivered, {found.retried} retried; {found.failed} failed,"
            f" {found.twice} ended twice.",
            "",
        ),
    )
    if found.killed is not None:
        output.say(
            f"  {found.killed.agent} was killed with {found.killed.held} tasks in its hands; all of them ran again"
            f" within {found.killed.recovered_s:.1f} s, and no result was lost."
        )
