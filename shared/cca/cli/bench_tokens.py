"""`cca tokens bench`: what compression saves and what stays visible, on transcripts with planted facts; how fast."""

from pathlib import Path
from typing import get_args

import click
import msgspec
from rich.console import Console

from cca.cli.exits import Exit
from cca.cli.progress import steps
from cca.contracts.tokens import Level


@click.command("bench")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the transcripts.")
@click.option("--kind", "kinds", multiple=True, help="Only transcripts of this kind; may be repeated.")
@click.option(
    "--level", "levels", type=click.Choice(get_args(Level)), multiple=True, help="Only this; may be repeated."
)
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures to this file.")
@click.option("--details", is_flag=True, help="Also show each transcript, and the facts that are hidden.")
@click.option("--speed/--no-speed", default=None, help="Measure speed; by default unless --kind or --level is given.")
def tokens_bench(
    seed: int,
    kinds: tuple[str, ...],
    levels: tuple[Level, ...],
    file: Path | None,
    details: bool,
    speed: bool | None,
) -> int:
    """Compress transcripts of agents, made here, and print what is saved and which planted facts stay visible.

    headroom-ai is measured beside it when it is installed. Times are of the processor.
    """
    # Heavy: the vocabularies, and everything that compresses.
    from cca.bench.tokens.measure import measure
    from cca.bench.tokens.speed import speeds
    from cca.bench.tokens.table import Report

    if file is not None and not file.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {file.absolute().parent}")
    if speed is None:
        speed = not kinds and not levels
    with steps() as progress:
        try:
            report = Report(measure(seed, kinds or None, levels or None, progress=progress))
        except (ValueError, RuntimeError) as error:
            raise click.UsageError(str(error)) from None
        fast = speeds(seed, progress) if speed else None
    if file is not None:
        figures = report.document() | ({} if fast is None else {"speed": fast.document()})
        file.write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 150
    report.show(console, details)
    if fast is not None:
        console.print()
        fast.show(console)
    return Exit.OK if report.met and (fast is None or fast.met) else Exit.FAILED
