"""What a task's events say about its routing: the same, in whatever order and however often they are heard."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca import codec
from cca.contracts.task import (
    Candidate,
    Failure,
    FailureKind,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event
from cca.routing.features import load
from cca.routing.steps import Step
from cca.routing.trail import Trail

CALM = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SAMPLES = sorted((Path(__file__).parents[2] / "schemas/samples/histories").glob("*.json"))
Heard = tuple[Event, int, float]
"""An event, its position in the log, and its time."""


def sample(path: Path) -> list[Heard]:
    records = json.loads(path.read_text())
    return [
        (
            cast(Event, codec.decode(record["headers"]["ce-type"], json.dumps(record["body"]).encode())),
            position,
            datetime.fromisoformat(record["headers"]["ce-time"]).timestamp(),
        )
        for position, record in enumerate(records, 101)
    ]


def trail_of(heard: Sequence[Heard]) -> Trail:
    trail = Trail()
    for event, position, time in heard:
        trail.heard(event, position, time)
    return trail


def told(*events: Event, at: Sequence[float] = ()) -> Trail:
    """Heard in order, a second apart from second 1 on, or `at` these times."""
    times = at or [float(second) for second in range(1, len(events) + 1)]
    return trail_of([(event, 10 + place, times[place]) for place, event in enumerate(events)])


def submitted(deadline_s: float | None = None) -> TaskSubmitted:
    return TaskSubmitted("t", "docs", "x", "f", kind="review", requester="alice", deadline_s=deadline_s)


def routed(route: int = 1, lane: str = "a", **more: object) -> TaskRouted:
    features = {"capacity": 4.0, "running": 3.0, "queued": 1.0}
    event = TaskRouted(
        "t",
        route,
        "docs",
        lane,
        "linear-pm/1",
        0.25,
        7,
        (
            Candidate("a", 1.0, 0.25, features, mean=0.5),
            Candidate("b", 2.0, 0.75, {"capacity": 4.0}, mean=0.75),
            Candidate("c", 0.0, 0.0, {"capacity": 1.0}, masked="breaker"),
        ),
        explored=True,
        version=3,
        x={"size": 1200, "kind=review": 4096},
    )
    return msgspec.structs.replace(event, **more)


def started(attempt: int = 1, route: int = 1) -> TaskStarted:
    return TaskStarted("t", attempt, route, "w", "a", 5, 1)


def completed(attempt: int = 1) -> TaskCompleted:
    return TaskCompleted("t", attempt, "w", None, Usage(100, 20, 0.5), 2.5)


def attempt_failed(attempt: int = 1, kind: FailureKind = "error") -> TaskAttemptFailed:
    return TaskAttemptFailed("t", attempt, "w", Failure(kind, "no"), None, 1.5)


def failed(attempt: int = 1, kind: FailureKind = "error") -> TaskFailed:
    return TaskFailed("t", attempt, "w", Failure(kind, "no"), 1.5)


def endings(trail: Trail) -> list[str | None]:
    return [step.ending for step in trail.steps()]


# ------------------------------------------------------------------------------------------ any order, any number


@st.composite
def histories(draw: st.DrawFn) -> list[Heard]:
    """What a router writes about one task: routed, passed over, begun, lost, failed, canceled, retried, rated."""
    events: list[Event] = [submitted(draw(st.sampled_from([None, 5.0, 50.0])))]
    state, route, attempt = "submitted", 0, 0
    for _ in range(draw(st.integers(0, 14))):
        if state == "over":
            what = draw(st.sampled_from(["retry", "rate"]))
        elif state == "submitted":
            what = draw(st.sampled_from(["route", "route", "route", "cancel", "hold"]))
        elif state == "routed":
            what = draw(st.sampled_from(["route", "start", "start", "start", "cancel"]))
        else:
            what = draw(st.sampled_from(["complete", "complete", "attempt-failed", "failed", "taken over", "cancel"]))
        if what == "route":
            route, state = route + 1, "routed"
            events.append(routed(route, draw(st.sampled_from("ab"))))
        elif what == "hold":
            events.append(TaskHeld("t", "no live worker"))
        elif what == "start":
            attempt, state = attempt + 1, "working"
            events += [started(attempt, route), TaskProgressed("t", attempt, "half", 0.5)]
        elif what == "taken over":
            events += [attempt_failed(attempt, "lost"), started(attempt + 1, route)]
            attempt += 1
        elif what == "attempt-failed":
            state = "submitted"
            events.append(attempt_failed(attempt, draw(st.sampled_from(["error", "timeout", "lost"]))))
        elif what == "rate":
            if route:
                events.append(TaskRated("t", draw(st.integers(1, route)), draw(st.floats(0, 1))))
        elif what == "retry":
            state = "submitted"
            events.append(TaskRetried("t", 3))
        else:
            state = "over"
            events.append(
                {
                    "complete": completed(attempt),
                    "failed": failed(attempt, draw(st.sampled_from(["error", "rejected"]))),
                }.get(what, TaskCanceled("t"))
            )
    heard: list[Heard] = []
    position, time = 100, 1_000.0
    for event in events:
        position += draw(st.integers(1, 5))
        time += draw(st.floats(-0.01, 10.0))  # routers' clocks differ a little
        heard.append((event, position, time))
    return heard


@CALM
@forall(st.one_of(histories(), st.sampled_from(SAMPLES).map(sample)), st.data())
def test_neither_order_nor_repetition_of_events_matters(heard: list[Heard], data: st.DataObject) -> None:
    repeated = heard + data.draw(st.lists(st.sampled_from(heard), max_size=10))
    shuffled = data.draw(st.permutations(repeated))
    trail, other = trail_of(heard), Trail()
    for event, position, time in shuffled:
        other.heard(event, position, time)
        if data.draw(st.booleans()):
            other.steps()  # being asked in between changes nothing either
    assert other.steps() == trail.steps()
    assert (other.over, other.first, other.last) == (trail.over, trail.first, trail.last)


@CALM
@forall(histories())
def test_a_task_that_is_over_has_no_open_decision_and_any_other_at_most_its_last(heard: list[Heard]) -> None:
    trail = Trail()
    for event, position, time in heard:
        trail.heard(event, position, time)
        still = [step.route for step in trail.steps() if step.ending is None]
        assert still == [] if trail.over else still in ([], [len(trail.steps())])
        assert all(step.latency_s >= 0 for step in trail.steps())
        if isinstance(event, TaskCompleted | TaskFailed | TaskCanceled):
            assert trail.over
        elif isinstance(event, TaskRouted | TaskStarted | TaskAttemptFailed | TaskRetried | TaskHeld):
            assert not trail.over
    assert [step.route for step in trail.steps()] == list(range(1, len(trail.steps()) + 1))


@CALM
@forall(histories())
def test_a_trail_can_be_put_by_and_taken_up_again(heard: list[Heard]) -> None:
    trail = trail_of(heard[: len(heard) // 2])
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(trail), type=Trail)
    for event, position, time in heard[len(heard) // 2 :]:
        again.heard(event, position, time)
    assert again.steps() == trail_of(heard).steps()


def test_what_is_asked_again_without_news_is_the_same_object() -> None:
    trail = told(submitted(), routed(1), started(1), attempt_failed(1), routed(2, "b"))
    first, second = trail.steps()
    trail.heard(TaskProgressed("t", 1, "half"), 20, 20.0)
    trail.heard(started(2, 2), 21, 21.0)
    trail.heard(completed(2), 22, 22.0)
    assert trail.steps()[0] is first
    assert trail.steps()[1] is not second


def test_of_two_contradicting_facts_the_first_in_the_log_counts() -> None:
    late: Heard = (routed(1, "b"), 30, 30.0)
    early: Heard = (routed(1, "a"), 20, 20.0)
    assert trail_of([late, early]).steps() == trail_of([early, late]).steps() == trail_of([early]).steps()
    ends: list[Heard] = [(started(1), 40, 40.0), (failed(1), 50, 50.0), (completed(1), 60, 60.0)]
    assert endings(trail_of([early, *ends])) == endings(trail_of([early, *reversed(ends)])) == ["failed"]


# ------------------------------------------------------------------------------------------ decisions


def test_a_decision_is_recorded_as_it_was_made() -> None:
    (step,) = told(submitted(), routed()).steps()
    assert (step.task, step.route, step.position, step.time, step.lane, step.role) == (
        "t",
        1,
        11,
        2.0,
        "docs/a",
        "docs",
    )
    assert step.x == {"size": 1200, "kind=review": 4096}
    assert (step.propensity, step.policy, step.version, step.explored) == (0.25, "linear-pm/1", 3, True)
    assert (step.kind, step.requester) == ("review", "alice")
    assert not step.known


def test_only_what_could_have_been_chosen_is_an_option() -> None:
    (step,) = told(submitted(), routed()).steps()
    assert [(one.lane, one.probability, one.load, one.mean) for one in step.options] == [
        ("docs/a", 0.25, load(3, 1, 4), 0.5),
        ("docs/b", 0.75, 0, 0.75),
    ]
    assert step.load == load(3, 1, 4) == 2048


def test_lanes_of_several_roles_are_told_apart() -> None:
    candidates = (
        Candidate("a", 1.0, 0.5, {"capacity": 1.0, "running": 1.0}, role="backend"),
        Candidate("a", 1.0, 0.5, {"capacity": 1.0}, role="docs"),
    )
    (step,) = told(submitted(), routed(candidates=candidates)).steps()
    assert [option.lane for option in step.options] == ["backend/a", "docs/a"]
    assert (step.lane, step.load) == ("docs/a", 0)


def test_a_decision_without_candidates_has_no_options() -> None:
    (step,) = told(submitted(), routed(candidates=())).steps()
    assert (step.options, step.load) == ((), 0)


# ------------------------------------------------------------------------------------------ endings


def test_a_completed_attempt_completes_its_decision() -> None:
    (step,) = told(submitted(), routed(), started(), completed(), at=[1.0, 2.0, 3.0, 9.0]).steps()
    assert (step.ending, step.known) == ("completed", True)
    assert (step.latency_s, step.duration_s, step.tokens, step.cost_usd) == (7.0, 2.5, 120, 0.5)


def test_what_a_failed_attempt_has_used_is_known_too() -> None:
    spent = msgspec.structs.replace(failed(), usage=Usage(10, 5, 0.25))
    (step,) = told(submitted(), routed(), started(), spent, at=[1.0, 2.0, 3.0, 9.0]).steps()
    assert (step.latency_s, step.duration_s, step.tokens, step.cost_usd) == (7.0, 1.5, 15, 0.25)


def test_what_a_worker_did_not_measure_is_not_known() -> None:
    (step,) = told(submitted(), routed(), started(), TaskCompleted("t", 1, "w")).steps()
    assert (step.ending, step.tokens, step.cost_usd) == ("completed", None, None)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("error", "failed"),
        ("rate-limited", "failed"),
        ("timeout", "timeout"),
        ("lost", "lost"),
        ("rejected", "censored"),
    ],
)
def test_a_failed_attempt_fails_its_decision_unless_the_task_was_at_fault(kind: FailureKind, ending: str) -> None:
    assert endings(told(submitted(), routed(), started(), failed(1, kind))) == [ending]
    assert endings(told(submitted(), routed(), started(), attempt_failed(1, kind), routed(2))) == [ending, None]


def test_an_attempt_counts_for_the_decision_by_which_it_was_claimed() -> None:
    trail = told(submitted(), routed(1), routed(2, "b"), started(1, 2), completed(1))
    assert endings(trail) == ["censored", "completed"]
    assert trail.steps()[0].latency_s == 1.0


def test_when_a_lease_was_lost_the_last_attempt_decides() -> None:
    lost = [submitted(), routed(), started(1), attempt_failed(1, "lost")]
    assert endings(told(*lost)) == ["lost"]
    assert endings(told(*lost, started(2))) == [None]
    assert endings(told(*lost, started(2), completed(2))) == ["completed"]
    assert endings(told(*lost, started(2), attempt_failed(2), routed(2))) == ["failed", None]


def test_a_decision_that_nobody_followed_before_the_next_says_nothing() -> None:
    trail = told(submitted(), routed(1), routed(2))
    assert endings(trail) == ["censored", None]
    assert not trail.over


@pytest.mark.parametrize("begun", [[], [started()]])
def test_a_cancellation_ends_what_is_open(begun: list[Event]) -> None:
    trail = told(submitted(), routed(), *begun, TaskCanceled("t"))
    assert endings(trail) == ["censored"]
    assert trail.over
    assert trail.steps()[0].latency_s == 1.0 + len(begun)


def test_a_cancellation_does_not_touch_what_had_ended_or_came_later() -> None:
    trail = told(
        submitted(), routed(1), started(1), attempt_failed(1), TaskCanceled("t"), TaskRetried("t", 1), routed(2)
    )
    assert endings(trail) == ["failed", None]
    assert not trail.over


def test_a_task_that_is_tried_again_is_not_over() -> None:
    events = [submitted(), routed(), started(), failed()]
    assert told(*events).over
    assert not told(*events, TaskRetried("t", 1)).over


def test_a_task_that_waits_for_its_next_attempt_is_not_over_though_no_decision_is_open() -> None:
    assert not told(submitted(), routed(), started(), attempt_failed()).over


def test_a_task_that_was_rejected_unread_is_over_and_has_no_decisions() -> None:
    trail = told(TaskRejected("t", "unreadable", "no JSON"))
    assert trail.over
    assert trail.steps() == ()


# ------------------------------------------------------------------------------------------ deadlines and ratings


def test_a_deadline_runs_from_the_submission() -> None:
    events = [submitted(deadline_s=10.0), routed(), started(), completed()]
    assert told(*events, at=[0.0, 5.0, 5.0, 10.0]).steps()[0].in_time is True
    assert told(*events, at=[0.0, 5.0, 5.0, 10.5]).steps()[0].in_time is False


def test_only_a_result_meets_a_deadline() -> None:
    assert told(submitted(deadline_s=10.0), routed(), started(), failed()).steps()[0].in_time is False
    assert told(submitted(deadline_s=10.0), routed(), started()).steps()[0].in_time is None
    assert told(submitted(deadline_s=10.0), routed(), TaskCanceled("t")).steps()[0].in_time is None
    assert told(submitted(), routed(), started(), completed()).steps()[0].in_time is None


def test_a_rating_goes_to_the_decision_that_it_is_about() -> None:
    events = [submitted(), routed(1), started(1), attempt_failed(1), routed(2, "b"), started(2, 2), completed(2)]
    assert [step.quality for step in told(*events, TaskRated("t", 2, 0.75)).steps()] == [None, 0.75]


def test_the_last_rating_in_the_log_counts_in_whatever_order_they_are_heard() -> None:
    base: list[Heard] = [(routed(), 10, 1.0), (started(), 11, 2.0), (completed(), 12, 3.0)]
    ratings: list[Heard] = [(TaskRated("t", 1, 0.25), 20, 4.0), (TaskRated("t", 1, 0.0), 30, 5.0)]
    for heard in ([*base, *ratings], [*ratings[::-1], *base]):
        (step,) = trail_of(heard).steps()
        assert step.quality == 0.0


def test_a_rating_corrects_a_decision_that_was_already_told() -> None:
    trail = told(submitted(), routed(), started(), completed())
    before: Step = trail.steps()[0]
    trail.heard(TaskRated("t", 1, 1.0), 99, 86_400.0)
    assert trail.steps() == (msgspec.structs.replace(before, quality=1.0),)
    assert (trail.over, trail.last) == (True, 99)


# ------------------------------------------------------------------------------------------ real histories


def test_the_recorded_histories_end_as_they_did() -> None:
    found = {path.stem: trail_of(sample(path)) for path in SAMPLES}
    assert {name: endings(trail) for name, trail in found.items()} == {
        "cancel-while-queued": ["censored"],
        "cancel-while-running": ["censored"],
        "held-then-routed": ["completed"],
        "learned-and-rated": ["completed"],
        "lost-worker": ["completed"],
        "rejected-unread": [],
        "retry-then-fail-then-retried": ["failed", "failed", "completed"],
        "submit-complete": ["completed"],
        "task-with-a-condensed-context": ["completed"],
        "task-with-memories": ["completed"],
    }
    assert all(trail.over for trail in found.values())
    step = found["submit-complete"].steps()[0]
    assert (step.latency_s, step.duration_s, step.tokens, step.cost_usd) == pytest.approx((6.4, 6.375, 19191, 0.0688))
