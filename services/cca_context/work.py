"""What is done in a worker process: texts are embedded, files are cut into pieces. Nothing waits, nothing raises."""

import msgspec

from cca.code.jobs import ChunkFile, chunk_job
from cca.embed.jobs import EmbedTexts
from cca.pool.answers import answered

WORK = "cca_context.work.do"
"""What makes an answer of a job, by its dotted name."""

_job = msgspec.msgpack.Decoder(EmbedTexts | ChunkFile).decode


def do(job: bytes) -> bytes:
    """Do a job; what goes wrong is an answer, too."""
    return answered(job, _done)


def _done(body: bytes) -> object:
    job = _job(body)
    if isinstance(job, ChunkFile):
        return chunk_job(job)
    # Only a process that embeds loads onnxruntime and the model.
    from cca.embed.minilm import embed_job

    return embed_job(job)
