"""What makes vectors of texts."""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cca.tokens.vocabularies import well_formed

Kind = Literal["query", "document"]
"""What is looked for, or where it is looked for: some models tell them apart."""
Rows = NDArray[np.float32]
"""Vectors as rows."""

BLANK = "(empty)"
"""What a text without any words is taken for: providers refuse empty ones."""


class Embedder(Protocol):
    """Makes vectors of texts. Any number of tasks may ask at once.

    Attributes:
        id: `minilm-l6-v2-int8`, `openai:text-embedding-3-small`, …
        revision: tells versions of it apart. Vectors are compared with those of the same id and revision alone.
        dimension: numbers in a vector; 0 as long as that is not known: the first answer tells it.
        max_tokens: of a text; what comes after them is not looked at.
    """

    @property
    def id(self) -> str: ...
    @property
    def revision(self) -> str: ...
    @property
    def dimension(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...

    async def embed(self, texts: Sequence[str], kind: Kind) -> Rows:
        """One vector of length 1 for each text, in their order, as rows that nobody may write to.

        Every text gets one, whatever is in it. Raises `Busy` when it cannot be done now, `Misconfigured` when the
        settings have to be changed first (key, model, URL, dimension), `Refused` when this installation is broken.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Closing twice does no harm."""
        ...


def readable(text: str) -> str:
    """The text as it is embedded: without NUL, lone surrogates and blanks around it, and not empty."""
    return well_formed(text).replace("\0", " ").strip() or BLANK


def normalized(rows: Rows) -> Rows:
    """The same directions with length 1. Raises `ValueError` for rows that have none: zero, or not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        # In double precision: the squares of what a float32 can hold do not fit into one.
        lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and lengths.all()):
        raise ValueError("a vector that is zero or not finite")
    unit: Rows = (rows / lengths).astype(np.float32)
    unit.flags.writeable = False
    return unit


def none_of(dimension: int) -> Rows:
    """No vectors."""
    return np.empty((0, dimension), np.float32)
