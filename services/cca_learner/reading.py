"""Which events of the log say something about routing, decoded no further than they are needed.

Descriptions, inputs and results can be long, and a start reads the log of days: what nobody here looks at is not
made into objects.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from cca.codec import tag_of
from cca.contracts.agent import AgentJoined, AgentLeft, AgentLost
from cca.contracts.task import (
    Failure,
    FailureKind,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRated,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.message import Event

TaskFact = (
    TaskSubmitted
    | TaskRouted
    | TaskStarted
    | TaskCompleted
    | TaskAttemptFailed
    | TaskFailed
    | TaskCanceled
    | TaskRetried
    | TaskRated
)
AgentFact = AgentJoined | AgentLeft | AgentLost


class _Submitted(Struct):
    task: str
    role: str
    kind: str | None = None
    requester: str | None = None
    labels: dict[str, str] = {}
    deadline_s: float | None = None


class _Completed(Struct):
    task: str
    attempt: int
    agent: str
    usage: Usage | None = None
    duration_s: float = 0.0


class _Kind(Struct):
    kind: FailureKind


class _Failed(Struct):
    task: str
    attempt: int
    agent: str
    failure: _Kind
    duration_s: float = 0.0
    usage: Usage | None = None


_FAILURES: dict[str, Failure] = {}


def _submitted() -> Callable[[bytes], TaskSubmitted]:
    decode = msgspec.json.Decoder(_Submitted).decode

    def read(body: bytes) -> TaskSubmitted:
        said = decode(body)
        return TaskSubmitted(
            said.task,
            said.role,
            "",
            "",
            kind=said.kind,
            requester=said.requester,
            labels=said.labels,
            deadline_s=said.deadline_s,
        )

    return read


def _completed() -> Callable[[bytes], TaskCompleted]:
    decode = msgspec.json.Decoder(_Completed).decode

    def read(body: bytes) -> TaskCompleted:
        said = decode(body)
        return TaskCompleted(said.task, said.attempt, said.agent, None, said.usage, said.duration_s)

    return read


def _failed(kind: type[TaskAttemptFailed] | type[TaskFailed]) -> Callable[[bytes], TaskAttemptFailed | TaskFailed]:
    decode = msgspec.json.Decoder(_Failed).decode

    def read(body: bytes) -> TaskAttemptFailed | TaskFailed:
        said = decode(body)
        failure = _FAILURES.setdefault(said.failure.kind, Failure(said.failure.kind, ""))
        return kind(said.task, said.attempt, said.agent, failure, duration_s=said.duration_s, usage=said.usage)

    return read


def _whole(kind: type[Event]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode


TASKS: dict[str | None, Callable[[bytes], TaskFact]] = {
    tag_of(TaskSubmitted): _submitted(),
    tag_of(TaskCompleted): _completed(),
    tag_of(TaskAttemptFailed): _failed(TaskAttemptFailed),
    tag_of(TaskFailed): _failed(TaskFailed),
    **{tag_of(kind): _whole(kind) for kind in (TaskRouted, TaskStarted, TaskCanceled, TaskRetried, TaskRated)},
}
"""How an event of a task is read, by its type; the types that are not here are passed by."""

AGENTS: dict[str | None, Callable[[bytes], AgentFact]] = {
    tag_of(kind): _whole(kind) for kind in (AgentJoined, AgentLeft, AgentLost)
}
"""The same for events of agents."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What reading raises for a body that does not follow its schema."""
