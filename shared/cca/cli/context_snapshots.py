"""`cca context snapshot|snapshots|restore`: how a scope was at one moment, and putting that back."""

from urllib.parse import quote

import click
import msgspec

from cca import codec
from cca.cli import http
from cca.cli.answers import write
from cca.cli.context_keys import SCOPE, scope_argument, size_cell, sized
from cca.cli.exits import Exit, runs
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.text import span
from cca.contracts.context import Restored, Snapshot, Snapshots

LONG_S = 120.0
"""Seconds that a whole scope may take."""


def _path(scope: str) -> str:
    return f"/snapshots/{quote(scope, safe=':')}"


@click.command()
@scope_argument
@click.option("--note", default="", help="Kept with it.")
@json_option
@runs
async def snapshot(scope: str, note: str, as_json: bool) -> Exit:
    """Keep how all of a scope is now, and print the snapshot's id."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("POST", _path(scope), body=write({"note": note}), timeout=LONG_S)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    taken = codec.read(answer, Snapshot)
    screen.say(taken.snapshot)
    if screen.person:
        keys = "1 key" if taken.keys == 1 else f"{taken.keys:,} keys"
        screen.say(f"{keys}, {sized(taken.size)}; `cca context restore {scope} {taken.snapshot}` puts it back", "dim")
    return Exit.OK


@click.command()
@scope_argument
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@json_option
@runs
async def snapshots(scope: str, limit: int, as_json: bool) -> Exit:
    """List the snapshots of a scope, newest first."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("GET", _path(scope), params={"limit": str(limit)})
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    rows: list[tuple[Cell, ...]] = [
        (one.snapshot, one.taken_at, one.keys, size_cell(screen, one.size), one.revision, one.requester, one.note)
        for one in codec.read(answer, Snapshots).items
    ]
    columns = [Column("id"), Column("taken", "time"), Column("keys", "number"), Column("size", "number")]
    columns += [Column("revision", "number"), Column("by", most=20), Column("note", grows=True)]
    screen.table(columns, rows, f"no snapshots; `cca context snapshot {scope}` takes one")
    return Exit.OK


@click.command()
@scope_argument
@click.argument("snapshot", required=False)
@click.option("--into", type=SCOPE, help="Put it into this scope; its own without.")
@click.option("--exact", is_flag=True, help="Delete keys that the snapshot does not have.")
@json_option
@runs
async def restore(scope: str, snapshot: str | None, into: str | None, exact: bool, as_json: bool) -> Exit:
    """Put a scope back to how it was in SNAPSHOT, its newest without one. The same again changes nothing.

    \b
    cca context restore agent:ada
    cca context restore agent:ada --into agent:ada2 --exact
    """
    screen = Screen(json=as_json)
    wanted = {"snapshot": snapshot, "into": into, "exact": exact or None}
    body = write({name: value for name, value in wanted.items() if value is not None})
    async with http.connect() as gateway:
        answer = await gateway.request("POST", f"{_path(scope)}/restore", body=body, timeout=LONG_S)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    done = codec.read(answer, Restored)
    if screen.person:
        what = f"{done.set:,} keys set, {done.deleted:,} deleted, {done.unchanged:,} as they were"
        screen.say(f"{done.into} is as in {done.snapshot}: {what}, in {span(done.duration_s)}")
    else:
        screen.line(done.snapshot, done.into, done.set, done.deleted, done.unchanged)
    return Exit.OK
