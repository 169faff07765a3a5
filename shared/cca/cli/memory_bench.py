"""`cca memory bench`: how well memories and code are found, and how fast, on sets built from what is on the machine."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from cca.cli.exits import Exit
from cca.errors import CcaError

PARTS = ("quality", "vectors", "code")


def _parts(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    if value is None:
        return PARTS
    found = [part.strip() for part in value.split(",")]
    if unknown := set(found) - set(PARTS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(PARTS)}")
    return tuple(part for part in PARTS if part in found)


@contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """What is being done now, on standard error: one line that changes on a terminal, a line each elsewhere."""
    began = time.monotonic()
    # Drawn only when there is news: a display that refreshes by itself would run beside what is measured.
    line = Progress(
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )
    if not line.console.is_terminal:
        yield lambda text: click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=True)
        return
    with line:
        now = line.add_task("")
        yield lambda text: line.update(now, description=text, refresh=True)


@click.command("bench")
@click.option("--only", "parts", callback=_parts, metavar="PART,…", help=f"Measure only: {', '.join(PARTS)}.")
@click.option("--quick", is_flag=True, help="Little of everything, to see that it works; the figures say nothing.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures to this file.")
def memory_bench(parts: tuple[str, ...], quick: bool, file: Path | None) -> int:
    """Measure how well memories and code are found, and how fast.

    \b
    quality  questions about sets of memories: docstring → code, heading → section, commit → diff (of the repository
             here) and paraphrases, by words, by meaning and by both
    vectors  100,000 vectors: recall and time with and without filters, and what writing them takes
    code     Python's standard library is indexed, indexed again, and searched with written questions

    Starts a stack of its own in a temporary directory and stops it; all of it takes the better part of an hour. What
    each figure means is in docs/context.md.
    """
    # Heavy: numpy, the services' client, and what reads the standard library.
    from cca.bench.machine import facts
    from cca.bench.search.measure import measure
    from cca.bench.search.table import Report

    if sys.platform == "win32":
        raise click.UsageError("the servers that it starts are not there for Windows")
    if file is not None and not file.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {file.absolute().parent}")
    try:
        with _told() as say, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            report = Report(runner.run(measure(parts, quick, Path.cwd(), say)))
    except CcaError as error:
        raise click.ClickException(str(error)) from None
    machine = facts()
    if file is not None:
        found = report.document() | {"machine": machine}
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 150
    report.show(console)
    console.print()
    console.print(
        f"In {report.figures.took_s:.0f} s on {machine['cpus']} × {machine['cpu']}, {machine['memory_gb']} GB,"
        f" nats-server {machine['nats_server']}, PostgreSQL {machine['postgres']}, Python {machine['python']}."
    )
    return Exit.OK if report.met else Exit.FAILED
