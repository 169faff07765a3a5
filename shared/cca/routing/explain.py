"""Why a task was routed as it was, from what was recorded; and the same decision made again."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from cca.contracts.learner import Explained, Explanation
from cca.contracts.policy import Params, PolicySnapshot
from cca.contracts.task import Candidate, TaskRouted
from cca.errors import Refused
from cca.routing.features import ONE
from cca.routing.policy import Case, Choice, Judgement, LaneLoad, Policy, choose, unit
from cca.routing.reward import value
from cca.routing.steps import Step

MOST = 8
"""So many features are told of what speaks for the chosen lane."""


def explained(
    event: TaskRouted, step: Step | None, snapshot: PolicySnapshot | None, policy: Policy | None, params: Params
) -> Explanation:
    """Everything that is known about a decision.

    Args:
        step: the decision with its outcome, as far as there is one.
        snapshot, policy: the version that decided; None when it is not kept, or when none was used.
        params: say what the outcome was worth.
    """
    case = _case(event, None if step is None else step.requester)
    contributions = _teller(event, policy)
    candidates = tuple(
        Explained(
            role=one.role or event.role,
            lane=one.lane,
            probability=one.probability,
            score=one.score,
            mean=one.mean,
            deviation=one.deviation,
            masked=one.masked,
            features=one.features,
            contributions=_by_size(contributions(case, lane_of(event, one))) if one.masked is None else {},
        )
        for one in event.candidates
    )
    chosen = next((one for one in candidates if is_chosen(event, one)), None)
    others = [one for one in candidates if one.masked is None and not is_chosen(event, one)]
    second = max(others, key=lambda one: one.score, default=None)
    valued = None if step is None else value(step, params)
    return Explanation(
        task=event.task,
        route=event.route,
        role=event.role,
        lane=event.lane,
        policy=event.policy,
        version=event.version,
        propensity=event.propensity,
        seed=event.seed,
        draw=unit(event.seed),
        explored=event.explored,
        x={name: size / ONE for name, size in event.x.items()},
        candidates=candidates,
        runner_up=None if second is None else f"{second.role}/{second.lane}",
        against={} if chosen is None or second is None else against(chosen.contributions, second.contributions),
        prices={} if snapshot is None else snapshot.prices,
        outcome=None if step is None else step.ending,
        reward=None if valued is None else valued.reward,
        components={} if valued is None else valued.components,
        note=_note(event, snapshot, policy),
    )


def against(chosen: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """By how much each feature speaks for the one rather than the other: the largest, in either direction."""
    difference = {name: chosen.get(name, 0.0) - other.get(name, 0.0) for name in (*chosen, *other)}
    return dict([pair for pair in _by_size(difference).items() if pair[1]][:MOST])


def again(
    event: TaskRouted, snapshot: PolicySnapshot | None, policy: Policy, requester: str | None = None
) -> tuple[Choice, str]:
    """Make a decision again from what was recorded of it, and say in words what comes out differently.

    Raises `Refused` (`not-recorded`) for a decision whose candidates are not in the log.

    Args:
        snapshot: the version that decided; None when none was used.
        policy: of that version.
        requester: of the task.

    Returns:
        The choice, and "" when lane, propensity, probabilities and scores are those that were recorded.
    """
    open_lanes = [lane_of(event, one) for one in event.candidates if one.masked is None]
    if not open_lanes:
        raise Refused("not-recorded", f"no candidates were recorded with route {event.route} of task {event.task}")
    if len(open_lanes) == 1:
        policy = _Certain(policy.name, next(one for one in event.candidates if one.masked is None))
    masked = [(lane_of(event, one), one.masked) for one in event.candidates if one.masked is not None]
    summaries = None if snapshot is None else snapshot.lanes
    choice = choose(policy, event.seed, _case(event, requester), open_lanes, masked, summaries)
    return choice, difference(event, snapshot, choice)


class _Certain(Struct, frozen=True):
    """Where there is nothing to choose, no policy is asked: what is said of the one lane is that of the record."""

    name: str
    only: Candidate

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        mean, deviation = self.only.mean, self.only.deviation
        return Judgement(
            (1.0,),
            (self.only.score,),
            None if mean is None else (mean,),
            None if deviation is None else (deviation,),
        )


def difference(event: TaskRouted, snapshot: PolicySnapshot | None, choice: Choice) -> str:
    """What of a choice is not as it was recorded, in words."""
    found = []
    version = 0 if snapshot is None else snapshot.version
    if version != event.version:
        found.append(f"version {event.version} decided, this is version {version}")
    if choice.policy != event.policy:
        found.append(f"{event.policy} decided, this is {choice.policy}")
    if (choice.lane.role, choice.lane.lane) != (event.role, event.lane):
        found.append(f"lane {event.role}/{event.lane} was chosen, now {choice.lane.key}")
    if choice.propensity != event.propensity:
        found.append(f"its propensity was {event.propensity!r}, now {choice.propensity!r}")
    for before, now in zip(event.candidates, choice.candidates, strict=True):
        name = f"{before.role or event.role}/{before.lane}"
        if before.probability != now.probability:
            found.append(f"the probability of {name} was {before.probability!r}, now {now.probability!r}")
        if before.score != now.score:
            found.append(f"the score of {name} was {before.score!r}, now {now.score!r}")
    return "; ".join(found)


def lane_of(event: TaskRouted, candidate: Candidate) -> LaneLoad:
    """The lane as it was when it was a candidate."""
    seen = candidate.features
    return LaneLoad(
        candidate.role or event.role,
        candidate.lane,
        int(seen.get("capacity", 0)),
        int(seen.get("running", 0)),
        int(seen.get("queued", 0)),
        int(seen.get("agents", 1)),
    )


def is_chosen(event: TaskRouted, candidate: Explained) -> bool:
    return (candidate.role, candidate.lane) == (event.role, event.lane) and candidate.masked is None


def _case(event: TaskRouted, requester: str | None) -> Case:
    return Case(event.x, requester, event.turn)


def _teller(event: TaskRouted, policy: Policy | None) -> Callable[[Case, LaneLoad], dict[str, float]]:
    """What tells how features contribute: the policy, if it is the one that decided and has an expectation."""
    tells = None if policy is None or policy.name != event.policy else getattr(policy, "contributions", None)
    return tells or (lambda case, lane: {})


def _by_size(contributions: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(contributions.items(), key=lambda pair: (-abs(pair[1]), pair[0])))


def _note(event: TaskRouted, snapshot: PolicySnapshot | None, policy: Policy | None) -> str:
    if policy is None:
        missing = f"version {event.version} of the policy is not kept" if event.version else "no policy was learned yet"
        return f"{missing}: what each feature contributed cannot be told"
    if policy.name != event.policy:
        return f"{event.policy} decided in place of {policy.name}, so no feature contributed"
    if snapshot is not None and snapshot.version != event.version:
        return f"version {event.version} decided; contributions and prices are of version {snapshot.version}"
    if not hasattr(policy, "contributions"):
        return f"{event.policy} expects no reward, so no feature contributes to it"
    return ""
