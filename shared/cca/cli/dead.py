"""`cca dead`: messages that could not be handled, and sending them back. It speaks to NATS as the administrator."""

import base64
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click
import msgspec

from cca import config
from cca import dead as letters
from cca.cli.exits import Exit, runs
from cca.cli.params import TEXT_OR_FILE, json_option
from cca.cli.tables import Column, Screen
from cca.cli.text import visible
from cca.dead import Entry
from cca.errors import Refused
from cca.nats.bus import connect
from cca.nats.dead import DeadLetters


@asynccontextmanager
async def _store() -> AsyncIterator[DeadLetters]:
    async with connect(config.load().nats, "cca dead") as bus:
        yield DeadLetters(bus)


@click.group()
def dead() -> None:
    """Look at dead letters and send them back.

    A message that a service could not read, and a task that failed for good, are kept here for 30 days, each with
    the reason.
    """


@dead.command("list")
@click.option("--service", help="Only those of this service: router, projector, …")
@click.option("--reason", metavar="TEXT", help="Only those with this text in their reason.")
@click.option("--open", "only_open", is_flag=True, help="Only those that have not been sent back.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The newest so many.")
@click.option("--all", "everything", is_flag=True, help="All that there are.")
@json_option
@runs
async def list_(
    service: str | None, reason: str | None, only_open: bool, limit: int, everything: bool, as_json: bool
) -> None:
    """List dead letters, oldest first.

    In a pipe: number, status, service, time, subject, bytes, task and reason, separated by tabs.
    """
    screen = Screen(json=as_json)
    async with _store() as store:
        found: deque[Entry] = deque(maxlen=None if everything else limit)
        async for entry in _matching(store, service, reason, only_open):
            found.append(entry)
    if as_json:
        screen.document({"items": [_plain(entry, with_body=False) for entry in found]})
        return
    columns = (
        Column("number", kind="number"),
        Column("status", kind="state"),
        Column("service"),
        Column("time", kind="time"),
        Column("subject", most=32),
        Column("bytes", kind="number"),
        Column("task", short=12),
        Column("reason", grows=True),
    )
    rows = [(e.seq, e.status, e.service, e.time, _subject(e, screen), e.size, e.task, e.reason) for e in found]
    screen.table(columns, rows, "no dead letters")


@dead.command("show")
@click.argument("number", type=click.IntRange(1))
@json_option
@runs
async def show_(number: int, as_json: bool) -> None:
    """Show a dead letter: where it was, why it is here, its headers and its body."""
    screen = Screen(json=as_json)
    async with _store() as store:
        entry = await store.get(number)
    if as_json:
        screen.document(_plain(entry, with_body=True))
        return
    letter = entry.letter
    facts = {
        "status": entry.status + (f" at {entry.redriven.isoformat()}" if entry.redriven else ""),
        "service": entry.service,
        "reason": entry.reason,
        "time": entry.time.isoformat(),
        "subject": letter.subject,
        "stored": f"{letter.stream}, sequence {letter.seq}" if letter.stream else "nowhere: it was a request",
        "task": entry.task or "",
        "size": f"{entry.size} bytes" + (f", of which {len(letter.body)} are kept" if entry.cut else ""),
    }
    for name, value in facts.items():
        if value:
            screen.parts((f"{name:<9}", "dim"), (value, "red" if name == "reason" else ""))
    for name, value in letter.headers.items():
        screen.parts((f"{'header':<9}", "dim"), (f"{visible(name)}: {value}", ""))
    screen.say()
    try:
        screen.value(msgspec.json.decode(letter.body) if screen.person else msgspec.Raw(letter.body))
    except msgspec.DecodeError:
        screen.say(letter.body.decode("utf-8", "backslashreplace") or "(an empty body)")


@dead.command()
@click.argument("numbers", type=click.IntRange(1), nargs=-1)
@click.option("--service", help="All open ones of this service.")
@click.option("--reason", metavar="TEXT", help="All open ones with this text in their reason.")
@click.option("--all", "everything", is_flag=True, help="All open ones.")
@click.option("--limit", type=click.IntRange(1), default=1_000, show_default=True, help="At most so many.")
@click.option("--body", type=TEXT_OR_FILE, help="Send this in place of the original body: a text, or @file.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
@runs
async def redrive(
    numbers: tuple[int, ...],
    service: str | None,
    reason: str | None,
    everything: bool,
    limit: int,
    body: str | None,
    dry_run: bool,
    as_json: bool,
) -> Exit:
    """Send dead letters back to where they came from; a task that failed is tried again.

    Give their NUMBERS, or say which with --service, --reason or --all.
    """
    screen, code = Screen(json=as_json), Exit.OK
    chosen = bool(service or reason or everything)
    if bool(numbers) == chosen:
        raise Refused("bad-input", "give numbers, or say which with --service, --reason or --all")
    if body is not None and len(numbers) != 1:
        raise Refused("bad-input", "--body needs exactly one number")
    async with _store() as store:
        wanted = list(numbers)
        if chosen:
            # Read to the end before the first goes back: what fails again at once is a new entry.
            wanted = [entry.seq async for entry in _matching(store, service, reason, only_open=True)][:limit]
        for number in wanted:
            try:
                said = await _redrive(store, number, body, dry_run)
            except Refused as error:
                said, code = {"number": number, "done": False, "why": str(error)}, Exit.REFUSED
            if as_json:
                screen.ndjson(said)
            elif said["done"] or dry_run:
                screen.line(number, said["why"])
            else:
                click.echo(f"Error: {visible(str(said['why']))}", err=True)
    if not wanted and screen.person:
        screen.say("nothing to send back", "dim")
    return code


async def _redrive(store: DeadLetters, number: int, body: str | None, dry_run: bool) -> dict[str, Any]:
    if dry_run:
        entry = await store.get(number)
        retry = letters.way_back(entry) == "retry"
        where = f"task {entry.task}" if retry else entry.letter.subject
        if not retry:
            letters.again(entry, 1, None if body is None else body.encode())
        return {"number": number, "done": False, "why": f"would go back to {where}"}
    done = await store.redrive(number, None if body is None else body.encode())
    why = f"task {done.task} is tried again" if done.task else f"sent to {done.subject}"
    return {"number": number, "done": True, "why": why}


async def _matching(
    store: DeadLetters, service: str | None, reason: str | None, only_open: bool
) -> AsyncIterator[Entry]:
    async for entry in store.scan(service=service):
        if only_open and entry.status != "open":
            continue
        if reason is None or reason.lower() in entry.reason.lower():
            yield entry


def _subject(entry: Entry, screen: Screen) -> str:
    subject = entry.letter.subject
    return "(failed task)" if screen.person and _is_task(entry) else subject


def _is_task(entry: Entry) -> bool:
    try:
        return letters.way_back(entry) == "retry"
    except Refused:
        return False


def _plain(entry: Entry, *, with_body: bool) -> dict[str, Any]:
    """An entry for programs; a body that is no text is base64."""
    letter = entry.letter
    found: dict[str, Any] = {
        "number": entry.seq,
        "status": entry.status,
        "service": entry.service,
        "reason": entry.reason,
        "time": entry.time,
        "task": entry.task,
        "subject": letter.subject,
        "stream": letter.stream,
        "seq": letter.seq,
        "size": entry.size,
        "redriven": entry.redriven,
    }
    if with_body:
        found["headers"] = letter.headers
        try:
            found["body"] = letter.body.decode()
        except UnicodeDecodeError:
            found["body_base64"] = base64.b64encode(letter.body).decode()
    return found
