"""`cca memory export|import`: memories as lines of JSON, to keep them or to take them elsewhere."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from msgspec import Raw, Struct

from cca import codec
from cca.cli import http
from cca.cli.context_keys import SCOPE
from cca.cli.exits import Exit, runs
from cca.cli.http import Gateway
from cca.cli.outcome import standard_error
from cca.cli.params import json_option
from cca.cli.progress import steps
from cca.cli.tables import Screen
from cca.cli.text import visible
from cca.contracts.memory import PROJECT, MemoryStats, Remembered, Source, StoreMemory
from cca.errors import Busy, Refused, Unreadable

STDIO = "-"
AT_ONCE = 16
"""So many memories are stored at the same time."""
LONGEST_LINE = 1024 * 1024
"""Bytes of a line, at most: a memory is far shorter."""
TOLD = 20
"""Of so many lines that are refused is said why."""


class _Origin(Struct, frozen=True):
    task: str | None = None
    agent: str | None = None
    role: str | None = None
    repo: str | None = None
    requester: str | None = None


class Line(Struct, frozen=True):
    """A line of an export: what of a `MemoryView` can be stored again. Fields of a newer version are passed by."""

    text: str
    memory: str | None = None
    id: str | None = None
    kind: str = "fact"
    scope: str = PROJECT
    role: str | None = None
    labels: dict[str, str] = {}
    source: _Origin = _Origin()
    successes: int = 0
    failures: int = 0
    created_at: datetime | None = None

    def command(self) -> StoreMemory:
        """What stores it under the id that it had: twice is once."""
        source = self.source
        return StoreMemory(
            self.text,
            self.kind,
            self.scope,
            self.role,
            self.labels,
            Source(source.task, source.agent, source.role, source.repo, source.requester),
            self.memory or self.id,
            self.successes,
            self.failures,
            self.created_at,
        )


class Imported(Struct):
    """What became of the lines: stored, there before (or merged into what was), refused; and secrets taken out."""

    stored: int = 0
    there: int = 0
    refused: int = 0
    redacted: int = 0

    @property
    def lines(self) -> int:
        return self.stored + self.there + self.refused


# ------------------------------------------------------------------------------------------ export


@click.command()
@click.argument("file", default=STDIO)
@click.option("--scope", type=SCOPE, help="Only of this scope.")
@click.option("--role", help="Only of this role.")
@click.option("--kind", help="Only of this kind.")
@runs
async def export(file: str, scope: str | None, role: str | None, kind: str | None) -> Exit:
    """Write memories into FILE, or to standard output: a line of JSON each, newest first.

    `cca memory import` reads it. A file is replaced when all is written, and not before.

    \b
    cca memory export memories.ndjson
    cca memory export --role backend | gzip > backend.ndjson.gz
    """
    query = {name: value for name, value in (("scope", scope), ("role", role), ("kind", kind)) if value}
    count = 0
    async with http.connect() as gateway:
        total = None if query else codec.read(await gateway.request("GET", "/memory/stats"), MemoryStats).memories
        with _target(file) as write, steps() as progress:
            async for item in gateway.pages("/memory", query, None, cursor="before"):
                write(item)
                count += 1
                if count % 50 == 0:
                    progress(count, max(total, count) if total is not None else None, "exporting")
    if file != STDIO:
        standard_error().say(f"{count:,} memories are in {file}")
    return Exit.OK


@contextmanager
def _target(name: str) -> Iterator[Callable[[Raw], None]]:
    """What writes a line: to standard output, or into a file that appears when all is written. Raises `Refused`."""
    if name == STDIO:
        yield Screen(json=True).ndjson
        return
    draft = Path(f"{name}.{os.getpid()}.part")
    try:
        try:
            with draft.open("xb") as file:
                yield lambda item: _write_line(file, item)
            draft.replace(name)
        except OSError as error:
            raise Refused("unwritable", f"{name}: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)


def _write_line(file: BinaryIO, item: Raw) -> None:
    file.write(bytes(item) + b"\n")


# ------------------------------------------------------------------------------------------ import


@click.command("import")
@click.argument("file", default=STDIO)
@json_option
@runs
async def import_(file: str, as_json: bool) -> Exit:
    """Store the memories of FILE, or of standard input: a line of JSON each, as `cca memory export` writes them.

    They keep their ids, so the same again changes nothing, and what was cut short may simply be repeated. A line that
    is refused is no harm to the others; then the exit code is 2.
    """
    done = Imported()
    with _source(file) as (lines, total), steps() as progress:
        async with http.connect() as gateway:
            try:
                async for _ in _stored(gateway, lines, done):
                    progress(done.lines, total, "importing")
            except Busy as error:
                raise Busy(f"{error}; {done.lines:,} lines are done, and may be imported again") from None
    screen = Screen(json=as_json)
    if as_json:
        screen.document(done)
    elif screen.person:
        screen.say(f"{done.stored:,} stored, {done.there:,} were there, {done.refused:,} refused")
        if done.redacted:
            screen.say(f"{done.redacted:,} secrets were taken out of them", "yellow")
    else:
        screen.line(done.stored, done.there, done.refused)
    return Exit.REFUSED if done.refused else Exit.OK


@contextmanager
def _source(name: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The lines, and how many there are if that can be known before. Raises `Refused`."""
    if name == STDIO:
        if sys.stdin.isatty():
            raise click.UsageError("name a FILE, or let lines come from standard input")
        yield sys.stdin.buffer, None
        return
    try:
        with Path(name).open("rb") as file:
            total = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(LONGEST_LINE), b""))
            file.seek(0)
            yield file, total
    except (OSError, ValueError) as error:
        raise Refused("unreadable", f"{name}: {getattr(error, 'strerror', None) or error}") from None


async def _stored(gateway: Gateway, lines: BinaryIO, done: Imported) -> AsyncIterator[None]:
    """Store line after line, `AT_ONCE` at a time; gives a sign after each."""
    running: set[asyncio.Task[None]] = set()
    try:
        for number, body in enumerate(_each(lines), 1):
            if not body.strip():
                continue
            running.add(asyncio.create_task(_store(gateway, number, body, done)))
            if len(running) >= AT_ONCE:
                running = await _some(running)
                yield
        while running:
            running = await _some(running)
            yield
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _some(running: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait until some are ready, and give the others. Raises what one of them has raised."""
    ready, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in ready:
        task.result()
    return rest


def _each(lines: BinaryIO) -> Iterator[bytes]:
    """The lines, whole. One that is too long is given cut off: it is no JSON then, and refused."""
    while body := lines.readline(LONGEST_LINE):
        yield body
        while len(body) == LONGEST_LINE and not body.endswith(b"\n"):
            body = lines.readline(LONGEST_LINE)


async def _store(gateway: Gateway, number: int, body: bytes, done: Imported) -> None:
    try:
        command = _line(body).command()
        kept = codec.read(await gateway.request("POST", "/memory", body=codec.encode(command), timeout=60), Remembered)
    except (Refused, Unreadable) as error:
        if isinstance(error, Refused) and error.code in ("not-authenticated", "forbidden"):
            raise
        done.refused += 1
        if done.refused <= TOLD:
            more = " (and no more of them are told)" if done.refused == TOLD else ""
            click.echo(f"Error: line {number:,}: {visible(str(error))}{more}", err=True)
        return
    done.redacted += sum(kept.redacted.values())
    if kept.created:
        done.stored += 1
    else:
        done.there += 1


def _line(body: bytes) -> Line:
    """A line of an export. Raises `Unreadable`."""
    if len(body) >= LONGEST_LINE:
        raise Unreadable(f"longer than {LONGEST_LINE:,} bytes")
    try:
        return msgspec.json.decode(body, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"no memory: {error}") from None
