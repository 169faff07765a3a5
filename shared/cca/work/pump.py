"""Grouping: what waits while a request is on its way leaves together in the next one."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Backoff:
    """Growing waits with jitter between tries, in seconds."""

    def __init__(self, first: float = 0.05, most: float = 2.0) -> None:
        self._next, self._most = first, most

    async def wait(self) -> None:
        pause, self._next = self._next, min(self._next * 2, self._most)
        await asyncio.sleep(random.uniform(pause / 2, pause))


class Pump(Generic[T]):
    """Takes groups and sends them, `width` at a time, as long as there is something to take.

    `take` returns the next group, or nothing. A lone item leaves in the next turn of the event loop, together with
    whatever arrived in the same read; under load the groups grow by themselves.
    """

    def __init__(
        self, take: Callable[[], Sequence[T]], send: Callable[[Sequence[T]], Awaitable[None]], width: int = 1
    ) -> None:
        self._take, self._send, self._width = take, send, width
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._sending: set[asyncio.Task[None]] = set()

    def poke(self) -> None:
        """There may be something to take."""
        if not self._scheduled and len(self._sending) < self._width:
            self._scheduled = True
            self._loop.call_soon(self._go)

    def _go(self) -> None:
        self._scheduled = False
        if len(self._sending) < self._width and (group := self._take()):
            sender = self._loop.create_task(self._run(group))
            self._sending.add(sender)
            sender.add_done_callback(self._ended)

    async def _run(self, group: Sequence[T]) -> None:
        while group:
            await self._send(group)
            group = self._take()

    def _ended(self, sender: asyncio.Task[None]) -> None:
        self._sending.discard(sender)
        if not sender.cancelled():
            sender.result()  # a fault of ours: let the event loop report it
            self.poke()

    @property
    def idle(self) -> bool:
        return not self._sending and not self._scheduled

    async def stop(self) -> None:
        """Give up on what is on its way."""
        for sender in list(self._sending):
            sender.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
