"""What goes to a worker process to be embedded, and what comes back."""

from msgspec import Struct

from cca.embed.embedder import Kind

PER_JOB = 16
"""Documents in one job: two thirds of a second of work, so that several processes have something to do."""
CHARACTERS = 2_000
"""Of a text, once runs of blanks are one: more than 256 tokens of prose or code. At most 8,000 bytes: a small job."""


class EmbedTexts(Struct, frozen=True, tag=True):
    """Make vectors of texts."""

    texts: tuple[str, ...]


class Embedded(Struct, frozen=True):
    """Vectors, as the bytes of their float32 (little-endian), one after the other."""

    vectors: bytes


def jobs(texts: list[str], kind: Kind) -> list[EmbedTexts]:
    """Texts as jobs, in their order: queries one by one, documents in groups."""
    if kind == "query":
        return [EmbedTexts((text,)) for text in texts]
    return [EmbedTexts(tuple(texts[start : start + PER_JOB])) for start in range(0, len(texts), PER_JOB)]


def shortened(text: str) -> str:
    """What is looked at of a readable text: blanks mean nothing to the model, and it takes no more tokens."""
    return " ".join(text[: 8 * CHARACTERS].split())[:CHARACTERS]
