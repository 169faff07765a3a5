"""What the service does with jobs in its worker processes, for the embedding ones alone. Run there, by name."""

import msgspec

from cca.embed.jobs import EmbedTexts
from cca.embed.minilm import embed_job
from cca.pool.answers import answered

_job = msgspec.msgpack.Decoder(EmbedTexts).decode


def do(job: bytes) -> bytes:
    """Do a job; what goes wrong is an answer, too."""
    return answered(job, lambda body: embed_job(_job(body)))
