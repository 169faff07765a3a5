"""Who is there and how busy: the live roster from the router, what was done from the tables."""

import asyncio
from collections import Counter, defaultdict
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from cca import codec
from cca.contracts.agent import Agents, AgentView, ListAgents
from cca.contracts.learner import Average, Averages
from cca.contracts.task import OVER, Word
from cca.nats import subjects
from cca_gateway import learning, queries
from cca_gateway.call import Call
from cca_gateway.gateway import Gateway


class RosterQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which agents."""

    role: Word | None = None


class RoleView(Struct, frozen=True):
    """A role: its live agents, how many tasks they can run at once and run now, and all its tasks by state."""

    role: str
    agents: int
    capacity: int
    running: int
    tasks: dict[str, int]


class Roles(Struct, frozen=True):
    """The roles that are live or have had tasks, by name."""

    roles: list[RoleView]


class LaneLoad(Struct, frozen=True, omit_defaults=True):
    """A lane of a role. `success_rate` is of the tasks that are over; `duration_s` is their mean.

    What ends in `_ema` are moving averages over its attempts, newest weighing most; they are the learner's, and not
    there when it does not answer.
    """

    role: str
    lane: str
    agents: int = 0
    capacity: int = 0
    running: int = 0
    queued: int = 0
    completed: int = 0
    failed: int = 0
    success_rate: float | None = None
    duration_s: float | None = None
    success_ema: float | None = None
    duration_s_ema: float | None = None
    tokens_ema: float | None = None
    cost_usd_ema: float | None = None


class AgentLoad(Struct, frozen=True, omit_defaults=True):
    """A live agent: what it runs and may run at once, and how its attempts have ended, over all its sessions.

    What ends in `_ema` are moving averages over its attempts, as those of a lane.
    """

    agent: str
    role: str
    lane: str
    running: int
    capacity: int
    completed: int = 0
    failed: int = 0
    success_rate: float | None = None
    success_ema: float | None = None
    duration_s_ema: float | None = None
    tokens_ema: float | None = None
    cost_usd_ema: float | None = None


class Workloads(Struct, frozen=True, omit_defaults=True):
    """How busy everything is. `pending` counts the tasks that are not over and not being worked on; `ema_alpha` is
    the weight of the newest attempt in the moving averages."""

    lanes: list[LaneLoad]
    agents: list[AgentLoad]
    tasks: int
    pending: int
    ema_alpha: float | None = None


class Running(Struct, frozen=True, omit_defaults=True):
    """A task that is being worked on."""

    task: str
    attempt: int
    description: str | None = None
    started_at: datetime | None = None
    progress: str | None = None
    fraction: float | None = None


class AgentActivity(Struct, frozen=True, omit_defaults=True):
    """What a live agent does. It was heard `silent_s` seconds ago; its last task event was at `last_activity`."""

    agent: str
    role: str
    lane: str
    running: int
    capacity: int
    silent_s: float
    tasks: list[Running] = []
    last_activity: datetime | None = None


class Activity(Struct, frozen=True):
    """The live agents, by role, lane and name."""

    agents: list[AgentActivity]


_encode = msgspec.json.Encoder().encode
_agents = msgspec.json.Decoder(Agents).decode
PENDING = frozenset(("submitted", "routed", "input-required"))


async def roster(gateway: Gateway, call: Call) -> web.Response:
    """The live agents, as the router sees them."""
    question = codec.encode(ListAgents(call.query.role))
    return call.answer(await gateway.ask(subjects.RPC_AGENTS, question, call.headers))


async def _live(gateway: Gateway, call: Call) -> tuple[AgentView, ...]:
    return _agents(await gateway.ask(subjects.RPC_AGENTS, codec.encode(ListAgents()), call.headers)).agents


async def roles(gateway: Gateway, call: Call) -> web.Response:
    """Every role that has been seen."""
    live, counts = await _live(gateway, call), await gateway.counts.get()
    tasks: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in counts:
        tasks[row["role"]][row["state"]] += row["tasks"]
    found = []
    for role in sorted({agent.role for agent in live} | tasks.keys()):
        there = [agent for agent in live if agent.role == role]
        capacity = sum(agent.concurrency for agent in there)
        found.append(RoleView(role, len(there), capacity, sum(a.running for a in there), dict(tasks[role])))
    return call.answer(_encode(Roles(found)))


async def workloads(gateway: Gateway, call: Call) -> web.Response:
    """How busy each lane and each agent is."""
    live, counts, learned = await asyncio.gather(
        _live(gateway, call), gateway.counts.get(), learning.averages(gateway, call)
    )
    done = await queries.workers(gateway.tables, [agent.agent for agent in live])
    averages = learned or Averages(0.0, {}, {})
    lanes: dict[tuple[str, str], list[AgentView]] = defaultdict(list)
    for agent in live:
        lanes[agent.role, agent.lane].append(agent)
    states: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for row in counts:
        if row["lane"] is not None:
            states[row["role"], row["lane"]][row["state"]] = row
    answer = Workloads(
        [
            _lane(*name, lanes.get(name, []), states.get(name, {}), averages.lanes.get("/".join(name)))
            for name in sorted(lanes.keys() | states.keys())
        ],
        [_agent(agent, done.get(agent.agent), averages.agents.get(agent.agent)) for agent in live],
        sum(row["tasks"] for row in counts),
        sum(row["tasks"] for row in counts if row["state"] in PENDING),
        learned.alpha if learned else None,
    )
    return call.answer(_encode(answer))


def _lane(role: str, lane: str, live: list[AgentView], states: dict[str, Any], average: Average | None) -> LaneLoad:
    counts = {state: row["tasks"] for state, row in states.items()}
    over = sum(count for state, count in counts.items() if state in OVER and state != "canceled")
    completed = states.get("completed")
    return LaneLoad(
        role,
        lane,
        len(live),
        sum(agent.concurrency for agent in live),
        counts.get("working", 0),
        counts.get("routed", 0),
        counts.get("completed", 0),
        counts.get("failed", 0),
        counts.get("completed", 0) / over if over else None,
        completed["duration_s"] if completed else None,
        *_moving(average),
    )


def _agent(agent: AgentView, row: Any, average: Average | None) -> AgentLoad:
    completed, failed = (row["completed"], row["failed"]) if row else (0, 0)
    rate = completed / (completed + failed) if completed + failed else None
    there = (agent.agent, agent.role, agent.lane, agent.running, agent.concurrency)
    return AgentLoad(*there, completed, failed, rate, *_moving(average))


def _moving(average: Average | None) -> tuple[float | None, ...]:
    """The four moving averages, in the order in which lanes and agents show them."""
    if average is None:
        return (None, None, None, None)
    return (average.success, average.duration_s, average.tokens, average.cost_usd)


async def activity(gateway: Gateway, call: Call) -> web.Response:
    """What each live agent is doing."""
    live = await _live(gateway, call)
    done = await queries.workers(gateway.tables, [agent.agent for agent in live])
    tasks: dict[str, list[Running]] = defaultdict(list)
    for row in await queries.running(gateway.tables):
        task = Running(
            row["task"], row["attempt"], row["description"], row["started_at"], row["progress"], row["fraction"]
        )
        tasks[row["agent"]].append(task)
    return call.answer(
        _encode(
            Activity(
                [
                    AgentActivity(
                        agent.agent,
                        agent.role,
                        agent.lane,
                        agent.running,
                        agent.concurrency,
                        agent.silent_s,
                        tasks.get(agent.agent, []),
                        done[agent.agent]["updated_at"] if agent.agent in done else None,
                    )
                    for agent in live
                ]
            )
        )
    )
