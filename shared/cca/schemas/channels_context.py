"""The channels of shared context, memories and the index of code."""

from cca.contracts import code, context, memory
from cca.message import Command, Event, Reply
from cca.nats import names, subjects
from cca.schemas.channel import CLIENT, CONTEXT, GATEWAY, PROJECTOR, ROUTER, SERVER, Channel, rpc

LISTENERS = (CONTEXT, PROJECTOR, GATEWAY, CLIENT)

CONTEXT_EVENTS: tuple[type[Event], ...] = (context.ContextSet, context.ContextDeleted, context.ContextExpired)
SNAPSHOT_EVENTS: tuple[type[Event], ...] = (context.SnapshotTaken, context.SnapshotRestored)
MEMORY_EVENTS: tuple[type[Event], ...] = (
    memory.MemoryStored,
    memory.MemoryMerged,
    memory.MemoryRated,
    memory.MemoryForgotten,
    memory.MemoryPolicySet,
)
CODE_EVENTS: tuple[type[Event], ...] = (
    code.CodeIndexStarted,
    code.CodeIndexProgressed,
    code.CodeIndexEnded,
    code.CodeDropped,
)


def _events(name: str, address: str, description: str, messages: tuple[type[Event], ...]) -> Channel:
    return Channel(
        name=name,
        address=address,
        kind="stream",
        description=description,
        messages=messages,
        senders=(CONTEXT,),
        receivers=LISTENERS,
        stream=names.EVENTS,
    )


def _ask(address: str, says: type[Command], answer: type[Reply], description: str, *senders: str) -> Channel:
    name = address.removeprefix("cca.rpc.").replace(".", "-")
    return rpc(name, address, says, answer, description, CONTEXT, senders)


CHANNELS: tuple[Channel, ...] = (
    _events(
        "context-events",
        subjects.events("context", "{value}"),
        "What became of a value that agents share.",
        CONTEXT_EVENTS,
    ),
    _events(
        "snapshot-events",
        subjects.events("snapshot", "{scope}.{name}"),
        "How a scope was kept, and put back.",
        SNAPSHOT_EVENTS,
    ),
    _events(
        "memory-events",
        subjects.events("memory", "{memory}"),
        "What is remembered, what counts for and against it; under `policies`, what is remembered of whose tasks.",
        MEMORY_EVENTS,
    ),
    _events("code-events", subjects.events("code", "{job}"), "How a job that indexes code is getting on.", CODE_EVENTS),
    Channel(
        name="contexts",
        address=subjects.context("{value}"),
        kind="stream",
        description="A value that agents share, a key of the bucket: JSON, as long as the server keeps it.",
        senders=(CONTEXT,),
        receivers=(CONTEXT, GATEWAY, CLIENT),
        stream=f"KV_{names.CONTEXT}",
    ),
    Channel(
        name="contents",
        address=subjects.contents("{ref}"),
        kind="stream",
        description="A value that is too large for its event, by the hash of its content, as UTF-8.",
        senders=(CONTEXT,),
        receivers=(CONTEXT,),
        stream=names.CONTENTS,
    ),
    Channel(
        name="memory-policies-now",
        address=subjects.MEMORY_POLICIES,
        kind="stream",
        description="What is remembered of tasks and put before them, a key of the bucket.",
        messages=(memory.MemoryPolicies,),
        senders=(CONTEXT,),
        receivers=(ROUTER, CONTEXT),
        stream=f"KV_{names.STATE}",
    ),
    Channel(
        name="context-timer",
        address=subjects.context_timer("{value}"),
        kind="stream",
        description="A message schedule: the server keeps it until a value expires.",
        messages=(context.ContextDue,),
        senders=(CONTEXT,),
        receivers=(SERVER,),
        stream=names.EVENTS,
    ),
    Channel(
        name="context-due",
        address=subjects.context_due("{value}"),
        kind="stream",
        description="The time of a value has passed.",
        messages=(context.ContextDue,),
        senders=(SERVER,),
        receivers=(CONTEXT,),
        stream=names.EVENTS,
    ),
    _ask(subjects.RPC_CONTEXT_SET, context.SetContext, context.ContextEntry, "Put a value under a key."),
    _ask(subjects.RPC_CONTEXT_GET, context.GetContext, context.ContextEntry, "What a key holds."),
    _ask(subjects.RPC_CONTEXT_DELETE, context.DeleteContext, context.ContextEntry, "Remove a key."),
    _ask(subjects.RPC_CONTEXT_LIST, context.ListContext, context.ContextEntries, "The keys of a scope."),
    _ask(subjects.RPC_CONTEXT_HISTORY, context.GetContextHistory, context.ContextHistory, "What a key held before."),
    _ask(subjects.RPC_CONTEXT_SNAPSHOT, context.TakeSnapshot, context.Snapshot, "Keep how a scope is now."),
    _ask(subjects.RPC_CONTEXT_SNAPSHOTS, context.ListSnapshots, context.Snapshots, "The snapshots of a scope."),
    _ask(subjects.RPC_CONTEXT_RESTORE, context.RestoreSnapshot, context.Restored, "Put a scope back to how it was."),
    _ask(subjects.RPC_CONTEXT_STATS, context.GetContextStats, context.ContextStats, "How the context service is."),
    _ask(subjects.RPC_MEMORY_STORE, memory.StoreMemory, memory.Remembered, "Remember a text."),
    _ask(subjects.RPC_MEMORY_GET, memory.GetMemory, memory.MemoryView, "What is known of a memory."),
    _ask(subjects.RPC_MEMORY_LIST, memory.ListMemories, memory.Memories, "Memories, newest first."),
    _ask(subjects.RPC_MEMORY_SEARCH, memory.SearchMemories, memory.MemoryHits, "Look for memories."),
    _ask(subjects.RPC_MEMORY_RATE, memory.RateMemory, memory.MemoryView, "Say whether a memory helped."),
    _ask(subjects.RPC_MEMORY_FORGET, memory.ForgetMemory, memory.MemoryView, "Remove a memory."),
    _ask(subjects.RPC_MEMORY_RECALL, memory.RecallMemories, memory.Recalled, "What is put before a task.", ROUTER),
    _ask(subjects.RPC_MEMORY_POLICIES, memory.GetMemoryPolicies, memory.MemoryPolicies, "What is remembered of whom."),
    _ask(subjects.RPC_MEMORY_SET_POLICY, memory.SetMemoryPolicy, memory.MemoryPolicies, "Remember a role's tasks."),
    _ask(subjects.RPC_MEMORY_STATS, memory.GetMemoryStats, memory.MemoryStats, "How many memories there are."),
    _ask(subjects.RPC_CODE_INDEX, code.IndexCode, code.CodeJob, "Index a directory, in the background."),
    _ask(subjects.RPC_CODE_JOB, code.GetCodeJob, code.CodeJob, "How a job is getting on."),
    _ask(subjects.RPC_CODE_JOBS, code.ListCodeJobs, code.CodeJobs, "The last jobs."),
    _ask(subjects.RPC_CODE_CANCEL, code.CancelCodeJob, code.CodeJob, "Stop a job."),
    _ask(subjects.RPC_CODE_SEARCH, code.SearchCode, code.CodeHits, "Look for code."),
    _ask(subjects.RPC_CODE_STATS, code.GetCodeStats, code.CodeStats, "What is in the index."),
    _ask(subjects.RPC_CODE_DROP, code.DropCode, code.CodeStats, "Take a project out of the index."),
)
