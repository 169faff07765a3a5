"""Who owns an attempt: one winner, whatever is delivered to whom, how often and in which order."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from cca.codec import read
from cca.contracts.agent import Claim, Receipt, Verdict
from cca.contracts.task import (
    Failure,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskRouted,
    TaskStarted,
)
from cca.contracts.work import Due
from cca.message import Event
from cca.routing.policy import LaneLoad
from cca.testing.examples import ID, NO, NOW, routed, started, submitted
from cca.testing.given import When, given
from cca_router import claims
from cca_router.facts import Facts
from cca_router.state import TASK, Task

HERE = LaneLoad("docs", "a", capacity=4)
LOST = Failure("lost", "the worker stopped renewing its lease")
OK = Receipt(ID, ok=True)

QUEUED: Sequence[Event] = (submitted(), routed())
WORKING: Sequence[Event] = (*QUEUED, started())
WAITING: Sequence[Event] = (*WORKING, TaskAttemptFailed(ID, 1, "w1", NO, NOW + timedelta(seconds=1)))
DONE: Sequence[Event] = (*WORKING, TaskCompleted(ID, 1, "w1", "r"))
CANCELED: Sequence[Event] = (*WORKING, TaskCanceled(ID, agent="w1"))
AGAIN: Sequence[Event] = (*WAITING, routed(route=2), started(2, 2, agent="w2"))


def facts(*lanes: LaneLoad) -> Facts:
    return Facts(NOW, lambda _: lanes)


def claim(
    history: Sequence[Event],
    route: int = 1,
    work: int = 10,
    delivery: int = 1,
    agent: str = "w1",
    role: str = "docs",
) -> When[Task]:
    item = Claim(ID, route, work, delivery)
    return given(TASK, *history).when(partial(claims.claim, item, agent, role, "a", facts(HERE)))


def no(why: Any) -> Verdict:
    return Verdict(ID, go=False, why=why)


def go(attempt: int) -> Verdict:
    return Verdict(ID, go=True, attempt=attempt)


# ------------------------------------------------------------------------------------------ claim


def test_the_first_to_claim_a_routed_task_owns_it() -> None:
    claim(QUEUED).then(started()).with_sides().answering(go(1))


def test_a_claim_whose_answer_was_lost_is_answered_again() -> None:
    claim(WORKING).then().answering(go(1))


def test_another_worker_with_another_copy_of_the_work_is_told_that_it_is_taken() -> None:
    claim(WORKING, work=11, agent="w2").then().answering(no("taken"))
    claim(WORKING, work=9, delivery=7, agent="w2").then().answering(no("taken"))
    claim(WORKING, agent="w2").then().answering(no("taken"))


def test_an_earlier_delivery_does_not_take_the_task_back() -> None:
    claim((*QUEUED, started(delivery=3)), delivery=2, agent="w2").then().answering(no("taken"))


def test_a_later_delivery_of_the_same_work_means_that_its_owner_is_lost() -> None:
    lost = TaskAttemptFailed(ID, 1, "w1", LOST)
    taken_over = claim(WORKING, delivery=2, agent="w2")
    taken_over.then(lost, started(2, agent="w2", delivery=2)).answering(go(2))


def test_a_worker_that_let_its_own_lease_lapse_starts_a_new_attempt() -> None:
    lost = TaskAttemptFailed(ID, 1, "w1", LOST)
    claim(WORKING, delivery=2).then(lost, started(2, delivery=2)).answering(go(2))


def test_when_the_last_attempt_is_lost_the_task_has_failed() -> None:
    history = (submitted(max_attempts=1), routed(), started())
    claim(history, delivery=2, agent="w2").then(TaskFailed(ID, 1, "w1", LOST)).answering(no("over"))


def test_a_task_that_is_over_is_not_run_again() -> None:
    claim(DONE).then().answering(no("over"))
    claim(CANCELED, route=9, delivery=9, agent="w2").then().answering(no("over"))


def test_work_of_an_earlier_routing_is_obsolete() -> None:
    claim((*WAITING, routed(route=2))).then().answering(no("obsolete"))
    claim(AGAIN, delivery=2).then().answering(no("obsolete"))


def test_work_of_an_attempt_that_failed_is_obsolete_while_its_retry_is_waited_for() -> None:
    claim(WAITING, delivery=2).then().answering(no("obsolete"))


def test_work_may_be_there_before_its_task() -> None:
    claim(()).then().answering(no("later"))
    claim((), delivery=50).then().answering(no("later"))


def test_work_whose_task_never_came_is_given_up_in_the_end() -> None:
    claim((), delivery=51).then().answering(no("obsolete"))


def test_work_whose_routing_was_cut_short_is_kept_and_the_routing_made_good() -> None:
    claim((submitted(),)).then_kinds(TaskRouted, TaskStarted).answering(go(1))
    held = (submitted(), TaskHeld(ID, "no live worker for role docs"))
    claim(held).then_kinds(TaskRouted, TaskStarted).answering(go(1))
    claim((submitted(),), route=2).then_kinds(TaskRouted).answering(no("later"))


def test_work_of_a_routing_that_is_not_in_the_log_waits_until_it_is() -> None:
    claim(QUEUED, route=2).then().answering(no("later"))
    claim(WORKING, route=2, agent="w2").then().answering(no("later"))
    claim(WAITING, route=2).then().answering(no("later"))


def test_a_lost_attempt_whose_successor_was_cut_short_is_routed_again() -> None:
    history = (*WORKING, TaskAttemptFailed(ID, 1, "w1", LOST))
    claim(history, delivery=2, agent="w2").then_kinds(TaskRouted).answering(no("obsolete"))


def test_a_worker_of_another_role_does_not_get_the_task() -> None:
    claim(QUEUED, role="backend").then().answering(no("later"))


def test_an_attempt_with_a_time_limit_comes_with_a_timer_that_ends_it() -> None:
    when = claim((submitted(timeout_s=2.0), routed())).then(started())
    (side,) = when.sides
    assert side.at == NOW + timedelta(seconds=7)
    assert (side.subject, side.target) == (f"cca.timer.task.{ID}.timeout", f"cca.due.task.{ID}.timeout")
    assert (side.type, side.dedup) == ("cca.task.due.v1", f"{ID}.timeout.1")
    assert read(side.body, Due) == Due(ID, "timeout", 1)
