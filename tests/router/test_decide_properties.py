"""Whatever is said about a task, by whom, in whatever order, with crashes in between: this stays true."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from msgspec import Struct

from cca import codec
from cca.contracts.agent import Claim, Completion, Misfortune, Progress, Receipt, Verdict
from cca.contracts.policy import LaneSummary, Params
from cca.contracts.task import (
    CancelTask,
    Candidate,
    Failure,
    RateTask,
    Retry,
    RetryTask,
    SubmitTask,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskProgressed,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
)
from cca.contracts.work import DoTask, Due
from cca.decider import Decision
from cca.errors import Refused
from cca.message import Event
from cca.routing.policy import LaneLoad, draw
from cca.routing.simple import Uniform, WeightedRandom
from cca_router import claims, decide
from cca_router.facts import Facts, Routing
from cca_router.state import TASK, Task
from cca_router.views import view, waiting

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ENDS = (TaskCompleted, TaskFailed, TaskCanceled, TaskRejected)
LANES = [LaneLoad("docs", "a", 4), LaneLoad("docs", "b", 1, running=1), LaneLoad("backend", "a", 2, queued=3)]

Answer = Verdict | Receipt | None
Said = Decision | tuple[Decision, Verdict] | tuple[Decision, Receipt]
Ask = Callable[[Facts, Task, Task], Said]
"""What is said of a task as the speaker has seen it (the third), decided on the task as it is (the second)."""


class Step(Struct, frozen=True):
    """One thing that is said: `ask` is the decision, `kept` how many of its events survive a crash."""

    name: str
    ask: Ask
    lanes: tuple[LaneLoad, ...]
    now: datetime
    kept: int
    routing: Routing
    by: str = ""
    offset: int = 0


CALM = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OFFSET = st.sampled_from([0, 0, 0, 0, -1, 1])
COSTS = {"docs/a": LaneSummary(n=3.0, cost_usd=0.5), "backend/a": LaneSummary(n=3.0, cost_usd=0.1)}
ROUTINGS = st.sampled_from(
    [
        Routing(),
        Routing(WeightedRandom()),
        Routing(Uniform(), 3, params=Params(in_flight={"docs/a": 0, "docs/b": 2})),
        Routing(WeightedRandom(), 4, summaries=COSTS, params=Params(in_flight={"docs/b": 0}, ceilings={"all": 0.2})),
    ]
)
AGENT = st.sampled_from(["w1", "w2"])
FAILURES = st.sampled_from(
    [
        Failure("error", "no"),
        Failure("error", "never", retryable=False),
        Failure("rejected", "not me"),
        Failure("rate-limited", "slow", retry_after_s=5.0),
        Failure("lost", "gone"),
    ]
)
SPECS = st.builds(
    SubmitTask,
    st.just("x"),
    role=st.sampled_from(["docs", "auto"]),
    lane=st.sampled_from([None, None, "a"]),
    max_attempts=st.integers(1, 3),
    timeout_s=st.sampled_from([None, 2.0]),
    retry=st.sampled_from([Retry(initial_s=0.0), Retry(initial_s=8.0)]),
)


def asks(pick: Callable[[Any], Any], spec: SubmitTask) -> tuple[str, Ask, str, int]:
    agent, off, number = pick(AGENT), pick(OFFSET), pick(st.integers(1, 3))
    failure, role = pick(FAILURES), pick(st.sampled_from(["docs", "docs", "docs", "backend"]))
    delivery = pick(st.sampled_from([1, 1, 2, 3, 60]))
    what = pick(st.sampled_from(["retry", "timeout"]))
    other = SubmitTask("y", role="docs")
    table: dict[str, Ask] = {
        "submit": lambda f, t, seen: decide.submit(spec, ID, f, t),
        "submit another": lambda f, t, seen: decide.submit(other, ID, f, t),
        "route": lambda f, t, seen: decide.route(f, t),
        "repair": lambda f, t, seen: decide.repair(f, t),
        "cancel": lambda f, t, seen: decide.cancel(CancelTask(ID), t),
        "retry": lambda f, t, seen: decide.retry(RetryTask(ID), f, t),
        "due": lambda f, t, seen: decide.due(Due(ID, what, seen.attempt + off), f, t),
        "claim": lambda f, t, seen: claims.claim(Claim(ID, seen.route + off, number, delivery), agent, role, "a", f, t),
        "complete": lambda f, t, seen: claims.complete(Completion(ID, seen.attempt + off, {"n": number}), agent, t),
        "fail": lambda f, t, seen: claims.fail(Misfortune(ID, seen.attempt + off, failure), agent, f, t),
        "progress": lambda f, t, seen: claims.progress(Progress(ID, seen.attempt + off, f"{number}"), agent, t),
        "rate": lambda f, t, seen: decide.rate(RateTask(ID, number / 4), t),
        "lose": lambda f, t, seen: claims.lose(agent, "gone", f, t),
    }
    often = ["submit", "route", "claim", "claim", "claim", "fail", "fail", "due", "due", "complete"]
    name = pick(st.sampled_from([*often, *table]))
    return name, table[name], agent, off


@st.composite
def stories(draw_: Callable[[Any], Any]) -> tuple[SubmitTask, list[Step]]:
    spec = draw_(SPECS)
    steps = []
    for number in range(draw_(st.integers(1, 25))):
        lanes = draw_(st.lists(st.sampled_from(LANES), unique=True, max_size=3))
        name, ask, by, off = asks(draw_, spec)
        if number == 0 and draw_(st.booleans()):
            name, ask = "submit", lambda f, t, seen: decide.submit(spec, ID, f, t)
        kept = draw_(st.sampled_from([9, 9, 9, 9, 1]))
        now = NOW + timedelta(seconds=number * 10)
        steps.append(Step(name, ask, tuple(lanes), now, kept, draw_(ROUTINGS), by, off))
    return spec, steps


def facts(step: Step) -> Facts:
    return Facts(
        step.now,
        lambda role: [lane for lane in step.lanes if role in (lane.role, "auto")],
        step.routing,
    )


def said(step: Step, task: Task, seen: Task) -> tuple[Decision, Answer]:
    try:
        decided = step.ask(facts(step), task, seen)
    except Refused:
        return Decision(), None
    return (decided, None) if isinstance(decided, Decision) else decided


def told(steps: Sequence[Step]) -> tuple[Task, list[Event]]:
    """Tell the story; check what is true of every single step."""
    log: list[Event] = []
    task = Task()
    for step in steps:
        decision, answer = said(step, task, task)
        after = TASK.over(task, decision.events)
        again, answered = said(step, after, task)
        assert not again.events, (step, decision.events, again.events)
        if isinstance(answer, Verdict) and answer.go:
            assert after.owned_by(step.by, answer.attempt)
            assert answered == answer
        sides_belong(decision, after)
        for event in decision.events:
            assert codec.decode(codec.tag_of(type(event)), codec.encode(event)) == event
        if step.name in ("complete", "fail", "progress") and not task.owned_by(step.by, task.attempt + step.offset):
            heard = (TaskCompleted, TaskFailed, TaskAttemptFailed, TaskProgressed)
            assert not any(isinstance(event, heard) for event in decision.events)
        kept = decision.events[: step.kept]
        task = TASK.over(task, kept)
        log += kept
    return task, log


def sides_belong(decision: Decision, after: Task) -> None:
    """Every side message follows from an event of the same decision, and every such event has its message."""
    work = [codec.read(side.body, DoTask) for side in decision.sides if side.at is None]
    timers = [(codec.read(side.body, Due), side.at) for side in decision.sides if side.at is not None]
    routed = [event for event in decision.events if isinstance(event, TaskRouted)]
    assert [(one.route, one.role, one.lane) for one in work] == [(e.route, e.role, e.lane) for e in routed]
    expected: list[tuple[str, int]] = []
    for event in decision.events:
        if isinstance(event, TaskAttemptFailed) and event.retry_at is not None:
            expected.append(("retry", event.attempt))
            assert (Due(ID, "retry", event.attempt), event.retry_at) in timers
        if isinstance(event, TaskStarted) and after.spec is not None and after.spec.timeout_s is not None:
            expected.append(("timeout", event.attempt))
    assert [(due.what, due.attempt) for due, _ in timers] == expected
    assert len({side.dedup for side in decision.sides}) == len(decision.sides)


@CALM
@forall(stories())
def test_a_task_ends_once_and_only_a_retry_starts_it_again(story: tuple[SubmitTask, list[Step]]) -> None:
    ended = False
    for event in told(story[1])[1]:
        if isinstance(event, TaskRetried):
            assert ended
            ended = False
        else:
            assert not ended or isinstance(event, TaskRated), f"{event} after the end"
        ended = ended or isinstance(event, ENDS)


@CALM
@forall(stories())
def test_attempts_are_numbered_without_gaps_and_stay_within_what_was_granted(
    story: tuple[SubmitTask, list[Step]],
) -> None:
    attempt, granted, routes, route, open_attempt = 0, 0, 0, 0, False
    for event in told(story[1])[1]:
        match event:
            case TaskSubmitted():
                granted = event.max_attempts
            case TaskRetried():
                granted = attempt + event.attempts
            case TaskRouted():
                assert event.route == routes + 1
                assert not open_attempt
                routes = route = event.route
            case TaskStarted():
                attempt += 1
                assert (event.attempt, event.route) == (attempt, route)
                assert attempt <= granted
                assert not open_attempt
                open_attempt = True
            case TaskCompleted() | TaskFailed() | TaskAttemptFailed():
                assert open_attempt
                assert event.attempt == attempt
                open_attempt = False
            case TaskProgressed():
                assert open_attempt
            case TaskCanceled():
                open_attempt = False


@CALM
@forall(stories())
def test_whatever_happened_a_task_that_is_not_over_can_still_be_done(story: tuple[SubmitTask, list[Step]]) -> None:
    task, _ = told(story[1])
    if task.state is None or task.over:
        return
    alive = Facts(NOW, lambda role: [one for one in LANES if role in (one.role, "auto")])
    for _ in range(4):
        decision = decide.repair(alive, task)
        if task.held is not None or task.state == "routed":
            decision = decide.route(alive, task)
        if task.retry_at is not None:
            decision = decide.due(Due(ID, "retry", task.attempt), alive, task)
        task = TASK.over(task, decision.events)
        if task.state == "routed":
            decision, verdict = claims.claim(Claim(ID, task.route, 99), "w9", task.role, task.lane or "", alive, task)
            assert verdict.go
            task = TASK.over(task, decision.events)
        if task.state == "working":
            task = TASK.over(task, claims.complete(Completion(ID, task.attempt), task.agent or "", task)[0].events)
    assert task.state == "completed"


@CALM
@forall(stories())
def test_what_people_see_is_true_of_the_state(story: tuple[SubmitTask, list[Step]]) -> None:
    task, log = told(story[1])
    if task.state is None:
        return
    seen = view(ID, task)
    assert codec.read(codec.encode(seen), type(seen)) == seen
    assert (seen.waiting is None) == (task.over or task.state == "working")
    assert seen.waiting == waiting(task)
    assert (seen.failure is None) or any(isinstance(e, TaskAttemptFailed | TaskFailed) for e in log)


@CALM
@forall(stories())
def test_every_routing_can_be_made_again_from_what_the_log_says_of_it(story: tuple[SubmitTask, list[Step]]) -> None:
    for event in told(story[1])[1]:
        if isinstance(event, TaskRouted):
            chosen: Candidate = event.candidates[draw([one.probability for one in event.candidates], event.seed)]
            assert (chosen.lane, chosen.role or event.role) == (event.lane, event.role)
            assert chosen.probability == event.propensity
            assert chosen.masked is None
