"""`cca task`: submit tasks, look at them, wait for them, stop them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

import click
import msgspec

from cca import ids
from cca.cli import http, outcome, show, watch
from cca.cli.answers import Event, Task, read, write
from cca.cli.exits import Exit, runs
from cca.cli.params import JSON_OBJECT, LABEL, SPAN, TEXT_OR_FILE, Waits, json_option, wait_option
from cca.cli.tables import Column, Screen
from cca.cli.text import span, visible
from cca.contracts.task import PRIORITIES, Priority, State, SubmitTask
from cca.errors import Refused


@click.group()
def task() -> None:
    """Submit tasks, look at them, wait for them, stop them.

    An id may be abbreviated to a part of its beginning or end that is unique among recent tasks.
    """


@task.command(cls=Waits)
@click.argument("role")
@click.argument("description", nargs=-1)
@click.option("-f", "--file", metavar="FILE", help="Read the description from a file; - is standard input.")
@click.option("--input", "inputs", type=JSON_OBJECT, help="Structured input: a JSON object, or @file.")
@click.option("--context", type=TEXT_OR_FILE, help="Further text that the agent should know: a text, or @file.")
@click.option(
    "--priority", type=click.Choice(PRIORITIES), default="normal", show_default=True, help="Order within a lane."
)
@click.option("--lane", help="Only this lane of the role.")
@click.option("--kind", help="The sort of task: refactor, review, …")
@click.option("--requester", help="On whose behalf.")
@click.option("--label", "labels", type=LABEL, multiple=True, help="For filters; may be repeated.")
@click.option("--id", "identity", metavar="UUID", help="The task's id. The same id again is the same task.")
@click.option("--key", metavar="TEXT", help="An idempotency key in place of an id: any text, unique per requester.")
@click.option(
    "--max-attempts", type=click.IntRange(1, 100), default=3, show_default=True, help="How often it is tried."
)
@click.option("--timeout", "timeout_s", type=SPAN, help="The longest that one attempt may take.")
@click.option("--deadline", "deadline_s", type=SPAN, help="When it should be over; missing it costs reward only.")
@wait_option("Wait for the outcome, for ever or so long, and print the result.")
@click.option("--follow", is_flag=True, help="Wait, and print what the task prints as it comes.")
@json_option
@runs
async def submit(
    role: str,
    description: tuple[str, ...],
    file: str | None,
    inputs: dict[str, Any] | None,
    context: str | None,
    priority: str,
    lane: str | None,
    kind: str | None,
    requester: str | None,
    labels: tuple[tuple[str, str], ...],
    identity: str | None,
    key: str | None,
    max_attempts: int,
    timeout_s: float | None,
    deadline_s: float | None,
    wait_s: float | None,
    follow: bool,
    as_json: bool,
) -> Exit | None:
    """Submit a task for ROLE and print its id.

    The words of DESCRIPTION become one text; put -- before them when one begins with a dash. The id is printed
    when the task is durable.
    """
    if bool(description) == bool(file):
        raise Refused("bad-input", "give a description, as words or with --file, and not both")
    text = TEXT_OR_FILE.read(file, None, None) if file else " ".join(description)
    if identity and key:
        raise Refused("bad-input", "give --id or --key, not both")
    command = SubmitTask(
        text,
        role=ids.word(role, "a role"),
        # An id of ours makes it safe to ask again when an answer is lost.
        id=ids.task_id(identity) if identity else None if key else ids.uuid7(),
        idempotency_key=key,
        input=inputs,
        context=context,
        priority=cast(Priority, priority),
        lane=ids.word(lane, "a lane") if lane else None,
        kind=kind,
        requester=requester,
        labels=dict(labels),
        max_attempts=max_attempts,
        timeout_s=timeout_s,
        deadline_s=deadline_s,
    )
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        accepted = await gateway.submit(command)
        if follow:
            return await outcome.follow(gateway, screen, accepted.task)
        if wait_s is not None:
            return outcome.print_outcome(screen, await outcome.wait(gateway, accepted.task, wait_s))
    if as_json:
        screen.document(accepted)
        return None
    screen.say(accepted.task)
    if screen.person:
        again = "" if accepted.created else " (it was there before)"
        screen.say(f"{accepted.state}{again}; `cca task watch {accepted.task[-12:]}` follows it", "dim")
    return None


@task.command("list")
@click.option("--state", "states", type=click.Choice(get_args(State)), multiple=True, help="May be repeated.")
@click.option("--role", help="Of this role.")
@click.option("--requester", help="On behalf of this requester.")
@click.option("--kind", help="Of this kind.")
@click.option("--label", "labels", type=LABEL, multiple=True, help="With this label; may be repeated.")
@click.option("--agent", help="That this agent runs, or ran last.")
@click.option("--search", metavar="TEXT", help="With this text in the description.")
@click.option("--since", type=SPAN, help="Submitted at most so long ago: 30m, 2d.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="All that there are.")
@json_option
@runs
async def list_(
    states: tuple[str, ...],
    role: str | None,
    requester: str | None,
    kind: str | None,
    labels: tuple[tuple[str, str], ...],
    agent: str | None,
    search: str | None,
    since: float | None,
    limit: int,
    everything: bool,
    as_json: bool,
) -> None:
    """List tasks, newest first.

    In a pipe: one line each, separated by tabs: id, state, role, agent, attempt, time of submission, seconds that
    it took, description.
    """
    screen = Screen(json=as_json)
    wanted = {
        "role": role,
        "requester": requester,
        "kind": kind,
        "agent": agent,
        "q": search,
        "state": ",".join(states),
    }
    query = {name: value for name, value in wanted.items() if value}
    if labels:
        query["label"] = ",".join(f"{name}={value}" for name, value in labels)
    if since is not None:
        query["since"] = (datetime.now(UTC) - timedelta(seconds=since)).isoformat()
    async with http.connect() as gateway:
        raw = [item async for item in gateway.pages("/tasks", query, None if everything else limit)]
    if as_json:
        screen.document({"items": raw})
        return
    columns = (
        Column("id", short=12),
        Column("state", kind="state"),
        Column("role"),
        Column("agent"),
        Column("try", kind="number"),
        Column("submitted", kind="time"),
        Column("took", kind="number"),
        Column("description", grows=True),
    )
    rows = []
    for item in raw:
        one = read(item, Task)
        began, took = one.created_at, one.took_s
        shown = "" if took is None else span(took) if screen.person else f"{took:.3f}"
        tries = f"{one.attempt}/{one.max_attempts}" if screen.person else str(one.attempt)
        rows.append((one.task, one.state, one.role, one.agent, tries, began, shown, one.description))
    screen.table(columns, rows, "no tasks")
    if screen.person and len(rows) == limit and not everything:
        screen.say(f"the newest {limit}; --limit N or --all shows more", "dim")


@task.command("show")
@click.argument("id")
@json_option
@runs
async def show_(id: str, as_json: bool) -> None:
    """Show everything that is known of a task: facts, attempts, history, and what it waits for."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        identity = await gateway.full_id(id)
        body = await gateway.task(identity)
        events = await gateway.events(f"/tasks/{identity}/events")
    if as_json:
        screen.document(read(body, dict[str, msgspec.Raw]) | {"events": events})
        return
    show.show_task(screen, read(body, Task), [read(raw, Event) for raw in events])


@task.command("watch")
@click.argument("ids", nargs=-1)
@click.option("--interval", type=SPAN, default="1s", show_default=True, help="Without an id: between two looks.")
@json_option
@runs
async def watch_(ids: tuple[str, ...], interval: float, as_json: bool) -> Exit | None:
    """Follow tasks until they are over; without an ID, count the tasks of each role.

    In a pipe, tasks give a line for each of their events, and the counts are printed once. With --json: a line of
    JSON for each event, or for each look at the counts until it is interrupted.
    """
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        if not ids:
            await watch.watch_roles(gateway, screen, interval)
            return None
        return await watch.watch_tasks(gateway, screen, [await gateway.full_id(one) for one in ids])


@task.command(cls=Waits)
@click.argument("id")
@wait_option("Wait until the task is over, for ever or so long.")
@json_option
@runs
async def result(id: str, wait_s: float | None, as_json: bool) -> Exit | None:
    """Print the result of a task, and nothing else, to standard output.

    A text is printed as it is, anything else as JSON. Why a task failed goes to standard error.
    """
    async with http.connect() as gateway:
        body = await outcome.wait(gateway, await gateway.full_id(id), wait_s or 0)
    return outcome.print_outcome(Screen(json=as_json), body)


@task.command()
@click.argument("id")
@click.option("--follow", is_flag=True, help="Go on until the task is over.")
@click.option("--stream", type=click.Choice(("stdout", "stderr")), help="Only what it wrote there.")
@click.option("--attempt", type=click.IntRange(1), help="Only what this attempt printed.")
@json_option
@runs
async def output(id: str, follow: bool, stream: str | None, attempt: int | None, as_json: bool) -> Exit | None:
    """Print what a task has printed, in order.

    A pipe gets every byte as it was; --follow with --json gives a line of JSON for each piece.
    """
    query = {"stream": stream, "attempt": str(attempt) if attempt else None}
    params = {name: value for name, value in query.items() if value}
    async with http.connect() as gateway:
        identity = await gateway.full_id(id)
        return await outcome.print_output(gateway, Screen(json=as_json), identity, params, following=follow)


@task.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; it is kept with the task.")
@click.option("--requester", help="On whose behalf.")
@json_option
@runs
async def cancel(ids: tuple[str, ...], reason: str, requester: str | None, as_json: bool) -> Exit:
    """Stop tasks, queued or running."""
    return await _each("cancel", ids, reason, requester, as_json)


@task.command()
@click.argument("ids", nargs=-1, required=True)
@click.option("--reason", default="", help="Why; it is kept with the task.")
@click.option("--requester", help="On whose behalf.")
@json_option
@runs
async def retry(ids: tuple[str, ...], reason: str, requester: str | None, as_json: bool) -> Exit:
    """Try tasks again that failed or were canceled."""
    return await _each("retry", ids, reason, requester, as_json)


@task.command()
@click.argument("id")
@click.argument("quality", type=click.FloatRange(0, 1))
@click.option("--comment", default="", help="Why; it is kept with the task.")
@click.option("--requester", help="On whose behalf.")
@json_option
@runs
async def rate(id: str, quality: float, comment: str, requester: str | None, as_json: bool) -> Exit:
    """Say how good the result of a task is, from 0 to 1; routing learns from it. A later rating replaces it."""
    screen = Screen(json=as_json)
    body = write({"quality": quality, "comment": comment} | ({"requester": requester} if requester else {}))
    async with http.connect() as gateway:
        identity = await gateway.full_id(id)
        answer = await gateway.request("POST", f"/tasks/{identity}/feedback", body=body)
    if as_json:
        screen.document(msgspec.Raw(answer))
    else:
        screen.line(read(answer, Task).task, f"rated {quality:g}")
    return Exit.OK


async def _each(verb: str, ids: Iterable[str], reason: str, requester: str | None, as_json: bool) -> Exit:
    """Ask the same of several tasks; what is refused for one is no harm to the others."""
    screen, code = Screen(json=as_json), Exit.OK
    body = write({"reason": reason} | ({"requester": requester} if requester else {}))
    async with http.connect() as gateway:
        for one in ids:
            try:
                identity = await gateway.full_id(one)
                answer = await gateway.request("POST", f"/tasks/{identity}/{verb}", body=body)
            except Refused as error:
                click.echo(f"Error: {visible(one)}: {visible(str(error))}", err=True)
                code = Exit.REFUSED
                continue
            if as_json:
                screen.ndjson(msgspec.Raw(answer))
            else:
                view = read(answer, Task)
                screen.line(view.task, view.state)
    return code
