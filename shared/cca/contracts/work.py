"""What a worker is given for one attempt at a task, and the timers of tasks. What becomes of them: `task`."""

from typing import Any, Literal

from cca.contracts.task import Priority
from cca.message import Command


class DoTask(Command, frozen=True, tag="cca.task.work.v1"):
    """What a worker pulls from `cca.work.<role>.<lane>.<priority>`: everything that it needs for one attempt.

    `route` numbers the routing decisions of the task; a claim for an older one is obsolete. When `context` was
    condensed, `original` is the reference under which all of it is stored. `memories` stand at its head.
    """

    task: str
    route: int
    role: str
    lane: str
    description: str
    input: dict[str, Any] | None = None
    context: str | None = None
    priority: Priority = "normal"
    kind: str | None = None
    requester: str | None = None
    labels: dict[str, str] = {}
    max_attempts: int = 3
    timeout_s: float | None = None
    original: str | None = None
    memories: tuple[str, ...] = ()


class Due(Command, frozen=True, tag="cca.task.due.v1"):
    """A timer of a task: `retry` (route it again) or `timeout` (its attempt has taken too long)."""

    task: str
    what: Literal["retry", "timeout"]
    attempt: int
