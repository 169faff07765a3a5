"""What a handler is given: the task, and ways to speak while it runs."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, Protocol

from cca.contracts.task import FailureKind, Usage
from cca.contracts.work import DoTask
from cca.errors import CcaError

Handler = Callable[["Task"], Any]
"""`async def handle(task)`, or a plain function, which is run in a thread."""


class Fail(CcaError):
    """Raise it in a handler to end the attempt as failed, and to say what is to follow.

    Attributes:
        retryable: False when another attempt cannot help.
        kind: `error`, `rate-limited` (come back after `retry_after_s`), or `rejected` (the task is at fault).
        retry_after_s: seconds to wait at least before the next attempt.
        exit_code: of a command.
        detail: more for a person to read: the end of a log, a traceback.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = True,
        kind: FailureKind = "error",
        retry_after_s: float | None = None,
        exit_code: int | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.message, self.retryable, self.kind = str(message), retryable, kind
        self.retry_after_s, self.exit_code, self.detail = retry_after_s, exit_code, detail


class _Done:
    """An awaitable that has nothing to wait for."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


DONE: Awaitable[None] = _Done()


class Original(str):
    """A text that is there already, and may be awaited all the same."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, str]:
        return self
        yield


class Speaks(Protocol):
    """Where a task's progress and output go, and where what was folded comes from."""

    def progress(self, message: str, fraction: float | None) -> Awaitable[None]: ...

    def output(self, data: bytes, stream: str) -> Awaitable[None]: ...

    def expand(self, text: str) -> Awaitable[str]: ...


class Task:
    """One attempt at a task, as its handler sees it."""

    __slots__ = ("_canceled", "_headers", "_voice", "attempt", "result_limit", "thread", "usage", "work")

    def __init__(
        self,
        work: DoTask,
        attempt: int,
        voice: Callable[[], Speaks],
        headers: Callable[[], Mapping[str, str]],
        result_limit: int,
    ) -> None:
        self.work, self.attempt, self.result_limit = work, attempt, result_limit
        self.usage: Usage | None = None
        """Set it to report what the attempt used (tokens, cost)."""
        self._voice, self._headers = voice, headers
        self._canceled: asyncio.Event | None = None
        self.thread: asyncio.Future[Any] | None = None

    def __repr__(self) -> str:
        return f"Task({self.id}, attempt {self.attempt})"

    @property
    def id(self) -> str:
        """The task's UUID."""
        return self.work.task

    @property
    def description(self) -> str:
        """What is to be done."""
        return self.work.description

    @property
    def input(self) -> dict[str, Any]:
        """Structured input; empty when there is none."""
        return self.work.input or {}

    @property
    def context(self) -> str:
        """Further text that the agent should know; empty when there is none.

        Parts of it may be folded: a line that begins with `[ctx:` stands for more, which `expand` gives.
        """
        return self.work.context or ""

    @property
    def labels(self) -> dict[str, str]:
        return self.work.labels

    @property
    def role(self) -> str:
        return self.work.role

    @property
    def lane(self) -> str:
        return self.work.lane

    @property
    def priority(self) -> str:
        return self.work.priority

    @property
    def kind(self) -> str | None:
        """The declared sort of task."""
        return self.work.kind

    @property
    def requester(self) -> str | None:
        """On whose behalf."""
        return self.work.requester

    @property
    def max_attempts(self) -> int:
        return self.work.max_attempts

    @property
    def timeout_s(self) -> float | None:
        """The longest that this attempt may take, in seconds. The worker sees to it."""
        return self.work.timeout_s

    @property
    def trace(self) -> str | None:
        """The W3C `traceparent` of the task."""
        return self._headers().get("traceparent")

    @property
    def canceled(self) -> asyncio.Event:
        """Set when the attempt is to stop: canceled, timed out, or the worker goes.

        A coroutine is canceled at the same time; a plain function looks at `canceled.is_set()` now and then.
        """
        if self._canceled is None:
            self._canceled = asyncio.Event()
        return self._canceled

    def progress(self, message: str, fraction: float | None = None) -> Awaitable[None]:
        """Say how it is getting on; `fraction` is between 0 and 1.

        Returns at once, awaited or not, and works in a thread too. When there is more to say than the log should
        hold, the latest wins: at most about four a second are recorded.
        """
        return self._voice().progress(message, fraction)

    def output(self, data: bytes, stream: str = "stdout") -> Awaitable[None]:
        """Stream output to whoever watches (`cca.output.<task>`).

        Awaiting it waits while more than 1 MiB is on its way. What is not awaited is dropped beyond 4 MiB, and the
        stream says how much. In a thread it waits by itself.
        """
        return self._voice().output(data, stream)

    def expand(self, text: str) -> Awaitable[str]:
        """The original of what was folded in the context: of one reference, or of all markers in a text.

            log = await task.expand("ctx:mb2w4kq5zr7tdhx3ynuv")

        It is recorded that it was wanted: what is often expanded should not have been folded. In a thread it waits by
        itself, and what it returns is the text. Raises `Refused` (`not-found` when it is not, or no longer, stored),
        and `Busy` when the token service is away.
        """
        return self._voice().expand(text)
