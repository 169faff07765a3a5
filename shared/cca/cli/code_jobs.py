"""`cca code status|cancel`: jobs that index code."""

import asyncio

import click
import msgspec

from cca import codec
from cca.cli import http
from cca.cli.exits import Exit, runs
from cca.cli.http import Gateway
from cca.cli.outcome import standard_error
from cca.cli.params import json_option
from cca.cli.progress import steps
from cca.cli.tables import STATE_STYLES, Cell, Column, Screen
from cca.cli.text import clip, span, visible
from cca.contracts.code import CodeJob, CodeJobs, Tally
from cca.errors import Refused

EVERY_S = (0.1, 0.1, 0.2, 0.3, 0.5)
"""Seconds between two looks at a job; the last again and again."""
OVER = frozenset({"completed", "failed", "canceled"})
SYMBOLS = {"completed": "✓", "failed": "✗", "canceled": "–"}
SEARCHED = 200
"""So many of the newest jobs are looked through for an abbreviated id."""


@click.command()
@click.argument("job", required=False)
@click.option("--project", help="Only jobs of this project.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="Jobs at most.")
@click.option("--wait", "waits", is_flag=True, help="Wait until JOB is over.")
@json_option
@runs
async def status(job: str | None, project: str | None, limit: int, waits: bool, as_json: bool) -> Exit:
    """Show how JOB is getting on; without one, list the last jobs, newest first.

    In a pipe, a list is one line each, separated by tabs: id, project, state, files looked at, of how many, chunks,
    when it began, seconds, what went wrong. With --wait the exit code is 1 unless the job is completed.
    """
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        if job is None:
            if waits:
                raise Refused("bad-input", "--wait needs a JOB")
            params = {"limit": str(limit)} | ({"project": project} if project else {})
            body = await gateway.request("GET", "/code/jobs", params=params)
        else:
            identity = await full_id(gateway, job)
            body = await (follow(gateway, identity) if waits else look(gateway, identity))
    if as_json:
        screen.document(msgspec.Raw(body))
    if job is not None:
        found = codec.read(body, CodeJob)
        if not as_json:
            show(screen, found)
        return Exit.FAILED if waits and found.state != "completed" else Exit.OK
    if not as_json:
        _list(screen, codec.read(body, CodeJobs))
    return Exit.OK


@click.command()
@click.argument("jobs", nargs=-1, required=True)
@json_option
@runs
async def cancel(jobs: tuple[str, ...], as_json: bool) -> Exit:
    """Stop jobs. What they have indexed stays."""
    screen, code = Screen(json=as_json), Exit.OK
    async with http.connect() as gateway:
        for job in jobs:
            try:
                body = await stop(gateway, await full_id(gateway, job))
            except Refused as error:
                click.echo(f"Error: {visible(job)}: {visible(str(error))}", err=True)
                code = Exit.REFUSED
                continue
            if as_json:
                screen.ndjson(msgspec.Raw(body))
            else:
                found = codec.read(body, CodeJob)
                screen.line(found.job, found.state)
    return code


# ------------------------------------------------------------------------------------------ a job at the gateway


async def full_id(gateway: Gateway, text: str) -> str:
    """The id of a job that a text is, or abbreviates. Raises `Refused` when it is none, or several."""
    part = text.strip().replace("…", "")
    if not part.isascii() or not part.replace("-", "").replace("_", "").isalnum() or not 6 <= len(part) <= 64:
        raise Refused("bad-id", f"{text!r} is no id of a job; `cca code status` shows them")
    body = await gateway.request("GET", "/code/jobs", params={"limit": str(SEARCHED)})
    known = [one.job for one in codec.read(body, CodeJobs).items]
    found = [job for job in known if job.startswith(part) or job.endswith(part)]
    if part in found or not found:
        return part  # an older one, or none: the gateway knows
    if len(found) > 1:
        raise Refused("ambiguous", f"{len(found)} jobs begin or end with {part}: {', '.join(found[:3])}")
    return found[0]


async def look(gateway: Gateway, job: str) -> bytes:
    """A job as it is now, as JSON (`CodeJob`)."""
    return await gateway.request("GET", f"/code/jobs/{job}")


async def stop(gateway: Gateway, job: str) -> bytes:
    """Stop a job; as it is then."""
    return await gateway.request("POST", f"/code/jobs/{job}/cancel")


async def follow(gateway: Gateway, job: str) -> bytes:
    """A job once it is over, as JSON, with a bar on a terminal until then."""
    pauses = iter(EVERY_S)
    with steps() as progress:
        while True:
            body = await look(gateway, job)
            now = codec.read(body, CodeJob)
            if now.state in OVER:
                return body
            progress(now.tally.done, now.tally.files or None, _doing(now))
            await asyncio.sleep(next(pauses, EVERY_S[-1]))


def _doing(now: CodeJob) -> str:
    project = clip(now.project, 30)
    if now.state == "waiting":
        return f"{project}: waiting"
    return f"{project}: {now.tally.chunks:,} chunks" if now.tally.files else f"{project}: looking for files"


# ------------------------------------------------------------------------------------------ what is shown


def counts(tally: Tally) -> str:
    """What a job has done, in words."""
    kinds = ("indexed", "unchanged", "skipped", "failed", "removed")
    files = ", ".join(f"{getattr(tally, kind):,} {kind}" for kind in kinds if getattr(tally, kind))
    chunks = f"{tally.chunks:,} chunks ({tally.added:,} new, {tally.kept:,} kept, {tally.dropped:,} dropped)"
    return f"{tally.done:,} of {tally.files:,} files{f' ({files})' if files else ''}, {chunks}"


def show(screen: Screen, job: CodeJob) -> None:
    """A job, and how far it is; in a pipe one line."""
    if not screen.person:
        screen.line(*_row(screen, job))
        return
    style = STATE_STYLES.get(job.state, "yellow")
    screen.parts((f"{SYMBOLS.get(job.state, '▶')} {job.state}", f"bold {style}"), (f"  {job.project}", "bold"))
    took = f" in {span(job.duration_s)}" if job.duration_s else ""
    screen.say(counts(job.tally) + took)
    if job.tally.indexed and job.duration_s:
        per_file, per_chunk = job.tally.indexed / job.duration_s, job.tally.added / job.duration_s
        screen.say(f"{per_file:,.0f} files/s, {per_chunk:,.0f} chunks/s", "dim")
    if job.embedded < job.tally.chunks:
        screen.say(f"found by words now; by meaning, {job.embedded:,} of {job.tally.chunks:,} chunks so far", "dim")
    if job.resumed:
        screen.say(f"it was cut short and went on {job.resumed} times", "dim")
    if job.problem:
        screen.say(job.problem, "red")
    for path, why in sorted(job.failures.items()):
        screen.parts((f"  {path}: ", ""), (why, "red"))
    more = job.tally.failed - len(job.failures)
    if job.failures and more > 0:
        screen.say(f"  and {more:,} more", "dim")
    screen.parts((f"{job.path}  {job.job}", "dim"))


def tell_failures(job: CodeJob) -> None:
    """Say on standard error what is not in the one line of a pipe."""
    for path, why in sorted(job.failures.items()):
        standard_error().say(f"{visible(path)}: {visible(why)}")


def _row(screen: Screen, job: CodeJob) -> tuple[Cell, ...]:
    took = span(job.duration_s) if screen.person else f"{job.duration_s:.3f}"
    tally = job.tally
    done = (f"{tally.done:,}/{tally.files:,}",) if screen.person else (tally.done, tally.files)
    return (job.job, job.project, job.state, *done, tally.chunks, job.started_at, took, job.problem)


def _list(screen: Screen, found: CodeJobs) -> None:
    columns = [Column("id", short=12), Column("project"), Column("state", "state"), Column("files", "number")]
    columns += [Column("chunks", "number"), Column("began", "time"), Column("took", "number")]
    rows = [_row(screen, job) for job in found.items]
    screen.table([*columns, Column("", grows=True)], rows, "no jobs; `cca code index PATH` starts one")
