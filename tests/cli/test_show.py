"""A task and its history as text (`cca.cli.show`)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cca import codec
from cca.cli import show
from cca.cli.answers import Event, Task
from cca.cli.watch import row_of, see
from cca.message import Event as Logged

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TAGS = [tag for tag, kind in codec.KINDS.items() if issubclass(kind, Logged)]
FIELDS = sorted({field for tag in TAGS for field in codec.KINDS[tag].__struct_fields__})
EVENTS = st.builds(
    Event,
    seq=st.integers(0),
    type=st.sampled_from(TAGS) | st.text(max_size=20),
    time=st.text(max_size=10) | st.just("2026-01-01T00:00:00Z"),
    data=JSON | st.dictionaries(st.sampled_from(FIELDS), JSON),
)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.lists(EVENTS, max_size=5))
def test_no_event_stops_a_display_whatever_a_newer_version_wrote(events: list[Event]) -> None:
    row = row_of(Task(task="t", state="submitted"))
    for event in events:
        assert isinstance(show.sentence(event), str)
        see(row, event)
    show.attempts(events)


def event(number: int, kind: str, **data: Any) -> Event:
    time = (BEGIN + timedelta(seconds=number)).isoformat()
    return Event(seq=number, type=f"cca.task.{kind}.v1", time=time, data=data)


def test_attempts_are_told_from_the_history() -> None:
    failure = {"kind": "error", "message": "boom", "exit_code": 3}
    history = [
        event(0, "submitted", role="r"),
        event(1, "started", attempt=1, agent="a", lane="l"),
        event(5, "started", attempt=2, agent="b", lane="l"),
        event(6, "attempt-failed", attempt=2, agent="b", failure=failure),
        event(8, "started", attempt=3, agent="a", lane="l"),
    ]
    found = show.attempts(history)
    assert [(one.number, one.agent, one.outcome) for one in found] == [
        (1, "a", "lost"),
        (2, "b", "failed"),
        (3, "a", "running"),
    ]
    assert found[1].why == "error: boom (exit code 3)"


def test_a_retry_says_when() -> None:
    failed = event(1, "attempt-failed", attempt=1, failure={"kind": "timeout", "message": "m"})
    failed.said["retry_at"] = (BEGIN + timedelta(seconds=3.5)).isoformat()
    assert show.sentence(failed) == "attempt 1: timeout: m; again after 2.5 s"


def test_what_a_task_waits_for_is_said_with_the_time_of_its_next_attempt() -> None:
    task = Task(task="t", state="submitted", waiting="no live worker", retry_at=BEGIN + timedelta(minutes=2))
    assert show.why_it_waits(task, BEGIN) == "no live worker (its next attempt, in 2 m)"


def test_a_condensed_context_is_told_with_its_tokens() -> None:
    condensed = event(1, "condensed", before=18_204, after=6_113, reached=True)
    assert show.sentence(condensed) == "context 18,204 → 6,113 tokens"
    condensed.said["reached"] = False
    assert show.sentence(condensed) == "context 18,204 → 6,113 tokens, still over its budget"


def test_a_usage_is_told_with_its_model_and_caches() -> None:
    usage: dict[str, Any] = {"input_tokens": 10, "output_tokens": 5, "cost_usd": 0.25}
    completed = event(1, "completed", attempt=1, agent="ann", duration_s=2.0, usage=usage)
    assert show.sentence(completed) == "by ann in 2.0 s (10 tokens in, 5 out, $0.2500)"
    usage |= {"cache_read_tokens": 300, "cache_write_tokens": 50, "model": "claude-sonnet-4", "cost_from": "table"}
    assert show.sentence(completed).endswith(
        "(10 tokens in, 5 out, 300 from the cache, 50 into the cache, about $0.2500, claude-sonnet-4)"
    )


def test_memories_that_were_put_before_a_task_are_told_from_its_history() -> None:
    memories = [{"memory": "m1", "score": 0.75}, {"memory": "m2", "score": 0.5}, "of a newer version"]
    said = event(2, "recalled", text="…", memories=memories, tokens=1_234, version=3)
    assert show.sentence(said) == "3 memories before it, 1,234 tokens"
    assert [(one.memory, one.score) for one in show.recalled([event(0, "submitted"), said])] == [
        ("m1", 0.75),
        ("m2", 0.5),
    ]
    assert show.recalled([event(0, "submitted")]) == ()
