"""A stand-in for cca_context: answers its requests on the real bus. Values it keeps, the rest are canned replies.

The service itself is tested in tests/service_context.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from cca.contracts import code, memory
from cca.contracts import context as shared
from cca.contracts.search import EmbedderInfo, Why
from cca.errors import CcaError, Refused
from cca.message import Command, Meta, Reply
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.nats.micro import Service

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
EMBEDDER = EmbedderInfo("minilm-l6-v2-int8", "1", 384, "active", 2, 1)
WHY = Why(dense=0.5, dense_rank=1, lexical=1.0, lexical_rank=2, coverage=0.75, terms=("retry",))
VIEW = memory.MemoryView("m1", "Retry twice.", "lesson", memory.PROJECT, NOW, "backend", successes=2, seq=7)
JOB = code.CodeJob("j1", "/srv/web", "web", "running", code.Tally(files=9, done=4), NOW)
SNAPSHOT = shared.Snapshot("s1", "project:web", NOW, 2, 30, 9)
CODE = code.CodeStats((code.CodeProject("web", "/srv/web", 9, 40, 900, {"python": 40}, NOW),), ("/srv",), (EMBEDDER,))
MEMORIES = memory.MemoryStats(2, {"lesson": 2}, {"": 1, "backend": 1}, 2, 0, (EMBEDDER,))

Key = tuple[str, str]


class ContextService:
    """What it was asked stands in `heard`; `wrong`, when set, is raised instead of every answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus, self._service = bus, Service(bus, "cca_context", "")
        self.values: dict[Key, shared.ContextEntry] = {}
        self.revision = 10
        self.remembered: set[str] = set()
        self.policies = memory.MemoryPolicies()
        self.heard: list[Command] = []
        self.wrong: CcaError | None = None

    async def start(self, stack: AsyncExitStack) -> Self:
        serve = self._serve
        await serve(subjects.RPC_CONTEXT_SET, shared.SetContext, self._set, shared.ContextEntry)
        await serve(subjects.RPC_CONTEXT_GET, shared.GetContext, self._get, shared.ContextEntry)
        await serve(subjects.RPC_CONTEXT_DELETE, shared.DeleteContext, self._delete, shared.ContextEntry)
        await serve(subjects.RPC_CONTEXT_LIST, shared.ListContext, self._list, shared.ContextEntries)
        change = shared.ContextChange("set", 10, NOW, "before", size=8)
        history = shared.ContextHistory("project:web", "plan", (change,))
        await serve(subjects.RPC_CONTEXT_HISTORY, shared.GetContextHistory, lambda _: history, shared.ContextHistory)
        stats = shared.ContextStats(1, 2, 30, "closed", {"hits": 1})
        await serve(subjects.RPC_CONTEXT_STATS, shared.GetContextStats, lambda _: stats, shared.ContextStats)
        await serve(subjects.RPC_CONTEXT_SNAPSHOT, shared.TakeSnapshot, lambda _: SNAPSHOT, shared.Snapshot)
        snapshots = shared.Snapshots("project:web", (SNAPSHOT,))
        await serve(subjects.RPC_CONTEXT_SNAPSHOTS, shared.ListSnapshots, lambda _: snapshots, shared.Snapshots)
        restored = shared.Restored("s1", "project:web", "project:web", 1, 0, 1, 0.1)
        await serve(subjects.RPC_CONTEXT_RESTORE, shared.RestoreSnapshot, lambda _: restored, shared.Restored)

        await serve(subjects.RPC_MEMORY_STORE, memory.StoreMemory, self._store, memory.Remembered)
        await serve(subjects.RPC_MEMORY_GET, memory.GetMemory, self._memory, memory.MemoryView)
        await serve(subjects.RPC_MEMORY_RATE, memory.RateMemory, self._memory, memory.MemoryView)
        await serve(subjects.RPC_MEMORY_FORGET, memory.ForgetMemory, self._memory, memory.MemoryView)
        page = memory.Memories((VIEW,), "older")
        await serve(subjects.RPC_MEMORY_LIST, memory.ListMemories, lambda _: page, memory.Memories)
        hits = memory.MemoryHits((memory.MemoryHit(VIEW, 0.8, WHY),), "hybrid", EMBEDDER.id)
        await serve(subjects.RPC_MEMORY_SEARCH, memory.SearchMemories, lambda _: hits, memory.MemoryHits)
        await serve(subjects.RPC_MEMORY_STATS, memory.GetMemoryStats, lambda _: MEMORIES, memory.MemoryStats)
        kind = memory.MemoryPolicies
        await serve(subjects.RPC_MEMORY_POLICIES, memory.GetMemoryPolicies, lambda _: self.policies, kind)
        await serve(subjects.RPC_MEMORY_SET_POLICY, memory.SetMemoryPolicy, self._set_policy, kind)

        await serve(subjects.RPC_CODE_INDEX, code.IndexCode, lambda _: JOB, code.CodeJob)
        await serve(subjects.RPC_CODE_JOB, code.GetCodeJob, self._job, code.CodeJob)
        await serve(subjects.RPC_CODE_CANCEL, code.CancelCodeJob, self._job, code.CodeJob)
        await serve(subjects.RPC_CODE_JOBS, code.ListCodeJobs, lambda _: code.CodeJobs((JOB,)), code.CodeJobs)
        hit = code.CodeHit("web", "a.py", "python", "function", "f", "def f()", 1, 2, "def f(): ...", 0.9, WHY)
        found = code.CodeHits((hit,), "lexical", note="there is no embedder")
        await serve(subjects.RPC_CODE_SEARCH, code.SearchCode, lambda _: found, code.CodeHits)
        await serve(subjects.RPC_CODE_STATS, code.GetCodeStats, lambda _: CODE, code.CodeStats)
        await serve(subjects.RPC_CODE_DROP, code.DropCode, lambda _: CODE, code.CodeStats)
        await self._bus.flush()  # who asks from here on is heard
        stack.push_async_callback(self._service.stop)
        return self

    def last(self) -> Command:
        """What it was asked last."""
        return self.heard[-1]

    async def _serve(self, subject: str, kind: type[Any], answer: Callable[[Any], Reply], reply: type[Reply]) -> None:
        async def handle(command: Command, _: Meta) -> Reply:
            self.heard.append(command)
            if self.wrong is not None:
                raise self.wrong
            return answer(command)

        await self._service.serve(subject, kind, handle, reply)

    # ------------------------------------------------------------------------------------ values

    def _set(self, command: shared.SetContext) -> shared.ContextEntry:
        at = self._expect(command.scope, command.key, command.expect)
        self.revision += 1
        gone = None if command.ttl_s is None else NOW + timedelta(seconds=command.ttl_s)
        entry = shared.ContextEntry(
            *at, self.revision, value=command.value, set_at=NOW, expires_at=gone, requester=command.requester
        )
        self.values[at] = entry
        return entry

    def _get(self, command: shared.GetContext) -> shared.ContextEntry:
        entry = self.values.get((command.scope, command.key))
        if entry is None:
            raise Refused("not-found", f"there is no {command.key} in {command.scope}")
        return entry

    def _delete(self, command: shared.DeleteContext) -> shared.ContextEntry:
        at = self._expect(command.scope, command.key, command.expect)
        self._get(shared.GetContext(*at))
        self.revision += 1
        del self.values[at]
        return shared.ContextEntry(*at, self.revision, there=False)

    def _expect(self, scope: str, key: str, expect: int | None) -> Key:
        entry = self.values.get((scope, key))
        now = 0 if entry is None else entry.revision
        if expect not in (None, now):
            raise Refused("revision-mismatch", f"expected {expect}, and it is {now}")
        return scope, key

    def _list(self, command: shared.ListContext) -> shared.ContextEntries:
        found = (entry for at, entry in sorted(self.values.items()) if at[0] == command.scope)
        return shared.ContextEntries(command.scope, tuple(one for one in found if one.key.startswith(command.prefix)))

    # ------------------------------------------------------------------------------------ the rest

    def _store(self, command: memory.StoreMemory) -> memory.Remembered:
        created = command.text not in self.remembered
        self.remembered.add(command.text)
        return memory.Remembered("m1", created, 0.0 if created else 1.0)

    def _memory(self, command: Any) -> memory.MemoryView:
        if command.memory != VIEW.memory:
            raise Refused("not-found", f"there is no memory {command.memory}")
        return VIEW

    def _set_policy(self, command: memory.SetMemoryPolicy) -> memory.MemoryPolicies:
        roles = {role: policy for role, policy in self.policies.roles.items() if role != command.role}
        if command.policy is not None:
            roles[command.role] = command.policy
        self.policies = memory.MemoryPolicies(self.policies.version + 1, roles)
        return self.policies

    def _job(self, command: Any) -> code.CodeJob:
        if command.job != JOB.job:
            raise Refused("not-found", f"there is no job {command.job}")
        return JOB
