"""A stack as a person sees it: a table that is drawn again and again while it runs."""

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cca.cli.text import span, visible
from cca.stack.layout import Part, State

STYLES = {
    "ready": "green",
    "starting": "yellow",
    "waiting": "dim",
    "restarting": "bold red",
    "failed": "bold red",
    "stopping": "yellow",
    "stopped": "dim",
}


def table(parts: Sequence[Part], memory: dict[int, int], now: float | None = None) -> Table:
    """The processes: state, number, restarts, time in the state, memory."""
    now = time.time() if now is None else now
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", expand=True)
    made.add_column("component", no_wrap=True)
    made.add_column("state", no_wrap=True)
    for title in ("pid", "restarts", "for", "memory"):
        made.add_column(title, justify="right", no_wrap=True)
    made.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
    for part in parts:
        pid = part.process.pid if part.process else None
        size = memory.get(pid) if pid else None
        note = visible(part.said) if part.said and part.state != "ready" else visible(part.url or "")
        made.add_row(
            part.name,
            Text(part.state, style=STYLES.get(part.state, "")),
            str(pid or ""),
            Text(str(part.restarts), style="red" if part.restarts else "dim"),
            span(max(now - part.since, 0)),
            f"{size / 1e6:.0f} MB" if size else "",
            Text(note, style="dim"),
        )
    return made


def screen(state: State, notes: Sequence[str], memory: dict[int, int]) -> RenderableType:
    """All that `cca up` shows."""
    lines = [Text(f"note: {visible(note)}", style="yellow") for note in notes]
    if state.ready_s is None:
        headline = Text("starting …", style="bold yellow")
    else:
        headline = Text(f"ready in {state.ready_s:.1f} s", style="bold green")
        headline.append(f"   {state.http_url}   {state.nats_url}", style="default")
    total = f"{sum(memory.values()) / 1e6:.0f} MB in all; durability: {state.durability}"
    return Group(*lines, headline, table(state.parts, memory), Text(total, style="dim"))
