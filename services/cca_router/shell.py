"""The router's input and output: messages in, decisions to the log, answers out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from cca import codec
from cca.config import Settings
from cca.contracts.agent import AgentJoined, AgentLeft, AgentLost, Agents, Control, Heartbeat, ListAgents
from cca.contracts.task import (
    CancelTask,
    GetTask,
    RateTask,
    RetryTask,
    RunTask,
    SubmitTask,
    TaskAccepted,
    TaskView,
)
from cca.dead import Letter
from cca.decider import Decision
from cca.errors import Busy, CcaError, Refused, Unreadable
from cca.ids import TaskId, task_id, uuid7
from cca.message import Meta, Reply
from cca.nats import names, subjects
from cca.nats.bus import Bus, error_headers
from cca.nats.dead import DeadLetters
from cca.nats.log import JetStreamLog
from cca.nats.micro import asked
from cca.nats.pull import Delivery
from cca.nats.wire import Msg
from cca.tokens import prices
from cca_router import decide, intake, recovery, views
from cca_router.agents import AgentDesk
from cca_router.deliveries import Deliveries
from cca_router.preparation import Preparation, Prepared
from cca_router.reports import Reports, unknown_verb, verb_of
from cca_router.state import Task
from cca_router.traffic import Traffic

logger = logging.getLogger("cca_router")

HOUSEKEEPING_S = 1.0
MARK_EVERY_S = 5.0
MAX_WAIT_S = 3_600.0


class Router:
    """Takes tasks through their lives. Everything that it remembers of them is also in the log."""

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self._bus = bus
        self._log = JetStreamLog(bus, settings.log.batch_from, announce=True)
        self._traffic = Traffic(bus, self._log, self._moved, self._spawn)
        self._desk, self._facts = self._traffic.desk, self._traffic.facts
        self._agents = AgentDesk(bus, self._log, self._traffic.roster, self._traffic.reroute, self._traffic.lose_runs)
        self._reports = Reports(self._desk, self._agents, self._facts, prices.load(settings.tokens.prices))
        self.preparation = Preparation(bus, self._spawn)
        self._dead = DeadLetters(bus)
        self._deliveries = Deliveries(self._desk, self._dead, self._submit, self._facts)
        self._mark = recovery.Mark(bus)
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    # ------------------------------------------------------------------------------------ requests

    async def submit(self, command: SubmitTask, meta: Meta) -> TaskAccepted:
        """A task is asked for; answered when it and what follows from it are durable."""
        task = intake.named(command) or TaskId(uuid7())
        return await self._submit(task, command, meta)

    async def run(self, command: RunTask, meta: Meta) -> TaskView:
        """A task is asked for, and its outcome."""
        accepted = await self.submit(command.task, meta)
        return await self._view(accepted.task, command.wait_s)

    async def get(self, command: GetTask, meta: Meta) -> TaskView:
        return await self._view(task_id(command.task), command.wait_s)

    async def cancel(self, command: CancelTask, meta: Meta) -> TaskView:
        task = task_id(command.task)
        await self._desk.change(task, partial(decide.cancel, command), meta)
        return await self._view(task)

    async def retry(self, command: RetryTask, meta: Meta) -> TaskView:
        task = task_id(command.task)
        await self._desk.change(task, partial(decide.retry, command, self._facts()), meta)
        return await self._view(task)

    async def rate(self, command: RateTask, meta: Meta) -> TaskView:
        task = task_id(command.task)
        await self._desk.refresh(task)  # another router may have heard another rating, or the task's end
        await self._desk.change(task, partial(decide.rate, command), meta)
        return await self._view(task)

    async def list_agents(self, command: ListAgents, meta: Meta) -> Agents:
        return self._traffic.agents(command.role)

    async def _submit(self, task: TaskId, command: SubmitTask, meta: Meta) -> TaskAccepted:
        prepared: Sequence[Prepared] = ()
        # What is known already was prepared when it came.
        if self.preparation.needed(command) and not self._desk.seq(task):
            prepared = await self.preparation.of(task, command)
        facts, created = self._facts(), True

        def submit(state: Task) -> Decision:
            nonlocal created
            created = state.state is None
            return decide.submit(command, task, facts, state, prepared=prepared)

        state = await self._desk.change(task, submit, meta, new=True)
        return views.accepted(task, state, created)

    async def _view(self, task: str, wait_s: float = 0.0) -> TaskView:
        state = await self._desk.wait(task, min(wait_s, MAX_WAIT_S))
        return views.view(task, state, self._desk.seq(task), self._facts())

    # ------------------------------------------------------------------------------------ messages

    def on_report(self, msg: Msg) -> None:
        """`cca.report.<role>.<agent>.<verb>`: a worker says something."""
        self._spawn(self._report(msg))

    async def _report(self, msg: Msg) -> None:
        body, headers = b"", None
        try:
            who, verb = self._reports.reporter(msg.subject), verb_of(msg.subject)
            if verb not in self._reports.verbs:
                raise unknown_verb(verb, list(self._reports.verbs))
            kind, handle = self._reports.verbs[verb]
            reply: Reply = await handle(codec.read(msg.data, kind), who, asked(msg, "cca_router"))
            body = codec.encode(reply)
        except (Unreadable, Refused) as error:
            headers = error_headers(error)
            await self._bury_report(str(error), msg)
        except CcaError as error:
            headers = error_headers(error)
        except Exception:
            logger.exception("a report on %s failed", msg.subject)
            headers = error_headers(Busy("something unforeseen happened; it is logged"))
        if msg.reply:
            self._bus.publish(msg.reply, body, headers)

    async def _bury_report(self, reason: str, msg: Msg) -> None:
        try:
            await self._bury(reason, Letter(subject=msg.subject, body=msg.data, headers=msg.headers))
        except Busy as error:  # its sender is told the reason in any case
            logger.warning("an unusable report on %s (%s) is not kept: %s", msg.subject, reason, error)

    def on_announcement(self, msg: Msg) -> None:
        """`cca.live.task.<id>`: another router has committed something."""
        self._desk.heard(msg.subject.rpartition(".")[2])

    def on_agent_announcement(self, msg: Msg) -> None:
        """`cca.live.agent.<id>`: another router has seen an agent come or go."""
        try:
            event = codec.decode(codec.tag_in(msg.data), msg.data)
        except CcaError as error:
            logger.warning("what is said on %s cannot be read: %s", msg.subject, error)
            return
        if isinstance(event, AgentJoined | AgentLeft | AgentLost):
            self._agents.hear_of(event)

    def on_heartbeat(self, msg: Msg) -> None:
        """`cca.report.<role>.<agent>.heartbeat`: one router answers; all of them know then that the agent lives."""
        try:
            self._agents.heard(msg.subject.split(".")[3], codec.read(msg.data, Heartbeat))
        except Unreadable:
            pass  # the one who answers says so

    def on_policy(self, msg: Msg) -> None:
        """`$KV.CCA_STATE.policy.routing`: another version of the policy is to decide."""
        self._traffic.policies.on_policy(msg)

    def on_intake(self, delivery: Delivery) -> None:
        """`cca.tasks.<role>`: somebody has published a task."""
        self._spawn(self._deliveries.take_in(delivery))

    def on_due(self, delivery: Delivery) -> None:
        """`cca.due.task.<id>.<what>`: a timer has fired."""
        self._spawn(self._deliveries.fire(delivery))

    async def _bury(self, reason: str, letter: Letter, task: str | None = None) -> None:
        """Put a message to the dead letters. Raises `Busy`."""
        await self._dead.put("router", reason, letter, task)

    # ------------------------------------------------------------------------------------ consequences

    def _moved(self, task: str, before: Task, after: Task) -> None:
        """A task's state has changed, durably."""
        if before.state == "working" and after.state != "completed" and before.agent and before.role:
            ended_elsewhere = after.state == "canceled" or (
                after.failure is not None
                and after.failure is not before.failure
                and after.failure.kind in ("timeout", "lost")
            )
            taken_again = after.state == "working" and after.agent == before.agent
            if ended_elsewhere and not taken_again:
                stop = Control("cancel", task)
                self._bus.publish(subjects.control(before.role, before.agent), codec.encode(stop))
        if after.state == "failed" and before.state not in ("failed", None):
            self._spawn(self._bury_failed(task, after))

    async def _bury_failed(self, task: str, state: Task) -> None:
        """A task that kept failing is also a dead letter, so that an operator finds both sorts in one place."""
        reason = state.failure.message if state.failure else "failed"
        letter = Letter(
            subject=subjects.events("task", task),
            body=codec.encode(views.view(task, state)),
            headers={},
            stream=names.EVENTS,
            seq=self._desk.seq(task),
        )
        for _ in range(20):
            try:
                await self._bury(reason, letter, task)
                return
            except Busy:
                await asyncio.sleep(1)
        logger.error("task %s failed, but could not be put to the dead letters", task)

    # ------------------------------------------------------------------------------------ life

    async def recover(self) -> None:
        """Find how lanes are chosen, who was there and which tasks are open, and finish what was cut short."""
        await self._traffic.policies.start()
        await self.preparation.start()
        for joined in await recovery.live_agents(self._bus):
            self._agents.adopt(joined.agent, joined)
        found = await recovery.open_tasks(self._log, await self._mark.read())
        for task, one in found.items():
            self._desk.adopt(task, one.at, one.first, one.meta)
        await self._traffic.each(list(found), decide.repair)
        logger.info("%d tasks are open", len(found))

    def housekeeping(self) -> Callable[[], Awaitable[None]]:
        """Start looking after agents, deserted lanes and the mark for the next start; returns how to stop it."""
        running = self._loop.create_task(self._keep_house())

        async def stop() -> None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

        return stop

    async def _keep_house(self) -> None:
        marked = 0.0
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            try:
                await self._agents.lose_the_silent()
                self._traffic.leave_deserted_lanes()
                self._traffic.try_held()
                if self._loop.time() - marked > MARK_EVERY_S:
                    last = await self._log.last_seq()
                    await self._mark.write(self._desk, last)
                    marked = self._loop.time()
            except CcaError as error:
                logger.warning("housekeeping is put off: %s", error)
            except Exception:
                logger.exception("housekeeping failed")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        running = self._loop.create_task(coroutine)
        self._tasks.add(running)
        running.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Finish what has begun, and note where the next start has to read from. Who waits is sent away."""
        self._desk.send_waiting_away()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        try:
            await asyncio.wait_for(self._desk.drain(), 5)
            await self._mark.write(self._desk, await self._log.last_seq())
        except (CcaError, TimeoutError) as error:
            logger.warning("the next start will read more of the log than it must: %s", error)
