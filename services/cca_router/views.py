"""What people are told of a task."""

from cca.contracts.task import TaskAccepted, TaskSubmitted, TaskView
from cca.message import Seq
from cca_router.decide import not_found
from cca_router.facts import Facts
from cca_router.guards import missing
from cca_router.state import Task


def accepted(task_id: str, task: Task, created: bool) -> TaskAccepted:
    """The task is in the log. `created` is False when it had been there before."""
    return TaskAccepted(task_id, task.state or "submitted", created)


def view(task_id: str, task: Task, seq: Seq = Seq(0), facts: Facts | None = None) -> TaskView:
    """What the log knows of a task, up to `seq`; with `facts`, also whether its lane still lives.

    Raises `Refused` (`not-found`).
    """
    if task.state is None:
        raise not_found(task_id)
    spec = task.spec or _UNREAD
    return TaskView(
        task=task_id,
        state=task.state,
        role=task.role,
        description=spec.description,
        priority=spec.priority,
        lane=task.lane,
        kind=spec.kind,
        requester=spec.requester,
        labels=spec.labels,
        agent=task.agent if task.state == "working" or task.over else None,
        attempt=task.attempt,
        max_attempts=max(task.budget, 1),
        result=task.result,
        failure=task.failure,
        usage=task.usage,
        reason=task.reason,
        waiting=waiting(task, facts),
        progress=task.progress,
        retry_at=task.retry_at,
        quality=None if task.rated is None else task.rated.quality,
        seq=seq,
    )


def waiting(task: Task, facts: Facts | None = None) -> str | None:
    """What a task waits for, in words; None when it runs or has ended."""
    if task.state == "submitted":
        if task.held is not None:
            return task.held
        return "a lane" if task.retry_at is None else f"retry at {task.retry_at.isoformat(timespec='milliseconds')}"
    if task.state == "routed":
        live = facts is None or any(lane.lane == task.lane for lane in facts.lanes(task.role))
        return f"queued in lane {task.lane}" if live else missing(task.role, task.lane)
    return None


_UNREAD = TaskSubmitted(task="", role="", description="", fingerprint="")
"""Stands for what was asked when a task was rejected before it could be read."""
