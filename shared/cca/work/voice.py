"""What a running task says: progress, sampled, and output; and what it asks for."""

import asyncio
import logging
import math
import threading
from collections.abc import Awaitable, Callable

from cca.contracts.agent import Progress, Reported
from cca.errors import Busy, Refused, Unreadable
from cca.tokens.remote import Tokens
from cca.work.desk import Desk
from cca.work.outcome import MESSAGE_LIMIT, clean
from cca.work.output import Output
from cca.work.task import DONE, Original

logger = logging.getLogger("cca.worker")

PACE_S = 0.25
"""The least time between two reports of progress of one task, in seconds."""


class Voice:
    """Progress and output of one attempt. Usable from the event loop, and from a handler's thread."""

    def __init__(
        self, desk: Desk, task: str, attempt: int, on_lost: Callable[[], None], secrets: tuple[str, ...]
    ) -> None:
        self._desk, self._task, self._attempt = desk, task, attempt
        self._on_lost, self._secrets = on_lost, secrets
        self._loop = desk.loop
        self._home = desk.thread
        self._output: Output | None = None
        self._next: Progress | None = None
        self._speaker: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def progress(self, message: str, fraction: float | None) -> Awaitable[None]:
        if fraction is not None:
            fraction = min(max(float(fraction), 0.0), 1.0) if math.isfinite(fraction) else None
        text = clean(str(message), MESSAGE_LIMIT, self._secrets)
        what = Progress(self._task, self._attempt, text, fraction)
        if threading.get_ident() == self._home:
            self._say(what)
        else:
            self._loop.call_soon_threadsafe(self._say, what)
        return DONE

    def _say(self, what: Progress) -> None:
        if self._closing.is_set():
            return
        self._next = what
        if self._speaker is None:
            self._speaker = self._loop.create_task(self._speak())

    async def _speak(self) -> None:
        while (what := self._next) is not None:
            self._next = None
            try:
                receipt = (await self._desk.ask("progress", what, Reported)).receipts[0]
                if not receipt.ok and receipt.why in ("stale", "over"):
                    self._on_lost()
            except (Busy, Refused, Unreadable, IndexError) as error:
                logger.info("task %s: progress was not recorded: %s", self._task, error)
            if not self._closing.is_set():
                try:
                    await asyncio.wait_for(self._closing.wait(), PACE_S)
                except TimeoutError:
                    pass
        self._speaker = None

    def output(self, data: bytes, stream: str) -> Awaitable[None]:
        if threading.get_ident() == self._home:
            return self._write(data, stream)

        async def write() -> None:
            await self._write(data, stream)

        asyncio.run_coroutine_threadsafe(write(), self._loop).result()
        return DONE

    def _write(self, data: bytes, stream: str) -> Awaitable[None]:
        if self._output is None:
            self._output = Output(self._desk.bus, self._task, self._attempt)
        return self._output.write(bytes(data), stream)

    def expand(self, text: str) -> Awaitable[str]:
        asking = Tokens(self._desk.ask_service).expand(
            text, agent=self._desk.agent, role=self._desk.role, task=self._task
        )
        if threading.get_ident() == self._home:
            return asking
        return Original(asyncio.run_coroutine_threadsafe(asking, self._loop).result())

    @property
    def idle(self) -> bool:
        """Everything that was said has been heard."""
        return self._speaker is None and (self._output is None or self._output.idle)

    async def finish(self, timeout_s: float = 5.0) -> None:
        """Let what was said last be heard, at most so long."""
        self._closing.set()
        if self._speaker is not None:
            await asyncio.wait({self._speaker}, timeout=timeout_s)
        if self._output is not None:
            await self._output.finish(timeout_s)
