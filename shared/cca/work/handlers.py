"""Handlers of every kind become one: a coroutine function."""

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any

from cca.work.task import Handler, Task


def adapt(handler: Handler, threads: int) -> Callable[[Task], Awaitable[Any]]:
    """Async functions stay as they are; plain ones run in up to `threads` threads of their own."""
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        return handler
    return _Threaded(handler, threads)


class _Threaded:
    """Daemon threads, made when needed: one that hangs must not keep the process from ending."""

    def __init__(self, handler: Handler, most: int) -> None:
        self._handler, self._most = handler, most
        self._calls: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._threads = self._idle = 0
        self._loop = asyncio.get_running_loop()

    async def __call__(self, task: Task) -> Any:
        _ = task.canceled  # made here, so that the thread only ever looks at it
        task.thread = self._loop.create_future()
        self._calls.put((task.thread, partial(contextvars.copy_context().run, self._handler, task)))
        if self._idle:
            self._idle -= 1
        elif self._threads < self._most:
            self._threads += 1
            Thread(target=self._work, name=f"cca-handler-{self._threads}", daemon=True).start()
        try:
            value = await asyncio.shield(task.thread)
        except asyncio.CancelledError:
            task.canceled.set()
            raise
        return await value if inspect.isawaitable(value) else value

    def _work(self) -> None:
        while True:
            future, call = self._calls.get()
            try:
                settle = partial(self._settle, future, call(), None)
            except BaseException as error:  # sys.exit() in a thread ends the attempt, not the thread
                settle = partial(self._settle, future, None, error)
            with suppress(RuntimeError):  # the event loop is closed: nobody asks any more
                self._loop.call_soon_threadsafe(settle)

    def _settle(self, future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
        self._idle += 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(value)
        elif isinstance(error, StopIteration):  # cannot be raised into a coroutine
            future.set_exception(RuntimeError("the handler raised StopIteration"))
        else:
            future.set_exception(error)
        future.exception()  # perhaps nobody waits for it any more
