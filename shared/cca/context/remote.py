"""Shared context, asked from a program: `client.context`.

async with Client.connect() as client:
    plan = await client.context.set("project:shop", "plan", {"step": 1}, ttl_s=3_600)
    await client.context.set("project:shop", "plan", {"step": 2}, expect=plan.revision)
    async for entry in client.context.watch("project:shop"):
        print(entry.key, entry.value)
"""

from collections.abc import AsyncGenerator
from typing import Any

from cca.ask import Ask
from cca.context import watch
from cca.contracts.context import (
    ContextEntries,
    ContextEntry,
    ContextHistory,
    ContextStats,
    DeleteContext,
    GetContext,
    GetContextHistory,
    GetContextStats,
    ListContext,
    ListSnapshots,
    Restored,
    RestoreSnapshot,
    SetContext,
    Snapshot,
    Snapshots,
    TakeSnapshot,
)
from cca.errors import Refused
from cca.nats import subjects
from cca.nats.bus import Bus


class Contexts:
    """Shared context. Every method raises `Busy` when there is no answer for a while, and `Refused` when it is no.

    A scope is `task:ID`, `tree:ID`, `session:ID`, `agent:NAME`, `role:NAME` or `project:NAME`; a key is words with
    dots between. After `Busy` a change may have been made: a lost answer is not a lost change. One that is said again
    with `expect` is then refused; read the key to know.
    """

    def __init__(self, ask: Ask, bus: Bus) -> None:
        self._ask, self._bus = ask, bus

    async def set(
        self,
        scope: str,
        key: str,
        value: Any,
        *,
        ttl_s: float | None = None,
        expect: int | None = None,
        requester: str | None = None,
    ) -> ContextEntry:
        """Put a value, any JSON up to 3 MiB; it is to be had by everybody when this returns.

        Args:
            ttl_s: it is gone after so many seconds, at least 1.
            expect: only if the key is at this revision, 0 for none (`Refused`, `revision-mismatch`).
        """
        command = SetContext(scope, key, value, ttl_s, expect, requester)
        return await self._ask(subjects.RPC_CONTEXT_SET, command, ContextEntry)

    async def get(self, scope: str, key: str) -> ContextEntry:
        """A value and what is known of it. Raises `Refused` (`not-found`)."""
        return await self._ask(subjects.RPC_CONTEXT_GET, GetContext(scope, key), ContextEntry)

    async def value(self, scope: str, key: str, default: Any = None) -> Any:
        """A value alone; `default` when there is none."""
        try:
            return (await self.get(scope, key)).value
        except Refused as refusal:
            if refusal.code != "not-found":
                raise
            return default

    async def delete(
        self, scope: str, key: str, *, expect: int | None = None, requester: str | None = None
    ) -> ContextEntry:
        """Remove a key. One that is not there stays so."""
        command = DeleteContext(scope, key, expect, requester)
        return await self._ask(subjects.RPC_CONTEXT_DELETE, command, ContextEntry)

    async def list(self, scope: str, prefix: str = "", *, values: bool = False) -> tuple[ContextEntry, ...]:
        """The keys of a scope as they are at one moment, by name; with `values`, those that are not large too."""
        command = ListContext(scope, prefix, values)
        return (await self._ask(subjects.RPC_CONTEXT_LIST, command, ContextEntries)).items

    async def history(self, scope: str, key: str, limit: int = 50) -> ContextHistory:
        """What happened to a key, newest first."""
        command = GetContextHistory(scope, key, limit)
        return await self._ask(subjects.RPC_CONTEXT_HISTORY, command, ContextHistory)

    def watch(self, scope: str, prefix: str = "", *, now_too: bool = True) -> AsyncGenerator[ContextEntry, None]:
        """The keys of a scope as they are, then each change, for ever; see `cca.context.watch.watch`."""
        return watch.watch(self._bus, scope, prefix, now_too)

    # ------------------------------------------------------------------------------------ snapshots

    async def snapshot(self, scope: str, note: str = "", *, requester: str | None = None) -> Snapshot:
        """Keep how all of a scope is at one moment."""
        return await self._ask(subjects.RPC_CONTEXT_SNAPSHOT, TakeSnapshot(scope, note, requester), Snapshot)

    async def snapshots(self, scope: str, limit: int = 50) -> tuple[Snapshot, ...]:
        """The snapshots of a scope, newest first."""
        return (await self._ask(subjects.RPC_CONTEXT_SNAPSHOTS, ListSnapshots(scope, limit), Snapshots)).items

    async def restore(
        self,
        scope: str,
        snapshot: str | None = None,
        *,
        into: str | None = None,
        exact: bool = False,
        requester: str | None = None,
    ) -> Restored:
        """Put a scope back to how it was: the newest snapshot unless one is named. Asked again, it changes nothing.

        Args:
            into: another scope to put it in.
            exact: keys that the snapshot does not have are removed.
        """
        command = RestoreSnapshot(scope, snapshot, into, exact, requester)
        return await self._ask(subjects.RPC_CONTEXT_RESTORE, command, Restored)

    async def stats(self) -> ContextStats:
        """How the context service is."""
        return await self._ask(subjects.RPC_CONTEXT_STATS, GetContextStats(), ContextStats)
