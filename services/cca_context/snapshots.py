"""Snapshots: how a scope was at one moment, and putting it, or another, back to that."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Iterable
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct

from cca.context import kept as kept_as
from cca.context.kept import Kept
from cca.context.scopes import scope_name
from cca.contracts.context import (
    INLINE,
    KEYS,
    ListSnapshots,
    Restored,
    RestoreSnapshot,
    Snapshot,
    SnapshotEvent,
    SnapshotRestored,
    Snapshots,
    SnapshotTaken,
    TakeSnapshot,
)
from cca.errors import Busy, Conflict, Refused, Unknown, Unreadable
from cca.ids import uuid7
from cca.message import Meta, Recorded, Seq, Stream
from cca.nats import names, stored
from cca.nats.blobs import Blobs
from cca.nats.bus import Bus
from cca.nats.frames import recorded
from cca.nats.log import JetStreamLog
from cca.storable import text_without_nul
from cca.tokens.markers import ref_of
from cca_context.context_decide import Value, delete, put
from cca_context.kv import Decide, Keys, Seen

AT_ONCE = 64
"""Keys, or values, that are on their way at the same time."""
SMALL = 2 * 1024
"""Bytes of a value up to which it stands in the list of a snapshot; others by reference, so that the list is small."""
TRIES = 20

T = TypeVar("T")


class Item(Struct, frozen=True, omit_defaults=True):
    """A key as the list of a snapshot has it, which is stored for ever. `value` is JSON; `ref` is where it is else."""

    key: str
    revision: int
    size: int
    value: Raw | msgspec.UnsetType = UNSET
    ref: str | None = None
    expires_at: datetime | None = None


_items = msgspec.json.Decoder(tuple[Item, ...]).decode


class Shelf:
    """Takes snapshots, and puts them back."""

    def __init__(self, bus: Bus, log: JetStreamLog, keys: Keys, blobs: Blobs) -> None:
        self._bus, self._log, self._keys, self._blobs = bus, log, keys, blobs

    async def take(self, command: TakeSnapshot, meta: Meta) -> Snapshot:
        """Answered when values, list and event are stored. Raises `Busy`."""
        found = await self._keys.all(command.scope, values=True)
        now = datetime.now(UTC)
        items: list[Item] = []
        texts: dict[str, str] = {}
        for key, seen in sorted(found.items()):
            if not seen.kept.live(now):
                continue
            ref, value = seen.kept.ref, kept_as.inline(seen.kept)
            if value is not None and seen.kept.size > SMALL:
                text = bytes(value).decode()
                ref, value = ref_of(text), None
                texts[ref] = text
                if len(texts) % 16 == 0:
                    await asyncio.sleep(0)
            json = UNSET if value is None else value
            items.append(Item(key, seen.kept.revision, seen.kept.size, json, ref, seen.kept.expires_at))
        await self._put(texts)
        contents = msgspec.json.encode(items).decode()
        ref = ref_of(contents)
        await self._blobs.put_all({ref: contents})
        taken = SnapshotTaken(
            snapshot=uuid7(),
            scope=command.scope,
            ref=ref,
            keys=len(items),
            size=sum(item.size for item in items),
            # It has not changed since: it was the same when the log was there.
            revision=max((seen.kept.revision for seen in found.values()), default=0),
            note=text_without_nul(command.note),
            requester=None if command.requester is None else text_without_nul(command.requester),
        )
        await self._append(command.scope, taken, meta)
        return _told(taken, meta.time)

    async def list(self, command: ListSnapshots) -> Snapshots:
        """The newest. Raises `Busy`."""
        newest: deque[Snapshot] = deque(maxlen=command.limit)
        async for one in self._events(command.scope):
            if isinstance(one.event, SnapshotTaken):
                newest.append(_told(one.event, one.meta.time))
        return Snapshots(command.scope, tuple(reversed(newest)))

    async def restore(self, command: RestoreSnapshot, meta: Meta) -> Restored:
        """Put back what differs. Asked again, it changes nothing. Raises `Refused` (`not-found`), and `Busy`."""
        begun = monotonic()
        taken = await self._find(command.scope, command.snapshot)
        into = command.into or command.scope
        items = await self._read(taken)
        there = await self._keys.all(into, values=True)
        restoring = _Restoring(self._keys, self._blobs, taken, into, command.requester, meta)
        wanted, now = {item.key for item in items}, datetime.now(UTC)
        others = [key for key, seen in there.items() if key not in wanted and seen.kept.live(now)]
        if not command.exact and len(wanted) + len(others) > KEYS:
            raise Refused("too-many", f"{into} would have more than {KEYS:,} keys; restore into another scope")
        work: list[Awaitable[bool]] = [restoring.put(item, there.get(item.key)) for item in items]
        if command.exact:
            work += [restoring.delete(key, there[key]) for key in others]
        changed = await _together(work)
        put, deleted = sum(changed[: len(items)]), sum(changed[len(items) :])
        restored = SnapshotRestored(
            snapshot=taken.snapshot,
            scope=command.scope,
            into=into,
            set=put,
            deleted=deleted,
            unchanged=len(items) - put,
            requester=restoring.requester,
        )
        if put or deleted:
            await self._append(command.scope, restored, meta)
        return Restored(
            taken.snapshot, command.scope, into, put, deleted, len(items) - put, round(monotonic() - begun, 4)
        )

    # ------------------------------------------------------------------------------------ parts

    async def _find(self, scope: str, snapshot: str | None) -> SnapshotTaken:
        found = None
        async for one in self._events(scope):
            if isinstance(one.event, SnapshotTaken) and snapshot in (None, one.event.snapshot):
                found = one.event
        if found is None:
            which = "no snapshot" if snapshot is None else f"no snapshot {snapshot}"
            raise Refused("not-found", f"there is {which} of {scope}")
        return found

    async def _read(self, taken: SnapshotTaken) -> tuple[Item, ...]:
        blob = await self._blobs.get(taken.ref)
        if blob is None:
            raise Busy(f"the list of snapshot {taken.snapshot} ({taken.ref}) cannot be read")
        now = datetime.now(UTC)
        items = _items(blob.text.encode())
        return tuple(item for item in items if item.expires_at is None or item.expires_at > now)

    async def _put(self, texts: dict[str, str]) -> None:
        some: dict[str, str] = {}
        for ref, text in texts.items():
            some[ref] = text
            if len(some) == AT_ONCE:
                await self._blobs.put_all(some)
                some = {}
        await self._blobs.put_all(some)

    async def _events(self, scope: str) -> AsyncIterator[Recorded[SnapshotEvent]]:
        """What happened to snapshots of a scope, oldest first, without what only others can read."""
        async for raw in self._log.scan(_stream(scope).subject):
            try:
                one = recorded(raw.subject, raw.seq, raw.headers, raw.body)
            except (Unknown, Unreadable):
                continue
            if isinstance(one.event, SnapshotTaken | SnapshotRestored):
                yield Recorded(one.event, one.meta, one.seq, one.subject)

    async def _append(self, scope: str, event: SnapshotEvent, cause: Meta) -> None:
        """Tell the log: it depends on nothing that was said before."""
        stream = _stream(scope)
        for _ in range(TRIES):
            last = await stored.last(self._bus, names.EVENTS, stream.subject)
            try:
                await self._log.append(stream, (event,), after=last.seq if last else Seq(0), cause=cause)
                return
            except Conflict:
                continue  # another snapshot of the same scope
        raise Busy(f"{stream.subject}: overtaken {TRIES} times in a row")


class _Restoring(Struct, frozen=True):
    """One restore: what is the same for all its keys."""

    keys: Keys
    blobs: Blobs
    taken: SnapshotTaken
    into: str
    who: str | None
    cause: Meta

    @property
    def requester(self) -> str | None:
        return None if self.who is None else text_without_nul(self.who)

    async def put(self, item: Item, seen: Seen | None) -> bool:
        """Put a value back; False when it was so already."""
        kept = seen.kept if seen else Kept()
        if self.into == self.taken.scope and kept.there and kept.revision == item.revision:
            return False
        value = await self._value(item)
        decide = partial(
            put,
            self.into,
            item.key,
            value,
            item.expires_at,
            self.requester,
            self.taken.snapshot,
            None,
            self.cause.time,
        )
        return await self._changed(item.key, decide, seen)

    async def delete(self, key: str, seen: Seen) -> bool:
        """Remove a key that the snapshot does not have."""
        decide = partial(delete, self.into, key, self.requester, self.taken.snapshot, None, self.cause.time)
        return await self._changed(key, decide, seen)

    async def _changed(self, key: str, decide: Decide, seen: Seen | None) -> bool:
        known = seen if seen and seen.kept.revision else await self.keys.look(self.into, key)
        return (await self.keys.change(self.into, key, decide, self.cause, known)).revision != known.kept.revision

    async def _value(self, item: Item) -> Value:
        if item.ref is None:
            return Value(item.value if isinstance(item.value, Raw) else Raw(b"null"), None, item.size)
        if item.size > INLINE:
            return Value(None, item.ref, item.size)
        blob = await self.blobs.get(item.ref)
        if blob is None:
            raise Busy(f"the value of {item.key} in snapshot {self.taken.snapshot} ({item.ref}) cannot be read")
        return Value(Raw(blob.text.encode()), None, item.size)


def _stream(scope: str) -> Stream:
    return Stream("snapshot", scope_name(scope))


def _told(event: SnapshotTaken, time: datetime) -> Snapshot:
    return Snapshot(
        snapshot=event.snapshot,
        scope=event.scope,
        taken_at=time,
        keys=event.keys,
        size=event.size,
        revision=event.revision,
        note=event.note,
        requester=event.requester,
    )


async def _together(work: Iterable[Awaitable[T]]) -> list[T]:
    """All of it, some at a time. When something fails the rest is still done; then that is raised."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(awaitable: Awaitable[T]) -> T:
        async with limit:
            return await awaitable

    results = await asyncio.gather(*map(one, work), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
