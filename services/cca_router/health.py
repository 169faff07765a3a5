"""Which lanes have lately failed or asked for a pause: the circuit breaker's memory, fed with what becomes of tasks."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from cca.contracts.policy import Params
from cca.contracts.task import Failure
from cca_router.facts import LaneHealth
from cca_router.state import Task, lane_of

KNOWN_LANES = 1_000
"""How many ailing lanes are remembered; beyond that, the one that has been known for longest is forgotten."""

WELL = LaneHealth()


class Health:
    """The lanes that something is wrong with; a lane that is well is not in it.

    It is this process's own: a router that starts knows nothing bad of any lane, and learns it again.

    Attributes:
        lanes: by `role/lane`; each change makes a new mapping, so that what was handed out stays as it was.
    """

    def __init__(self) -> None:
        self.lanes: Mapping[str, LaneHealth] = {}

    def routed(self, task: str, lane: str, now: datetime) -> None:
        """A task is given to a lane: if the lane's rest is over, this is the one that tries it."""
        known = self.lanes.get(lane)
        if known is None or known.rests_until is None or known.trying is not None or now < known.rests_until:
            return
        self._note(lane, replace(known, trying=task), now)

    def given_up(self, task: str, lane: str, now: datetime) -> None:
        """That could not be stored."""
        known = self.lanes.get(lane)
        if known is not None and known.trying == task:
            self._note(lane, replace(known, trying=None), now)

    def moved(self, task: str, before: Task, after: Task, now: datetime, params: Params) -> None:
        """A task has gone from one state to the next: its end or failure says something of the lane where it was."""
        failed = after.failure is not None and after.failure is not before.failure
        if not failed and not self.lanes:
            return  # nearly always
        lane = lane_of(before)
        if lane is None or (lane_of(after) == lane and not failed):
            return
        known = self.lanes.get(lane, WELL)
        if known.trying == task:
            known = replace(known, trying=None)
        if after.state == "completed":
            known = LaneHealth(limited_until=known.limited_until)
        elif failed and after.failure is not None:
            known = _after(known, after.failure, now, params)
        self._note(lane, known, now)

    def _note(self, lane: str, health: LaneHealth, now: datetime) -> None:
        if health.limited_until is not None and now >= health.limited_until:
            health = replace(health, limited_until=None)
        lanes = {name: one for name, one in self.lanes.items() if name != lane}
        if health != WELL:
            lanes[lane] = health
            if len(lanes) > KNOWN_LANES:
                del lanes[next(iter(lanes))]
        self.lanes = lanes


def _after(known: LaneHealth, failure: Failure, now: datetime, params: Params) -> LaneHealth:
    if failure.kind == "rejected":  # the task is at fault, not the lane
        return known
    if failure.kind == "rate-limited" and failure.retry_after_s is not None:
        until = now + timedelta(seconds=failure.retry_after_s)
        return replace(known, limited_until=max(until, known.limited_until or until))
    failures = known.failures + 1
    resting = known.rests_until is not None and now < known.rests_until
    # What was begun before the rest does not make it longer; what fails after it begins another.
    if resting or (known.rests_until is None and failures < params.breaker_failures):
        return replace(known, failures=failures)
    return replace(known, failures=failures, rests_until=now + timedelta(seconds=params.breaker_s))
