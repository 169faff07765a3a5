"""`cca up`, `down`, `status`, `doctor` and `env`: the stack of this directory."""

import asyncio
import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import click

from cca.cli.exits import Exit
from cca.errors import Busy, Refused
from cca.stack import detached, environment, figures
from cca.stack.foreground import Show, run
from cca.stack.layout import Layout, State
from cca.stack.plan import Wish

_PORT = click.IntRange(0, 65535)


def _directory(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path:
    return (value or environment.directory(os.environ)).expanduser().absolute()


dir_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    callback=_directory,
    help="Where the stack keeps everything.  [default: $CCA_DIR or ./.cca]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command()
@dir_option
@click.option("--http-port", type=_PORT, help="Of the gateway; 0 for any.  [default: 8580 or a free one]")
@click.option("--nats-port", type=_PORT, help="Of NATS; 0 for any.  [default: 4222 or a free one]")
@click.option(
    "--durability",
    type=click.Choice(["always", "interval"]),
    default="always",
    show_default=True,
    help="When NATS says OK: `always` when the data is on disk; `interval` before, so that a power cut can lose"
    " two minutes.",
)
@click.option("--detach", "-d", is_flag=True, help="Return when it is ready, and leave it running.")
@json_option
@click.option("--report-to", type=int, hidden=True, help="A pipe on which a detached stack says how it went.")
def up(
    directory: Path,
    http_port: int | None,
    nats_port: int | None,
    durability: str,
    detach: bool,
    as_json: bool,
    report_to: int | None,
) -> int:
    """Start the stack: NATS, PostgreSQL and every service, each started again when it dies.

    Runs until Ctrl-C or `cca down`. Servers elsewhere are used where CCA_NATS_URL or CCA_POSTGRES_URL name them.
    """
    wish = Wish(directory=directory, http_port=http_port, nats_port=nats_port, durability=durability)
    if report_to is not None:
        return run(wish, detached.Pipe(report_to))
    if not detach:
        return run(wish, Show(as_json))
    outcome = detached.start(wish)
    layout = Layout(directory)
    if as_json:
        click.echo(json.dumps(environment.description(layout, layout.running()) | {"ready_s": outcome.ready_s}))
        return Exit.OK
    for note in outcome.notes:
        click.echo(f"note: {note}")
    click.echo(f"ready in {outcome.ready_s:.1f} s: {outcome.http_url} and {outcome.nats_url}")
    click.echo('next: eval "$(cca env)"; `cca status` shows it, `cca down` stops it')
    return Exit.OK


@click.command()
@dir_option
@click.option("--timeout", type=click.FloatRange(0), default=60, show_default=True, help="Seconds to wait.")
def down(directory: Path, timeout: float) -> int:
    """Stop the stack in good order: services first, then the servers. Nothing is lost."""
    layout = Layout(directory)
    if not layout.is_taken():
        left = asyncio.run(detached.clear(layout)) if layout.directory.exists() else []
        click.echo(f"no stack runs in {directory}" + (f"; ended what was left: {', '.join(left)}" if left else ""))
        return Exit.OK
    begun = time.monotonic()
    detached.stop(layout, timeout)
    click.echo(f"stopped in {time.monotonic() - begun:.1f} s")
    return Exit.OK


@click.command()
@dir_option
@json_option
def status(directory: Path, as_json: bool) -> int:
    """Show the processes of the stack. Exit code 0 when all are ready, 1 when not, 3 when there is none."""
    layout = Layout(directory)
    try:
        state = layout.running()
    except Refused as error:
        if as_json:
            click.echo(json.dumps({"running": False, "ready": False, "dir": str(layout.directory), "parts": []}))
        else:
            click.echo(str(error), err=True)
        return Exit.UNREACHABLE
    memory = figures.memory([state.supervisor.pid, *(p.process.pid for p in state.parts if p.process)])
    ready = state.ready_s is not None and all(part.state == "ready" for part in state.parts)
    if as_json:
        click.echo(json.dumps(_status(layout, state, memory, ready)))
    else:
        from rich.console import Console

        from cca.stack.view import screen

        Console().print(screen(state, (), memory))
    return Exit.OK if ready else Exit.FAILED


def _status(layout: Layout, state: State, memory: dict[int, int], ready: bool) -> dict[str, Any]:
    now = time.time()
    return {
        "running": True,
        "ready": ready,
        "dir": str(layout.directory),
        "pid": state.supervisor.pid,
        "uptime_s": round(now - state.started, 1),
        "ready_s": state.ready_s,
        "durability": state.durability,
        "http": state.http_url,
        "nats": state.nats_url,
        "external": list(state.external),
        "memory_bytes": sum(memory.values()),
        "parts": [
            {
                "name": part.name,
                "state": part.state,
                "pid": part.process.pid if part.process else None,
                "restarts": part.restarts,
                "for_s": round(now - part.since, 1),
                "memory_bytes": memory.get(part.process.pid) if part.process else None,
                "said": part.said,
            }
            for part in state.parts
        ],
    }


@click.command()
@dir_option
@json_option
def env(directory: Path, as_json: bool) -> int:
    """Print what a client of the stack needs: as shell exports, for eval "$(cca env)", or as JSON."""
    layout = Layout(directory)
    try:
        state = layout.running()
    except Refused as error:
        raise Busy(str(error)) from None
    if as_json:
        click.echo(json.dumps(environment.description(layout, state)))
        return Exit.OK
    for name, value in environment.exports(layout, state).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return Exit.OK


@click.command()
@dir_option
@json_option
def doctor(directory: Path, as_json: bool) -> int:
    """Check this machine and the stack. Exit code 1 when something has to be done."""
    from cca.stack import doctor as checks

    findings = asyncio.run(checks.examine(Layout(directory)))
    if as_json:
        click.echo(json.dumps([{"check": f.name, "result": f.result, "text": f.text, "do": f.do} for f in findings]))
    else:
        marks = {"ok": click.style("ok  ", fg="green"), "warn": click.style("warn", fg="yellow")}
        for finding in findings:
            click.echo(f"{marks.get(finding.result, click.style('FAIL', fg='red'))}  {finding.name}: {finding.text}")
            if finding.do:
                click.echo(f"      → {finding.do}")
    return Exit.FAILED if any(finding.result == "fail" for finding in findings) else Exit.OK
