"""What goes to a worker process to be embedded, and what comes back."""

from msgspec import Struct

from cca.embed.embedder import Kind
from cca.pool.pool import SMALL

PER_JOB = 16
"""Documents in one job: two thirds of a second of work, so that several processes have something to do."""
CHARACTERS = 2_000
"""Of a text, once runs of blanks are one: more than 256 tokens of prose or code. At most 8,000 bytes: a small job."""


class EmbedTexts(Struct, frozen=True, tag=True):
    """Make vectors of texts.

    Attributes:
        ballast: makes a large job of it: documents, however short, are not to stand in the way of queries.
    """

    texts: tuple[str, ...]
    ballast: bytes = b""


class Embedded(Struct, frozen=True):
    """Vectors, as the bytes of their float32 (little-endian), one after the other."""

    vectors: bytes


def jobs(texts: list[str], kind: Kind) -> list[EmbedTexts]:
    """Texts as jobs, in their order: queries one by one in the lane of small jobs, documents in the other."""
    if kind == "query":
        return [EmbedTexts((text,)) for text in texts]
    groups = (tuple(texts[start : start + PER_JOB]) for start in range(0, len(texts), PER_JOB))
    return [EmbedTexts(group, bytes(SMALL)) for group in groups]


def shortened(text: str) -> str:
    """What is looked at of a readable text: blanks mean nothing to the model, and it takes no more tokens."""
    return " ".join(text[: 8 * CHARACTERS].split())[:CHARACTERS]
