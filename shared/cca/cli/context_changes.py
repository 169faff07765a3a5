"""`cca context history|watch`: what happened to a key, and what happens to a scope now."""

from datetime import datetime

import click
import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from cca.cli import http
from cca.cli.answers import read
from cca.cli.context_keys import PREFIX, key_argument, path, scope_argument, shown, size_cell
from cca.cli.exits import Exit, runs
from cca.cli.outcome import standard_error
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.text import clip

STYLES = {"set": "green", "deleted": "red", "expired": "magenta"}


class Change(Struct, frozen=True):
    """What happened to a key: `cca.contracts.context.ContextChange` in a history, `ContextEntry` when it is watched.

    Then the name of the event says what happened.
    """

    key: str = ""
    what: str = ""
    revision: int = 0
    time: datetime | None = None
    set_at: datetime | None = None
    value: Raw = Raw(b"null")
    ref: str | None = None
    size: int = 0
    expires_at: datetime | None = None
    requester: str | None = None
    snapshot: str | None = None

    @property
    def at(self) -> datetime | None:
        """When it happened; None when that is not said."""
        return self.time or self.set_at or (self.expires_at if self.what == "expired" else None)

    @property
    def text(self) -> str:
        """What was set, as one text."""
        return shown(self.value, self.ref, self.size) if self.what == "set" else ""


class Changes(Struct, frozen=True):
    """What happened to a key, newest first."""

    items: list[Change]


@click.command()
@scope_argument
@key_argument
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@json_option
@runs
async def history(scope: str, key: str, limit: int, as_json: bool) -> Exit:
    """Show what KEY held before, newest first: what was set by whom, deleted, or expired.

    In a pipe: one line each, separated by tabs: time, what happened, revision, bytes, when it expires, by whom, from
    which snapshot, value.
    """
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("GET", path(scope, key, "history"), params={"limit": str(limit)}, timeout=60)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    rows: list[tuple[Cell, ...]] = []
    for one in read(answer, Changes).items:
        size = size_cell(screen, one.size) if one.what == "set" else None
        facts = (one.time, one.what, one.revision, size, one.expires_at, one.requester, one.snapshot)
        rows.append((*facts, one.text))
    columns = [Column("when", "time"), Column("what", "state"), Column("revision", "number"), Column("size", "number")]
    columns += [Column("expires", "time"), Column("by", most=20), Column("from snapshot", short=12)]
    screen.table([*columns, Column("value", grows=True)], rows, f"nothing ever happened to {scope} {key}")
    return Exit.OK


@click.command()
@scope_argument
@click.option("--prefix", type=PREFIX, default="", help="Only keys that begin so.")
@json_option
@runs
async def watch(scope: str, prefix: str, as_json: bool) -> None:
    """Print the keys of a scope as they are, then each change, until it is interrupted.

    One line each: time, what happened, key, revision, value. With --json, a line of JSON each.
    """
    screen, aside = Screen(json=as_json), standard_error()
    async with http.connect() as gateway:
        async for found in gateway.stream(path(scope), {"prefix": prefix} if prefix else None):
            if found is None:
                if aside.person:
                    aside.say("the connection is broken; trying again", "dim")
                continue
            if as_json:
                screen.ndjson({"what": found.event} | read(found.data, dict[str, Raw]))
            else:
                _line(screen, replace(read(found.data, Change), what=found.event))


def _line(screen: Screen, one: Change) -> None:
    if not screen.person:
        screen.line(one.at, one.what, one.key, one.revision, one.text)
        return
    time = one.at.astimezone().strftime("%H:%M:%S") if one.at else " " * 8
    room = max(screen.console.width - len(one.key) - 21, 20)
    screen.parts(
        (f"{time}  ", "dim"),
        (f"{one.what:<8} ", STYLES.get(one.what, "")),
        (f"{one.key}  ", "bold"),
        (clip(one.text, room), ""),
    )
