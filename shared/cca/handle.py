"""A task that was submitted, as its submitter holds it."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from cca.contracts.task import Failure, State, TaskAccepted, TaskView
from cca.errors import CcaError
from cca.message import Event, Recorded
from cca.work.output import Chunk

if TYPE_CHECKING:
    from cca.client import Client


class TaskDidNotComplete(CcaError):
    """The task ended without a result.

    Attributes:
        task, state: which, and how it ended: `failed`, `canceled` or `rejected`.
        failure: of its last attempt, if it has failed.
        reason: why it was canceled or rejected.
    """

    def __init__(self, view: TaskView) -> None:
        self.task: str = view.task
        self.state: State = view.state
        self.failure: Failure | None = view.failure
        self.reason: str | None = view.reason
        why = view.failure.message if view.failure is not None else view.reason
        super().__init__(f"task {view.task} is {view.state}" + (f": {why}" if why else ""))


def result_of(view: TaskView) -> Any:
    """The result of a completed task. Raises `TaskDidNotComplete` for any other."""
    if view.state != "completed":
        raise TaskDidNotComplete(view)
    return view.result


class Handle:
    """A task that was accepted.

    Attributes:
        id: the task's UUID.
        created: False when it had been there before.
    """

    def __init__(self, client: "Client", accepted: TaskAccepted) -> None:
        self._client = client
        self.id, self.created = accepted.task, accepted.created

    def __repr__(self) -> str:
        return f"Handle({self.id})"

    async def get(self) -> TaskView:
        """What is known of it now."""
        return await self._client.get(self.id)

    async def wait(self, timeout_s: float | None = None) -> TaskView:
        """Wait until it is over, however it ends. Raises `TimeoutError`."""
        return await self._client.wait(self.id, timeout_s)

    async def result(self, timeout_s: float | None = None) -> Any:
        """Wait for its result. Raises `TaskDidNotComplete`, `TimeoutError`."""
        return result_of(await self.wait(timeout_s))

    async def cancel(self, reason: str = "") -> TaskView:
        """Stop it, whether it waits or runs."""
        return await self._client.cancel(self.id, reason)

    def events(self, follow: bool = True) -> AsyncGenerator[Recorded[Event], None]:
        """Its events; see `Client.events`."""
        return self._client.events(self.id, follow)

    def output(self, follow: bool = True) -> AsyncGenerator[Chunk, None]:
        """Its output; see `Client.output`."""
        return self._client.output(self.id, follow)
