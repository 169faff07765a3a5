"""The projections of this service: tables about tasks, agents, routing, context and memory, and the copy of the log."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from cca import codec
from cca.contracts.ledger import TokenPolicySet, TokensExpanded
from cca.contracts.prepared import TaskCondensed
from cca.contracts.task import TaskSubmitted
from cca.errors import Unknown
from cca.message import Event
from cca.postgres.rows import Rows
from cca.projection import Entry, Projection
from cca_projector.tables import agent, context, policy, rows, task, token_rows, tokens

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")

Step = tuple[Callable[[Any, Entry, Any], None], Any, Entry, Event]


class Tasks:
    """What happened, as it stands now, and as sums: tasks, attempts, agents, how they were routed, and their tokens.

    Version 2 knows ratings, deadlines, what a routing decision was made of and what it cost, and the policy.
    Version 3 knows models, caches, contexts, and sums of what was spent and saved.
    """

    name = "tasks"
    version = 3

    def __init__(self) -> None:
        self._tasks, self._agents = rows.tasks(), rows.agents()
        attempts, decisions = rows.attempts(), rows.decisions()
        usage, savings = token_rows.token_usage(), token_rows.token_savings()
        self._contexts, self._token_policies = token_rows.task_contexts(), token_rows.token_policies()
        self._of_tokens = tokens.TokenRows(usage, savings, self._contexts, self._token_policies)
        self._of_task = task.TaskRows(self._tasks, attempts, decisions, self._agents, self._of_tokens)
        policies, changes = rows.policies(), rows.policy_changes()
        self._of_policy = policy.PolicyRows(policies, changes)
        self.rows: Sequence[Rows[Any]] = (
            *(self._tasks, attempts, decisions, self._agents, policies, changes),
            *(usage, savings, self._contexts, self._token_policies),
        )

    def read(self, entries: Sequence[Entry]) -> tuple[Sequence[Step], int]:
        """Decode, and ask for the rows that are read; a task's own is not asked for when it begins here."""
        steps: list[Step] = []
        passed = 0
        begun: set[str] = set()
        need_task, need_agent = self._tasks.need, self._agents.need
        for entry in entries:
            try:
                event: Any = codec.decode(entry.type or "", without_nul(entry.body))
            except Unknown:
                passed += 1
                continue
            kind = type(event)
            if (handler := task.HANDLERS.get(kind)) is not None:
                id = event.task
                if kind is TaskSubmitted:
                    begun.add(id)
                elif id not in begun:
                    need_task(id)
                if kind is TaskCondensed:
                    self._contexts.need(id)
                if (by := getattr(event, "agent", None)) is not None:
                    need_agent(by)
                steps.append((handler, self._of_task, entry, event))
            elif (of_agent := agent.HANDLERS.get(kind)) is not None:
                need_agent(event.agent)
                steps.append((of_agent, self._agents, entry, event))
            elif (of_policy := policy.HANDLERS.get(kind)) is not None:
                steps.append((of_policy, self._of_policy, entry, event))
            elif (of_tokens := tokens.HANDLERS.get(kind)) is not None:
                if kind is TokensExpanded and event.task is not None:
                    self._contexts.need(event.task)
                elif kind is TokenPolicySet:
                    self._token_policies.need(event.role)
                steps.append((of_tokens, self._of_tokens, entry, event))
            elif not isinstance(event, Event):
                passed += 1
        return steps, passed

    def apply(self, batch: Sequence[Step]) -> None:
        for handle, those, entry, event in batch:
            handle(those, entry, event)


class Shared:
    """What agents share and remember, as it stands now, and the jobs that index code."""

    name = "context"
    version = 1

    def __init__(self) -> None:
        self._those = context.ContextRows()
        self.rows: Sequence[Rows[Any]] = self._those.rows

    def read(self, entries: Sequence[Entry]) -> tuple[Sequence[Step], int]:
        """Decode what it is about, and ask for the rows; most of the log is not even decoded."""
        steps: list[Step] = []
        passed = 0
        for entry in entries:
            tag = entry.type or ""
            kind = codec.KINDS.get(tag)
            if kind is None:
                passed += 1
            elif (found := context.HANDLERS.get(kind)) is not None:
                event: Any = codec.decode(tag, without_nul(entry.body))
                need, handler = found
                need(self._those, event)
                steps.append((handler, self._those, entry, event))
        return steps, passed

    def apply(self, batch: Sequence[Step]) -> None:
        for handle, those, entry, event in batch:
            handle(those, entry, event)


class Events:
    """`events`: the log, byte for byte."""

    name = "events"
    version = 1

    def __init__(self) -> None:
        self._events = rows.events()
        self.rows: Sequence[Rows[Any]] = (self._events,)

    def read(self, entries: Sequence[Entry]) -> tuple[Sequence[Entry], int]:
        return entries, 0

    def apply(self, batch: Sequence[Entry]) -> None:
        born = self._events.born
        for entry in batch:
            born(entry.seq, entry)


PROJECTIONS: dict[str, Callable[[], Projection]] = {each.name: each for each in (Tasks, Shared, Events)}
"""A fresh one of each, by name."""


def without_nul(body: bytes) -> bytes:
    """JSON whose strings Postgres can hold as text: NUL characters are shown as U+FFFD."""
    if b"\\u0000" not in body:
        return body
    return _NUL.sub(rb"\1\\ufffd", body)
