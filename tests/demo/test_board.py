"""The board says of each task what the log says."""

from datetime import UTC, datetime

from cca.contracts.task import (
    Failure,
    TaskAttemptFailed,
    TaskCompleted,
    TaskFailed,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
)
from cca.demo.board import Board, Row
from cca.message import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBMITTED = TaskSubmitted("t1", "docs", "Check", "f")
ROUTED = TaskRouted("t1", 1, "docs", "default", "p/1", 1.0, 1, ())


def _started(attempt: int, agent: str) -> TaskStarted:
    return TaskStarted("t1", attempt, 1, agent, "default", 1, attempt)


def _lost(attempt: int) -> TaskAttemptFailed:
    return TaskAttemptFailed("t1", attempt, "a", Failure("lost", "gone"))


def _board(*events: Message) -> Board:
    board = Board.of([("t1", "docs"), ("t2", "security")])
    for seq, event in enumerate(events, 1):
        board.hear(event, seq, NOW)
    return board


def test_nothing_is_known_of_published_tasks() -> None:
    board = _board()
    assert board.rows() == [Row("docs", tasks=1, queued=1), Row("security", tasks=1, queued=1)]
    assert not board.all_over


def test_a_running_task_is_in_the_hands_of_its_agent() -> None:
    board = _board(SUBMITTED, ROUTED, _started(1, "a"))
    assert board.held_by("a") == ["t1"]
    assert board.rows()[0] == Row("docs", tasks=1, running=1, attempts=1)
    assert board.last_seq == 3


def test_a_task_whose_worker_vanished_counts_as_redelivered_when_it_runs_again() -> None:
    board = _board(SUBMITTED, ROUTED, _started(1, "a"), _lost(1), _started(2, "b"), TaskCompleted("t1", 2, "b"))
    assert board.rows()[0] == Row("docs", tasks=1, done=1, attempts=2, redelivered=1)
    assert board.held_by("a") == board.held_by("b") == []
    assert any("b takes over t1" in tick.text for tick in board.ticks if tick.important)


def test_an_attempt_that_failed_is_not_a_redelivery() -> None:
    failed = TaskAttemptFailed("t1", 1, "a", Failure("error", "no"))
    board = _board(SUBMITTED, ROUTED, _started(1, "a"), failed, _started(2, "a"), TaskCompleted("t1", 2, "a"))
    assert board.rows()[0].redelivered == 0


def test_only_tasks_that_completed_once_are_right() -> None:
    completed = TaskCompleted("t1", 1, "a")
    assert _board(completed).not_once() == ["t2"]
    assert _board(completed, completed).not_once() == ["t1", "t2"]
    assert _board(TaskFailed("t1", 1, "a", Failure("error", "no"))).not_once() == ["t1", "t2"]


def test_events_of_other_tasks_change_nothing() -> None:
    assert _board(TaskCompleted("t9", 1, "a")).over == 0
