"""Who waits for the end of a task."""

import asyncio

from cca_router.state import Task


class Waiters:
    """By task; whoever waits is told once, or stops waiting."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[asyncio.Future[Task]]] = {}
        self._loop = asyncio.get_running_loop()

    def __contains__(self, task: str) -> bool:
        return task in self._waiting

    async def wait(self, task: str, seconds: float) -> Task | None:
        """The state of a task when it is over; None when that took longer than so many seconds."""
        over: asyncio.Future[Task] = self._loop.create_future()
        waiting = self._waiting.setdefault(task, [])
        waiting.append(over)
        timer = self._loop.call_later(seconds, over.cancel)
        try:
            return await over
        except asyncio.CancelledError:
            if not over.cancelled():
                raise
            return None
        finally:
            timer.cancel()
            if over in waiting:
                waiting.remove(over)
            if not waiting and self._waiting.get(task) is waiting:
                del self._waiting[task]

    def tell(self, task: str, state: Task) -> None:
        """A task is over."""
        for waiting in self._waiting.pop(task, ()):
            if not waiting.done():
                waiting.set_result(state)

    def send_away(self, error: Exception) -> None:
        """Nobody may wait any longer."""
        for waiting in self._waiting.values():
            for over in waiting:
                if not over.done():
                    over.set_exception(error)
        self._waiting.clear()
