"""Agents and what they report. Requests go to `cca.report.<role>.<agent>.<verb>`; the router answers and appends.

Reports come in groups: a worker that has several things to say says them in one request, and the router
commits them together.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from cca.contracts.task import Failure, Short, Usage, Word
from cca.message import Command, Event, Reply

Count = Annotated[int, Meta(ge=0)]


# ------------------------------------------------------------------------------------------ events


class AgentJoined(Event, frozen=True, tag="cca.agent.joined.v1"):
    """A worker is ready for tasks of its role and lane. `session` differs for each start of the process."""

    agent: str
    role: str
    lane: str
    concurrency: int
    session: str
    host: str = ""
    version: str = ""


class AgentLeft(Event, frozen=True, tag="cca.agent.left.v1"):
    """A worker said goodbye."""

    agent: str
    session: str
    reason: str = ""


class AgentLost(Event, frozen=True, tag="cca.agent.lost.v1"):
    """A worker has been silent for `silent_s` seconds; its tasks are delivered to others."""

    agent: str
    session: str
    silent_s: float


AgentEvent = AgentJoined | AgentLeft | AgentLost


# ------------------------------------------------------------------------------------------ reports


class Join(Command, frozen=True, tag="cca.report.join.v1", forbid_unknown_fields=True):
    """A worker introduces itself. Answer: `Welcome`."""

    session: Short
    lane: Word = "default"
    concurrency: Annotated[int, Meta(ge=1, le=10_000)] = 1
    host: Short = ""
    version: Short = ""


class Leave(Command, frozen=True, tag="cca.report.leave.v1", forbid_unknown_fields=True):
    """A worker stops. Answer: `Heard`."""

    session: Short
    reason: Annotated[str, Meta(max_length=2_000)] = ""


class Heartbeat(Command, frozen=True, tag="cca.report.heartbeat.v1", forbid_unknown_fields=True):
    """A worker lives. Answer: `Heard`; `known` is False when it must join again."""

    session: Short
    running: Count = 0


class Claim(Struct, frozen=True, omit_defaults=True):
    """One delivery of a work message: which task and routing decision, where in the log, delivered how often."""

    task: str
    route: int
    work: Count
    delivery: Annotated[int, Meta(ge=1)] = 1


class ClaimTasks(Command, frozen=True, tag="cca.report.claim.v1", forbid_unknown_fields=True):
    """Ask to own tasks. Answer: `Claimed`, a verdict per claim, in order."""

    claims: Annotated[tuple[Claim, ...], Meta(min_length=1, max_length=1_000)]


class Completion(Struct, frozen=True, omit_defaults=True):
    """A task was done: by which attempt, with what result, in how many seconds."""

    task: str
    attempt: int
    result: Any = None
    usage: Usage | None = None
    duration_s: Annotated[float, Meta(ge=0)] = 0.0


class CompleteTasks(Command, frozen=True, tag="cca.report.complete.v1", forbid_unknown_fields=True):
    """Report tasks as done. Answer: `Reported`."""

    done: Annotated[tuple[Completion, ...], Meta(min_length=1, max_length=1_000)]


class Misfortune(Struct, frozen=True, omit_defaults=True):
    """An attempt failed: which, why, after how many seconds, and what it used until then."""

    task: str
    attempt: int
    failure: Failure
    duration_s: Annotated[float, Meta(ge=0)] = 0.0
    usage: Usage | None = None


class FailTasks(Command, frozen=True, tag="cca.report.fail.v1", forbid_unknown_fields=True):
    """Report attempts as failed. Answer: `Reported`."""

    failed: Annotated[tuple[Misfortune, ...], Meta(min_length=1, max_length=1_000)]


class Progress(Command, frozen=True, tag="cca.report.progress.v1", forbid_unknown_fields=True):
    """Say how a task is getting on. Answer: `Reported`."""

    task: str
    attempt: int
    message: Annotated[str, Meta(max_length=2_000)]
    fraction: Annotated[float, Meta(ge=0, le=1)] | None = None


# ------------------------------------------------------------------------------------------ replies


class Welcome(Reply, frozen=True, tag="cca.report.welcome.v1"):
    """Where to pull: one durable consumer per priority, most urgent first, and the rhythm to keep.

    `ack_wait_s` is the lease: work that is not acknowledged or marked in progress within it goes to another.
    """

    stream: str
    consumers: tuple[str, ...]
    ack_wait_s: float
    heartbeat_s: float


class Heard(Reply, frozen=True, tag="cca.report.heard.v1"):
    """The router has heard. `known` is False when the worker must join again."""

    known: bool = True


class Verdict(Struct, frozen=True, omit_defaults=True):
    """What became of one claim.

    `go`: run it, as attempt number `attempt`. Otherwise `why`: `over` (the task has ended) or `obsolete` (routed
    again since): acknowledge the message and forget it; `taken` (another worker runs it): forget it without a
    word, since an acknowledgement would end the other's lease; `later`: leave it to be delivered again.
    """

    task: str
    go: bool
    attempt: int = 0
    why: Literal["over", "obsolete", "taken", "later"] | None = None


class Claimed(Reply, frozen=True, tag="cca.report.claimed.v1"):
    """The verdicts, in the order of the claims."""

    verdicts: tuple[Verdict, ...]


class Receipt(Struct, frozen=True, omit_defaults=True):
    """What became of one report: `ok`, or refused because the attempt is not, or no longer, the worker's.

    A refused report changes nothing, and the worker stops that run. `why` is `over` (acknowledge the message),
    `stale` or `unknown` (forget it: the message is another's by now) or `later` (say it again).
    """

    task: str
    ok: bool
    why: Literal["stale", "over", "unknown", "later"] | None = None


class Reported(Reply, frozen=True, tag="cca.report.reported.v1"):
    """The receipts, in the order of the reports."""

    receipts: tuple[Receipt, ...]


# ------------------------------------------------------------------------------------------ control


class Control(Command, frozen=True, tag="cca.agent.control.v1"):
    """Said to one agent (`cca.control.<role>.<agent>`), a role (`cca.control.<role>`) or all (`cca.control`).

    `cancel`: kill the run of `task`; `drain`: take no more work and leave when idle; `broadcast`: `text` is data
    for whoever reads the agent's messages, never an instruction.
    """

    verb: Literal["cancel", "drain", "broadcast"]
    task: str | None = None
    text: Annotated[str, Meta(max_length=10_000)] = ""


# ------------------------------------------------------------------------------------------ roster


class ListAgents(Command, frozen=True, tag="cca.agent.list.v1", forbid_unknown_fields=True):
    """Ask the router who is there (`cca.rpc.agents.list`). Answer: `Agents`."""

    role: Word | None = None


class AgentView(Struct, frozen=True, omit_defaults=True):
    """A live worker as the router sees it: what it runs now, and how long ago it was heard, in seconds."""

    agent: str
    role: str
    lane: str
    concurrency: int
    running: int = 0
    silent_s: float = 0.0
    host: str = ""
    version: str = ""
    session: str = ""


class Agents(Reply, frozen=True, tag="cca.agent.roster.v1"):
    """The live workers, sorted by role, lane and name."""

    agents: tuple[AgentView, ...]
