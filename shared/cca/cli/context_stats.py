"""`cca context stats`: how the context service is."""

import click
import msgspec

from cca import codec
from cca.cli import http
from cca.cli.context_keys import sized
from cca.cli.exits import Exit, runs
from cca.cli.params import json_option
from cca.cli.tables import Screen
from cca.contracts.context import ContextStats

BREAKER = {
    "closed": ("PostgreSQL answers", "green"),
    "open": ("PostgreSQL is away: values are read and written, searches are refused", "red"),
    "half-open": ("PostgreSQL was away, and is tried again", "yellow"),
}


@click.command()
@json_option
@runs
async def stats(as_json: bool) -> Exit:
    """Show how many values there are, whether PostgreSQL answers, and how often searches were answered from a cache."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("GET", "/context/stats")
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    now = codec.read(answer, ContextStats)
    if not screen.person:
        for name in ("scopes", "keys", "bytes", "breaker", "held_up_ms"):
            screen.line(name, getattr(now, name))
        for name, count in sorted(now.cache.items()):
            screen.line(f"cache.{name}", count)
        return Exit.OK
    values = "not known while PostgreSQL is away"
    if now.keys is not None and now.scopes is not None:
        values = f"{now.keys:,} in {now.scopes:,} scopes, {sized(now.bytes or 0)}"
    screen.parts(("Values    ", "bold"), (values, ""))
    words, style = BREAKER.get(now.breaker, (now.breaker, ""))
    screen.parts(("Database  ", "bold"), (words, style))
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(now.cache.items())) or "nothing yet"
    screen.parts(("Searches  ", "bold"), (counts, ""))
    screen.parts(("Held up   ", "bold"), (f"{now.held_up_ms:g} ms at worst since this was asked before", ""))
    return Exit.OK
