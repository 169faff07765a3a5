"""The heart of event sourcing: read, decide, append, and again when somebody else was faster."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from cca.errors import Busy, Conflict
from cca.log import EventLog
from cca.message import Event, Meta, Seq, Side, Stream

S = TypeVar("S")


class Decision(Struct, frozen=True):
    """What a decision adds to the log: events, and the messages that are committed with them."""

    events: tuple[Event, ...] = ()
    sides: tuple[Side, ...] = ()


class Fold(Struct, Generic[S], frozen=True):
    """How the state of an aggregate follows from its events."""

    initial: S
    evolve: Callable[[S, Event], S]

    def over(self, state: S, events: Sequence[Event]) -> S:
        for event in events:
            state = self.evolve(state, event)
        return state


class At(Struct, Generic[S], frozen=True):
    """A state, and the position in the log that it was folded up to."""

    state: S
    seq: Seq


async def load(log: EventLog, stream: Stream, fold: Fold[S], known: At[S] | None = None) -> At[S]:
    """The state of an aggregate now; `known` saves reading what was folded before."""
    state, seq = (known.state, known.seq) if known else (fold.initial, Seq(0))
    async for recorded in log.read(stream, after=seq):
        state, seq = fold.evolve(state, recorded.event), recorded.seq
    return At(state, seq)


async def transact(
    log: EventLog,
    stream: Stream,
    fold: Fold[S],
    decide: Callable[[S], Decision],
    *,
    cause: Meta,
    known: At[S] | None = None,
    attempts: int = 5,
) -> At[S]:
    """Decide on the state of an aggregate and append what was decided.

    `decide` may run several times; it must be pure. `known` is a state that may be out of date: an append
    that meets a newer log is refused, the rest is read, and the decision is made again. Raises `Busy` when
    `attempts` decisions in a row were overtaken.
    """
    at = known or await load(log, stream, fold)
    for _ in range(attempts):
        decision = decide(at.state)
        if not decision.events:
            return at
        try:
            seq = await log.append(stream, decision.events, after=at.seq, cause=cause, sides=decision.sides)
        except Conflict:
            at = await load(log, stream, fold, at)
            continue
        return At(fold.over(at.state, decision.events), seq)
    raise Busy(f"{stream.subject}: overtaken {attempts} times in a row")
