"""Why a task was routed as it was, from the log; and the same decision, made again from the log alone."""

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from cca.contracts.learner import Explanation, Replayed
from cca.contracts.policy import PolicySnapshot
from cca.contracts.task import TaskRouted
from cca.errors import Refused
from cca.ids import TaskId
from cca.projection import Entry
from cca.routing.algorithms import policy_of
from cca.routing.explain import again, explained
from cca.routing.policy import Policy
from cca.routing.simple import LeastLoaded, WeightedRandom
from cca.routing.steps import Step
from cca.routing.trail import Trail
from cca_learner import window
from cca_learner.reading import TASKS, UNREADABLE
from cca_learner.remake import Remade, remade
from cca_learner.shell import Learner
from cca_learner.versions import Recent

UNLEARNED: dict[str, Policy] = {policy.name: policy for policy in (LeastLoaded(), WeightedRandom())}
"""What decides while there is no version, by the name in the log."""
REMADE_VERSIONS = 16
"""So many versions that were made again for a question are kept for the next one."""


class Reasons:
    """Explains decisions."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._remade = Recent(REMADE_VERSIONS)
        self._one_at_a_time = asyncio.Lock()

    async def explain(self, task: TaskId, route: int | None, replay: bool) -> Explanation:
        """Why a task was routed as it was; with `replay`, also whether the same comes out again.

        Raises `Refused` (`not-found`, `not-routed`) and `Busy`.
        """
        entries = await window.told(self._learner.bus, task)
        if not entries:
            raise Refused("not-found", f"there is no task {task}")
        event, seq, step = _decision(task, entries, route)
        made: Remade | None = None
        snapshot = self._kept(event.version)
        if event.version and (replay or snapshot is None):
            async with self._one_at_a_time:
                snapshot = self._kept(event.version)
                if replay or snapshot is None:
                    made = await remade(self._learner.bus, self._learner.at.state, event.version, seq)
            if made is not None and snapshot is None:
                snapshot = made.snapshot
                self._remade.add(snapshot)
        policy = policy_of(snapshot) if snapshot else None
        if not event.version:
            policy = UNLEARNED.get(event.policy)
        explanation = explained(event, step, snapshot, policy, self._learner.at.state.params)
        if not replay:
            return explanation
        if event.version == 0:
            return replace(explanation, replay=_replayed_unlearned(event, step, policy))
        return replace(explanation, replay=_replayed(event, step, made, snapshot))

    def _kept(self, version: int) -> PolicySnapshot | None:
        return self._learner.recent.get(version) or self._remade.get(version) if version else None


def _decision(task: TaskId, entries: Sequence[Entry], route: int | None) -> tuple[TaskRouted, int, Step]:
    """A decision about a task, where it stands in the log, and what became of it. Raises `Refused`."""
    trail = Trail()
    found: dict[int, tuple[TaskRouted, int]] = {}
    for entry in entries:
        read = TASKS.get(entry.type)
        if read is None:
            continue
        try:
            event = read(entry.body)
        except UNREADABLE:
            continue
        trail.heard(event, entry.seq, entry.time.timestamp())
        if isinstance(event, TaskRouted):
            found[event.route] = event, entry.seq
    if not found:
        raise Refused("not-routed", f"task {task} has not been routed")
    number = max(found) if route is None else route
    if number not in found:
        raise Refused("not-routed", f"task {task} has been routed {len(found)} times; there is no decision {number}")
    return *found[number], next(step for step in trail.steps() if step.route == number)


# ------------------------------------------------------------------------------------------ decided again


def _replayed(event: TaskRouted, step: Step, made: Remade | None, kept: PolicySnapshot | None) -> Replayed:
    """The decision, made again by a version that was made again."""
    if made is None:
        return Replayed(False, "", 0.0, "", "", 0, 0.0, f"the log has no version {event.version} before the decision")
    choice, difference = again(event, made.snapshot, policy_of(made.snapshot), step.requester)
    found = [difference] if difference else []
    if made.snapshot.digest != made.recorded.digest:
        found.append("the sums are not those that the log tells of")
    if kept is not None and (kept.model, kept.prices) != (made.snapshot.model, made.snapshot.prices):
        found.append("the parameters are not those that decided")
    return Replayed(
        equal=not found,
        lane=choice.lane.key,
        propensity=choice.propensity,
        digest=made.snapshot.digest,
        recorded_digest=made.recorded.digest,
        events=made.events,
        seconds=made.seconds,
        difference="; ".join(found),
    )


def _replayed_unlearned(event: TaskRouted, step: Step, policy: Policy | None) -> Replayed:
    """The decision, made again by what needs no version."""
    if policy is None:
        return Replayed(False, "", 0.0, "", "", 0, 0.0, f"what {event.policy} does is not known here")
    choice, difference = again(event, None, policy, step.requester)
    return Replayed(not difference, choice.lane.key, choice.propensity, "", "", 0, 0.0, difference)
