"""What searches of memories and of code have in common: how they rank, and why a hit stands where it does."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Mode = Literal["hybrid", "dense", "lexical"]
"""By meaning and words, by meaning alone, or by words alone."""
Query = Annotated[str, Meta(min_length=1, max_length=10_000, description="What is looked for, in plain words or code.")]
Limit = Annotated[int, Meta(ge=1, le=200)]


class Why(Struct, frozen=True, omit_defaults=True):
    """Where a score comes from (ML: cosine plus weighted, coverage-weighted BM25).

    Attributes:
        dense: cosine of query and document; None when they were not compared by meaning.
        dense_rank, lexical_rank: place in that list alone, from 1.
        lexical: BM25 (Robertson and Zaragoza, 2009), divided by the best of this search.
        coverage: the share of the query's terms found in the document, weighted by idf, between 0 and 1.
        terms: those that were found.
        utility: factor for how often it helped; `decay`: for how long ago it did. 1 when neither counts.
    """

    dense: float | None = None
    dense_rank: int | None = None
    lexical: float | None = None
    lexical_rank: int | None = None
    coverage: float = 0.0
    terms: tuple[str, ...] = ()
    utility: float = 1.0
    decay: float = 1.0


class EmbedderInfo(Struct, frozen=True, omit_defaults=True):
    """What makes vectors of texts, and how far it is: `embedded` of `documents` have one.

    Attributes:
        id: `minilm-l6-v2-int8`, `openai:text-embedding-3-small`, …; `revision` tells versions of it apart.
        state: `active` (searches use it), `building` (beside the active one, until it has caught up), or `lexical`
            (there is none: searches go by words alone).
        problem: why it gets no further at present.
    """

    id: str
    revision: str
    dimension: int
    state: Literal["active", "building", "lexical"]
    documents: int = 0
    embedded: int = 0
    problem: str | None = None
