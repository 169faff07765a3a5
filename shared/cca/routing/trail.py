"""What is known of one task for learning: its routing decisions, and what became of each, in whatever order we hear."""

from collections.abc import Callable
from itertools import zip_longest
from sys import intern
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.task import (
    FailureKind,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
)
from cca.message import Event
from cca.routing.features import load
from cca.routing.steps import Ending, Option, Step

ENDINGS: dict[FailureKind, Ending] = {
    "error": "failed",
    "rate-limited": "failed",
    "timeout": "timeout",
    "lost": "lost",
    "rejected": "censored",
}
"""How a decision ended whose attempt failed in this way: for a task that is itself at fault no lane is to blame."""


class Attempt(Struct):
    """One attempt, as far as it is known.

    Attributes:
        route: the decision that it belongs to; 0 until its start was heard.
        ending: None until its end was heard, which is at `position` of the log.
        time: of the end, seconds since the epoch.
        duration_s, tokens, cost_usd: as its worker measured them; None when it did not.
    """

    route: int = 0
    ending: Ending | None = None
    position: int = 0
    time: float = 0.0
    duration_s: float = 0.0
    tokens: int | None = None
    cost_usd: float | None = None


class Trail(Struct):
    """The facts about one task. Each event adds its own, so that neither order nor repetition of events matters.

    Of two that contradict each other the first in the log counts; of ratings, the last. No event is kept.

    Attributes:
        first, last: positions in the log of the first and the last event that was heard; 0 before any.
        moved: position of the last one that changed the task's state, `ended`: of the last one that ended it.
        submitted: position and time of the submission; position 0 while it is unknown.
        decisions: by `route`, each with what was known of it when `steps` was asked last.
        attempts: by their numbers.
        canceled: position and time of each cancellation.
        rated: position and value of the last rating, by `route`.
        stale: something was heard since `steps` was asked.
    """

    first: int = 0
    last: int = 0
    moved: int = 0
    ended: int = 0
    submitted: int = 0
    submitted_at: float = 0.0
    deadline_s: float | None = None
    kind: str | None = None
    requester: str | None = None
    decisions: tuple[Step, ...] = ()
    attempts: dict[int, Attempt] = {}
    canceled: tuple[tuple[int, float], ...] = ()
    rated: dict[int, tuple[int, float]] | None = None
    stale: bool = False

    def heard(self, event: Event, position: int, time: float) -> None:
        """Add an event of this task; those that say nothing about its routing change nothing.

        `position` is that in the log, from 1; `time` is when it was written, seconds since the epoch.
        """
        if position > self.last:
            self.last = position
        if position < self.first or not self.first:
            self.first = position
        note = _NOTES.get(type(event))
        if note is not None:
            note(self, event, position, time)
            self.stale = True

    def steps(self) -> tuple[Step, ...]:
        """Its decisions by `route`. One about which nothing new is known is the same object as before."""
        if self.stale:
            self.decisions = _settled(self)
            self.stale = False
        return self.decisions

    @property
    def over(self) -> bool:
        """The task has ended and no decision is open: only a rating or a retry by hand can still come."""
        if not self.ended or self.ended < self.moved:
            return False
        return all(step.ending is not None for step in self.steps())


# ------------------------------------------------------------------------------------------ what events tell


def _submitted(trail: Trail, event: TaskSubmitted, position: int, time: float) -> None:
    _moved(trail, position)
    if not trail.submitted or position < trail.submitted:
        trail.submitted, trail.submitted_at = position, time
        trail.deadline_s = event.deadline_s
        # Names are few and tasks many: each is kept once.
        trail.kind = event.kind and intern(event.kind)
        trail.requester = event.requester and intern(event.requester)


def _routed(trail: Trail, event: TaskRouted, position: int, time: float) -> None:
    _moved(trail, position)
    decisions, route = trail.decisions, event.route
    if decisions and decisions[-1].route >= route:
        for step in decisions:
            if step.route == route and step.position <= position:
                return
        decisions = tuple(step for step in decisions if step.route != route)
    new = _decision(event, position, time)
    if not decisions or decisions[-1].route < route:
        trail.decisions = (*decisions, new)
    else:
        trail.decisions = tuple(sorted((*decisions, new), key=lambda step: step.route))


def _decision(event: TaskRouted, position: int, time: float) -> Step:
    key, busy = intern(f"{event.role}/{event.lane}"), 0
    options = []
    for candidate in event.candidates:
        if candidate.masked is not None:
            continue
        lane = intern(f"{candidate.role or event.role}/{candidate.lane}")
        seen = candidate.features
        its = load(int(seen.get("running", 0)), int(seen.get("queued", 0)), int(seen.get("capacity", 0)))
        options.append(Option(lane, candidate.probability, its, candidate.mean))
        if lane == key:
            busy = its
    return Step(
        event.task,
        event.route,
        position,
        time,
        key,
        event.x,
        busy,
        tuple(options),
        event.propensity,
        intern(event.policy),
        event.version,
        event.explored,
    )


def _started(trail: Trail, event: TaskStarted, position: int, time: float) -> None:
    _moved(trail, position)
    attempt = trail.attempts.get(event.attempt)
    if attempt is None:
        trail.attempts[event.attempt] = Attempt(event.route)
    elif not attempt.route or event.route < attempt.route:
        attempt.route = event.route


def _completed(trail: Trail, event: TaskCompleted, position: int, time: float) -> None:
    _attempt_ended(trail, event, "completed", position, time)
    _over(trail, position)


def _attempt_failed(trail: Trail, event: TaskAttemptFailed, position: int, time: float) -> None:
    _attempt_ended(trail, event, ENDINGS[event.failure.kind], position, time)
    _moved(trail, position)


def _failed(trail: Trail, event: TaskFailed, position: int, time: float) -> None:
    _attempt_ended(trail, event, ENDINGS[event.failure.kind], position, time)
    _over(trail, position)


def _attempt_ended(
    trail: Trail,
    event: TaskCompleted | TaskAttemptFailed | TaskFailed,
    ending: Ending,
    position: int,
    time: float,
) -> None:
    attempt = trail.attempts.get(event.attempt)
    if attempt is None:
        attempt = trail.attempts[event.attempt] = Attempt()
    elif attempt.ending is not None and attempt.position <= position:
        return
    usage = event.usage
    attempt.ending, attempt.position, attempt.time, attempt.duration_s = ending, position, time, event.duration_s
    attempt.tokens = None if usage is None else usage.input_tokens + usage.output_tokens
    attempt.cost_usd = None if usage is None else usage.cost_usd


def _canceled(trail: Trail, event: TaskCanceled, position: int, time: float) -> None:
    _over(trail, position)
    if (position, time) not in trail.canceled:
        trail.canceled = tuple(sorted((*trail.canceled, (position, time))))


def _rated(trail: Trail, event: TaskRated, position: int, time: float) -> None:
    if trail.rated is None:
        trail.rated = {}
    before = trail.rated.get(event.route)
    if before is None or position > before[0]:
        trail.rated[event.route] = (position, event.quality)


def _moved(trail: Trail, position: int) -> None:
    if position > trail.moved:
        trail.moved = position


def _over(trail: Trail, position: int) -> None:
    _moved(trail, position)
    if position > trail.ended:
        trail.ended = position


_NOTES: dict[type[Event], Callable[[Trail, Any, int, float], None]] = {
    TaskSubmitted: _submitted,
    TaskRouted: _routed,
    TaskStarted: _started,
    TaskCompleted: _completed,
    TaskAttemptFailed: _attempt_failed,
    TaskFailed: _failed,
    TaskCanceled: _canceled,
    TaskRated: _rated,
    TaskRejected: lambda trail, event, position, time: _over(trail, position),
    TaskHeld: lambda trail, event, position, time: _moved(trail, position),
    TaskRetried: lambda trail, event, position, time: _moved(trail, position),
}


# ------------------------------------------------------------------------------------------ what follows from it


def _settled(trail: Trail) -> tuple[Step, ...]:
    last: dict[int, Attempt] = {}
    for number in sorted(trail.attempts):
        attempt = trail.attempts[number]
        last[attempt.route] = attempt  # a route has several when a lease was lost: the last decides
    decisions = trail.decisions
    return tuple(
        _with_outcome(trail, step, last.get(step.route), after) for step, after in zip_longest(decisions, decisions[1:])
    )


def _with_outcome(trail: Trail, step: Step, attempt: Attempt | None, after: Step | None) -> Step:
    rating = trail.rated.get(step.route) if trail.rated else None
    ending: Ending | None = None
    end, duration_s, tokens, cost_usd = step.time, 0.0, None, None
    if attempt is not None and attempt.ending is not None:
        ending, end, duration_s = attempt.ending, attempt.time, attempt.duration_s
        tokens, cost_usd = attempt.tokens, attempt.cost_usd
    else:
        stops = [stop for stop in trail.canceled if stop[0] > step.position]
        if attempt is None and after is not None:
            stops.append((after.position, after.time))
        if stops:
            ending, end = "censored", min(stops)[1]
    in_time: bool | None = None
    if ending is not None and ending != "censored" and trail.deadline_s is not None:
        # Only a result meets a deadline; that an attempt failed early is no merit.
        in_time = ending == "completed" and end - trail.submitted_at <= trail.deadline_s
    known = replace(
        step,
        kind=trail.kind,
        requester=trail.requester,
        ending=ending,
        latency_s=max(0.0, end - step.time),  # another router's clock may be behind
        duration_s=duration_s,
        tokens=tokens,
        cost_usd=cost_usd,
        quality=None if rating is None else rating[1],
        in_time=in_time,
    )
    return step if known == step else known
