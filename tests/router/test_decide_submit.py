"""What is kept of a submitted task, what is refused, and how a repeated request is known."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from cca.codec import read
from cca.contracts.task import Retry, SubmitTask, TaskCompleted, TaskHeld, TaskRejected, TaskRouted, TaskSubmitted
from cca.contracts.work import DoTask
from cca.message import Event
from cca.routing.policy import LaneLoad
from cca.testing.examples import ID, NOW, routed, started, submitted
from cca.testing.given import When, given
from cca_router import decide
from cca_router.facts import Facts
from cca_router.state import TASK, Task
from cca_router.storable import MAX_BYTES, fingerprint_of

A, B = LaneLoad("docs", "a", capacity=4), LaneLoad("docs", "b", capacity=4)
ASKED = SubmitTask("say hello", role="docs")
HELD = TaskHeld(ID, "no live worker for role docs")


def facts(*lanes: LaneLoad, now: datetime = NOW) -> Facts:
    return Facts(now, lambda role: [lane for lane in lanes if role in (lane.role, "auto")])


def submit(command: SubmitTask, *lanes: LaneLoad, history: Sequence[Event] = ()) -> When[Task]:
    return given(TASK, *history).when(partial(decide.submit, command, ID, facts(*lanes)))


def spec_of(command: SubmitTask, role: str = "docs") -> TaskSubmitted:
    """The event that this command leads to, for histories in which it has been submitted."""
    event = decide.submit(command, ID, facts(), Task(), role).events[0]
    assert isinstance(event, TaskSubmitted)
    return event


def work_of(when: When[Task]) -> DoTask:
    (side,) = when.sides
    assert side.type == "cca.task.work.v1"
    work = read(side.body, DoTask)
    assert side.subject == f"cca.work.{work.role}.{work.lane}.{work.priority}"
    assert side.dedup.startswith(f"{work.task}.{work.route}.")
    return work


# ------------------------------------------------------------------------------------------ submit


def test_a_task_is_submitted_routed_and_its_work_goes_with_it() -> None:
    when = submit(ASKED, A).then_kinds(TaskSubmitted, TaskRouted)
    event = when.events[1]
    assert isinstance(event, TaskRouted)
    assert (event.route, event.role, event.lane, event.propensity) == (1, "docs", "a", 1.0)
    assert (event.policy, event.version) == ("least-loaded/1", 0)
    assert [candidate.lane for candidate in event.candidates] == ["a"]
    assert work_of(when) == DoTask(ID, 1, "docs", "a", "say hello")
    assert when.state.state == "routed"


def test_everything_that_was_asked_is_kept_and_given_to_the_worker() -> None:
    command = SubmitTask(
        "read",
        role="docs",
        idempotency_key="k",
        input={"file": "a.py", "lines": [1, 2]},
        context="more",
        priority="high",
        lane="a",
        kind="review",
        requester="ann",
        labels={"team": "x"},
        max_attempts=5,
        timeout_s=9.0,
        retry=Retry(initial_s=3.0),
        deadline_s=600.0,
    )
    when = submit(command, A, B)
    spec = when.state.spec
    assert spec is not None
    for name in SubmitTask.__struct_fields__:
        if name != "id":
            assert getattr(spec, name) == getattr(command, name), name
    work = work_of(when)
    for name in set(DoTask.__struct_fields__) & set(SubmitTask.__struct_fields__):
        assert getattr(work, name) == getattr(command, name), name


def test_the_role_in_the_subject_goes_before_the_one_in_the_body() -> None:
    decision = decide.submit(ASKED, ID, facts(A), Task(), role="backend")
    assert decision.events == (
        TaskSubmitted(ID, "backend", "say hello", fingerprint_of(ASKED, "backend")),
        TaskHeld(ID, "no live worker for role backend"),
    )


def test_a_task_without_any_role_is_refused() -> None:
    submit(SubmitTask("say hello"), A).refused("no-role")


def test_the_same_request_again_changes_nothing_whatever_name_it_comes_under() -> None:
    history = [spec_of(ASKED), routed(), started(), TaskCompleted(ID, 1, "w1")]
    for again in (ASKED, SubmitTask("say hello", role="docs", id=ID, idempotency_key="k")):
        for so_far in range(2, 5):
            submit(again, A, history=history[:so_far]).then()


def test_another_request_under_the_same_id_is_refused() -> None:
    for other in (
        SubmitTask("say goodbye", role="docs"),
        SubmitTask("say hello", role="backend"),
        SubmitTask("say hello", role="docs", input={"a": 1}),
        SubmitTask("say hello", role="docs", priority="high"),
    ):
        submit(other, A, history=[spec_of(ASKED), routed()]).refused("key-reused")


def test_the_order_of_keys_does_not_make_another_request() -> None:
    one = fingerprint_of(SubmitTask("x", input={"a": 1, "b": {"c": 2, "d": 3}}), "docs")
    assert one == fingerprint_of(SubmitTask("x", input={"b": {"d": 3, "c": 2}, "a": 1}), "docs")
    assert len(one) == 64


def test_fingerprints_that_are_in_the_log_stay_what_they_are() -> None:
    plain = "ac753147dc95146c38b8cfd92e84cb8cbb2c327e8cd64f85f08367dd4c4b2c89"
    asked = SubmitTask("read", input={"file": "a.py"}, kind="review", timeout_s=9.0, retry=Retry(initial_s=3.0))
    assert fingerprint_of(SubmitTask("say hello"), "docs") == plain
    assert fingerprint_of(asked, "docs") == "ea2ea574d786264ca2c9bf9c6f458cfcead672db54a35c26a5f8c854f980ddd4"
    assert fingerprint_of(SubmitTask("say hello", deadline_s=60.0), "docs") != plain


def test_a_submission_that_was_cut_short_is_finished_when_it_is_repeated() -> None:
    submit(ASKED, A, history=[spec_of(ASKED)]).then_kinds(TaskRouted)


def test_an_id_that_was_rejected_unread_cannot_be_used_again() -> None:
    submit(ASKED, A, history=[TaskRejected(ID, "unreadable", "not JSON")]).refused("key-reused")


@pytest.mark.parametrize(
    "asked",
    [
        {"description": "a\x00b"},
        {"context": "\x00"},
        {"kind": "\x00"},
        {"requester": "\x00"},
        {"idempotency_key": "\x00"},
        {"labels": {"\x00": "x"}},
        {"input": {"a": [{"b": "\\\x00"}]}},
        {"input": {"\x00": 1}},
    ],
)
def test_a_nul_character_anywhere_is_refused_since_it_cannot_be_stored(asked: dict[str, Any]) -> None:
    submit(SubmitTask(**{"description": "x", "role": "docs", **asked}), A).refused("unreadable")


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "0", "u0000", "é🙂\u202e"])
def test_text_that_only_looks_like_a_nul_is_kept(text: str) -> None:
    submit(SubmitTask(text, role="docs", input={text: text}), A).then_kinds(TaskSubmitted, TaskRouted)


def test_input_that_is_nested_too_deeply_is_refused() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    submit(SubmitTask("x", role="docs", input={"a": deep[0]}), A).then_kinds(TaskSubmitted, TaskRouted)
    submit(SubmitTask("x", role="docs", input={"a": deep}), A).refused("unreadable")


def test_a_task_that_does_not_fit_into_a_message_is_refused() -> None:
    submit(SubmitTask("x", role="docs", input={"a": "y" * MAX_BYTES}), A).refused("too-large")


def test_what_cannot_be_read_is_rejected_under_its_id_once() -> None:
    reject = partial(decide.reject, ID, "unreadable", "not\x00JSON")
    given(TASK).when(reject).then(TaskRejected(ID, "unreadable", "not�JSON"))
    given(TASK, submitted(), routed()).when(reject).then()


def test_without_a_live_worker_the_task_is_held_and_says_why() -> None:
    submit(ASKED).then(spec_of(ASKED), HELD).with_sides()
    pinned = SubmitTask("say hello", role="docs", lane="b")
    submit(pinned, A).then(spec_of(pinned), TaskHeld(ID, "no live worker for lane b of role docs"))
