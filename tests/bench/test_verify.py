"""A run counts only if the log tells the same life of every task."""

import pytest

from cca.bench.verify import LIFE, Mismatch, check


def _lives(*lives: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(f"cca.events.task.{number}", kind) for number, life in enumerate(lives) for kind in life]


def test_tasks_that_went_straight_through_are_in_order() -> None:
    check(_lives(LIFE, LIFE, LIFE), 3)


def test_events_of_different_tasks_may_alternate() -> None:
    check([(f"cca.events.task.{number}", kind) for kind in LIFE for number in range(4)], 4)


@pytest.mark.parametrize(
    "life",
    [
        LIFE[:3],
        (*LIFE, LIFE[3]),
        (*LIFE[:3], LIFE[2], LIFE[3]),
        ("cca.task.submitted.v1", "cca.task.held.v1", *LIFE[1:]),
        (LIFE[1], LIFE[0], *LIFE[2:]),
    ],
)
def test_a_task_with_another_life_is_found(life: tuple[str, ...]) -> None:
    with pytest.raises(Mismatch, match="1 of 3 tasks"):
        check(_lives(LIFE, life, LIFE), 3)


def test_a_task_that_is_not_there_is_missed() -> None:
    with pytest.raises(Mismatch, match="holds 2 tasks, not 3"):
        check(_lives(LIFE, LIFE), 3)
