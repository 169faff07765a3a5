"""A bar for something that takes minutes, on standard error while somebody watches it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def steps() -> Iterator[Callable[[int, int | None, str], None]]:
    """Gives what is to be told of each step: how many are done, of how many (None: nobody knows), and what is done."""
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bars:
        bar = bars.add_task("", total=None)

        def progress(done: int, total: int | None, what: str) -> None:
            bars.update(bar, completed=done, total=total, description=what)

        yield progress
