"""What a finished task teaches: pure, from its events alone."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from cca.contracts.memory import PROJECT, Outcome, Source, StoreMemory
from cca.contracts.prepared import TaskRecalled
from cca.contracts.task import TaskCompleted, TaskFailed, TaskRated, TaskRetried, TaskSubmitted
from cca.message import Event
from cca.redact.redact import redact

ASKED, LEARNED = 500, 1_500
"""Characters of what was to be done, and of what came out of it, at most."""
LOOKED_AT = 20_000
"""Characters in which secrets are looked for before a text is cut: none is cut in two and so overlooked."""
GOOD = 0.5
"""A rating from which on a task counts as a success."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")


class Tale(Struct):
    """What the log says of one task, as far as it teaches something."""

    submitted: TaskSubmitted | None = None
    ended: TaskCompleted | TaskFailed | None = None
    rated: TaskRated | None = None
    recalled: TaskRecalled | None = None

    def hear(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, TaskSubmitted):
            self.submitted = self.submitted or event
        elif isinstance(event, TaskRecalled):
            self.recalled = event
        elif isinstance(event, TaskCompleted | TaskFailed):
            self.ended, self.rated = event, None
        elif isinstance(event, TaskRated):
            self.rated = event
        elif isinstance(event, TaskRetried):
            self.rated = None

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Tale":
        """The tale that these events tell, oldest first."""
        tale = cls()
        for event in events:
            tale.hear(event)
        return tale

    @property
    def outcome(self) -> Outcome | None:
        """How it ended: as somebody rated it, else as the worker said. None: it has not."""
        if self.ended is None:
            return None
        if self.rated is not None:
            return "success" if self.rated.quality >= GOOD else "failure"
        return "success" if isinstance(self.ended, TaskCompleted) else "failure"


def scope_of(labels: Mapping[str, str]) -> str:
    """The scope of what a task with these labels is about: of its project, if it has one."""
    project = labels.get("project", "")
    return f"project:{project}" if _NAME.match(project) else PROJECT


def lesson(tale: Tale) -> StoreMemory | None:
    """What is to be remembered of a task; None when it has not ended, or nothing is known of it."""
    submitted, ended = tale.submitted, tale.ended
    if submitted is None or ended is None:
        return None
    asked = head(submitted.description, ASKED)
    if isinstance(ended, TaskCompleted):
        kind, learned = "solution", f"Result: {head(_words(ended.result), LEARNED) or 'none was given'}"
    else:
        kind, learned = "failure", _failed(ended)
    labels = {"kind": submitted.kind} if submitted.kind else {}
    return StoreMemory(
        text=f"Task: {asked}\n{learned}",
        kind=kind,
        scope=scope_of(submitted.labels),
        role=submitted.role,
        labels=labels,
        source=Source(
            task=submitted.task,
            agent=ended.agent,
            role=submitted.role,
            repo=submitted.labels.get("repo"),
            requester=submitted.requester,
        ),
    )


def _failed(ended: TaskFailed) -> str:
    failure = ended.failure
    said = f"Failure ({failure.kind}): {head(failure.message, LEARNED)}"
    room = LEARNED - len(failure.message)
    return f"{said}\n{tail(failure.detail, room)}".rstrip() if failure.detail and room > 0 else said


def _words(result: Any) -> str:
    if result is None:
        return ""
    return result if isinstance(result, str) else msgspec.json.encode(result).decode()


def head(text: str, most: int) -> str:
    """The beginning of a text, at most so many characters, without secrets."""
    looked_at = text[:LOOKED_AT]
    clean = redact(looked_at).text.strip()
    if len(clean) <= most:
        # What remains of a text that was cut before may end in half a secret.
        return clean if len(text) <= LOOKED_AT else f"{clean[: clean.rfind(' ') + 1].rstrip()} …"
    return f"{_whole(clean[: most - 2])} …"


def tail(text: str, most: int) -> str:
    """The end of a text, at most so many characters, without secrets."""
    clean = redact(text[-LOOKED_AT:]).text.strip()
    if len(clean) <= most and len(text) <= LOOKED_AT:
        return clean
    kept = clean[-(most - 2) :] if most > 2 else ""
    first = kept.find("\n") + 1 or kept.find(" ") + 1
    return f"… {kept[first:].lstrip()}" if kept else ""


def _whole(text: str) -> str:
    """The text without the mark of a secret that was cut in two at its end."""
    start = text.rfind("[redacted:")
    return text[:start].rstrip() if start >= 0 and "]" not in text[start:] else text.rstrip()
