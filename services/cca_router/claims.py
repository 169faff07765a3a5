"""What workers say about tasks: who owns an attempt, and whose reports count."""

from datetime import timedelta
from typing import Literal

from msgspec.structs import replace

from cca.contracts.agent import Claim, Completion, Misfortune, Progress, Receipt, Verdict
from cca.contracts.task import Failure, TaskAttemptFailed, TaskCompleted, TaskFailed, TaskProgressed, TaskStarted
from cca.contracts.work import Due
from cca.decider import Decision
from cca.storable import text_without_nul
from cca_router.decide import GRACE, attempt_failed, route, timer
from cca_router.facts import Facts
from cca_router.place import NOTHING
from cca_router.state import TASK, Task, evolve
from cca_router.storable import unstorable, without_nul

FORGOTTEN = 50
"""Work of a task that nobody knows is given up when it is delivered more often than this.

It may precede its task: a router that crashed between the two takes the submission over again, and the log
drops the work of that second time as a duplicate for two minutes. Fifty leases are longer than that.
"""


def claim(item: Claim, agent: str, role: str, lane: str, facts: Facts, task: Task) -> tuple[Decision, Verdict]:
    """A worker asks to own a task whose work message it was given; `lane` is the worker's, "" if unknown."""
    if task.state is None:
        return NOTHING, _no(item, "later" if item.delivery <= FORGOTTEN else "obsolete")
    if task.over:
        return NOTHING, _no(item, "over")
    if item.route > task.route:
        return _early(item, agent, role, lane, facts, task)
    if item.route < task.route or task.state == "submitted":
        return route(facts, task), _no(item, "obsolete")
    if role != task.role:
        return NOTHING, _no(item, "later")  # not its business; the message stays for whose it is
    if task.state == "routed":
        return _start(item, agent, lane, facts, task, Decision())
    if item.work != task.work or item.delivery < task.delivery:
        return NOTHING, _no(item, "taken")
    if item.delivery == task.delivery:
        mine = agent == task.agent  # the answer was lost on its way, and is given again
        return NOTHING, Verdict(item.task, go=True, attempt=task.attempt) if mine else _no(item, "taken")
    return _take_over(item, agent, lane, facts, task)


def complete(item: Completion, agent: str, task: Task) -> tuple[Decision, Receipt]:
    """A worker has done a task."""
    if not task.owned_by(agent, item.attempt):
        repeated = task.state == "completed" and (task.agent, task.attempt) == (agent, item.attempt)
        return NOTHING, Receipt(item.task, ok=True) if repeated else _refused(item.task, task)
    if message := unstorable(item.result):
        failure = Failure("error", message, retryable=False)
        event: TaskFailed | TaskCompleted = TaskFailed(item.task, item.attempt, agent, failure, item.duration_s)
    else:
        result = without_nul(item.result)
        event = TaskCompleted(item.task, item.attempt, agent, result, item.usage, item.duration_s)
    return Decision((event,)), Receipt(item.task, ok=True)


def fail(item: Misfortune, agent: str, facts: Facts, task: Task) -> tuple[Decision, Receipt]:
    """An attempt has failed, its worker says."""
    failure = replace(
        item.failure,
        message=text_without_nul(item.failure.message),
        detail=text_without_nul(item.failure.detail),
    )
    if not task.owned_by(agent, item.attempt):
        told = (task.agent, task.attempt, task.failure) == (agent, item.attempt, failure)
        if told and task.state in ("submitted", "routed", "failed"):
            return route(facts, task) if task.unrouted else NOTHING, Receipt(item.task, ok=True)
        return NOTHING, _refused(item.task, task)
    return attempt_failed(failure, item.duration_s, facts, task, item.usage), Receipt(item.task, ok=True)


def progress(item: Progress, agent: str, task: Task) -> tuple[Decision, Receipt]:
    """A worker says how it is getting on."""
    if not task.owned_by(agent, item.attempt):
        return NOTHING, _refused(item.task, task)
    message = text_without_nul(item.message)
    if (task.progress, task.fraction) == (message, item.fraction):
        return NOTHING, Receipt(item.task, ok=True)
    return Decision((TaskProgressed(item.task, item.attempt, message, item.fraction),)), Receipt(item.task, ok=True)


def lose(agent: str, why: str, facts: Facts, task: Task) -> Decision:
    """A worker has vanished: what it was running is tried again without waiting for its lease to end."""
    if task.state != "working" or task.agent != agent:
        return NOTHING
    return attempt_failed(Failure("lost", text_without_nul(why)), 0.0, facts, task)


def _early(item: Claim, agent: str, role: str, lane: str, facts: Facts, task: Task) -> tuple[Decision, Verdict]:
    """The work is there before its routing: that is on its way, or it was cut short and is made good now."""
    made_good = route(facts, task)
    task = TASK.over(task, made_good.events)
    if task.state == "routed" and (task.route, task.role) == (item.route, role):
        return _start(item, agent, lane, facts, task, made_good)
    return made_good, _no(item, "later")


def _start(item: Claim, agent: str, lane: str, facts: Facts, task: Task, before: Decision) -> tuple[Decision, Verdict]:
    attempt = task.attempt + 1
    started = TaskStarted(item.task, attempt, item.route, agent, lane or task.lane or "", item.work, item.delivery)
    sides = before.sides
    if task.spec is not None and task.spec.timeout_s is not None:
        at = facts.now + timedelta(seconds=task.spec.timeout_s) + GRACE
        sides = (*sides, timer(Due(item.task, "timeout", attempt), at))
    return Decision((*before.events, started), sides), Verdict(item.task, go=True, attempt=attempt)


def _take_over(item: Claim, agent: str, lane: str, facts: Facts, task: Task) -> tuple[Decision, Verdict]:
    """The work was delivered again: whoever had it let the lease end, so that attempt is lost."""
    failure = Failure("lost", "the worker stopped renewing its lease")
    if task.attempt >= task.budget:
        event = TaskFailed(item.task, task.attempt, task.agent or "", failure)
        return Decision((event,)), _no(item, "over")
    lost = TaskAttemptFailed(item.task, task.attempt, task.agent or "", failure)
    return _start(item, agent, lane, facts, evolve(task, lost), Decision((lost,)))


def _no(item: Claim, why: Literal["over", "obsolete", "taken", "later"]) -> Verdict:
    return Verdict(item.task, go=False, why=why)


def _refused(task_id: str, task: Task) -> Receipt:
    if task.state is None:
        return Receipt(task_id, ok=False, why="unknown")
    return Receipt(task_id, ok=False, why="over" if task.over else "stale")
