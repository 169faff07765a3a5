"""The aggregates of memories: one for each memory, and `policies`."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import assert_never, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.memory import (
    EVERYONE,
    POLICIES,
    ForgetMemory,
    MemoryEvent,
    MemoryForgotten,
    MemoryMerged,
    MemoryPolicies,
    MemoryPolicy,
    MemoryPolicySet,
    MemoryRated,
    MemoryStored,
    Outcome,
    SetMemoryPolicy,
    Source,
    StoreMemory,
)
from cca.decider import Decision, Fold
from cca.errors import Refused
from cca.message import Event, Stream

RESERVED = frozenset((POLICIES, "search", "stats", "export"))
"""What no memory can be called: these are other things in the log, or on paths of HTTP."""
NOTHING = Decision()
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
ROLES = 1_000
"""So many roles may have a policy: all of them travel in one message."""

Spread = Mapping[str, Mapping[str, Outcome]]
"""Outcomes by task, in groups by the end of its id: of thousands, an event copies only a few."""


# ------------------------------------------------------------------------------------------ memories


class Memory(Struct, frozen=True):
    """What decisions know of one memory.

    Attributes:
        stored: the event that stored it, the last one if it was forgotten in between; None: there never was one.
        forgotten: why it is not there any more.
        rated: the outcomes that are counted, by task.
        taught: what has said the same: sources, and tasks by themselves.
    """

    stored: MemoryStored | None = None
    forgotten: str | None = None
    successes: int = 0
    failures: int = 0
    merged: int = 0
    rated: Spread = {}
    taught: frozenset[str] = frozenset()

    @property
    def there(self) -> MemoryStored | None:
        """What it says; None when it is not, or no longer, there."""
        return None if self.forgotten else self.stored

    def outcome(self, task: str) -> Outcome | None:
        """What is counted of a task."""
        return self.rated.get(task[-2:], {}).get(task)


def evolve(memory: Memory, event: MemoryEvent) -> Memory:
    """The memory after an event."""
    match event:  # a new event in the union is a type error at the bottom
        case MemoryStored():
            return Memory(
                event,
                successes=event.successes,
                failures=event.failures,
                taught=memory.taught | {_teacher(event.source)},  # the same task does not teach it again
            )
        case MemoryMerged():
            return replace(memory, merged=memory.merged + 1, taught=memory.taught | {_teacher(event.source)})
        case MemoryRated():
            counted = {"success": memory.successes, "failure": memory.failures}
            if event.was is not None:
                counted[event.was] = max(counted[event.was] - 1, 0)
            counted[event.outcome] += 1
            rated = memory.rated
            if event.task is not None:
                group = event.task[-2:]
                rated = {**rated, group: {**rated.get(group, {}), event.task: event.outcome}}
            return replace(memory, successes=counted["success"], failures=counted["failure"], rated=rated)
        case MemoryForgotten():
            return replace(memory, forgotten=event.why)
    assert_never(event)


MEMORY: Fold[Memory] = Fold(Memory(), cast("Callable[[Memory, Event], Memory]", evolve))


def stream(memory: str) -> Stream:
    """The aggregate of a memory."""
    return Stream("memory", memory)


def digest(text: str) -> str:
    """The same for texts that differ in case, spaces and forms of the same letters alone."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.sha256(plain.encode("utf-8", "replace")).hexdigest()[:32]


def id_of(scope: str, role: str | None, text: str) -> str:
    """The id of a memory that was given none: the same text in the same scope and role is the same memory."""
    named = "\0".join((scope, "" if role is None else role, digest(text)))
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def is_id(memory: str) -> bool:
    """Whether a memory can be called so: it becomes part of a subject."""
    return _ID.match(memory) is not None and memory not in RESERVED


def store(
    command: StoreMemory, memory_id: str, redacted: dict[str, int], now: datetime, own: bool, memory: Memory
) -> Decision:
    """Remember a text. What says the same as before merges into it, once for each source.

    Args:
        command: without secrets; `redacted` says how many of which sort were taken out.
        now: used when the command does not say since when it is known.
        own: nobody asked for it: a task teaches it by itself. What was forgotten on purpose stays so.

    Raises `Refused` (`key-reused`) when the id means another text.
    """
    there, told = memory.there, digest(command.text)
    if there is not None:
        if there.digest != told:
            raise Refused("key-reused", f"memory {memory_id} is another text; forget it first, or use another id")
        return merge(command.source, memory_id, 1.0, memory)
    if own and (memory.forgotten == "asked" or _teacher(command.source) in memory.taught):
        return NOTHING
    event = MemoryStored(
        memory_id,
        command.text,
        command.kind,
        command.scope,
        told,
        role=command.role,
        labels=command.labels,
        source=command.source,
        redacted=redacted,
        successes=command.successes,
        failures=command.failures,
        created_at=command.created_at or now,
    )
    return Decision((event,))


def merge(source: Source, memory_id: str, similarity: float, memory: Memory) -> Decision:
    """The same was learned again; the same source says it once."""
    if memory.there is None or _teacher(source) in memory.taught:
        return NOTHING
    return Decision((MemoryMerged(memory_id, source, similarity),))


def rate(
    memory_id: str,
    outcome: Outcome,
    memory: Memory,
    *,
    task: str | None = None,
    comment: str = "",
    requester: str | None = None,
    required: bool = True,
) -> Decision:
    """Count for or against a memory; of each task, the last word.

    Raises `Refused` (`not-found`) for a memory that is not there, when it is `required`.
    """
    if memory.there is None:
        if required:
            raise missing(memory_id)
        return NOTHING
    was = None if task is None else memory.outcome(task)
    if was == outcome:
        return NOTHING
    return Decision((MemoryRated(memory_id, outcome, task, was, comment, requester),))


def forget(command: ForgetMemory, memory: Memory) -> Decision:
    """Forget what somebody asks to. Raises `Refused` (`not-found`) when there is no such memory."""
    if memory.there is None:
        raise missing(command.memory)
    return Decision((MemoryForgotten(command.memory, "asked", command.reason, command.requester),))


def make_room(memory_id: str, memory: Memory) -> Decision:
    """Forget what is more than is kept."""
    return NOTHING if memory.there is None else Decision((MemoryForgotten(memory_id, "capped"),))


def missing(memory_id: str) -> Refused:
    """There is none."""
    return Refused("not-found", f"there is no memory {memory_id}")


def _teacher(source: Source) -> str:
    return f"task {source.task}" if source.task is not None else msgspec.json.encode(source).decode()


# ------------------------------------------------------------------------------------------ policies

STREAM = Stream("memory", POLICIES)


class Policies(Struct, frozen=True):
    """The policies by role; `version` counts their changes."""

    version: int = 0
    roles: dict[str, MemoryPolicy] = {}

    def of(self, role: str | None) -> MemoryPolicy | None:
        """The policy of a role: its own, else everyone's. None for what is of no role."""
        return None if role is None else self.roles.get(role) or self.roles.get(EVERYONE)

    def snapshot(self) -> MemoryPolicies:
        """What others need of them."""
        return MemoryPolicies(self.version, self.roles)


def evolve_policies(policies: Policies, event: MemoryPolicySet) -> Policies:
    """The policies after an event."""
    roles = {role: policy for role, policy in policies.roles.items() if role != event.role}
    if event.policy is not None:
        roles[event.role] = event.policy
    return Policies(event.version, dict(sorted(roles.items())))


FOLD: Fold[Policies] = Fold(Policies(), cast("Callable[[Policies, Event], Policies]", evolve_policies))


def set_policy(command: SetMemoryPolicy, least: int, policies: Policies) -> Decision:
    """Set or remove the policy of a role; what is so already changes nothing.

    Args:
        least: a version that others may have. It is above ours when the log is an older copy of itself.

    Raises `Refused` (`too-many`).
    """
    if policies.roles.get(command.role) == command.policy:
        return NOTHING
    if command.policy is not None and command.role not in policies.roles and len(policies.roles) >= ROLES:
        raise Refused("too-many", f"{ROLES:,} roles have a policy; remove one, or set one for `{EVERYONE}`")
    version = max(policies.version, least) + 1
    return Decision((MemoryPolicySet(version, command.role, command.policy, command.reason, command.requester),))
