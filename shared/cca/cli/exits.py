"""What the exit codes mean, and how a coroutine becomes a command."""

import asyncio
import functools
import io
import logging
import sys
from collections.abc import Callable, Coroutine
from enum import IntEnum
from typing import Any, ParamSpec

P = ParamSpec("P")


class Exit(IntEnum):
    """The exit codes of all commands."""

    OK = 0
    FAILED = 1
    REFUSED = 2
    UNREACHABLE = 3
    NOT_OVER = 4
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done; the task, if one was waited for, is completed",
    Exit.FAILED: "the task failed, was canceled or was rejected",
    Exit.REFUSED: "bad input, or a request that is understood and will not be done",
    Exit.UNREACHABLE: "the gateway or NATS cannot be reached or is too busy; the same may succeed later",
    Exit.NOT_OVER: "the task is not over yet",
    Exit.INTERRUPTED: "interrupted (Ctrl-C)",
}


def runs(command: Callable[P, Coroutine[Any, Any, Exit | None]]) -> Callable[P, int]:
    """A coroutine function as a click callback, whose result is the exit code. Errors are `cca.cli.main`'s."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        for file in (sys.stdout, sys.stderr):
            if isinstance(file, io.TextIOWrapper):
                file.reconfigure(errors="backslashreplace")  # a terminal that knows less than UTF-8 stops nothing
        logging.getLogger("cca").addHandler(logging.NullHandler())  # a command says itself what is wrong, and once
        code = asyncio.run(command(*args, **kwargs))
        sys.stdout.flush()
        return int(code or Exit.OK)

    return run
