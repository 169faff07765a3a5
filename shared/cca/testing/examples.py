"""Events of one task as they might stand in the log, for tests that begin in the middle of its life."""

from datetime import UTC, datetime
from typing import Any

from cca.contracts.task import Failure, TaskAttemptFailed, TaskRouted, TaskStarted, TaskSubmitted

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NO = Failure("error", "no")


def submitted(**asked: Any) -> TaskSubmitted:
    """Role `docs`, three attempts."""
    return TaskSubmitted(**{"task": ID, "role": "docs", "description": "say hello", "fingerprint": "f", **asked})


def routed(lane: str = "a", route: int = 1, role: str = "docs") -> TaskRouted:
    return TaskRouted(ID, route, role, lane, policy="fixed/1", propensity=1.0, seed=7, candidates=())


def started(attempt: int = 1, route: int = 1, agent: str = "w1", delivery: int = 1) -> TaskStarted:
    """In lane `a`, by message 10 of the log."""
    return TaskStarted(ID, attempt, route, agent, "a", work=10, delivery=delivery)


def attempt_failed(attempt: int = 1, retry_at: datetime | None = None) -> TaskAttemptFailed:
    return TaskAttemptFailed(ID, attempt, "w1", NO, retry_at)
