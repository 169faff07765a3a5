"""Recorded histories of tasks fold into what they were when they were written."""

from pathlib import Path

import pytest

from cca.codec import KINDS, tag_of
from cca.context import kept
from cca.contracts.context import ContextEvent
from cca.contracts.memory import MemoryPolicySet
from cca.contracts.task import Failure
from cca.message import Event, Seq
from cca.schemas import samples
from cca.schemas.channels import AGENT_EVENTS, POLICY_EVENTS, TASK_EVENTS, TOKEN_EVENTS
from cca.schemas.channels_context import CODE_EVENTS, MEMORY_EVENTS, SNAPSHOT_EVENTS
from cca.testing.examples import NOW
from cca.tokens.markers import ref_of, refs
from cca_context import code_decide, memory_decide
from cca_learner.decide import POLICY
from cca_router.state import TASK, Task
from cca_tokens.decide import FOLD as FOLDED

ROOT = Path(__file__).parents[2] / "schemas"
HISTORIES = dict(samples.histories(ROOT))


def events(name: str) -> list[Event]:
    found = []
    for sample in HISTORIES[f"{name}.json"]:
        message = sample.decoded()
        assert isinstance(message, Event)
        found.append(message)
    return found


def folded(name: str) -> Task:
    return TASK.over(TASK.initial, events(name))


def test_a_task_that_was_done() -> None:
    task = folded("submit-complete")
    assert (task.state, task.attempt, task.agent) == ("completed", 1, "sec-1")
    assert task.progress == "Read 356 lines; checking string handling… 半分 🚧"
    assert task.result["summary"].endswith("✅")
    assert task.usage is not None and task.usage.output_tokens == 941


def test_a_task_that_failed_twice_and_was_tried_again_by_hand() -> None:
    task = folded("retry-then-fail-then-retried")
    assert (task.state, task.attempt, task.route, task.budget) == ("completed", 3, 3, 3)
    before = TASK.over(TASK.initial, events("retry-then-fail-then-retried")[:7])
    assert before.state == "failed"
    assert before.failure == Failure("rate-limited", "The provider asks to come back later.", retry_after_s=20.0)


def test_a_task_whose_first_worker_vanished() -> None:
    task = folded("lost-worker")
    assert (task.state, task.attempt, task.route, task.agent) == ("completed", 2, 1, "sec-2")


def test_a_task_that_was_canceled_while_it_ran() -> None:
    task = folded("cancel-while-running")
    assert (task.state, task.reason) == ("canceled", "No longer needed 🙏")


def test_a_task_that_was_canceled_before_it_ran() -> None:
    task = folded("cancel-while-queued")
    assert (task.state, task.attempt) == ("canceled", 0)


def test_a_task_that_waited_for_a_worker() -> None:
    held = TASK.over(TASK.initial, events("held-then-routed")[:2])
    assert (held.state, held.held) == ("submitted", "no live worker for lane codex of role security")
    assert folded("held-then-routed").state == "completed"


def test_a_task_whose_lane_was_learned_and_whose_result_was_rated() -> None:
    task = folded("learned-and-rated")
    assert (task.state, task.lane) == ("completed", "cheap")
    assert task.rated is not None
    assert task.rated.quality == 0.8


def test_a_task_that_could_not_be_read() -> None:
    task = folded("rejected-unread")
    assert (task.state, task.spec) == ("rejected", None)


def test_a_task_whose_context_was_folded() -> None:
    task = folded("task-with-a-condensed-context")
    assert task.state == "completed" and task.spec is not None and task.condensed is not None
    assert task.condensed.after <= 600 < task.condensed.before
    assert set(refs(task.condensed.context)) <= set(task.condensed.refs)
    assert ref_of(task.spec.context or "") == task.condensed.original


def test_a_task_that_was_given_memories() -> None:
    task = folded("task-with-memories")
    assert task.state == "completed" and task.recalled is not None
    assert task.result["context"] == task.recalled.text
    assert task.result["memories"] == [one.memory for one in task.recalled.memories]


def test_every_event_of_a_task_is_in_some_history() -> None:
    seen = {type(event) for name in HISTORIES for event in events(name.removesuffix(".json"))}
    assert seen == set(TASK_EVENTS)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_is_of_one_aggregate_and_in_order(name: str) -> None:
    story = HISTORIES[name]
    assert len({sample.headers["ce-subject"] for sample in story}) == 1
    assert len({sample.headers["ce-id"] for sample in story}) == len(story)
    times = [sample.headers["ce-time"] for sample in story]
    assert times == sorted(times)


@pytest.mark.parametrize("name, sample", list(samples.load(ROOT)), ids=lambda each: str(each))
def test_the_sample_of_an_event_folds_from_nothing(name: str, sample: samples.Sample) -> None:
    message = sample.decoded()
    if isinstance(message, TASK_EVENTS):
        assert TASK.over(TASK.initial, [message]) != TASK.initial
    elif isinstance(message, POLICY_EVENTS):
        POLICY.over(POLICY.initial, [message])
    elif isinstance(message, TOKEN_EVENTS):
        FOLDED.over(FOLDED.initial, [message])
    elif isinstance(message, ContextEvent):
        kept.after(message, Seq(1), NOW)
    elif isinstance(message, MemoryPolicySet):
        memory_decide.FOLD.over(memory_decide.FOLD.initial, [message])
    elif isinstance(message, MEMORY_EVENTS):
        memory_decide.MEMORY.over(memory_decide.MEMORY.initial, [message])
    elif isinstance(message, CODE_EVENTS):
        code_decide.FOLD.over(code_decide.FOLD.initial, [message])
    else:
        assert not isinstance(message, Event) or isinstance(message, (*AGENT_EVENTS, *SNAPSHOT_EVENTS))
    assert KINDS[tag_of(type(message))] is type(message)
