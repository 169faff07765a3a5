"""`cca memory store|rate|forget`: keeping memories by hand."""

import re
from typing import get_args

import click
import msgspec

from cca import codec, ids
from cca.cli import http
from cca.cli.answers import write
from cca.cli.context_keys import SCOPE
from cca.cli.exits import Exit, runs
from cca.cli.outcome import standard_error
from cca.cli.params import LABEL, TEXT_OR_FILE, Context, Parameter, json_option
from cca.cli.tables import Screen
from cca.cli.text import visible
from cca.contracts.memory import LONGEST, PROJECT, MemoryView, Outcome, Remembered, Source, StoreMemory
from cca.errors import Refused

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def path(memory: str) -> str:
    """Where a memory is at the gateway. Raises `Refused` for what cannot be one."""
    if _ID.match(memory) is None:
        raise Refused("bad-id", f"{memory!r} is no id of a memory; `cca memory list` shows them")
    return f"/memory/{memory}"


def identity_of(context: Context, parameter: Parameter, value: str | None) -> str | None:
    """The name that a memory is to have: one under which the gateway can be asked for it."""
    if value is not None and _ID.match(value) is None:
        raise click.BadParameter("letters, digits, - and _, at most 64")
    return value


@click.command()
@click.argument("text")
@click.option(
    "--kind", default="fact", show_default=True, help="solution, failure, lesson, fact, procedure, or a word."
)
@click.option("--scope", type=SCOPE, default=PROJECT, show_default=True, help="Where it holds.")
@click.option("--role", help="Whose work it is about; all, without.")
@click.option("--label", "labels", type=LABEL, multiple=True, help="May be repeated.")
@click.option("--task", help="The task that it comes from.")
@click.option("--agent", help="The agent that it comes from.")
@click.option("--repo", help="The repository that it comes from.")
@click.option("--id", "identity", callback=identity_of, metavar="NAME", help="A name for it: letters, digits, - and _.")
@json_option
@runs
async def store(
    text: str,
    kind: str,
    scope: str,
    role: str | None,
    labels: tuple[tuple[str, str], ...],
    task: str | None,
    agent: str | None,
    repo: str | None,
    identity: str | None,
    as_json: bool,
) -> Exit:
    """Remember TEXT, or @FILE for what a file holds, or - for standard input, and print the memory's id.

    The same text in the same scope and role is the same memory.

    \b
    cca memory store "The tests need PostgreSQL 16" --scope project:web --role backend
    git log -1 --format=%B | cca memory store - --kind lesson --repo web
    """
    said = TEXT_OR_FILE.convert("@-" if text == "-" else text, None, None)
    if not said.strip() or len(said) > LONGEST:
        raise Refused("bad-input", f"a memory has 1 to {LONGEST:,} characters; this has {len(said):,}")
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        if task is not None:
            task = await gateway.full_id(task)
        command = StoreMemory(
            said,
            ids.word(kind, "a kind"),
            scope,
            ids.word(role, "a role") if role else None,
            dict(labels),
            Source(task, agent, role, repo),
            identity,
        )
        answer = await gateway.request("POST", "/memory", body=codec.encode(command), timeout=60)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    kept = codec.read(answer, Remembered)
    screen.say(kept.memory)
    if screen.person and not kept.created:
        like = f" (similarity {kept.similarity:.2f})" if 0 < kept.similarity < 1 else ""
        screen.say(f"this was remembered before{like}", "dim")
    if kept.redacted:
        sorts = ", ".join(f"{count} {sort}" for sort, count in sorted(kept.redacted.items()))
        standard_error().say(f"secrets were taken out of it: {sorts}", "yellow")
    return Exit.OK


@click.command()
@click.argument("memory")
@click.argument("outcome", type=click.Choice(get_args(Outcome)))
@click.option("--task", help="In which task: a later word on the same task replaces the one before.")
@click.option("--comment", default="", help="Why; it is kept in the log.")
@json_option
@runs
async def rate(memory: str, outcome: Outcome, task: str | None, comment: str, as_json: bool) -> Exit:
    """Say whether a memory helped. It is found sooner, or later, after that."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        if task is not None:
            task = await gateway.full_id(task)
        body = write({"outcome": outcome, "comment": comment} | ({"task": task} if task else {}))
        answer = await gateway.request("POST", f"{path(memory)}/feedback", body=body, once=task is None)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    now = codec.read(answer, MemoryView)
    if screen.person:
        screen.say(f"{now.memory} helped {now.successes:,} times, and did not {now.failures:,} times")
    else:
        screen.line(now.memory, now.successes, now.failures)
    return Exit.OK


@click.command()
@click.argument("memories", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; it is kept in the log.")
@json_option
@runs
async def forget(memories: tuple[str, ...], reason: str, as_json: bool) -> Exit:
    """Remove memories from all tables and searches. What tasks teach is not stored again under the same id."""
    screen, code = Screen(json=as_json), Exit.OK
    params = {"reason": reason} if reason else {}
    async with http.connect() as gateway:
        for memory in memories:
            try:
                answer = await gateway.request("DELETE", path(memory), params=params)
            except Refused as error:
                click.echo(f"Error: {visible(memory)}: {visible(str(error))}", err=True)
                code = Exit.REFUSED
                continue
            if as_json:
                screen.ndjson(msgspec.Raw(answer))
            else:
                screen.line(memory, "forgotten")
    return code
