"""`python -m cca_learner`: everything that the learner listens to, on one screen."""

import asyncio
import os
from contextlib import AsyncExitStack

from cca.config import Settings
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
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.nats.micro import Service
from cca.service import run
from cca_learner.answers import Answers
from cca_learner.shell import Learner
from cca_learner.trial import Trial


async def start(settings: Settings, service: Service, bus: Bus, stack: AsyncExitStack) -> None:
    """Learn in the background from the log (`cca.events.>`), and answer questions."""
    learner = Learner(settings, bus)
    trial = Trial(learner)
    answers = Answers(learner, trial)
    running = asyncio.create_task(learner.run())

    async def stop() -> None:
        await trial.stop()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await learner.rest()

    stack.push_async_callback(stop)

    await service.serve(subjects.RPC_LEARNER_STATUS, GetPolicy, answers.status, PolicyStatus)
    await service.serve(subjects.RPC_LEARNER_CONFIGURE, ConfigurePolicy, answers.configure, PolicyStatus)
    await service.serve(subjects.RPC_LEARNER_TRAIN, TrainPolicy, answers.train, PolicyStatus)
    await service.serve(subjects.RPC_LEARNER_EXPLAIN, ExplainTask, answers.explain, Explanation)
    await service.serve(subjects.RPC_LEARNER_EVALUATE, EvaluatePolicy, answers.evaluate, Evaluation)
    await service.serve(subjects.RPC_LEARNER_SHADOW, RunShadow, answers.shadow, PolicyStatus)
    await service.serve(subjects.RPC_LEARNER_HISTORY, GetHistory, answers.history, PolicyHistory)
    await service.serve(subjects.RPC_LEARNER_WORKLOADS, GetWorkloads, answers.workloads, Averages)


if __name__ == "__main__":
    # Where processors are short, tasks go before what is learned from them: the learner follows later.
    os.nice(10)
    run("cca_learner", "How tasks find their lane: versions of the routing policy, made from the log.", start)
