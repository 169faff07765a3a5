"""Who is there, how much each lane has to do, and what becomes of an agent that joins, leaves or falls silent."""

from collections import defaultdict
from collections.abc import Callable
from typing import assert_never, cast

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.agent import (
    AgentEvent,
    AgentJoined,
    AgentLeft,
    AgentLost,
    Agents,
    AgentView,
    Heartbeat,
    Join,
    Leave,
)
from cca.contracts.task import PRIORITIES
from cca.decider import Decision, Fold
from cca.message import Event
from cca.nats import subjects
from cca.routing.policy import LaneLoad
from cca.storable import text_without_nul
from cca_router.facts import AUTO
from cca_router.place import NOTHING
from cca_router.state import Task


class Agent(Struct, frozen=True):
    """One agent, as its own events tell it; `there` is None while it is not there."""

    there: AgentJoined | None = None


def evolve(agent: Agent, event: AgentEvent) -> Agent:
    """The agent after one more event; a goodbye of an earlier session is not this one's."""
    match event:
        case AgentJoined():
            return Agent(event)
        case AgentLeft() | AgentLost():
            gone = agent.there is not None and agent.there.session == event.session
            return Agent() if gone else agent
    assert_never(event)


AGENT: Fold[Agent] = Fold(Agent(), cast("Callable[[Agent, Event], Agent]", evolve))


def join(command: Join, name: str, role: str, agent: Agent) -> Decision:
    """A worker introduces itself; the same session with the same words has joined already."""
    joined = AgentJoined(
        agent=name,
        role=role,
        lane=command.lane,
        concurrency=command.concurrency,
        session=text_without_nul(command.session),
        host=text_without_nul(command.host),
        version=text_without_nul(command.version),
    )
    return NOTHING if agent.there == joined else Decision((joined,))


def leave(command: Leave, name: str, agent: Agent) -> Decision:
    """A worker stops. What another session of it says is about that session."""
    if agent.there is None or agent.there.session != text_without_nul(command.session):
        return NOTHING
    return Decision((AgentLeft(name, agent.there.session, text_without_nul(command.reason)),))


def lose(name: str, session: str, silent_s: float, agent: Agent) -> Decision:
    """A worker was silent for too long."""
    if agent.there is None or agent.there.session != session:
        return NOTHING
    return Decision((AgentLost(name, session, silent_s),))


class _Seen:
    """A live agent: what it said when it joined, and when it was last heard (seconds of a steady clock)."""

    __slots__ = ("heard", "joined", "running")

    def __init__(self, joined: AgentJoined, heard: float) -> None:
        self.joined, self.heard, self.running = joined, heard, 0


class Roster:
    """The live agents and the load of every lane; fed with events, asked between them.

    `now` is always a number of seconds of one clock that never goes back.
    """

    def __init__(self) -> None:
        self._agents: dict[str, _Seen] = {}
        self._lanes: dict[str, dict[str, LaneLoad]] = {}  # role → lane → without its load
        self._queued: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._running: defaultdict[tuple[str, str], int] = defaultdict(int)

    # -------------------------------------------------------------------------------- fed

    def apply(self, event: AgentEvent, now: float) -> None:
        """An agent has come or gone."""
        seen = self._agents.get(event.agent)
        before = Agent(seen.joined if seen else None)
        after = evolve(before, event)
        if after.there is None:
            self._agents.pop(event.agent, None)
        elif after.there is not before.there:
            self._agents[event.agent] = _Seen(after.there, now)
        if after.there is not before.there:
            self._count(before.there, -1)
            self._count(after.there, +1)

    def heard(self, agent: str, command: Heartbeat | None, now: float) -> bool:
        """An agent has said something; False when it must join first, since it or its session is not known.

        Any report is as good as a heartbeat (`command` is None then), only it does not name its session.
        """
        seen = self._agents.get(agent)
        if seen is None:
            return False
        if command is not None:
            if seen.joined.session != text_without_nul(command.session):
                return False
            seen.running = command.running
        seen.heard = now
        return True

    def moved(self, before: Task, after: Task) -> None:
        """A task has gone from one state to the next: one lane may have less to do, and one more."""
        if before.state == after.state and before.lane == after.lane and before.role == after.role:
            return
        self._add(before, -1)
        self._add(after, +1)

    # -------------------------------------------------------------------------------- asked

    def lanes(self, role: str) -> tuple[LaneLoad, ...]:
        """The lanes of a role that have a live agent, by name, with their load; of every role, for `auto`."""
        if role == AUTO:
            return tuple(lane for one in sorted(self._lanes) for lane in self._of(one))
        return self._of(role)

    def deserted(self) -> list[tuple[str, str]]:
        """Role and lane of queues that nobody serves, while another lane of the role has a live agent."""
        return [
            (role, lane)
            for (role, lane), queued in self._queued.items()
            if queued > 0 and (live := self._lanes.get(role)) and lane not in live
        ]

    def session(self, agent: str) -> str | None:
        """The session of a live agent."""
        seen = self._agents.get(agent)
        return seen.joined.session if seen else None

    def lane(self, agent: str) -> str | None:
        """The lane of a live agent."""
        seen = self._agents.get(agent)
        return seen.joined.lane if seen else None

    def silent(self, now: float, limit: float) -> list[tuple[str, str, float]]:
        """Who has not been heard for more than `limit` seconds: agent, session, and for how long."""
        return [
            (name, seen.joined.session, now - seen.heard)
            for name, seen in self._agents.items()
            if now - seen.heard > limit
        ]

    def view(self, now: float, role: str | None = None) -> Agents:
        """The live agents for people to see, sorted by role, lane and name."""
        views = [
            AgentView(
                agent=seen.joined.agent,
                role=seen.joined.role,
                lane=seen.joined.lane,
                concurrency=seen.joined.concurrency,
                running=seen.running,
                silent_s=round(max(0.0, now - seen.heard), 3),
                host=seen.joined.host,
                version=seen.joined.version,
                session=seen.joined.session,
            )
            for seen in self._agents.values()
            if role is None or seen.joined.role == role
        ]
        return Agents(tuple(sorted(views, key=lambda view: (view.role, view.lane, view.agent))))

    # -------------------------------------------------------------------------------- inside

    def _of(self, role: str) -> tuple[LaneLoad, ...]:
        return tuple(
            replace(
                lane,
                running=self._running.get((role, lane.lane), 0),
                queued=self._queued.get((role, lane.lane), 0),
            )
            for lane in self._lanes.get(role, {}).values()
        )

    def _count(self, joined: AgentJoined | None, difference: int) -> None:
        if joined is None:
            return
        role, lane = joined.role, joined.lane
        lanes = self._lanes.get(role, {})
        known = lanes.pop(lane, None) or LaneLoad(role, lane, capacity=0, agents=0)
        counted = replace(
            known, capacity=known.capacity + difference * joined.concurrency, agents=known.agents + difference
        )
        self._lanes[role] = lanes if counted.agents == 0 else dict(sorted({**lanes, lane: counted}.items()))
        if not self._lanes[role]:
            del self._lanes[role]

    def _add(self, task: Task, difference: int) -> None:
        if task.state == "routed":
            load = self._queued
        elif task.state == "working":
            load = self._running
        else:
            return
        place = (task.role, task.lane or "")
        load[place] += difference
        if load[place] <= 0:  # never below: what was counted before this router started is not known
            del load[place]


def consumers(role: str, lane: str) -> tuple[str, ...]:
    """The durable consumers of a lane, one per priority, most urgent first."""
    return tuple(subjects.work_consumer(role, lane, priority) for priority in PRIORITIES)
