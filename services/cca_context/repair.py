"""What a crash has left between log and bucket is put right: at the next start, and by those who live on."""

import asyncio
import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from cca.errors import Busy, CcaError, Unknown, Unreadable
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.follow import Doubt, Follower, last_position
from cca.projection import Entry
from cca_context.kv import Keys, name_of

logger = logging.getLogger("cca_context")

EVENTS = subjects.events("context", ">")
NOTE = subjects.state("context.repaired")
MOST = 256
"""Events that are looked at together."""
AT_ONCE = 32
"""Keys that are looked at at the same time."""
GRACE_S = 1.0
"""Who has appended an event has so long to put it in the bucket."""
NOTE_S = 5.0
"""The position is noted so often: what is looked at again after a crash is little."""


class Noted(Struct, frozen=True):
    """Up to `seq` the bucket that was made at `bucket` has what the log says."""

    seq: int
    bucket: str


_noted = msgspec.json.Decoder(Noted).decode


class Repair:
    """Follows the log, and sees that the bucket does. Every instance does it: the bucket never goes back."""

    def __init__(self, bus: Bus, keys: Keys) -> None:
        self._bus, self._keys = bus, keys
        self._following: asyncio.Task[None] | None = None
        self.repaired = 0
        """How many keys the bucket did not have as they are."""
        self.seq = 0
        """Up to here the bucket has what the log says."""

    async def start(self) -> None:
        """Begin."""
        self._following = asyncio.create_task(self._keep_following())

    async def stop(self) -> None:
        """Follow no longer."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    async def _keep_following(self) -> None:
        pause, said = 0.1, ""
        while True:
            try:
                await self._follow()
            except Doubt:
                pause = 0.1
            except CcaError as error:
                logger.log(logging.DEBUG if str(error) == said else logging.WARNING, "%s; trying again", error)
                said = str(error)
            except Exception:
                logger.exception("following the log for the bucket failed")
                pause = 5.0
            await asyncio.sleep(pause + random.uniform(0, pause))
            pause = min(pause * 2, 5.0)

    async def _follow(self) -> None:
        made = (await self._keys.bucket.figures()).created
        self.seq = await self._begin(made)
        noted, noted_at = self.seq, 0.0
        loop = asyncio.get_running_loop()
        follower = await Follower.start(self._bus, "context_repair", self.seq, EVENTS)
        try:
            while True:
                entries = await follower.take(MOST, wait_s=NOTE_S, gather_s=0.1)
                if entries:
                    await self._see_to(entries)
                    self.seq = entries[-1].seq
                if self.seq > noted and loop.time() - noted_at > NOTE_S:
                    await self._note(Noted(self.seq, made))
                    noted, noted_at = self.seq, loop.time()
        finally:
            await follower.stop()

    async def _begin(self, made: str) -> int:
        """Where to begin: after what was noted for this bucket and this log."""
        raw = await stored.last(self._bus, f"KV_{names.STATE}", NOTE)
        if raw is None:
            return 0
        try:
            noted = _noted(raw.body)
        except msgspec.DecodeError:
            return 0
        if noted.bucket != made:
            logger.warning("the bucket of contexts is new; it is filled from the log")
            return 0
        if noted.seq > await last_position(self._bus):
            # What the log does not know of has not happened; its positions would stand above all that follows.
            logger.warning("the log is an older copy of itself; the bucket of contexts is made again from it")
            await self._keys.bucket.clear()
            await self._note(Noted(0, made))
            return 0
        return noted.seq

    async def _see_to(self, entries: Sequence[Entry]) -> None:
        """See that the bucket has what these events say, once who appended them had the time to put it there."""
        age = (datetime.now(UTC) - entries[-1].time).total_seconds()
        if age < GRACE_S:
            await asyncio.sleep(min(GRACE_S - age, GRACE_S))
        newest: dict[str, int] = {entry.subject: entry.seq for entry in entries}
        limit = asyncio.Semaphore(AT_ONCE)

        async def see_to(subject: str, seq: int) -> None:
            async with limit:
                try:
                    name, scope, key = name_of(subject)
                    if await self._keys.repair(name, seq):
                        self.repaired += 1
                        logger.warning("the bucket did not have %s of %s as the log has it", key, scope)
                except (ValueError, Unknown, Unreadable) as error:
                    logger.warning("%s is left as it is: %s", subject, error)

        for result in await asyncio.gather(*(see_to(*one) for one in newest.items()), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _note(self, noted: Noted) -> None:
        answer = await self._bus.request(NOTE, msgspec.json.encode(noted))
        if b'"error"' in answer:
            raise Busy(f"the position of the repair cannot be noted: {answer[:200].decode(errors='replace')}")
