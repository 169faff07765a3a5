"""`python -m cca_router`: everything that the router listens to, on one screen."""

from contextlib import AsyncExitStack

from cca.config import Settings
from cca.contracts.agent import Agents, ListAgents
from cca.contracts.task import CancelTask, GetTask, RateTask, RetryTask, RunTask, SubmitTask, TaskAccepted, TaskView
from cca.nats import names, streams, subjects
from cca.nats.bus import Bus
from cca.nats.micro import Service
from cca.nats.pull import Pull
from cca.service import run
from cca_router.shell import Router


async def start(settings: Settings, service: Service, bus: Bus, stack: AsyncExitStack) -> None:
    router = Router(settings, bus)
    stack.push_async_callback(router.drain)
    # Before the newest version is read, so that none is missed.
    heard = [
        await bus.subscribe(subjects.POLICY, router.on_policy),
        await bus.subscribe(subjects.TOKEN_POLICIES, router.preparation.tokens.heard),
        await bus.subscribe(subjects.MEMORY_POLICIES, router.preparation.memories.heard),
    ]
    await router.recover()
    stack.push_async_callback(router.housekeeping())

    await service.serve(subjects.RPC_SUBMIT, SubmitTask, router.submit, TaskAccepted)
    await service.serve(subjects.RPC_RUN, RunTask, router.run, TaskView)
    await service.serve(subjects.RPC_GET, GetTask, router.get, TaskView)
    await service.serve(subjects.RPC_CANCEL, CancelTask, router.cancel, TaskView)
    await service.serve(subjects.RPC_RETRY, RetryTask, router.retry, TaskView)
    await service.serve(subjects.RPC_RATE, RateTask, router.rate, TaskView)
    await service.serve(subjects.RPC_AGENTS, ListAgents, router.list_agents, Agents)

    heard += [
        await bus.subscribe(subjects.REPORTS_ALL, router.on_report, queue=service.name),
        # What other routers decide, and what agents say to them.
        await bus.subscribe(subjects.live("task", "*"), router.on_announcement),
        await bus.subscribe(subjects.live("agent", "*"), router.on_agent_announcement),
        await bus.subscribe(subjects.report("*", "*", "heartbeat"), router.on_heartbeat),
    ]
    pulls = [
        await Pull.start(bus, names.TASKS, streams.INTAKE_CONSUMER.durable_name or "", router.on_intake),
        await Pull.start(bus, names.EVENTS, streams.DUE_CONSUMER.durable_name or "", router.on_due),
    ]
    for listening in heard:
        stack.push_async_callback(listening.unsubscribe)
    for pull in pulls:
        stack.push_async_callback(pull.stop)


if __name__ == "__main__":
    run("cca_router", "The life of a task: submission, routing, claims, outcomes.", start)
