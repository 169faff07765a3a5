"""Giving a task a lane: what is known of it, who may have it, who gets it, and the work that follows."""

import msgspec

from cca.codec import encode, tag_of
from cca.contracts.task import TaskHeld, TaskRouted, TaskSubmitted
from cca.contracts.work import DoTask
from cca.decider import Decision
from cca.message import Side
from cca.nats import subjects
from cca.routing.features import described, known
from cca.routing.policy import Case, Choice, Judgement, LaneLoad, choose, seed_of
from cca_router import guards
from cca_router.facts import FALLBACK, Facts
from cca_router.state import Task

NOTHING = Decision()
WORK = tag_of(DoTask)

_json = msgspec.json.Encoder().encode


def place(facts: Facts, task: Task, leaving: str | None = None) -> Decision:
    """Route the task, or say what it waits for.

    Args:
        leaving: the lane (`role/lane`) in which it is still counted.
    """
    spec = task.spec
    if spec is None:
        return NOTHING
    x = known(features(task, spec), facts.routing.slots)
    case = Case(x, spec.requester, facts.turn)
    may = guards.admitted(spec, case, facts, leaving)
    if may.hold is not None:
        return NOTHING if task.held == may.hold else Decision((TaskHeld(spec.task, may.hold),))
    number = task.route + 1
    seed = seed_of(spec.task, number)
    chosen, version = chosen_for(facts, case, seed, may)
    routed = TaskRouted(
        task=spec.task,
        route=number,
        role=chosen.lane.role,
        lane=chosen.lane.lane,
        policy=chosen.policy,
        propensity=chosen.propensity,
        seed=seed,
        candidates=chosen.candidates,
        explored=chosen.explored,
        version=version,
        x=x,
        turn=case.turn if len(may.lanes) > 1 else 0,
    )
    return Decision((routed,), (_work(task, spec, number, chosen.lane),))


def features(task: Task, spec: TaskSubmitted) -> dict[str, int]:
    """What is known of the task when its next attempt is routed."""
    size = len(spec.description)
    if (context := _context(task, spec)) is not None:
        size += len(context)
    if spec.input is not None:
        size += len(_json(spec.input))
    labels = spec.labels
    return described(
        size=size,
        priority=spec.priority,
        attempt=task.attempt + 1,
        kind=spec.kind,
        language=labels.get("language"),
        repo=labels.get("repo"),
        requester=spec.requester,
        failed=task.failed,
    )


def chosen_for(facts: Facts, case: Case, seed: int, may: guards.Admitted) -> tuple[Choice, int]:
    """Who gets the task, and the version of the policy that said so."""
    routing = facts.routing
    if len(may.lanes) == 1:
        only = Only(routing.policy.name)
        return choose(only, seed, case, may.lanes, may.masked, routing.summaries), routing.version
    try:
        return choose(routing.policy, seed, case, may.lanes, may.masked, routing.summaries), routing.version
    except Exception:  # whatever is wrong with a policy, tasks go on; who made it has noted what was raised
        return choose(FALLBACK, seed, case, may.lanes, may.masked, routing.summaries), 0


class Only(msgspec.Struct, frozen=True):
    """Where there is nothing to choose no model is asked: the one lane is certain, under the policy's name."""

    name: str

    def judge(self, case: Case, lanes: object) -> Judgement:
        return _CERTAIN


_CERTAIN = Judgement((1.0,), (0.0,))


def _context(task: Task, spec: TaskSubmitted) -> str | None:
    """The context, within its role's budget."""
    return spec.context if task.condensed is None else task.condensed.context


def _told(task: Task, spec: TaskSubmitted) -> str | None:
    """The context as a worker gets it: what is remembered stands at its head."""
    context = _context(task, spec)
    if task.recalled is None:
        return context
    return f"{task.recalled.text}\n\n{context}" if context else task.recalled.text


def _work(task: Task, spec: TaskSubmitted, number: int, lane: LaneLoad) -> Side:
    work = DoTask(
        task=spec.task,
        route=number,
        role=lane.role,
        lane=lane.lane,
        description=spec.description,
        input=spec.input,
        context=_told(task, spec),
        priority=spec.priority,
        kind=spec.kind,
        requester=spec.requester,
        labels=spec.labels,
        max_attempts=spec.max_attempts,
        timeout_s=spec.timeout_s,
        original=None if task.condensed is None else task.condensed.original,
        memories=() if task.recalled is None else tuple(one.memory for one in task.recalled.memories),
    )
    return Side(
        subject=subjects.work(lane.role, lane.lane, spec.priority),
        body=encode(work),
        type=WORK,
        # A lost race may leave work behind without its event. With the lane, the decision that is made instead
        # is not taken for its duplicate; with the retries, neither is one that follows a retry by hand.
        dedup=f"{spec.task}.{number}.{task.retries}.{lane.role}.{lane.lane}",
    )
