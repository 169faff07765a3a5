"""What the context service answers about shared context: one method for each question."""

import asyncio
from collections import deque
from datetime import UTC, datetime, timedelta
from functools import partial

from msgspec import Raw

from cca import codec
from cca.context import kept as kept_as
from cca.context.scopes import key_name
from cca.contracts.context import (
    INLINE,
    KEYS,
    LARGEST,
    ContextChange,
    ContextDeleted,
    ContextEntries,
    ContextEntry,
    ContextExpired,
    ContextHistory,
    ContextSet,
    DeleteContext,
    GetContext,
    GetContextHistory,
    ListContext,
    ListSnapshots,
    Restored,
    RestoreSnapshot,
    SetContext,
    Snapshot,
    Snapshots,
    TakeSnapshot,
)
from cca.errors import Busy, Refused, Unknown, Unreadable
from cca.message import Meta
from cca.nats import names, subjects
from cca.nats.blobs import Blobs
from cca.nats.bus import HEADROOM, Bus
from cca.nats.log import JetStreamLog
from cca.nats.stored import Raw as StoredMessage
from cca.storable import text_without_nul
from cca.tokens.markers import ref_of
from cca_context import snapshots
from cca_context.context_decide import Value, delete, put
from cca_context.expiry import Expiry
from cca_context.kv import Keys
from cca_context.repair import Repair

PAUSE = 256 * 1024
"""Bytes of JSON after which others get their turn."""


class Contexts:
    """Shared context and its snapshots. Reading a key needs neither PostgreSQL nor the log.

    Values in what the methods return are `msgspec.Raw`: JSON that goes into the answer as it is.
    """

    def __init__(self, bus: Bus, log: JetStreamLog) -> None:
        self._bus, self._log = bus, log
        self.keys = Keys(bus, log)
        self._blobs = Blobs(bus, names.CONTENTS)
        self._snapshots = snapshots.Shelf(bus, log, self.keys, self._blobs)
        self._expiry, self._repair = Expiry(bus, self.keys), Repair(bus, self.keys)

    async def start(self) -> None:
        """Let values expire, and put right what was cut short. Returns at once; what is away is waited for."""
        await self._repair.start()
        await self._expiry.start()

    async def stop(self) -> None:
        """Finish what is at hand."""
        await self._expiry.stop()
        await self._repair.stop()

    # ------------------------------------------------------------------------------------ keys

    async def set_value(self, command: SetContext, meta: Meta) -> ContextEntry:
        """Answered when it is in the log and in the bucket.

        Raises `Refused` (`revision-mismatch`, `too-large`, `too-deep`, `too-many`), and `Busy`.
        """
        value = await self._value(command.value)
        now = datetime.now(UTC)
        expires_at = None if command.ttl_s is None else now + timedelta(seconds=command.ttl_s)
        seen = await self.keys.look(command.scope, command.key)
        if not seen.kept.live(now) and await self.keys.count(command.scope, KEYS) >= KEYS:
            raise Refused("too-many", f"{command.scope} has {KEYS:,} keys; remove some, or use another scope")
        requester = _text(command.requester)
        decide = partial(put, command.scope, command.key, value, expires_at, requester, None, command.expect, now)
        kept = await self.keys.change(command.scope, command.key, decide, meta, seen)
        return kept_as.entry(command.scope, command.key, kept, now, kept_as.inline(kept) or value.json)

    async def get(self, command: GetContext, meta: Meta) -> ContextEntry:
        """Raises `Refused` (`not-found`), and `Busy`."""
        kept = await self.keys.read(command.scope, command.key)
        now = datetime.now(UTC)
        if not kept.live(now):
            raise Refused("not-found", f"there is no {command.key} in {command.scope}")
        value = kept_as.inline(kept)
        if value is None and kept.ref is not None:
            self._see_that_it_fits(kept.size, "the value is too large for one message")
            blob = await self._blobs.get(kept.ref)
            if blob is None:
                raise Busy(f"the value of {command.key} in {command.scope} ({kept.ref}) cannot be read")
            value = Raw(blob.text.encode())
        return kept_as.entry(command.scope, command.key, kept, now, value)

    async def delete(self, command: DeleteContext, meta: Meta) -> ContextEntry:
        """Removing what is not there changes nothing. Raises `Refused` (`revision-mismatch`), and `Busy`."""
        now = datetime.now(UTC)
        decide = partial(delete, command.scope, command.key, _text(command.requester), None, command.expect, now)
        kept = await self.keys.change(command.scope, command.key, decide, meta)
        return ContextEntry(command.scope, command.key, kept.revision, there=False)

    async def list(self, command: ListContext, meta: Meta) -> ContextEntries:
        """Raises `Refused` (`too-large`) for more values than one message holds, and `Busy`."""
        found = await self.keys.all(command.scope, command.prefix, command.values)
        now = datetime.now(UTC)
        live = {key: seen.kept for key, seen in found.items() if seen.kept.live(now)}
        if command.values:
            size = sum(kept.size for kept in live.values() if kept.ref is None)
            self._see_that_it_fits(
                size + 300 * len(live), "the values are too many for one message; ask for fewer, or without them"
            )
        entries = (
            kept_as.entry(command.scope, key, kept, now, kept_as.inline(kept)) for key, kept in sorted(live.items())
        )
        return ContextEntries(command.scope, tuple(entries))

    async def history(self, command: GetContextHistory, meta: Meta) -> ContextHistory:
        """As many as fit in one message. Raises `Busy`."""
        subject = subjects.events("context", key_name(command.scope, command.key))
        newest: deque[StoredMessage] = deque(maxlen=command.limit)
        async for stored in self._log.scan(subject):
            newest.append(stored)
        changes: list[ContextChange] = []
        room, read = self._bus.nc.max_payload - HEADROOM, 0
        for stored in reversed(newest):
            room -= len(stored.body) + 100
            if room < 0 and changes:
                break
            try:
                changes.append(_change(stored))
            except (Unknown, Unreadable):
                continue  # of a newer version, or of others
            read += len(stored.body)
            if read > PAUSE:
                await asyncio.sleep(0)
                read = 0
        return ContextHistory(command.scope, command.key, tuple(changes))

    # ------------------------------------------------------------------------------------ snapshots

    async def snapshot(self, command: TakeSnapshot, meta: Meta) -> Snapshot:
        """Answered when it is stored. Raises `Busy`."""
        return await self._snapshots.take(command, meta)

    async def snapshots(self, command: ListSnapshots, meta: Meta) -> Snapshots:
        """Raises `Busy`."""
        return await self._snapshots.list(command)

    async def restore(self, command: RestoreSnapshot, meta: Meta) -> Restored:
        """Answered when all of it can be read. Raises `Refused` (`not-found`), and `Busy`: ask again then."""
        return await self._snapshots.restore(command, meta)

    # ------------------------------------------------------------------------------------ parts

    async def _value(self, value: object) -> Value:
        """The value as it is stored; a large one is when this returns."""
        try:
            json = kept_as.raw(value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Refused("bad-value", f"this is no JSON: {error}") from None
        size = len(bytes(json))
        if size > LARGEST:
            raise Refused("too-large", f"the value is {size:,} bytes as JSON, and may have {LARGEST:,}")
        if size <= INLINE:
            return Value(json, None, size)
        text = bytes(json).decode()
        ref = await asyncio.to_thread(ref_of, text)
        await self._blobs.put_all({ref: text})
        return Value(json, ref, size)

    def _see_that_it_fits(self, size: int, otherwise: str) -> None:
        if size > self._bus.nc.max_payload - HEADROOM:
            raise Refused("too-large", f"{size:,} bytes: {otherwise}")


def _change(stored: StoredMessage) -> ContextChange:
    """One change of a key. Raises `Unknown`, `Unreadable`."""
    event = codec.decode(stored.headers.get("ce-type", ""), stored.body)
    said = stored.headers.get("ce-time")
    time = stored.time if said is None else datetime.fromisoformat(said)
    match event:
        case ContextSet():
            return ContextChange(
                what="set",
                revision=stored.seq,
                time=time,
                value=None if event.ref is not None else kept_as.raw(event.value),
                ref=event.ref,
                size=event.size,
                expires_at=event.expires_at,
                requester=event.requester,
                snapshot=event.snapshot,
            )
        case ContextDeleted():
            return ContextChange("deleted", stored.seq, time, requester=event.requester, snapshot=event.snapshot)
        case ContextExpired():
            return ContextChange("expired", stored.seq, time, expires_at=event.expires_at)
    raise Unknown(codec.tag_of(type(event)))


def _text(text: str | None) -> str | None:
    return None if text is None else text_without_nul(text)
