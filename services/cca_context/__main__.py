"""`python -m cca_context`: everything that the context service listens to, on one screen."""

from contextlib import AsyncExitStack

from msgspec.structs import replace

from cca.codec import tag_of
from cca.config import Settings
from cca.contracts import code, context, memory
from cca.embed.choice import former, make
from cca.nats import subjects
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog
from cca.nats.micro import Service
from cca.nats.wire import Msg
from cca.pool.pool import Pool
from cca.postgres import tables
from cca.postgres.migrate import migrate
from cca.postgres.pool import Connection
from cca.service import run
from cca_context.code_answers import Code
from cca_context.context_decide import see_that_it_is_read_soon
from cca_context.contexts import Contexts
from cca_context.corpus import CODE, MEMORY
from cca_context.embedding import Embedding
from cca_context.figures import FiguresOfService
from cca_context.memories import Memories
from cca_context.search import Searcher
from cca_context.vectors import Vectors
from cca_context.work import WORK

BACKGROUND = 6
"""Connections to PostgreSQL for words and vectors of memories and of code, for a job, and for a look between."""
NEW_TEXTS = tuple(tag_of(kind).encode() for kind in (memory.MemoryStored, memory.MemoryForgotten))
"""After these there are words and vectors to make, or to remove."""


async def start(settings: Settings, service: Service, bus: Bus, stack: AsyncExitStack) -> None:
    """Answer questions. The processes that embed are there when the first is asked."""
    log = JetStreamLog(bus, settings.log.batch_from, announce=True)
    held = await stack.enter_async_context(tables.connect(settings.postgres, service.name, prepare))
    # What goes on in the background holds connections for long, and locks with them: no search is to wait for those.
    own = replace(settings.postgres, pool_size=BACKGROUND)
    behind = await stack.enter_async_context(tables.connect(own, f"{service.name} background", prepare))
    pool = Pool(WORK)
    stack.push_async_callback(pool.close)
    embedder = make(settings.context, pool)
    if embedder is not None:
        stack.push_async_callback(embedder.close)

    memory_vectors, code_vectors = (
        Vectors(held, embedder, corpus, former(settings.context, pool)) for corpus in (MEMORY, CODE)
    )
    memory_search, code_search = Searcher(held, MEMORY, memory_vectors), Searcher(held, CODE, code_vectors)
    stack.push_async_callback(memory_search.close)
    stack.push_async_callback(code_search.close)
    memories = Memories(bus, log, held, memory_search, memory_vectors, settings.context)
    memory_embedding = Embedding(behind, memory_vectors, memories.answers.clear)
    codes = Code(bus, log, held, behind, pool, code_search, code_vectors, settings.context)
    code_embedding = Embedding(behind, code_vectors, codes.answers.clear)
    codes.on_change = code_embedding.wake
    contexts = Contexts(bus, log)
    figures = FiguresOfService(held, memories.answers.figures, codes.answers.figures)

    def on_memory(msg: Msg) -> None:
        if any(tag in msg.data for tag in NEW_TEXTS):
            memory_embedding.wake()

    heard = await bus.subscribe(subjects.live("memory", ">"), on_memory)
    stack.push_async_callback(heard.unsubscribe)
    for part in (figures, memory_embedding, code_embedding, contexts, memories, codes):
        await part.start()
        stack.push_async_callback(part.stop)

    await service.serve(
        subjects.RPC_CONTEXT_SET,
        context.SetContext,
        contexts.set_value,
        context.ContextEntry,
        check=see_that_it_is_read_soon,
    )
    await service.serve(subjects.RPC_CONTEXT_GET, context.GetContext, contexts.get, context.ContextEntry)
    await service.serve(subjects.RPC_CONTEXT_DELETE, context.DeleteContext, contexts.delete, context.ContextEntry)
    await service.serve(subjects.RPC_CONTEXT_LIST, context.ListContext, contexts.list, context.ContextEntries)
    await service.serve(
        subjects.RPC_CONTEXT_HISTORY, context.GetContextHistory, contexts.history, context.ContextHistory
    )
    await service.serve(subjects.RPC_CONTEXT_SNAPSHOT, context.TakeSnapshot, contexts.snapshot, context.Snapshot)
    await service.serve(subjects.RPC_CONTEXT_SNAPSHOTS, context.ListSnapshots, contexts.snapshots, context.Snapshots)
    await service.serve(subjects.RPC_CONTEXT_RESTORE, context.RestoreSnapshot, contexts.restore, context.Restored)
    await service.serve(subjects.RPC_CONTEXT_STATS, context.GetContextStats, figures.stats, context.ContextStats)

    await service.serve(subjects.RPC_MEMORY_STORE, memory.StoreMemory, memories.store, memory.Remembered)
    await service.serve(subjects.RPC_MEMORY_GET, memory.GetMemory, memories.get, memory.MemoryView)
    await service.serve(subjects.RPC_MEMORY_LIST, memory.ListMemories, memories.list, memory.Memories)
    await service.serve(subjects.RPC_MEMORY_SEARCH, memory.SearchMemories, memories.search, memory.MemoryHits)
    await service.serve(subjects.RPC_MEMORY_RATE, memory.RateMemory, memories.rate, memory.MemoryView)
    await service.serve(subjects.RPC_MEMORY_FORGET, memory.ForgetMemory, memories.forget, memory.MemoryView)
    await service.serve(subjects.RPC_MEMORY_RECALL, memory.RecallMemories, memories.recall, memory.Recalled)
    await service.serve(
        subjects.RPC_MEMORY_POLICIES, memory.GetMemoryPolicies, memories.policies, memory.MemoryPolicies
    )
    await service.serve(
        subjects.RPC_MEMORY_SET_POLICY, memory.SetMemoryPolicy, memories.set_policy, memory.MemoryPolicies
    )
    await service.serve(subjects.RPC_MEMORY_STATS, memory.GetMemoryStats, memories.stats, memory.MemoryStats)

    await service.serve(subjects.RPC_CODE_INDEX, code.IndexCode, codes.index, code.CodeJob)
    await service.serve(subjects.RPC_CODE_JOB, code.GetCodeJob, codes.job, code.CodeJob)
    await service.serve(subjects.RPC_CODE_JOBS, code.ListCodeJobs, codes.jobs, code.CodeJobs)
    await service.serve(subjects.RPC_CODE_CANCEL, code.CancelCodeJob, codes.cancel, code.CodeJob)
    await service.serve(subjects.RPC_CODE_SEARCH, code.SearchCode, codes.search, code.CodeHits)
    await service.serve(subjects.RPC_CODE_STATS, code.GetCodeStats, codes.stats, code.CodeStats)
    await service.serve(subjects.RPC_CODE_DROP, code.DropCode, codes.drop, code.CodeStats)


async def prepare(connection: Connection) -> None:
    """Make the tables that are this service's own."""
    await migrate(connection, "cca_context")


if __name__ == "__main__":
    run("cca_context", "What agents share and remember, and the index of code.", start)
