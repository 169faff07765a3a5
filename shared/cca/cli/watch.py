"""Tasks followed live: a table that changes on a terminal, a line for each event in a pipe."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from cca.cli import show
from cca.cli.answers import Event, Task, read
from cca.cli.exits import Exit
from cca.cli.http import Gateway
from cca.cli.tables import STATE_STYLES, Cell, Column, Screen
from cca.cli.text import clip, span
from cca.contracts.task import OVER, State
from cca.errors import Busy

STREAMS = 100
"""So many tasks are followed at the same time."""
PER_SECOND = 8
"""How often a live table is drawn again."""

_STATES = {"started": "working", "attempt-failed": "submitted", "retried": "submitted", "held": "submitted"}


class Row(Struct):
    """What is shown of a task that is watched."""

    task: str
    state: str
    role: str
    agent: str
    attempt: int
    max_attempts: int
    words: str
    began: datetime | None
    ended: datetime | None

    @property
    def over(self) -> bool:
        return self.state in OVER


def row_of(task: Task) -> Row:
    """The row of a task as it is now."""
    return Row(
        task=task.task,
        state=task.state,
        role=task.role or "",
        agent=task.agent or "",
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        words=task.description or "",
        began=task.created_at,
        ended=task.ended_at,
    )


def see(row: Row, event: Event) -> None:
    """Bring a row up to date with an event."""
    kind, said = show.short_type(event.type), event.said
    if kind == "submitted":
        row.began = event.at
    elif kind == "started":
        attempt = said.get("attempt")
        row.agent, row.attempt = str(said.get("agent", "")), attempt if isinstance(attempt, int) else 0
    elif kind != "routed":
        row.words = show.sentence(event)
    if kind in OVER:
        row.ended = event.at
    if kind in OVER or kind in ("submitted", "routed") or kind in _STATES:
        row.state = _STATES.get(kind, kind)


async def watch_tasks(gateway: Gateway, screen: Screen, ids: Sequence[str]) -> Exit:
    """Follow tasks until all are over; `FAILED` unless all are completed."""
    rows: dict[str, Row] = {}
    turns = asyncio.Semaphore(STREAMS)

    async def one(identity: str) -> None:
        async with turns:
            await _follow(gateway, screen, rows[identity])

    # All are looked up first, so that one that does not exist is said before any is waited for.
    for identity in dict.fromkeys(ids):
        rows[identity] = row_of(read(await gateway.task(identity), Task))
    if screen.person:
        spinner = Spinner("dots")
        with Live(
            console=screen.console,
            get_renderable=lambda: _picture(screen, list(rows.values()), spinner),
            refresh_per_second=PER_SECOND,
            vertical_overflow="crop",
        ):
            await _all(one, rows)
    else:
        await _all(one, rows)
    return Exit.OK if all(row.state == "completed" for row in rows.values()) else Exit.FAILED


async def _all(one: Callable[[str], Coroutine[Any, Any, None]], rows: dict[str, Row]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for identity in rows:
                group.create_task(one(identity))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None


async def _follow(gateway: Gateway, screen: Screen, row: Row) -> None:
    async for found in gateway.stream(f"/tasks/{row.task}/events"):
        if found is None:
            continue
        event = read(found.data, Event)
        see(row, event)
        if screen.json:
            screen.ndjson(msgspec.Raw(found.data.encode()))
        elif not screen.person:
            kind = show.short_type(event.type)
            screen.line(event.at, row.task, kind, show.sentence(event))
        # A task that was tried again has ended before: only the last end counts, and then the stream ends too.
        if row.over and await _is_over(gateway, row.task, event.seq):
            return


async def _is_over(gateway: Gateway, identity: str, seq: int) -> bool:
    later = await gateway.events(f"/tasks/{identity}/events", after=seq, limit=1)
    return not later


def _picture(screen: Screen, rows: Sequence[Row], spinner: Spinner) -> RenderableType:
    """The table of the tasks: as many as fit, those that are not over first when there are more."""
    room = max(screen.console.height - 4, 3)
    shown = list(rows)
    if len(rows) > room:
        shown = sorted(rows, key=lambda row: row.over)[:room]
    columns = (
        Column("", kind="text"),
        Column("id", short=12),
        Column("role"),
        Column("state", kind="state"),
        Column("agent"),
        Column("try", kind="number"),
        Column("took", kind="number"),
        Column("last", grows=True),
    )
    now = datetime.now(UTC)
    frame = spinner.render(asyncio.get_running_loop().time())
    mark = frame.plain if isinstance(frame, Text) else "•"
    cells = [
        (
            show.SYMBOLS.get(row.state, "•") if row.over else mark,
            row.task,
            row.role,
            row.state,
            row.agent,
            f"{row.attempt}/{row.max_attempts}",
            span(((row.ended or now) - row.began).total_seconds()) if row.began else "",
            row.words,
        )
        for row in shown
    ]
    table = screen.grid(columns, cells)
    if len(rows) == 1:
        return table
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    line = Text(f"{sum(row.over for row in rows)} of {len(rows)} over:", style="dim")
    for state, count in sorted(counts.items()):
        line.append(f"  {count} {state}", STATE_STYLES.get(state, ""))
    return Group(table, line)


class Role(Struct, frozen=True):
    """How a role is doing."""

    role: str
    agents: int = 0
    capacity: int = 0
    running: int = 0
    tasks: dict[str, int] = {}


class Roles(Struct, frozen=True):
    """Every role that has been seen."""

    roles: list[Role]


async def watch_roles(gateway: Gateway, screen: Screen, interval_s: float) -> None:
    """Count the tasks of each role by state: again and again on a terminal and as JSON, once in a pipe."""
    body = await gateway.request("GET", "/roles")
    if not screen.person and not screen.json:
        _print_roles(screen, read(body, Roles).roles)
        return
    if screen.json:
        while True:
            screen.ndjson(msgspec.Raw(body))
            await asyncio.sleep(interval_s)
            body = await gateway.request("GET", "/roles")
    with Live(_roles(screen, read(body, Roles).roles, ""), console=screen.console, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(interval_s)
            trouble = ""
            try:
                body = await gateway.request("GET", "/roles")
            except Busy as error:
                trouble = str(error)
            live.update(_roles(screen, read(body, Roles).roles, trouble), refresh=True)


def _counted(roles: Sequence[Role]) -> tuple[list[Column], list[list[Cell]]]:
    states = [state for state in get_args(State) if any(role.tasks.get(state) for role in roles)]
    columns = [Column("role"), Column("agents", kind="number"), Column("busy", kind="number")]
    rows: list[list[Cell]] = []
    for role in roles:
        counts = [role.tasks.get(state, 0) for state in states]
        rows.append([role.role, role.agents, f"{role.running}/{role.capacity}", *(count or "" for count in counts)])
    return columns + [Column(state, kind="number") for state in states], rows


def _roles(screen: Screen, roles: Sequence[Role], trouble: str) -> RenderableType:
    if not roles:
        return Text("no roles yet: `cca agent worker ROLE` starts a worker", style="dim")
    table = screen.grid(*_counted(roles))
    return Group(table, Text(clip(trouble, screen.console.width), style="red")) if trouble else table


def _print_roles(screen: Screen, roles: Sequence[Role]) -> None:
    for role in roles:
        for state, count in sorted(role.tasks.items()):
            screen.line(role.role, role.agents, state, count)
        if not role.tasks:
            screen.line(role.role, role.agents, "", 0)
