"""`cca events`: the log as it grows, and single events of it."""

from typing import Any

import click
import msgspec

from cca.cli import http, show
from cca.cli.answers import Event, read
from cca.cli.exits import runs
from cca.cli.http import Gateway
from cca.cli.outcome import standard_error
from cca.cli.params import json_option
from cca.cli.tables import STATE_STYLES, Screen
from cca.cli.text import clip, visible
from cca.errors import Refused


@click.group()
def events() -> None:
    """Look at the log: every step of every task is an event in it."""


@events.command()
@click.option("--task", metavar="ID", help="Only this task: its history, and what follows until it is over.")
@click.option("--type", "types", multiple=True, help="Only these: completed, task.*, cca.agent.joined.v1, …")
@click.option("--since-seq", type=click.IntRange(0), help="Begin after this position; 0 is the beginning of the log.")
@json_option
@runs
async def tail(task: str | None, types: tuple[str, ...], since_seq: int | None, as_json: bool) -> None:
    """Print events as they happen, until it is interrupted.

    When the connection breaks it goes on after the last event that was printed. In a pipe: position, time, type,
    what it is about and a sentence, separated by tabs; with --json, a line of JSON for each event.
    """
    screen, aside = Screen(json=as_json), standard_error()
    query = {"types": ",".join(pattern(one) for one in types)} if types else {}
    if since_seq is not None:
        query["after"] = str(since_seq)
    async with http.connect() as gateway:
        path = f"/tasks/{await gateway.full_id(task)}/events" if task else "/events"
        async for found in gateway.stream(path, query):
            if found is None:
                aside.say("the connection was lost; trying again", "dim")
            elif as_json:
                screen.ndjson(msgspec.Raw(found.data.encode()))
            else:
                _print(screen, read(found.data, Event))


@events.command("show")
@click.argument("what", metavar="SEQ|TASK")
@json_option
@runs
async def show_(what: str, as_json: bool) -> None:
    """Show the event at a position of the log in full, or the history of a task."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        if what.isascii() and what.isdecimal() and len(what) < 19:
            raw = await _at(gateway, int(what))
            if as_json:
                screen.document(raw)
            else:
                _print_in_full(screen, raw)
            return
        found = await gateway.events(f"/tasks/{await gateway.full_id(what)}/events")
    if as_json:
        screen.document(found)
        return
    for raw in found:
        _print(screen, read(raw, Event))


def pattern(text: str) -> str:
    """What the gateway calls the types that a person means: `completed` is `cca.task.completed.*`."""
    name = text.strip().lower().removeprefix("cca.")
    if "." not in name and name != "*":
        name = f"task.{name}"
    last = name.rpartition(".")[2]
    if not name.endswith("*") and not (last.startswith("v") and last[1:].isdecimal()):
        name += ".*"
    return f"cca.{name}"


async def _at(gateway: Gateway, seq: int) -> msgspec.Raw:
    found = await gateway.events("/events", after=max(seq - 1, 0), limit=1)
    if not found or read(found[0], Event).seq != seq:
        raise Refused("not-found", f"there is no event at position {seq}: it may be work or a timer, or not yet there")
    return found[0]


def _print(screen: Screen, event: Event) -> None:
    of = event.subject.removeprefix("cca.events.")
    kind = show.short_type(event.type) or "?"
    if not screen.person:
        screen.line(event.seq, event.at, kind, of, show.sentence(event))
        return
    kind_of, _, name = of.partition(".")
    about = name[-12:] if kind_of == "task" else name
    time = event.at.astimezone().strftime("%H:%M:%S.%f")[:-3] if event.at else " " * 12
    head = f"{event.seq:>8}  {time}  "
    room = max(screen.console.width - len(head) - 30, 20)
    screen.parts(
        (head, "dim"),
        (f"{clip(about, 12):<12}  ", ""),
        (f"{clip(kind, 14):<14}  ", STATE_STYLES.get(kind, "")),
        (clip(show.sentence(event), room), ""),
    )


def _print_in_full(screen: Screen, raw: msgspec.Raw) -> None:
    everything = read(raw, dict[str, Any])
    data = everything.pop("data", None)
    for name, value in everything.items():
        screen.parts((f"{name:<14}", "dim"), (visible(str(value)), ""))
    screen.say()
    screen.value(data if data is not None else everything.get("data_base64", ""))
