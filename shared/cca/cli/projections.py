"""`cca projections`: how far the tables are, building them anew from the log, and the proof that they are right."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import click
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cca import config
from cca.cli.exits import Exit, runs
from cca.cli.tables import Cell, Column, Screen
from cca.errors import Busy, Refused
from cca.nats.bus import Bus, connect
from cca.nats.follow import behind
from cca.postgres.pool import DATABASE, Connection, close_pool, connect_pool
from cca.projection import Position, positions

SAMPLE_S = 1.0
"""Over how long `status` measures the rate, in seconds."""
SESSION = {"statement_timeout": "0", "synchronous_commit": "off"}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Standing(Struct, frozen=True, kw_only=True):
    """A projection as `status` shows it.

    Attributes:
        version: with which its rows were built; `ours` is what this installation would build.
        position: the last event that is in the tables, and `time` when that was.
        lag: how many events of the log are not.
        rate: events a second at present.
    """

    projection: str
    state: str
    version: int
    ours: int | None
    build: int
    position: int
    time: datetime | None
    lag: int
    events: int
    passed: int
    rate: float
    error: str | None
    error_seq: int | None
    error_type: str | None


@click.group()
def projections() -> None:
    """State, rebuild and proof of the tables in PostgreSQL.

    The log is the truth; `tasks` (tasks, attempts, routing_decisions, agents) and `events` (its copy) follow from it.
    """


@projections.command()
@json_option
@runs
async def status(as_json: bool) -> Exit:
    """Show how far each projection is. Exit code 1 when one stands still."""
    screen = Screen(json=as_json)
    async with _database() as db, _log() as bus:
        begun = {position.name: position for position in await positions(db)}
        await asyncio.sleep(SAMPLE_S)
        found = [await _standing(bus, position, begun.get(position.name)) for position in await positions(db)]
    if as_json:
        screen.document({"projections": found})
    else:
        columns = (
            Column("projection"),
            Column("state"),
            Column("position", kind="number"),
            Column("lag", kind="number"),
            Column("events", kind="number"),
            Column("events/s", kind="number"),
            Column("unknown", kind="number"),
            Column("version", kind="number"),
            Column("error", grows=True),
        )
        rows: list[tuple[Cell, ...]] = [
            (
                one.projection,
                one.state,
                one.position,
                one.lag,
                one.events,
                round(one.rate),
                one.passed,
                one.version if one.ours in (None, one.version) else f"{one.version} → {one.ours}",
                f"event {one.error_seq} ({one.error_type}): {one.error}" if one.error_seq else one.error,
            )
            for one in found
        ]
        screen.table(columns, rows, "no projections: the projector has never run")
    return Exit.FAILED if any(one.error for one in found) else Exit.OK


@projections.command()
@click.argument("name")
@click.option("--drop-old", is_flag=True, help="Do not keep the tables of before in the schema cca_old.")
@json_option
@runs
async def rebuild(name: str, drop_old: bool, as_json: bool) -> None:
    """Build the tables of a projection anew from the log and swap them in.

    The tables in service stay as they are until the new ones have caught up; then they are compared at the same
    position and swapped in one transaction. Ctrl-C before that leaves everything as it was.
    """
    screen = Screen(json=as_json)
    projection = _projection(name)
    async with _database() as db, _log() as bus:
        with _bar(f"rebuilding {name}", as_json) as progress:
            done = await _service("rebuild").rebuild(projection, db, bus, drop_old=drop_old, progress=progress)
    if as_json:
        screen.document(done)
        return
    columns = (Column("table"), Column("rows", kind="number"), Column("before", kind="number"), Column("digest"))
    rows = [
        (
            one.table,
            one.rebuilt.rows,
            None if one.live is None else one.live.rows,
            f"{one.rebuilt.digest[:16]} " + ("same" if one.live == one.rebuilt else "different"),
        )
        for one in done.tables
    ]
    screen.table(columns, rows, "", header=True)
    kept = f"; the tables of before are in the schema {done.old}" if done.old else ""
    screen.say(f"rebuilt {name} from {done.events} events, up to position {done.position}{kept}")


@projections.command()
@click.argument("names", nargs=-1, metavar="[NAME]…")
@json_option
@runs
async def verify(names: tuple[str, ...], as_json: bool) -> Exit:
    """Prove that tables are what the log says: replay it beside them and compare every row.

    All projections if none is named; `events` is compared with the log byte by byte. Exit code 1 when anything is
    different.
    """
    screen = Screen(json=as_json)
    chosen = [_projection(name) for name in names or sorted(_known())]
    found: list[Any] = []
    async with _database() as db, _log() as bus:
        for projection in chosen:
            with _bar(f"verifying {projection.name}", as_json) as progress:
                found.append(await _service("verify").verify(projection, db, bus, progress))
    same = all(one.same for one in found)
    if as_json:
        screen.document({"same": same, "projections": found})
        return Exit.OK if same else Exit.FAILED
    columns = (
        Column("table"),
        Column("rows", kind="number"),
        Column("replayed", kind="number"),
        Column("digest"),
        Column("of the replay"),
        Column("result"),
    )
    rows = [
        (
            table.table,
            table.live.rows,
            table.replayed.rows,
            table.live.digest[:16],
            table.replayed.digest[:16],
            "same" if table.live == table.replayed else "DIFFERENT",
        )
        for one in found
        for table in one.tables
    ]
    screen.table(columns, rows, "", header=True)
    for one in found:
        if one.problem:
            screen.say(f"{one.projection}: {one.problem}", "red")
        for table in one.tables:
            for difference in table.differences:
                screen.say(f"{table.table} {difference.key}: {difference.what}", "red")
        verdict = "is what the log says" if one.same else "is NOT what the log says"
        screen.say(f"{one.projection} {verdict}, up to position {one.position} ({one.events} events)")
    return Exit.OK if same else Exit.FAILED


# ------------------------------------------------------------------------------------------ parts


def _service(module: str) -> Any:
    """A module of the projector. The library knows no service, and this command is a door to one."""
    return importlib.import_module(f"cca_projector.{module}")


def _known() -> dict[str, Any]:
    known: dict[str, Any] = _service("projections").PROJECTIONS
    return known


def _projection(name: str) -> Any:
    make = _known().get(name)
    if make is None:
        raise click.UsageError(f"there is no projection {name!r}; there are {', '.join(sorted(_known()))}")
    return make()


@asynccontextmanager
async def _database() -> AsyncIterator[Connection]:
    """A session of its own. Raises `Busy` when the server is away or goes away."""
    settings = config.load().postgres
    pool = await connect_pool(settings, "cca projections", wait=False, session=SESSION)
    try:
        async with pool.acquire() as db:
            if await db.fetchval("SELECT to_regclass('cca.projections')") is None:
                raise Refused("no-projection", "there are no tables yet: the projector has never run here")
            yield db
    except DATABASE as error:
        raise Busy(f"PostgreSQL: {error or type(error).__name__}") from None
    finally:
        await close_pool(pool)


@asynccontextmanager
async def _log() -> AsyncIterator[Bus]:
    async with connect(config.load().nats, "cca projections") as bus:
        yield bus


async def _standing(bus: Bus, now: Position, before: Position | None) -> Standing:
    lag = await behind(bus, now.seq)
    moved = now.events - before.events if before and before.build == now.build else 0
    ours = _known().get(now.name)
    if now.error:
        state = "stopped"
    elif lag == 0:
        state = "current"
    else:
        state = "catching up" if moved else "behind"
    return Standing(
        projection=now.name,
        state=state,
        version=now.version,
        ours=ours().version if ours else None,
        build=now.build,
        position=now.seq,
        time=now.time,
        lag=lag,
        events=now.events,
        passed=now.passed,
        rate=moved / SAMPLE_S,
        error=now.error,
        error_seq=now.error_seq,
        error_type=now.error_type,
    )


@contextmanager
def _bar(title: str, quiet: bool) -> Iterator[Any]:
    """A progress bar on standard error, if somebody looks at it; gives what is to be told of the progress."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
