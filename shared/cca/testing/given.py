"""Decisions told in three parts: given what has happened, when something is asked, then this follows.

given(TASK, submitted, routed).when(lambda task: cancel(command, task)).then(TaskCanceled(...))
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from cca.decider import Decision, Fold
from cca.errors import Refused
from cca.message import Event, Side

S = TypeVar("S")


def given(fold: Fold[S], *events: Event) -> "Given[S]":
    """These events have happened, in this order."""
    return Given(fold, fold.over(fold.initial, events))


class Given(Generic[S]):
    """A state that something may be asked of."""

    def __init__(self, fold: Fold[S], state: S) -> None:
        self.fold, self.state = fold, state

    def when(self, decide: Callable[[S], Decision | tuple[Decision, Any]]) -> "When[S]":
        """Ask. A decision may come with an answer. The same is asked again: it must then change nothing."""
        try:
            decision, answer = _parts(decide(self.state))
        except Refused as refusal:
            return When(Decision(), refusal, self.state)
        after = self.fold.over(self.state, decision.events)
        try:
            again, _ = _parts(decide(after))
        except Refused:
            again = Decision()
        assert not again.events, f"asked twice, it happened twice: {again.events}"
        return When(decision, answer, after)


class When(Generic[S]):
    """What was decided: `events` and `sides`, the `answer` (or the refusal), and the `state` after it."""

    def __init__(self, decision: Decision, answer: Any, state: S) -> None:
        self.events, self.sides, self.answer, self.state = decision.events, decision.sides, answer, state

    def then(self, *events: Event) -> "When[S]":
        """Exactly these events follow; none, if none is given."""
        assert not isinstance(self.answer, Refused), f"refused: {self.answer}"
        assert self.events == events, f"decided {self.events}, expected {events}"
        return self

    def then_kinds(self, *kinds: type[Event]) -> "When[S]":
        """Events of exactly these types follow."""
        assert not isinstance(self.answer, Refused), f"refused: {self.answer}"
        assert tuple(map(type, self.events)) == kinds, f"decided {self.events}, expected {kinds}"
        return self

    def answering(self, answer: object) -> "When[S]":
        """And this is the answer."""
        assert self.answer == answer, f"answered {self.answer}, expected {answer}"
        return self

    def with_sides(self, *sides: Side) -> "When[S]":
        """And exactly these messages go with the events."""
        assert self.sides == sides, f"sides {self.sides}, expected {sides}"
        return self

    def refused(self, code: str) -> "When[S]":
        """It is refused with this code, and nothing happens."""
        assert isinstance(self.answer, Refused), f"not refused: {self.events} {self.answer}"
        assert self.answer.code == code, f"refused as {self.answer.code}, expected {code}: {self.answer}"
        return self


def _parts(decided: Decision | tuple[Decision, Any]) -> tuple[Decision, Any]:
    return (decided, None) if isinstance(decided, Decision) else decided
