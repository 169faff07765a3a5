"""Memories as pure aggregates: stored once, merged once for each source, counted once for each task."""

from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.memory import (
    EVERYONE,
    ForgetMemory,
    MemoryForgotten,
    MemoryMerged,
    MemoryPolicy,
    MemoryPolicySet,
    MemoryRated,
    MemoryStored,
    Outcome,
    SetMemoryPolicy,
    Source,
    StoreMemory,
)
from cca.decider import Decision
from cca.errors import Refused
from cca.testing.given import given
from cca_context import memory_decide as decide
from cca_context.memory_decide import FOLD, MEMORY, Memory, Policies, digest, id_of, is_id

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = "Run the migrations first."
STORED = MemoryStored("m", TEXT, "fact", "project:default", digest(TEXT), source=Source(task="t1"), created_at=NOW)


def store(
    memory: Memory,
    *,
    text: str = TEXT,
    task: str | None = "t1",
    own: bool = False,
    successes: int = 0,
    failures: int = 0,
) -> Decision:
    command = StoreMemory(text, source=Source(task=task), successes=successes, failures=failures)
    return decide.store(command, "m", {}, NOW, own, memory)


def rate(memory: Memory, outcome: Outcome, task: str | None = "t9", required: bool = True) -> Decision:
    return decide.rate("m", outcome, memory, task=task, required=required)


def test_a_text_is_stored_and_the_same_again_changes_nothing() -> None:
    given(MEMORY).when(store).then(STORED)
    given(MEMORY, STORED).when(store).then()


def test_the_same_text_of_another_task_is_merged_once() -> None:
    merged = MemoryMerged("m", Source(task="t2"), 1.0)
    state = given(MEMORY, STORED).when(partial(store, text=" run THE migrations  first.", task="t2")).then(merged).state
    assert state.merged == 1
    given(MEMORY, STORED, merged).when(partial(store, task="t2")).then()
    given(MEMORY, STORED).when(partial(store, task=None)).then_kinds(MemoryMerged)


def test_an_id_means_one_text() -> None:
    with pytest.raises(Refused, match="another text") as refused:
        store(given(MEMORY, STORED).state, text="something else")
    assert refused.value.code == "key-reused"


def test_what_was_forgotten_on_purpose_comes_back_only_when_somebody_says_so() -> None:
    asked, capped = MemoryForgotten("m", "asked"), MemoryForgotten("m", "capped")
    given(MEMORY, STORED, asked).when(partial(store, task="t2", own=True)).then()
    given(MEMORY, STORED, asked).when(partial(store, task="t1")).then(STORED)
    given(MEMORY, STORED, capped).when(partial(store, task="t1", own=True)).then()  # it would teach it twice
    given(MEMORY, STORED, capped).when(partial(store, task="t2", own=True)).then_kinds(MemoryStored)
    again = given(MEMORY, STORED, MemoryRated("m", "failure", "t9"), asked, STORED).state
    assert (again.failures, again.outcome("t9")) == (0, None)


def test_of_each_task_the_last_word_counts() -> None:
    good, bad = MemoryRated("m", "success", "t9"), MemoryRated("m", "failure", "t9", was="success")
    state = given(MEMORY, STORED).when(partial(rate, outcome="success")).then(good).state
    assert (state.successes, state.failures) == (1, 0)
    state = given(MEMORY, STORED, good).when(partial(rate, outcome="failure")).then(bad).state
    assert (state.successes, state.failures) == (0, 1)
    given(MEMORY, STORED, good).when(partial(rate, outcome="success")).then()


def test_without_a_task_a_rating_counts_each_time() -> None:
    state = given(MEMORY, STORED).state
    for _ in range(3):
        state = MEMORY.over(state, rate(state, "success", None).events)
    assert state.successes == 3


def test_what_is_not_there_is_neither_rated_nor_forgotten() -> None:
    for events in ((), (STORED, MemoryForgotten("m", "asked"))):
        state = given(MEMORY, *events).state
        with pytest.raises(Refused, match="no memory m"):
            rate(state, "success")
        with pytest.raises(Refused, match="no memory m"):
            decide.forget(ForgetMemory("m"), state)
        assert rate(state, "success", required=False) == decide.make_room("m", state) == Decision()
        assert decide.merge(Source(task="x"), "m", 0.99, state) == Decision()


def test_known_counts_are_where_it_begins() -> None:
    state = given(MEMORY).when(partial(store, successes=5, failures=2)).state
    assert (state.successes, state.failures) == (5, 2)


@settings(max_examples=100)
@examples(st.lists(st.tuples(st.sampled_from(["a-1", "b-1", "c-2", None]), st.sampled_from(["success", "failure"]))))
def test_counts_are_those_of_the_last_words(said: list[tuple[str | None, Outcome]]) -> None:
    state, last, free = given(MEMORY, STORED).state, dict[str, str](), list[str]()
    for task, outcome in said:
        state = MEMORY.over(state, rate(state, outcome, task).events)
        free.append(outcome) if task is None else last.update({task: outcome})
    outcomes = [*last.values(), *free]
    assert (state.successes, state.failures) == (outcomes.count("success"), outcomes.count("failure"))


def test_many_tasks_may_rate_one() -> None:
    state = given(MEMORY, STORED).state
    for number in range(5_000):
        state = MEMORY.over(state, rate(state, "success", f"task-{number}").events)
    assert state.successes == 5_000 and state.outcome("task-77") == "success"


@settings(max_examples=100)
@examples(st.text(), st.text())
def test_ids_follow_from_scope_role_and_text(one: str, other: str) -> None:
    assert is_id(id_of("project:x", None, one))
    assert id_of("project:x", None, f" {one}\n") == id_of("project:x", None, one)
    assert id_of("project:x", "r", one) != id_of("project:x", None, one) != id_of("project:y", None, one)
    assert (digest(one) == digest(other)) == (id_of("s", "r", one) == id_of("s", "r", other))


@pytest.mark.parametrize("id", ["policies", "search", "stats", "export", "a.b", "*", ">", "", "a b", "x" * 65, "a\n"])
def test_what_is_no_id_of_a_memory(id: str) -> None:
    assert not is_id(id)


def test_policies_are_set_replaced_and_removed() -> None:
    state = Policies()
    for role, policy, version in (("a", MemoryPolicy(), 1), (EVERYONE, MemoryPolicy(inject=1), 2), ("a", None, 3)):
        decided = decide.set_policy(SetMemoryPolicy(role, policy), 0, state)
        assert decided.events == (MemoryPolicySet(version, role, policy),)
        state = FOLD.over(state, decided.events)
        assert decide.set_policy(SetMemoryPolicy(role, policy), 0, state).events == ()
    assert state.of("a") == state.of("b") == MemoryPolicy(inject=1) and state.of(None) is None
    full = Policies(1, {f"r{number}": MemoryPolicy() for number in range(decide.ROLES)})
    with pytest.raises(Refused, match="have a policy"):
        decide.set_policy(SetMemoryPolicy("one-more", MemoryPolicy()), 0, full)
