"""Memories as the log has them: loaded, changed, shown; those of late are kept in mind."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime

from cca.contracts.memory import MemoryView
from cca.decider import At, Decision, load, transact
from cca.log import EventLog
from cca.message import Meta, Seq
from cca_context.memory_decide import MEMORY, Memory, is_id, missing, stream

KEPT = 2_000
"""Memories whose state is kept: the log is only asked for what is new of them."""
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Aggregates:
    """One aggregate for each memory. Everything raises `Busy` when the log cannot be reached."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._kept: OrderedDict[str, At[Memory]] = OrderedDict()

    async def load(self, memory: str) -> At[Memory]:
        """How it is now. Raises `Refused` (`not-found`) for what no memory is called; never stored is no error."""
        _check(memory)
        return self._keep(memory, await load(self._log, stream(memory), MEMORY, self._kept.get(memory)))

    async def change(self, memory: str, decide: Callable[[Memory], Decision], cause: Meta) -> At[Memory]:
        """Decide about it, and append that. Raises what `decide` refuses, and `Refused` as `load` does."""
        _check(memory)
        known = self._kept.get(memory)
        if known is not None:
            # What is decided of an old state may be nothing, or a refusal, that the log would not bear out.
            known = await load(self._log, stream(memory), MEMORY, known)
        return self._keep(
            memory, await transact(self._log, stream(memory), MEMORY, decide, cause=cause, known=known, attempts=20)
        )

    def _keep(self, memory: str, at: At[Memory]) -> At[Memory]:
        if at.seq == Seq(0):
            return at  # there is none of that name, and there may be many such names
        self._kept[memory] = at
        self._kept.move_to_end(memory)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return at


def view(at: At[Memory], used: int = 0, used_at: datetime | None = None) -> MemoryView:
    """A memory that was stored, as it is or as it was. Raises `ValueError` for one that never was."""
    memory, stored = at.state, at.state.stored
    if stored is None:
        raise ValueError("it was never stored")
    return MemoryView(
        memory=stored.memory,
        text=stored.text,
        kind=stored.kind,
        scope=stored.scope,
        created_at=stored.created_at or _LONG_AGO,
        role=stored.role,
        labels=stored.labels,
        source=stored.source,
        successes=memory.successes,
        failures=memory.failures,
        merged=memory.merged,
        used=used,
        used_at=used_at,
        redacted=stored.redacted,
        seq=at.seq,
    )


def _check(memory: str) -> None:
    if not is_id(memory):
        raise missing(memory)
