"""What decisions know of lanes, and which tasks are looked at again when that changes."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any

from cca.contracts.agent import Agents
from cca.decider import Decision
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog
from cca_router import claims, decide, guards, recovery
from cca_router.desk import Desk
from cca_router.facts import AUTO, Facts
from cca_router.health import Health
from cca_router.held import Held
from cca_router.policies import Policies
from cca_router.roster import Roster
from cca_router.state import Task, lane_of

logger = logging.getLogger("cca_router")

DESERTED_S = 10.0
"""A lane that has had no live worker for so long gives its queue to the other lanes of its role."""
AT_ONCE = 500
"""So many tasks are decided on at a time, so that others get their turn in between."""
PASSED_OVER = 8
"""So many tasks more than a lane has room for are tried: some may wait for another reason as well."""

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Traffic:
    """Keeps the desk's tasks and the lanes in step.

    A decision counts in the load of lanes when it is made, not when it is durable: what is decided in the meantime
    must not see a place that is taken, or a quota would mean little.

    Args:
        moved: called with a task's id and its states before and after, once the change is durable.
        spawn: runs a coroutine in the background, and waits for it at the end.

    Attributes:
        desk: where tasks are decided on.
        roster: the live agents and the load of their lanes.
        policies: how a lane is chosen.
    """

    def __init__(self, bus: Bus, log: JetStreamLog, moved: Callable[[str, Task, Task], None], spawn: Spawn) -> None:
        self.roster = Roster()
        self.policies = Policies(bus, self.try_held, spawn)
        self.desk = Desk(log, self._decided, self._moved)
        self._then, self._spawn = moved, spawn
        self._health = Health()
        self._held = Held()
        self._turn = 0
        self._freed: set[str] = set()  # roles in which a lane may have room
        self._deserted: dict[tuple[str, str], float] = {}
        self._loop = asyncio.get_running_loop()

    def facts(self) -> Facts:
        """The world, for one decision."""
        return Facts(datetime.now(UTC), self.roster.lanes, self.policies.routing(), self._health.lanes, self._turn)

    def agents(self, role: str | None) -> Agents:
        """The live agents."""
        return self.roster.view(self._loop.time(), role)

    # ------------------------------------------------------------------------------------ what happens to tasks

    def _decided(self, task: str, before: Task, after: Task) -> None:
        """A task will go from one state to the next; called the other way round if that could not be stored."""
        self.roster.moved(before, after)
        if after.route > before.route:
            self._turn += 1
            if self._health.lanes and (lane := lane_of(after)) is not None:
                self._health.routed(task, lane, datetime.now(UTC))
        elif after.route < before.route and self._health.lanes and (lane := lane_of(before)) is not None:
            self._health.given_up(task, lane, datetime.now(UTC))

    def _moved(self, task: str, before: Task, after: Task) -> None:
        """A task has gone from one state to the next, durably."""
        if self._health.lanes or after.failure is not before.failure:
            self._health.moved(task, before, after, datetime.now(UTC), self.policies.routing().params)
        if after.held is not before.held:
            if after.held is not None and after.spec is not None and guards.waits_for_change(after.held):
                self._held.add(task, after.spec)
                self._look_soon(after.spec.role)  # a place may have become free while this was being stored
            else:
                self._held.discard(task)
        if self._held and (left := lane_of(before)) is not None and left != lane_of(after):
            self._look_soon(before.role)
        self._then(task, before, after)

    # ------------------------------------------------------------------------------------ tasks that wait for room

    def _look_soon(self, role: str) -> None:
        if not self._freed:
            self._loop.call_soon(self._look)
        self._freed.add(role)

    def _look(self) -> None:
        """Let tasks that wait for room try the lanes that have some."""
        roles, self._freed = self._freed, set()
        params = self.policies.routing().params
        tasks: dict[str, None] = {}
        for role in [AUTO] if AUTO in roles else roles:
            for lane in self.roster.lanes(role):
                quota = params.in_flight.get(lane.key)
                if quota is not None and (free := guards.room(quota, lane)) > 0:
                    more = PASSED_OVER if params.ceilings else 0
                    tasks |= dict.fromkeys(self._held.next_for(lane.role, lane.lane, min(free + more, AT_ONCE)))
        if tasks:
            self._spawn(self.each(list(tasks), decide.route))

    def try_held(self) -> None:
        """Limits, costs or the time have changed: let the tasks try again that have waited for longest."""
        if self._held:
            self._spawn(self.each(self._held.next(AT_ONCE), decide.route))

    # ------------------------------------------------------------------------------------ agents that come and go

    def reroute(self, role: str) -> None:
        """An agent has joined: tasks of the role that are held may go on."""
        waiting = [
            task
            for task, state in self.desk.open_tasks()
            if state.held is not None and state.spec is not None and state.spec.role in (role, AUTO)
        ]
        if waiting:
            logger.info("%d tasks waited for role %s", len(waiting), role)
            self._spawn(self.each(waiting, decide.route))

    async def lose_runs(self, agent: str, why: str) -> None:
        """An agent is gone: what it ran is tried again without waiting for its leases to end."""
        runs = [task for task, state in self.desk.open_tasks() if state.state == "working" and state.agent == agent]
        await self.each(runs, partial(claims.lose, agent, why))

    def leave_deserted_lanes(self) -> None:
        """Tasks in the queues of lanes that have had no worker for a while go to other lanes."""
        now = self._loop.time()
        self._deserted = {place: self._deserted.get(place, now) for place in self.roster.deserted()}
        gone = {place for place, since in self._deserted.items() if now - since > DESERTED_S}
        if gone:
            moving = [
                task
                for task, state in self.desk.open_tasks()
                if state.state == "routed" and (state.role, state.lane) in gone
            ]
            self._spawn(self.each(moving, decide.route))

    async def each(self, tasks: list[str], decision: Callable[[Facts, Task], Decision]) -> None:
        """Make a decision about each of these tasks; each sees the lanes as the one before left them."""
        for start in range(0, len(tasks), AT_ONCE):
            meta = recovery.of_now()
            stored = [
                self.desk.change(task, lambda state: decision(self.facts(), state), meta)
                for task in tasks[start : start + AT_ONCE]
            ]
            for result in await asyncio.gather(*stored, return_exceptions=True):
                if isinstance(result, Exception):
                    logger.warning("a task could not be routed now: %s", result)
