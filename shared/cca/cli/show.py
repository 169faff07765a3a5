"""A task and its history as a person reads them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from cca.cli.answers import Event, Task, TaskMemory, time_of
from cca.cli.tables import STATE_STYLES, Column, Screen
from cca.cli.text import ago, clip, span, visible
from cca.contracts.task import OVER

PREFIX = "cca.task."
SYMBOLS = {"completed": "✓", "failed": "✗", "rejected": "✗", "canceled": "–", "working": "▶"}


class Attempt(Struct, kw_only=True):
    """One start of a task, as its history tells it."""

    number: int
    agent: str = ""
    lane: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    outcome: str = "running"
    why: str = ""


def short_type(tag: str) -> str:
    """`attempt-failed` of `cca.task.attempt-failed.v1`; what is not a task's keeps its kind: `agent.joined`."""
    name, _, version = tag.rpartition(".")
    if not version[1:].isdecimal():
        name = tag
    return name.removeprefix(PREFIX).removeprefix("cca.")


def sentence(event: Event) -> str:
    """What an event says, in a few words. Written for any event, so that no odd one stops a display."""
    said = _Said(event.said)
    match short_type(event.type):
        case "submitted":
            return f"for role {said.text('role')}" + said.after(" by ", "requester") + said.after(", lane ", "lane")
        case "routed":
            return _routed(said)
        case "condensed":
            return f"context {_condensed(said)}"
        case "recalled":
            return _recalled(said)
        case "held":
            return said.text("reason")
        case "started":
            again = f", delivered {said.text('delivery')} times" if said.number("delivery") > 1 else ""
            return f"attempt {said.text('attempt')} on {said.text('agent')}{again}"
        case "progressed":
            fraction = event.said.get("fraction")
            share = f"{fraction:.0%} " if isinstance(fraction, int | float) else ""
            return share + said.text("message")
        case "rated":
            return f"quality {said.text('quality')}" + said.after(": ", "comment") + said.after(" by ", "requester")
        case "completed":
            return f"by {said.text('agent')} in {span(said.number('duration_s'))}" + _usage(event.said.get("usage"))
        case "attempt-failed" | "failed":
            attempt = f"attempt {said.text('attempt')}" + said.after(" on ", "agent")
            return f"{attempt}: {failure_text(event.said.get('failure'))}" + _again(event)
        case "canceled":
            return (said.after("by ", "requester") + said.after(": ", "reason")).removeprefix(": ")
        case "retried":
            return (
                f"{said.text('attempts')} more attempts" + said.after(" for ", "requester") + said.after(": ", "reason")
            )
        case "rejected":
            return said.text("reason")
        case "agent.joined":
            return f"{said.text('agent')} for {said.text('role')}/{said.text('lane')}, takes {said.text('concurrency')}"
        case "agent.left" | "agent.lost":
            return said.text("agent") + said.after(": ", "reason")
        case _:
            rest = {key: value for key, value in event.said.items() if key not in ("type", "task")}
            return msgspec.json.encode(rest).decode() if rest else ""


class _Said:
    """The data of an event, read without trust: a newer version may have written anything."""

    def __init__(self, data: dict[str, Any]) -> None:
        self._data = data

    def text(self, key: str) -> str:
        value = self._data.get(key)
        return "" if value is None else str(value)

    def after(self, words: str, key: str) -> str:
        """The value behind some words, or nothing when there is none."""
        value = self.text(key)
        return words + value if value else ""

    def number(self, key: str) -> float:
        value = self._data.get(key)
        return float(value) if isinstance(value, int | float) else 0.0


def _again(event: Event) -> str:
    at = time_of(event.said.get("retry_at"))
    return f"; again after {span((at - event.at).total_seconds())}" if at and event.at else ""


def _routed(said: _Said) -> str:
    candidates = said._data.get("candidates")
    count = len(candidates) if isinstance(candidates, list) else 0
    chance = f" with probability {said.number('propensity'):.2f} of {count} lanes" if count > 1 else ""
    explored = ", to explore" if said._data.get("explored") else ""
    return f"to lane {said.text('lane')}{chance}, policy {said.text('policy')}{explored}"


def _condensed(said: _Said) -> str:
    over = "" if said._data.get("reached", True) else ", still over its budget"
    return f"{said.number('before'):,.0f} → {said.number('after'):,.0f} tokens{over}"


def _recalled(said: _Said) -> str:
    memories = said._data.get("memories")
    count = len(memories) if isinstance(memories, list) else 0
    return f"{count} {'memory' if count == 1 else 'memories'} before it, {said.number('tokens'):,.0f} tokens"


def _usage(usage: Any) -> str:
    if not isinstance(usage, dict):
        return ""
    said = _Said(usage)
    words = [f"{usage.get('input_tokens', 0)} tokens in", f"{usage.get('output_tokens', 0)} out"]
    for name, what in (("cache_read_tokens", "from the cache"), ("cache_write_tokens", "into the cache")):
        if said.number(name):
            words.append(f"{said.text(name)} {what}")
    if cost := said.number("cost_usd"):
        words.append(f"{'about ' * (usage.get('cost_from') == 'table')}${cost:.4f}")
    if said.text("model"):
        words.append(said.text("model"))
    return f" ({', '.join(words)})"


def failure_text(failure: Any) -> str:
    """Why an attempt failed, in a sentence."""
    if not isinstance(failure, dict):
        return "it failed"
    code = failure.get("exit_code")
    exited = f" (exit code {code})" if code is not None else ""
    final = "" if failure.get("retryable", True) else ", not to be tried again"
    return f"{failure.get('kind', 'error')}: {failure.get('message', '')}{exited}{final}"


def attempts(events: Sequence[Event]) -> list[Attempt]:
    """The attempts of a task, from its history."""
    found: list[Attempt] = []
    for event in events:
        said, kind = _Said(event.said), short_type(event.type)
        if kind == "started":
            if found and found[-1].ended is None:
                found[-1].ended, found[-1].outcome = event.at, "lost"
            found.append(
                Attempt(
                    number=int(said.number("attempt")),
                    agent=said.text("agent"),
                    lane=said.text("lane"),
                    started=event.at,
                )
            )
        elif found and found[-1].ended is None and kind in ("completed", "attempt-failed", "failed", "canceled"):
            found[-1].ended = event.at
            found[-1].outcome = "failed" if kind == "attempt-failed" else kind
            if "failure" in event.said:
                found[-1].why = failure_text(event.said["failure"])
    return found


def show_task(screen: Screen, task: Task, events: Sequence[Event]) -> None:
    """Everything that is known of a task."""
    style = STATE_STYLES.get(task.state, "")
    screen.parts((f"{SYMBOLS.get(task.state, '•')} {task.state}", f"bold {style}"), (f"  {task.task}", "bold"))
    screen.say()
    screen.say(visible(task.description or "(it could not be read)", lines=True).rstrip())
    screen.say()
    times = [event.at for event in events if event.at]
    began = times[0] if times else task.created_at
    ended = next((e.at for e in reversed(events) if short_type(e.type) in OVER), None) if task.over else None
    facts: list[tuple[str, str]] = [
        ("role", _words(task.role, task.lane and f"lane {task.lane}", f"{task.priority} priority")),
        ("kind", task.kind or ""),
        ("requester", task.requester or ""),
        (
            "context",
            next((_condensed(_Said(e.said)) for e in reversed(events) if short_type(e.type) == "condensed"), ""),
        ),
        ("labels", "  ".join(f"{key}={value}" for key, value in sorted(task.labels.items()))),
        ("agent", task.agent or ""),
        ("attempts", f"{task.attempt} of {task.max_attempts}"),
        ("time limit", f"{span(task.timeout_s)} an attempt" if task.timeout_s else ""),
        ("submitted", f"{ago(began, screen.now)}, {_stamp(began)}" if began else ""),
        ("took", span((ended - began).total_seconds()) if began and ended else ""),
        ("used", _usage(msgspec.to_builtins(task.usage)).strip(" ()") if task.usage else ""),
        ("progress", " ".join(filter(None, (f"{task.fraction:.0%}" if task.fraction else "", task.progress or "")))),
        ("waits", "" if task.over else why_it_waits(task, screen.now)),
        ("reason", task.reason or ""),
    ]
    for name, value in facts:
        if value:
            screen.parts((f"{name:<11}", "dim"), (value, "yellow" if name == "waits" else ""))
    if task.failure is not None:
        screen.parts((f"{'failure':<11}", "dim"), (failure_text(msgspec.to_builtins(task.failure)), "red"))
        for line in visible(task.failure.detail, lines=True).rstrip().splitlines():
            screen.parts((" " * 11, ""), (line, "dim"))
    _show_attempts(screen, attempts(events))
    _show_memories(screen, task.memories or recalled(events))
    if events:
        screen.say()
        screen.say("timeline", "bold")
        show_timeline(screen, events)
    if task.state == "completed" and task.result is not None:
        screen.say()
        screen.say("result", "bold")
        screen.value(task.result)


def why_it_waits(task: Task, now: datetime) -> str:
    """What a task that is not over waits for."""
    retry = f"its next attempt, {ago(task.retry_at, now)}" if task.retry_at else ""
    if task.waiting:
        return task.waiting + (f" ({retry})" if retry else "")
    return retry


def _show_attempts(screen: Screen, found: Sequence[Attempt]) -> None:
    if not found:
        return
    screen.say()
    columns = (
        Column("attempt", kind="number"),
        Column("agent"),
        Column("lane"),
        Column("took", kind="number"),
        Column("outcome", kind="state"),
        Column("why" if any(one.why for one in found) else "", grows=True),
    )
    rows = [
        (
            one.number,
            one.agent,
            one.lane,
            span(((one.ended or screen.now) - one.started).total_seconds()) if one.started else "",
            one.outcome,
            one.why,
        )
        for one in found
    ]
    screen.table(columns, rows, "", header=True)


def recalled(events: Sequence[Event]) -> tuple[TaskMemory, ...]:
    """The memories that were put before a task, from its history: the tables may not have them yet."""
    for event in reversed(events):
        if short_type(event.type) == "recalled":
            found = event.said.get("memories")
            each = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
            return tuple(TaskMemory(_Said(one).text("memory"), _Said(one).number("score")) for one in each)
    return ()


def _show_memories(screen: Screen, found: Sequence[TaskMemory]) -> None:
    if not found:
        return
    screen.say()
    screen.say("memories that were put before it", "bold")
    columns = (Column("score", kind="number"), Column("memory"), Column("kind"), Column("text", grows=True))
    rows = [(f"{one.score:.3f}", one.memory, one.kind or "", one.text or "") for one in found]
    screen.table(columns, rows, "", header=True)


def show_timeline(screen: Screen, events: Sequence[Event]) -> None:
    """The history with the time since its beginning."""
    began = next((event.at for event in events if event.at), None)
    for event in events:
        since = span((event.at - began).total_seconds()) if event.at and began else ""
        kind = short_type(event.type)
        room = screen.console.width - 28 if screen.person else 1_000
        screen.parts(
            (f"{'+' + since:>10}  ", "dim"),
            (f"{clip(kind, 15):<15} ", STATE_STYLES.get(kind, "")),
            (clip(sentence(event), max(room, 20)), ""),
        )


def _words(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _stamp(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z").strip()
