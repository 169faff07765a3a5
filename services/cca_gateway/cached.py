"""A value that is costly to find out, found out at most once in a while however many ask."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cached(Generic[T]):
    """Remembers what `load` returned, as long as `seconds` says of it. Those who ask at once get the same answer."""

    def __init__(self, seconds: Callable[[T], float], load: Callable[[], Awaitable[T]]) -> None:
        self._seconds, self._load = seconds, load
        self._until = 0.0
        self._value: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """The value. Raises what `load` raises; an error is not remembered."""
        loop = asyncio.get_running_loop()
        value = self._value
        if value is None or (value.done() and (loop.time() >= self._until or value.exception() is not None)):
            value = self._value = asyncio.ensure_future(self._loaded())
        return await asyncio.shield(value)

    async def _loaded(self) -> T:
        value = await self._load()
        self._until = asyncio.get_running_loop().time() + self._seconds(value)
        return value
