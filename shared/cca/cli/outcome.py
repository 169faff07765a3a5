"""Waiting for a task, its result, and what it prints."""

import asyncio
import re

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.text import Text

from cca.cli import show
from cca.cli.answers import Task, read
from cca.cli.exits import Exit
from cca.cli.http import Gateway
from cca.cli.tables import Screen
from cca.cli.text import clip, span, visible

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Part(Struct, frozen=True):
    """A piece of output."""

    text: str
    stream: str = "stdout"


def exit_of(task: Task) -> Exit:
    """The exit code that a task's state is."""
    if not task.over:
        return Exit.NOT_OVER
    return Exit.OK if task.state == "completed" else Exit.FAILED


def standard_error() -> Screen:
    """Standard error, for what is said beside a result."""
    return Screen(console=Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True))


async def wait(gateway: Gateway, identity: str, wait_s: float) -> bytes:
    """The task once it is over, or after so many seconds, as JSON; says on a terminal what it waits for."""
    aside = standard_error()
    if not wait_s or not aside.person:
        return await gateway.outcome(identity, wait_s)
    with aside.console.status(f"{identity} …") as status:

        async def tell() -> None:
            while True:
                now = read(await gateway.task(identity), Task)
                doing = now.progress or show.why_it_waits(now, aside.now) or (f"on {now.agent}" if now.agent else "")
                words = f"{identity[-12:]}  {now.state}  {doing}"
                status.update(Text(clip(words, max(aside.console.width - 4, 20))))
                await asyncio.sleep(1)

        telling = asyncio.create_task(tell())
        try:
            return await gateway.outcome(identity, wait_s)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


def print_outcome(screen: Screen, body: bytes) -> Exit:
    """Print the result of a task that is over; or say on standard error why there is none."""
    task = read(body, Task)
    if screen.json:
        screen.document(msgspec.Raw(body))
    elif task.state == "completed":
        if task.result is not None:
            screen.value(task.result)
    else:
        tell_why(task)
    return exit_of(task)


def tell_why(task: Task) -> None:
    """Say on standard error why a task has no result."""
    aside = standard_error()
    name = f"task {task.task}"
    if not task.over:
        waits = show.why_it_waits(task, aside.now)
        aside.say(f"{name} is {task.state}{f' ({waits})' if waits else ''}; --wait waits for its end")
        return
    why = task.reason or ""
    if task.failure is not None:
        why = show.failure_text(msgspec.to_builtins(task.failure))
    tries = f" after {task.attempt} attempt{'s' * (task.attempt != 1)}" if task.state == "failed" else ""
    state = {"canceled": "was canceled", "rejected": "was rejected"}.get(task.state, task.state)
    aside.say(f"{name} {state}{tries}{': ' + visible(why) if why else ''}", "red")
    if task.failure is not None and task.failure.detail:
        aside.say(task.failure.detail.rstrip(), "dim")


async def follow(gateway: Gateway, screen: Screen, identity: str) -> Exit:
    """Print what a task prints, as it comes, each stream to ours; then its result, if it printed none, and its end."""
    printed = await _follow(gateway, screen, identity, {}, split=True)
    body = await gateway.outcome(identity)
    task = read(body, Task)
    if screen.json:
        screen.ndjson(msgspec.Raw(body))
    elif task.state != "completed":
        tell_why(task)
    else:
        if not printed and task.result is not None:
            screen.value(task.result)
        aside = standard_error()
        if aside.person:
            took = f" in {span(task.took_s)}" if task.took_s is not None else ""
            aside.say(f"{show.SYMBOLS['completed']} completed{took}", "green")
    return exit_of(task)


async def print_output(
    gateway: Gateway, screen: Screen, identity: str, params: dict[str, str], *, following: bool
) -> Exit | None:
    """Print what a task has printed, in order; `following`, until it is over."""
    if following:
        await _follow(gateway, screen, identity, params, split=False)
        return exit_of(read(await gateway.task(identity), Task))
    pieces = [piece async for piece in gateway.output(identity, params)]
    if screen.json:
        screen.document({"task": identity, "text": b"".join(pieces).decode("utf-8", "replace")})
    elif screen.person:
        _print(screen, b"".join(pieces).decode("utf-8", "replace"))
    else:
        for piece in pieces:
            screen.raw(piece)
    return None


async def _follow(gateway: Gateway, screen: Screen, identity: str, params: dict[str, str], *, split: bool) -> bool:
    """Print output until the task is over; whether there was any on its standard output."""
    after: str | None = None
    printed = False
    while True:
        async for found in gateway.stream(f"/tasks/{identity}/output", params, after, ends=True):
            if found is None or found.event != "output":
                continue
            after = found.id or after
            if screen.json:
                screen.ndjson(msgspec.Raw(found.data.encode()))
                continue
            part = read(found.data, Part)
            printed = printed or part.stream == "stdout"
            if split and part.stream == "stderr":
                _print(standard_error(), part.text)
            else:
                _print(screen, part.text)
        # The gateway ends a stream when the task is over, and also when it stops itself.
        if read(await gateway.task(identity), Task).over:
            return printed
        await asyncio.sleep(0.2)


def _print(screen: Screen, text: str) -> None:
    """Output of a task: verbatim into a pipe; on a terminal without colours, and the rest visible."""
    file = screen.console.file
    if screen.person:
        text = visible(_COLOURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n"), lines=True)
    file.write(text)
    file.flush()
