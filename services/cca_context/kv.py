"""Keys of shared context: a change goes into the log first, then into the bucket, from which keys are read."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from cca.context import kept as kept_as
from cca.context.kept import Kept
from cca.context.scopes import key_name, parts, scope_name, values_of
from cca.contracts.context import ContextEvent
from cca.decider import Decision
from cca.errors import Busy, Conflict, Refused
from cca.message import Meta, Seq, Side, Stream
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.frames import PubAck, recorded, rfc3339
from cca.nats.kv import Bucket, Cell
from cca.nats.log import JetStreamLog
from cca_context.context_decide import timer

TRIES = 10
"""A change that is overtaken so often in a row is given up."""
REMEMBERED = 10_000
"""So many of the newest changes are remembered as being in the bucket."""

Decide = Callable[[Kept], Decision]

_ack = msgspec.json.Decoder(PubAck).decode


class Seen(Struct, frozen=True):
    """How a key was found.

    Attributes:
        cell: its position in the bucket.
        sure: the log was asked; otherwise a change may not have reached the bucket yet.
    """

    kept: Kept
    cell: int
    sure: bool = False


class Keys:
    """Reads and changes keys. Several instances may: the log decides, and the bucket never goes back."""

    def __init__(self, bus: Bus, log: JetStreamLog) -> None:
        self._bus, self._log = bus, log
        self.bucket = Bucket(bus, names.CONTEXT)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._in_bucket: OrderedDict[str, int] = OrderedDict()

    # ------------------------------------------------------------------------------------ reading

    async def look(self, scope: str, key: str) -> Seen:
        """How a key is, as the bucket has it; where that has nothing, as the log tells. Raises `Busy`."""
        name = key_name(scope, key)
        cell = await self.bucket.last(subjects.context(name))
        kept = kept_as.read(cell)
        if kept.revision:
            return Seen(kept, cell.seq)
        return Seen(await self.newest(name), cell.seq, sure=True)

    async def read(self, scope: str, key: str) -> Kept:
        """How a key is, by one request to the bucket. Raises `Busy`."""
        name = key_name(scope, key)
        cell = await self.bucket.last(subjects.context(name))
        kept = kept_as.read(cell)
        # Something of others stands there: it means nothing.
        return await self.newest(name) if cell.body is not None and not kept.revision else kept

    async def newest(self, name: str) -> Kept:
        """How a key is by its last event in the log. Raises `Busy`, `Unknown`."""
        raw = await stored.last(self._bus, names.EVENTS, subjects.events("context", name))
        if raw is None:
            return Kept()
        one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
        return kept_as.after(cast("ContextEvent", one.event), one.seq, one.meta.time)

    async def sure(self, name: str) -> Seen:
        """How a key is by the log. Raises `Busy`, `Unknown`."""
        cell = await self.bucket.last(subjects.context(name))
        return Seen(await self.newest(name), cell.seq, sure=True)

    async def all(self, scope: str, prefix: str = "", values: bool = False) -> dict[str, Seen]:
        """The keys of a scope that begin with `prefix`, as they are at one moment, and those just removed.

        Without `values`, inline values are left out. Raises `Busy`.
        """

        def read(cell: Cell) -> Seen:
            kept = kept_as.read(cell)
            return Seen(kept if values else msgspec.structs.replace(kept, value=msgspec.UNSET), cell.seq)

        found = await self.bucket.all(values_of(scope, prefix), read)
        start = len(subjects.context(scope_name(scope))) + 1
        return {subject[start:]: seen for subject, seen in found.items() if subject.startswith(prefix, start)}

    async def count(self, scope: str, enough: int) -> int:
        """How many keys a scope has; exactly only from `enough` on. Raises `Busy`."""
        rough = await self.bucket.count(values_of(scope))  # with the marks of what was removed
        if rough < enough:
            return rough
        now = datetime.now(UTC)
        return sum(seen.kept.live(now) for seen in (await self.all(scope)).values())

    # ------------------------------------------------------------------------------------ changing

    async def change(self, scope: str, key: str, decide: Decide, cause: Meta, seen: Seen | None = None) -> Kept:
        """Decide on a key, and have what was decided in the log and in the bucket; how the key is then.

        `decide` may run several times; it must be pure. `seen` is how the key was found, perhaps a while ago.
        Raises `Busy`, and the `Refused` of the decision. After `Busy` the change may be in the log: then it is in
        the bucket a moment later, by `repair`.
        """
        name = key_name(scope, key)
        stream = Stream("context", name)
        lock = self._lock(name)
        if lock.locked():
            seen = None  # it will be otherwise
        async with lock:  # those of this process wait for each other, and do not overtake
            seen, lost = seen or await self.look(scope, key), False
            for _ in range(TRIES):
                try:
                    decision = decide(seen.kept)
                except Refused:
                    if not seen.sure:
                        seen = await self.sure(name)
                        continue
                    if lost:
                        await self.arm(scope, key, seen.kept)
                    raise
                if not decision.events:
                    if lost:
                        await self.arm(scope, key, seen.kept)
                    if seen.sure:  # an instance may have ended between log and bucket
                        await self._mend(name, seen.kept.revision)
                    return seen.kept
                try:
                    seq = await self._log.append(
                        stream, decision.events, after=Seq(seen.kept.revision), cause=cause, sides=decision.sides
                    )
                except Conflict:
                    lost = lost or bool(decision.sides)
                    seen = await self.sure(name)
                    continue
                event = cast("ContextEvent", decision.events[-1])
                kept = kept_as.after(event, seq, cause.time)
                await self.keep(name, kept, Cell(seen.cell))
                return kept
            if lost:
                await self.arm(scope, key, seen.kept)
        raise Busy(f"{stream.subject}: overtaken {TRIES} times in a row")

    async def keep(self, name: str, kept: Kept, there: Cell) -> bool:
        """Put in the bucket how a key is, in place of `there`; False when the bucket was ahead. Raises `Busy`."""
        subject = subjects.context(name)
        for _ in range(TRIES):
            if there.revision >= kept.revision:
                return False
            now = datetime.now(UTC)
            body, ttl_s = None, None
            if kept.live(now):
                body = kept_as.body(kept)
                if kept.expires_at is not None:
                    ttl_s = max(1, math.ceil((kept.expires_at - now).total_seconds()))
            if await self.bucket.put(subject, kept.revision, body, there.seq, ttl_s):
                self._remember(name, kept.revision)
                return True
            # First what is there, then what the log says: who writes after that is seen to have been here.
            there = await self.bucket.last(subject)
            kept = await self.newest(name)
        raise Busy(f"{subject}: overtaken {TRIES} times in a row")

    async def repair(self, name: str, revision: int) -> bool:
        """See that the bucket has a key as it is since an event; True when it had not. Raises `Busy`, `Unknown`."""
        if self._in_bucket.get(name, 0) >= revision:
            return False
        return await self._mend(name, revision)

    async def arm(self, scope: str, key: str, kept: Kept) -> None:
        """Set the timer of a key that expires: one for a decision that was not made may stand in its place.

        Raises `Busy`.
        """
        if not kept.there or kept.expires_at is None:
            return
        side = timer(scope, key, kept.expires_at, kept.revision)
        await self._set(side)

    # ------------------------------------------------------------------------------------ parts

    async def _mend(self, name: str, revision: int) -> bool:
        there = await self.bucket.last(subjects.context(name))
        if there.revision >= revision:
            return False
        kept = await self.newest(name)
        if there.body is None and not kept.live(datetime.now(UTC)):
            return False
        return await self.keep(name, kept, there)

    async def _set(self, side: Side) -> None:
        assert side.at is not None and side.target is not None
        headers = {
            "ce-id": side.dedup,
            "ce-type": side.type,
            "ce-source": self._bus.name,
            "Nats-Schedule": f"@at {rfc3339(side.at)}",
            "Nats-Schedule-Target": side.target,
        }
        ack = _ack(await self._bus.request(side.subject, side.body, headers))
        if ack.error is not None:
            raise Busy(f"the log refused a timer: {ack.error.get('description')}")

    def _lock(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    def _remember(self, name: str, revision: int) -> None:
        self._in_bucket[name] = max(revision, self._in_bucket.pop(name, 0))
        while len(self._in_bucket) > REMEMBERED:
            self._in_bucket.popitem(last=False)


def name_of(subject: str) -> tuple[str, str, str]:
    """The name, the scope and the key of an event's subject. Raises `ValueError`."""
    name = subject.removeprefix(subjects.events("context", ""))
    return name, *parts(name)
