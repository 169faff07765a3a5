"""Agents as they come and go: their events, their consumers, and the tasks that wait for them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from cca.contracts.agent import AgentJoined, AgentLeft, AgentLost, Heartbeat, Join, Leave, Welcome
from cca.contracts.task import PRIORITIES
from cca.decider import At, Decision, load, transact
from cca.ids import uuid7
from cca.message import Meta, Stream
from cca.nats import names, setup, streams
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog
from cca_router import roster
from cca_router.roster import AGENT, Agent, Roster

logger = logging.getLogger("cca_router.agents")

HEARTBEAT_S = 2.0
SILENCE_S = 8.0
"""An agent that has not been heard for so long is lost. Its tasks move on earlier, when their leases end."""


class AgentDesk:
    """Decides about agents and keeps the roster.

    Args:
        came: called with the role of an agent that joined.
        gone: called with an agent that is not there any more, and why; what it ran is lost.
    """

    def __init__(
        self,
        bus: Bus,
        log: JetStreamLog,
        who: Roster,
        came: Callable[[str], None],
        gone: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._bus, self._log, self._roster, self._came, self._gone = bus, log, who, came, gone
        self._known: dict[str, At[Agent]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._lanes: set[tuple[str, str]] = set()
        self._clock = asyncio.get_running_loop().time

    async def join(self, command: Join, name: str, role: str, meta: Meta) -> Welcome:
        """An agent joins: its lane's consumers are made first, so that no work can be missed."""
        lane = command.lane
        if (role, lane) not in self._lanes:
            for priority in PRIORITIES:
                await setup.ensure_consumer(self._bus, names.EVENTS, streams.work_consumer(role, lane, priority))
            self._lanes.add((role, lane))
        before = self._roster.session(name)
        agent = await self._change(name, lambda agent: roster.join(command, name, role, agent), meta)
        if before is not None and before != self._session(agent):
            await self._gone(name, "the worker was started again")
        if agent.there is not None:
            self._roster.apply(agent.there, self._clock())
            self._roster.heard(name, None, self._clock())
        self._came(role)
        return Welcome(names.EVENTS, roster.consumers(role, lane), streams.ACK_WAIT.total_seconds(), HEARTBEAT_S)

    async def leave(self, command: Leave, name: str, meta: Meta) -> None:
        """An agent says goodbye."""
        agent = await self._change(name, lambda agent: roster.leave(command, name, agent), meta)
        if agent.there is None:
            self._forget(name, AgentLeft(name, command.session))

    def heard(self, name: str, command: Heartbeat | None) -> bool:
        """An agent lives; False when it must join again."""
        return self._roster.heard(name, command, self._clock())

    async def lose_the_silent(self) -> None:
        """Agents that have been silent for too long are lost."""
        for name, session, silent in self._roster.silent(self._clock(), SILENCE_S):
            logger.warning("agent %s has been silent for %.1f s: lost", name, silent)
            seconds = round(silent, 3)

            def lose(agent: Agent, name: str = name, session: str = session, seconds: float = seconds) -> Decision:
                return roster.lose(name, session, seconds, agent)

            meta = Meta(id=uuid7(), source="cca_router", time=datetime.now(UTC))
            agent = await self._change(name, lose, meta)
            if agent.there is None or agent.there.session == session:
                self._forget(name, AgentLost(name, session, seconds))
                await self._gone(name, f"the worker was silent for {seconds:.1f} s")

    def hear_of(self, event: AgentJoined | AgentLeft | AgentLost) -> None:
        """Another router has seen an agent come or go."""
        self._roster.apply(event, self._clock())
        self._known.pop(event.agent, None)
        if isinstance(event, AgentJoined):
            self._came(event.role)

    def adopt(self, name: str, joined: AgentJoined) -> None:
        """An agent that had joined when the router started; its first heartbeat or silence will tell."""
        self._roster.apply(joined, self._clock())

    def lane(self, name: str) -> str:
        """The lane of a live agent; empty when it is not known."""
        return self._roster.lane(name) or ""

    @staticmethod
    def _session(agent: Agent) -> str | None:
        return agent.there.session if agent.there is not None else None

    def _forget(self, name: str, event: AgentLeft | AgentLost) -> None:
        self._roster.apply(event, self._clock())
        self._known.pop(name, None)
        self._turns.pop(name, None)

    async def _change(self, name: str, decide: Callable[[Agent], Decision], meta: Meta) -> Agent:
        stream = Stream("agent", name)
        async with self._turns.setdefault(name, asyncio.Lock()):
            known = self._known.get(name) or await load(self._log, stream, AGENT)
            at = await transact(self._log, stream, AGENT, decide, cause=meta, known=known)
            self._known[name] = at
            return at.state
