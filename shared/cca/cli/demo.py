"""`cca demo`: a fleet audits a code base on a stack of its own, and loses a worker half-way."""

import asyncio
import contextlib
import shlex
import signal
import sys
from importlib import util
from pathlib import Path

import click
from msgspec.structs import replace
from rich.console import Console

from cca.bench.own_stack import OwnStack, folder, own_stack
from cca.cli.tables import Screen as Output
from cca.demo import modules
from cca.demo.run import Demo
from cca.demo.screen import Screen, outcome
from cca.demo.summary import Summary
from cca.errors import Misconfigured

KEPT = Path(".cca-demo")


@click.command()
@click.option(
    "--repo",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The code to audit; by default, the standard library of this Python.",
)
@click.option(
    "--tasks", type=click.IntRange(1, 100_000), default=320, show_default=True, help="At most, over all four roles."
)
@click.option("--keep", is_flag=True, help=f"Keep the stack up until Ctrl-C, and its data in {KEPT}.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as JSON; progress stays on standard error.")
def demo(repo: Path | None, tasks: int, keep: bool, as_json: bool) -> int:
    """Let a fleet of workers audit a code base.

    Starts a stack of its own, publishes a task for each module and role (security: bandit, backend: ruff, docs:
    docstrings, performance: complexity), kills one of the workers half-way, and shows what was found. Exit code 1
    when a task did not end exactly once.
    """
    if util.find_spec("bandit") is None or util.find_spec("ruff") is None:
        raise Misconfigured("the demo needs bandit and ruff; install them: pip install 'cca[demo]'")
    root = repo or modules.standard_library()
    files = modules.choose(root, -(-tasks // len(modules.ROLES)))
    return asyncio.run(_demo(root.resolve(), files, keep, as_json))


async def _demo(root: Path, files: list[Path], keep: bool, as_json: bool) -> int:
    running = asyncio.current_task()
    assert running is not None
    # As for Ctrl-C, everything that was started is stopped, and the directory is removed.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    errors = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    screen = Screen(errors)
    try:
        with folder(KEPT if keep else None) as directory:
            screen.say("a stack starts: NATS, PostgreSQL, router, projector, learner, gateway")
            async with own_stack(directory, register=keep) as stack:
                screen.say("the stack is ready")
                with screen.open():
                    found = await Demo(stack, screen).run(root, files)
                found = replace(found, commands=_commands(stack, found) if keep else ())
                _print(found, as_json)
                sys.stdout.flush()
                if keep:
                    screen.say("the stack stays up; Ctrl-C ends it")
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return 0 if found.ok else 1


def _print(found: Summary, as_json: bool) -> None:
    if as_json:
        Output(json=True).document(found)
        return
    output = Output()
    if not output.person:
        output.console.width = 120  # a report in a file is not cut to what a terminal would have
    outcome(output, found)


def _commands(stack: OwnStack, found: Summary) -> tuple[str, ...]:
    task = found.top[0].task if found.top else ""
    directory = shlex.quote(str(stack.directory))
    key = shlex.quote(str(stack.directory / "secrets" / "admin-key"))
    lines = [
        f'eval "$(cca env --dir {directory})"',
        f"cca task show {task}",
        "cca task list --role security",
        f'curl -H "Authorization: Bearer $(cat {key})" {stack.http_url}/api/v1/tasks/{task}',
    ]
    if stack.nats_context:
        lines.append(f"nats --context {stack.nats_context} stream view CCA_EVENTS --subject cca.events.task.{task}")
    return tuple(lines)
