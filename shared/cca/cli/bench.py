"""`cca bench`: measure the bus on this machine, each figure beside the same work on raw nats-py."""

import asyncio
import sys
import time
from pathlib import Path

import click
import msgspec
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cca.bench import machine, report
from cca.bench.measure import PARTS, Options, measure, steps
from cca.bench.results import document
from cca.bench.server import DURABILITIES


def _numbers(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers like 16,64,256") from None
    if not found or any(not 1 <= number <= 1_000 for number in found):
        raise click.BadParameter("each must be between 1 and 1000")
    return tuple(dict.fromkeys(found))


def _parts(context: click.Context, parameter: click.Parameter, value: str | None) -> frozenset[str]:
    if value is None:
        return frozenset(PARTS)
    found = frozenset(part.strip() for part in value.split(","))
    if unknown := found - frozenset(PARTS):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(PARTS)}")
    return found


class _Steps:
    """What is being done now: a bar on a terminal, a line per step elsewhere."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._begun = console, time.monotonic()
        # Drawn only between two steps: a display that refreshes by itself would run beside what is measured.
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)
        self._count = 0

    def __enter__(self) -> "_Steps":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """The next step begins."""
        if self._console.is_terminal:
            self._bar.update(self._task, description=text, completed=self._count)
            self._bar.refresh()
        else:
            click.echo(f"{time.monotonic() - self._begun:6.1f} s  {text}", err=True)
        self._count += 1


@click.command()
@click.option("--tasks", type=click.IntRange(10, 1_000_000), default=5_000, show_default=True, help="Tasks per run.")
@click.option("--repetitions", type=click.IntRange(1, 100), default=3, show_default=True, help="Of each measurement.")
@click.option(
    "--concurrency", default="16,64,256", show_default=True, callback=_numbers, help="Of the worker, one run for each."
)
@click.option("--trips", type=click.IntRange(10, 100_000), default=300, show_default=True, help="Single round trips.")
@click.option("--only", "parts", callback=_parts, metavar="PART,…", help=f"Measure only: {', '.join(PARTS)}.")
@click.option("--durability", type=click.Choice(DURABILITIES), help="Only this one; both by default.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures to this file.")
def bench(
    tasks: int,
    repetitions: int,
    concurrency: tuple[int, ...],
    trips: int,
    parts: frozenset[str],
    durability: str | None,
    file: Path | None,
) -> None:
    """Measure the bus on this machine, beside the same work on raw nats-py.

    Starts stacks of its own in a temporary directory and stops them; takes some minutes. Leave the machine alone
    meanwhile. What each figure means is in docs/bench.md.
    """
    if sys.platform != "linux":
        raise click.UsageError("memory and processor time are read from /proc, which only Linux has")
    if file is not None and not file.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {file.absolute().parent}")
    options = Options(
        tasks=tasks,
        repetitions=repetitions,
        concurrencies=concurrency,
        trips=trips,
        parts=parts,
        durabilities=tuple(one for one in DURABILITIES if durability in (None, one)),
    )
    started = time.monotonic()
    with (
        _Steps(Console(stderr=True), steps(options)) as shown,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        sides = runner.run(measure(options, shown.say))
    asked = {"tasks": tasks, "repetitions": repetitions, "trips": trips}
    found = document(sides, machine.facts(), asked | {"duration_s": round(time.monotonic() - started, 1)})
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 120  # a report in a file is not cut to what a terminal would have
    for name, side in sides.items():
        console.print(report.table(name, list(report.lines(name, side))))
        console.print()
    console.print(_setting(found["machine"], options, time.monotonic() - started))
    if file is not None:
        console.print(f"All figures, with every repetition and processor time per process: {file}")


def _setting(facts: dict[str, object], options: Options, seconds: float) -> str:
    return (
        f"Medians of {options.repetitions} (smallest–largest), {options.tasks:,} tasks a run, in {seconds:.0f} s on"
        f" {facts['cpus']} × {facts['cpu']}, {facts['memory_gb']} GB, nats-server {facts['nats_server']},"
        f" PostgreSQL {facts['postgres']}, Python {facts['python']}, nats-py {facts['nats_py']}."
    )
