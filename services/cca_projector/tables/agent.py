"""What becomes of the row of an agent, event by event."""

from collections.abc import Callable
from typing import Any

from cca.contracts.agent import AgentJoined, AgentLeft, AgentLost
from cca.postgres.rows import Rows
from cca.projection import Entry
from cca_projector.tables.rows import AgentRow


def at_work(agents: Rows[AgentRow], at: Entry, agent: str) -> AgentRow:
    """The row of an agent that something is known to have done. Work does not say that it still lives."""
    row = agents.get(agent)
    if row is None:
        row = agents.born(agent, _new(at, agent))
    row.updated_at = at.time
    row.last_seq = at.seq
    return row


def joined(agents: Rows[AgentRow], at: Entry, event: AgentJoined) -> None:
    row = at_work(agents, at, event.agent)
    row.state = "live"
    row.role, row.lane, row.concurrency = event.role, event.lane, min(event.concurrency, 2**31 - 1)
    row.session, row.host, row.version = event.session, event.host, event.version
    row.joined_at, row.left_at, row.reason = at.time, None, None


def left(agents: Rows[AgentRow], at: Entry, event: AgentLeft) -> None:
    _gone(agents, at, event.agent, event.session, "left", event.reason)


def lost(agents: Rows[AgentRow], at: Entry, event: AgentLost) -> None:
    _gone(agents, at, event.agent, event.session, "lost", f"silent for {event.silent_s:g} s")


def _gone(agents: Rows[AgentRow], at: Entry, agent: str, session: str, state: str, reason: str) -> None:
    row = at_work(agents, at, agent)
    if row.session not in (session, None):  # an earlier start of the process; a later one has joined since
        return
    row.state, row.session, row.left_at, row.reason = state, session, at.time, reason


def _new(at: Entry, agent: str) -> AgentRow:
    return AgentRow(
        agent=agent,
        state="unknown",
        role=None,
        lane=None,
        concurrency=None,
        session=None,
        host=None,
        version=None,
        joined_at=None,
        left_at=None,
        reason=None,
        started=0,
        completed=0,
        failed=0,
        canceled=0,
        updated_at=at.time,
        first_seq=at.seq,
        last_seq=at.seq,
    )


Handler = Callable[[Rows[AgentRow], Entry, Any], None]

HANDLERS: dict[type, Handler] = {AgentJoined: joined, AgentLeft: left, AgentLost: lost}
