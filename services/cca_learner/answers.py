"""What the learner answers. Whatever takes long is done in a thread or in pieces, so that others are answered too."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from cca.contracts.learner import (
    Averages,
    ConfigurePolicy,
    EvaluatePolicy,
    Evaluation,
    ExplainTask,
    Explanation,
    GetHistory,
    GetPolicy,
    GetWorkloads,
    PolicyHistory,
    PolicyStatus,
    RunShadow,
    TrainPolicy,
)
from cca.ids import task_id
from cca.message import Meta
from cca.routing.algorithm import History
from cca.routing.algorithms import ALGORITHMS, challengers, learner_of
from cca.routing.chart import charted
from cca.routing.evaluate import evaluate
from cca.routing.reward import value
from cca.routing.statistics import Statistics
from cca.routing.steps import Step
from cca_learner import decide
from cca_learner.memory import Memory
from cca_learner.reasons import Reasons
from cca_learner.shell import Learner
from cca_learner.trial import Trial

LATELY = 100
"""So many of the newest outcomes are those of late."""


class Looks(Struct, frozen=True):
    """What the kept decisions look like at a glance."""

    decisions: int
    reward: float | None
    reward_recent: float | None
    success: float | None
    explored: float | None


class Answers:
    """One method for each question."""

    def __init__(self, learner: Learner, trial: Trial) -> None:
        self._learner, self._trial = learner, trial
        self._reasons = Reasons(learner)
        self._looks: tuple[Memory, int, Looks] | None = None
        self._long, self._looking = asyncio.Lock(), asyncio.Lock()  # one at a time of each

    async def status(self, command: GetPolicy, meta: Meta) -> PolicyStatus:
        return await self._status()

    async def configure(self, command: ConfigurePolicy, meta: Meta) -> PolicyStatus:
        """Answered when there is a version under what was configured."""
        await self._learner.memory()
        before = self._learner.at.seq
        at = await self._learner.change(partial(decide.configure, command), meta)
        if at.seq != before:
            await self._learner.renew()
        return await self._status()

    async def train(self, command: TrainPolicy, meta: Meta) -> PolicyStatus:
        await self._learner.renew()
        return await self._status()

    async def shadow(self, command: RunShadow, meta: Meta) -> PolicyStatus:
        head = (await self._learner.memory()).head
        decision = partial(decide.shadow, command, head, tuple(challengers()))
        await self._learner.change(decision, meta)
        self._trial.look()
        return await self._status()

    async def explain(self, command: ExplainTask, meta: Meta) -> Explanation:
        await self._learner.memory()
        return await self._reasons.explain(task_id(command.task), command.route, command.replay)

    async def evaluate(self, command: EvaluatePolicy, meta: Meta) -> Evaluation:
        memory, policy = await self._learner.memory(), self._learner.at.state
        learner_of(command.algorithm)
        params, steps = command.params or policy.params, memory.steps()
        if command.since_s is not None:
            since = time.time() - command.since_s
            steps = [step for step in steps if step.time >= since]
        # Not the sums: they change while we count. The candidate makes its own, of the earlier half.
        history = History(Statistics(params, policy.vocabulary), steps, params, policy.vocabulary)
        async with self._long:
            return await asyncio.to_thread(evaluate, command.algorithm, history, params)

    async def history(self, command: GetHistory, meta: Meta) -> PolicyHistory:
        memory, params = await self._learner.memory(), self._learner.at.state.params
        async with self._long:
            return await asyncio.to_thread(charted, memory.steps(), params, command.points, command.role)

    async def workloads(self, command: GetWorkloads, meta: Meta) -> Averages:
        memory = await self._learner.memory()
        return Averages(memory.params.ema_alpha, memory.workloads.lanes(), memory.workloads.agents())

    async def _status(self) -> PolicyStatus:
        memory = await self._learner.memory()
        looks = await self._look(memory)
        learner = self._learner
        policy, newest = learner.at.state, learner.newest
        return PolicyStatus(
            algorithm=policy.algorithm,
            params=policy.params,
            version=policy.version,
            position=policy.position,
            digest=policy.digest,
            head=memory.head,
            decisions=policy.decisions,
            buffered=looks.decisions,
            lanes={} if newest is None else newest.lanes,
            prices={} if newest is None else newest.prices,
            vocabulary=policy.vocabulary,
            reward=looks.reward,
            reward_recent=looks.reward_recent,
            success=looks.success,
            explored=looks.explored,
            table_size=learner.table_size,
            loss=learner.loss,
            fit_s=learner.fit_s,
            shadow=self._trial.shadow(),
            available={name: each.summary for name, each in ALGORITHMS.items()},
        )

    async def _look(self, memory: Memory) -> Looks:
        """Looked at anew only when something has changed: it takes a while, and status is asked for often."""
        async with self._looking:
            known = self._looks
            if known is None or known[0] is not memory or known[1] != memory.changes:
                changes = memory.changes
                known = self._looks = memory, changes, await asyncio.to_thread(_look, memory, memory.steps())
            return known[2]


def _look(memory: Memory, steps: Sequence[Step]) -> Looks:
    rewards = [valued.reward for step in steps if (valued := value(step, memory.params)) is not None]
    return Looks(
        decisions=len(steps),
        reward=_mean(rewards),
        reward_recent=_mean(rewards[-LATELY:]),
        success=_mean([step.ending == "completed" for step in steps if step.known]),
        explored=_mean([step.explored for step in steps]),
    )


def _mean(numbers: Sequence[float]) -> float | None:
    return sum(numbers) / len(numbers) if numbers else None
