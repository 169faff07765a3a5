"""Answers that are used again for a while, and made once when many ask for the same at a time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Answers(Generic[T]):
    """Answers by what was asked. An error is told to all who wait for it, and not kept.

    Args:
        seconds: for which an answer is used again; 0: it is only shared by who asks while it is made.
        most: so many are kept; those that nobody asked for the longest go first.
    """

    def __init__(self, seconds: float, most: int = 1_000) -> None:
        self._seconds, self._most = seconds, most
        self._kept: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[T]] = {}
        self._hits = self._misses = self._shared = self._cleared = 0

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """The answer, and whether it is from before. Raises what `make` raises.

        Who is cancelled stops waiting; the answer is made all the same.
        """
        now = asyncio.get_running_loop().time
        kept = self._kept.get(key)
        if kept is not None:
            if now() < kept[0]:
                self._kept.move_to_end(key)
                self._hits += 1
                return kept[1], True
            del self._kept[key]
        making = self._making.get(key)
        if making is None:
            self._misses += 1
            making = self._making[key] = asyncio.create_task(_made(make))
            making.add_done_callback(lambda done: self._keep(key, done, now()))
        else:
            self._shared += 1
        return await asyncio.shield(making), False

    def clear(self) -> None:
        """Something has changed: forget all answers.

        What is being made now is given to who waits for it, and neither kept nor given to who asks from now on.
        """
        self._cleared += 1
        self._kept.clear()
        self._making.clear()

    def figures(self) -> dict[str, int]:
        """How many are kept, and since the start: how often one was there (`hits`), was not (`misses`), was being made
        already (`shared`), and how often all were forgotten (`cleared`)."""
        return {
            "kept": len(self._kept),
            "hits": self._hits,
            "misses": self._misses,
            "shared": self._shared,
            "cleared": self._cleared,
        }

    def _keep(self, key: Hashable, done: "asyncio.Task[T]", now: float) -> None:
        failed = done.cancelled() or done.exception() is not None  # asked for, lest it be logged when nobody waits
        if self._making.get(key) is not done:
            return  # cleared meanwhile
        del self._making[key]
        if not failed and self._seconds > 0:
            self._kept[key] = now + self._seconds, done.result()
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


async def _made(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
