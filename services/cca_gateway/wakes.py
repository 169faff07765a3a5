"""Telling waiting readers that there may be something new: shared core subscriptions, no consumer per client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cca.nats.bus import Bus, Subscribed
from cca.nats.wire import Msg


class _Shared:
    """One subscription and those that it wakes."""

    def __init__(self) -> None:
        self.sleepers: set[asyncio.Event] = set()
        self.subscribed: Subscribed | None = None

    def wake(self, _: Msg | None = None) -> None:
        for sleeper in self.sleepers:
            sleeper.set()


class Wakes:
    """Subscriptions by subject. Readers of the same subject share one; it ends with the last of them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._shared: dict[str, _Shared] = {}
        bus.reconnected.append(self.wake_all)  # what was announced meanwhile went to nobody

    @property
    def subjects(self) -> frozenset[str]:
        """What is being listened to."""
        return frozenset(self._shared)

    def wake_all(self) -> None:
        for shared in self._shared.values():
            shared.wake()

    @asynccontextmanager
    async def on(self, *subjects: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set by each message on the subjects, from now on."""
        sleeper = asyncio.Event()
        try:
            for subject in subjects:
                await self._join(subject, sleeper)
            yield sleeper
        finally:
            for subject in subjects:
                await self._leave(subject, sleeper)

    async def _join(self, subject: str, sleeper: asyncio.Event) -> None:
        shared = self._shared.setdefault(subject, _Shared())
        shared.sleepers.add(sleeper)
        if shared.subscribed is None:
            # The server sees the subscription before anything that is asked later on the same connection.
            subscribed = await self._bus.subscribe(subject, shared.wake)
            if shared.subscribed is None and self._shared.get(subject) is shared:
                shared.subscribed = subscribed
            else:
                await subscribed.unsubscribe()

    async def _leave(self, subject: str, sleeper: asyncio.Event) -> None:
        shared = self._shared.get(subject)
        if shared is None:
            return
        shared.sleepers.discard(sleeper)
        if not shared.sleepers:
            del self._shared[subject]
            if shared.subscribed is not None:
                await shared.subscribed.unsubscribe()
