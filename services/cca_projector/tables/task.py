"""What becomes of the rows of a task, event by event: the same steps as the router's own state takes."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from cca.contracts.prepared import TaskCondensed
from cca.contracts.task import (
    Failure,
    TaskAttemptFailed,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskHeld,
    TaskProgressed,
    TaskRated,
    TaskRejected,
    TaskRetried,
    TaskRouted,
    TaskStarted,
    TaskSubmitted,
    Usage,
)
from cca.postgres.rows import Rows
from cca.projection import Entry
from cca_projector.tables import agent as agent_rows
from cca_projector.tables.rows import AgentRow, AttemptRow, DecisionRow, TaskRow, new_task
from cca_projector.tables.tokens import DEAREST, TokenRows, within

_json = msgspec.json.Encoder().encode


class TaskRows:
    """The rows at hand of the tables that tell of tasks."""

    def __init__(
        self,
        tasks: Rows[TaskRow],
        attempts: Rows[AttemptRow],
        decisions: Rows[DecisionRow],
        agents: Rows[AgentRow],
        tokens: TokenRows,
    ) -> None:
        self.tasks, self.attempts, self.decisions, self.agents = tasks, attempts, decisions, agents
        self.tokens = tokens

    # ------------------------------------------------------------------------------------ events

    def submitted(self, at: Entry, event: TaskSubmitted) -> None:
        row = new_task(at, event.task, "submitted")
        row.role = event.role
        row.description = event.description
        row.priority = event.priority
        row.asked_lane = event.lane
        row.kind = event.kind
        row.requester = event.requester
        row.labels = _json(event.labels) if event.labels else b"{}"
        row.input = None if event.input is None else _json(event.input)
        row.max_attempts = event.max_attempts
        row.timeout_s = event.timeout_s
        row.deadline_s = event.deadline_s
        row.waiting = "a lane"
        self.tasks.born(event.task, row)
        self.tokens.submitted(at, event)

    def condensed(self, at: Entry, event: TaskCondensed) -> None:
        row = self._task(at, event.task)
        self.tokens.condensed(at, row.role, event)

    def routed(self, at: Entry, event: TaskRouted) -> None:
        row = self._task(at, event.task)
        row.state = "routed"
        row.role = event.role
        row.lane = event.lane
        row.routes = event.route
        row.waiting = f"queued in lane {event.lane}"
        row.retry_at = None
        self.decisions.born(
            (event.task, event.route),
            DecisionRow(
                event.task,
                event.route,
                event.role,
                event.lane,
                event.policy,
                event.propensity,
                event.seed,
                _json(event.candidates),
                event.explored,
                at.time,
                seq=at.seq,
                version=event.version,
                x=_json(event.x) if event.x else b"{}",
            ),
        )

    def started(self, at: Entry, event: TaskStarted) -> None:
        row = self._task(at, event.task)
        if row.state == "working":  # nobody said how the attempt before ended
            self._attempt_ended(row, at, row.attempt, None, "lost", None)
        if event.work == row.work:  # the same message again: count the deliveries in between
            row.deliveries += event.delivery - row.delivery
        else:
            row.deliveries += event.delivery
        row.state = "working"
        row.lane = event.lane
        row.agent = event.agent
        row.attempt = event.attempt
        row.work, row.delivery = event.work, event.delivery
        row.waiting = row.progress = row.fraction = row.retry_at = None
        if row.started_at is None:
            row.started_at = at.time
        self.attempts.born(
            (event.task, event.attempt),
            AttemptRow(
                event.task,
                event.attempt,
                event.agent,
                event.lane,
                event.route,
                event.work,
                event.delivery,
                at.time,
                start_seq=at.seq,
            ),
        )
        agent_rows.at_work(self.agents, at, event.agent).started += 1

    def progressed(self, at: Entry, event: TaskProgressed) -> None:
        row = self._task(at, event.task)
        row.progress, row.fraction = event.message, event.fraction

    def completed(self, at: Entry, event: TaskCompleted) -> None:
        row = self._task(at, event.task)
        row.result = b"null" if event.result is None else _json(event.result)
        row.failure = None
        ended = self._attempt_ended(row, at, event.attempt, event.agent, "completed", event.duration_s)
        self._used(at, row, ended, event.agent, event.usage)
        _over(row, at, "completed")

    def attempt_failed(self, at: Entry, event: TaskAttemptFailed) -> None:
        row = self._task(at, event.task)
        self._failed(row, at, event, event.retry_at)
        row.state = "submitted"
        row.lane = None
        row.retry_at = event.retry_at
        row.waiting = f"retry at {event.retry_at.isoformat(timespec='milliseconds')}" if event.retry_at else "a lane"

    def failed(self, at: Entry, event: TaskFailed) -> None:
        row = self._task(at, event.task)
        self._failed(row, at, event, None)
        _over(row, at, "failed")

    def held(self, at: Entry, event: TaskHeld) -> None:
        row = self._task(at, event.task)
        row.state = "submitted"
        row.lane = row.retry_at = None
        row.waiting = event.reason

    def canceled(self, at: Entry, event: TaskCanceled) -> None:
        row = self._task(at, event.task)
        if row.state == "working":
            self._attempt_ended(row, at, row.attempt, event.agent, "canceled", None)
        row.reason = event.reason
        _over(row, at, "canceled")

    def rejected(self, at: Entry, event: TaskRejected) -> None:
        row = self._task(at, event.task)
        row.reason = event.reason
        _over(row, at, "rejected")

    def retried(self, at: Entry, event: TaskRetried) -> None:
        row = self._task(at, event.task)
        row.state = "submitted"
        row.waiting = "a lane"
        row.max_attempts = row.attempt + event.attempts
        row.lane = row.agent = row.failure = row.reason = None
        row.retry_at = row.progress = row.fraction = row.ended_at = row.quality = None

    def rated(self, at: Entry, event: TaskRated) -> None:
        self._task(at, event.task).quality = event.quality
        self._decision(event.task, event.route).quality = event.quality

    # ------------------------------------------------------------------------------------ parts

    def _task(self, at: Entry, task: str) -> TaskRow:
        """The row of a task that something happened to. What is in the log has happened, even to a stranger."""
        row = self.tasks.get(task)
        if row is None:
            row = self.tasks.born(task, new_task(at, task, "submitted"))
        row.updated_at = at.time
        row.last_seq = at.seq
        return row

    def _decision(self, task: str, route: int) -> DecisionRow:
        """The row of a routing decision, for what became of it."""
        return self.decisions.part((task, route), DecisionRow(task, route))

    def _failed(
        self, row: TaskRow, at: Entry, event: TaskAttemptFailed | TaskFailed, retry_at: datetime | None
    ) -> None:
        failure: Failure = event.failure
        row.failure = _json(failure)
        outcome = "lost" if failure.kind == "lost" else "failed"
        ended = self._attempt_ended(row, at, event.attempt, event.agent, outcome, event.duration_s)
        self._used(at, row, ended, event.agent, event.usage)
        ended.failure_kind, ended.failure_message = failure.kind, failure.message
        ended.failure_detail = failure.detail
        if failure.exit_code is not None:
            ended.exit_code = max(-(2**31), min(failure.exit_code, 2**31 - 1))
        if retry_at is not None:
            ended.retry_at = retry_at

    def _attempt_ended(
        self, row: TaskRow, at: Entry, attempt: int, agent: str | None, outcome: str, duration_s: float | None
    ) -> AttemptRow:
        """An attempt is over, and so is, for now, the routing decision that led to it.

        `agent` is who the event names; only its row is at hand.
        """
        key = (row.task, attempt)
        ended = self.attempts.part(key, AttemptRow(row.task, attempt))
        ended.outcome, ended.ended_at, ended.end_seq = outcome, at.time, at.seq
        if duration_s is not None:
            ended.duration_s = row.duration_s = duration_s
        decision = self._decision(row.task, row.routes)
        decision.outcome, decision.ended_at, decision.attempt = outcome, at.time, attempt
        if agent:
            decision.agent = agent
            by = agent_rows.at_work(self.agents, at, agent)
            if outcome == "completed":
                by.completed += 1
            elif outcome == "canceled":
                by.canceled += 1
            else:
                by.failed += 1
        if duration_s is not None:
            decision.duration_s = duration_s
        return ended

    def _used(self, at: Entry, row: TaskRow, ended: AttemptRow, agent: str, usage: Usage | None) -> None:
        """What an attempt used, if its worker has said. It may claim more than a column holds."""
        if usage is None:
            return
        cost = min(usage.cost_usd, DEAREST)
        ended.input_tokens = within(usage.input_tokens)
        ended.output_tokens = within(usage.output_tokens)
        ended.cost_usd = cost
        ended.model, ended.cost_from = usage.model, usage.cost_from
        ended.cache_read_tokens = within(usage.cache_read_tokens)
        ended.cache_write_tokens = within(usage.cache_write_tokens)
        ended.peak_context_tokens = within(usage.peak_context_tokens) or None
        ended.counted_tokens = within(usage.counted_tokens) or None
        row.input_tokens = within(row.input_tokens + usage.input_tokens)
        row.output_tokens = within(row.output_tokens + usage.output_tokens)
        row.cache_read_tokens = within((row.cache_read_tokens or 0) + usage.cache_read_tokens)
        row.cache_write_tokens = within((row.cache_write_tokens or 0) + usage.cache_write_tokens)
        row.cost_usd = min(row.cost_usd + cost, DEAREST)
        decision = self._decision(row.task, row.routes)
        decision.tokens = within(usage.input_tokens + usage.output_tokens)
        decision.cost_usd = cost
        self.tokens.used(at, row, agent, ended.outcome != "completed", usage)


def _over(row: TaskRow, at: Entry, state: str) -> None:
    row.state = state
    row.waiting = row.retry_at = None
    row.ended_at = at.time


Handler = Callable[[TaskRows, Entry, Any], None]

HANDLERS: dict[type, Handler] = {
    TaskSubmitted: TaskRows.submitted,
    TaskCondensed: TaskRows.condensed,
    TaskRouted: TaskRows.routed,
    TaskStarted: TaskRows.started,
    TaskProgressed: TaskRows.progressed,
    TaskCompleted: TaskRows.completed,
    TaskAttemptFailed: TaskRows.attempt_failed,
    TaskFailed: TaskRows.failed,
    TaskHeld: TaskRows.held,
    TaskCanceled: TaskRows.canceled,
    TaskRejected: TaskRows.rejected,
    TaskRetried: TaskRows.retried,
    TaskRated: TaskRows.rated,
}
