"""Which live lanes a task may have: decided before any policy is asked, so that its probabilities are of the draw.

The order and the reasons for it are in ADR 0018. Hard masks always hold, soft ones only while they leave a lane.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from cca.contracts.task import TaskSubmitted
from cca.routing.pacing import too_dear
from cca.routing.policy import Case, LaneLoad
from cca_router.facts import AUTO, Facts, LaneHealth

QUOTA = "quota: it holds as many tasks as it may"
LIMITED = "rate limit: its provider asked for a pause"
RESTING = "breaker: it failed too often in a row"
TRYING = "breaker: a task is trying whether it works again"
BACKLOG = "backlog: its queue is long while another lane's is not"

FULL, DEAR = "full", "too dear"

Masked = tuple[LaneLoad, str]


class Admitted(Struct, frozen=True):
    """The lanes among which a policy may choose, and those that are left out, each with the reason.

    `hold` says what the task waits for, in words, when there is none.
    """

    lanes: Sequence[LaneLoad]
    masked: Sequence[Masked] = ()
    hold: str | None = None


def admitted(spec: TaskSubmitted, case: Case, facts: Facts, leaving: str | None = None) -> Admitted:
    """The live lanes of a task, sorted out.

    Args:
        leaving: the lane (`role/lane`) that the task is counted in until this decision is made; it frees a place there.
    """
    lanes, masked = asked_for(spec, facts)
    if not lanes:
        return Admitted((), masked, missing(spec.role, spec.lane))
    params = facts.routing.params
    if params.ceilings or params.in_flight:
        lanes, dear_or_full = _sort(lanes, _hard(case, facts, leaving))
        masked += dear_or_full
        if not lanes:
            return Admitted((), masked, _hold(spec, {why for _, why in dear_or_full}))
    if len(lanes) > 1:
        left, passed_over = _soft(lanes, facts)
        if left and passed_over:
            return Admitted(left, masked + passed_over)
    return Admitted(lanes, masked)


def asked_for(spec: TaskSubmitted, facts: Facts) -> tuple[Sequence[LaneLoad], list[Masked]]:
    """The live lanes of the role and lane that were asked for, and the other lanes of the role."""
    live = facts.lanes(spec.role)
    if spec.lane is None:
        return live, []
    why = f"only lane {spec.lane} was asked for"
    return _sort(live, lambda one: None if one.lane == spec.lane else why)


def missing(role: str, lane: str | None) -> str:
    """What a task waits for that no live worker may have."""
    return f"no live worker for {_whose(role, lane)}"


def waits_for_change(held: str) -> bool:
    """Whether a task that is held for this reason may go on without a worker joining."""
    return held.startswith((FULL, DEAR))


def room(quota: int, lane: LaneLoad) -> int:
    """How many more tasks a lane may hold; below zero when it holds too many."""
    return quota - lane.running - lane.queued


def _whose(role: str, lane: str | None) -> str:
    whose = "any role" if role == AUTO else f"role {role}"
    return whose if lane is None else f"lane {lane} of {whose}"


def _hold(spec: TaskSubmitted, reasons: set[str]) -> str:
    """Why no lane may have the task: without numbers, so that it stays the same while nothing changes for the task."""
    whose = _whose(spec.role, spec.lane)
    every = whose if spec.lane is not None else f"every lane of {whose}"
    if reasons == {QUOTA}:
        return f"{FULL}: {every} holds as many tasks as it may"
    if QUOTA not in reasons:
        return f"{DEAR}: {every} costs more than the ceiling"
    return f"{FULL} or {DEAR}: {every} holds as many tasks as it may, or costs more than the ceiling"


def _hard(case: Case, facts: Facts, leaving: str | None) -> Callable[[LaneLoad], str | None]:
    routing = facts.routing
    params = routing.params

    def why(lane: LaneLoad) -> str | None:
        if params.ceilings and (dear := too_dear(routing.summaries, params, case, lane)) is not None:
            return dear
        quota = params.in_flight.get(lane.key)
        if quota is None or room(quota, lane) + (lane.key == leaving) > 0:
            return None
        return QUOTA

    return why


def _soft(lanes: Sequence[LaneLoad], facts: Facts) -> tuple[Sequence[LaneLoad], list[Masked]]:
    """What is left of these lanes, perhaps nothing; one with a long queue is struck only while another has less."""
    struck: list[Masked] = []
    if facts.health:
        lanes, struck = _sort(lanes, lambda lane: _pauses(facts.health.get(lane.key), facts.now))
    most = facts.routing.params.backlog
    quick = [lane for lane in lanes if lane.queued <= most * lane.capacity]
    if not quick or len(quick) == len(lanes):
        return lanes, struck
    return quick, [*struck, *((lane, BACKLOG) for lane in lanes if lane.queued > most * lane.capacity)]


def _pauses(health: LaneHealth | None, now: datetime) -> str | None:
    if health is None:
        return None
    if health.limited_until is not None and now < health.limited_until:
        return LIMITED
    if health.rests_until is None:
        return None
    if now < health.rests_until:
        return RESTING
    return None if health.trying is None else TRYING


def _sort(lanes: Sequence[LaneLoad], why: Callable[[LaneLoad], str | None]) -> tuple[list[LaneLoad], list[Masked]]:
    """The lanes that nothing speaks against, and the others with what does."""
    left: list[LaneLoad] = []
    struck: list[Masked] = []
    for lane in lanes:
        if (reason := why(lane)) is None:
            left.append(lane)
        else:
            struck.append((lane, reason))
    return left, struck
