"""`cca code index`: a job that indexes a directory, followed until it is over."""

import asyncio
import os
from typing import get_args

import click
import msgspec

from cca import codec, ids
from cca.cli import http
from cca.cli.code_jobs import follow, show, stop, tell_failures
from cca.cli.exits import Exit, runs
from cca.cli.outcome import standard_error
from cca.cli.params import json_option
from cca.cli.tables import Screen
from cca.contracts.code import CodeJob, CodeLanguage, IndexCode
from cca.errors import Busy, Refused


@click.command()
@click.argument("path")
@click.option("--project", help="Under which name it is found; the name of the directory without.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only such files, as in a .gitignore; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Not such files; may be repeated.")
@click.option(
    "--language",
    "languages",
    type=click.Choice(get_args(CodeLanguage)),
    multiple=True,
    help="Only this language; may be repeated.",
)
@click.option("--force", is_flag=True, help="Look at files again that have not changed.")
@click.option("--no-wait", is_flag=True, help="Print the job's id, and do not wait for it.")
@click.option("--cancel-on-interrupt", is_flag=True, help="Ctrl-C stops the job too; without, it goes on.")
@json_option
@runs
async def index(
    path: str,
    project: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    languages: tuple[CodeLanguage, ...],
    force: bool,
    no_wait: bool,
    cancel_on_interrupt: bool,
    as_json: bool,
) -> Exit:
    """Index the directory or file PATH, and wait until that is done.

    Files that have not changed since last time are passed by, and what is gone leaves the index. What .gitignore
    files name is left out. The job goes on by itself, also after Ctrl-C. The exit code is 1 unless it is completed.

    \b
    cca code index . --project web
    cca code index ~/src/web --language python --exclude 'tests/' --no-wait
    """
    screen = Screen(json=as_json)
    command = IndexCode(
        os.path.abspath(os.path.expanduser(path)),
        ids.word(project, "a project") if project else None,
        include,
        exclude,
        languages,
        force,
    )
    async with http.connect() as gateway:
        # A repetition is harmless: what has been indexed has not changed since.
        body = await gateway.request("POST", "/code/index", body=codec.encode(command), timeout=30)
        job = codec.read(body, CodeJob)
        if no_wait:
            if as_json:
                screen.document(msgspec.Raw(body))
            else:
                screen.say(job.job)
                if screen.person:
                    screen.say(f"`cca code status {job.job} --wait` follows it", "dim")
            return Exit.OK
        try:
            body = await follow(gateway, job.job)
        except asyncio.CancelledError:
            aside = standard_error()
            if not cancel_on_interrupt:
                aside.say(f"the job goes on: `cca code status {job.job} --wait` follows it, `cca code cancel` stops it")
                raise
            try:
                await stop(gateway, job.job)
                aside.say(f"the job {job.job} is canceled; what it has indexed stays")
            except (Busy, Refused) as error:
                aside.say(f"the job {job.job} could not be canceled: {error}", "red")
            raise
    done = codec.read(body, CodeJob)
    if as_json:
        screen.document(msgspec.Raw(body))
    else:
        show(screen, done)
        if not screen.person:
            tell_failures(done)
    return Exit.OK if done.state == "completed" else Exit.FAILED
