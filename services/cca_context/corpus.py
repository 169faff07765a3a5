"""The two sorts of texts that are searched, as data: where they are, by what searches are limited, what is embedded."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

LONGEST = 2_000
"""Characters of a text from which its vector is made, at most: models read no more of it, or pay little heed to it."""


class Corpus(Struct, frozen=True):
    """Texts in a table, and the tables of what is made of them.

    Attributes:
        name: also the first word of the tables of vectors.
        key: the column of the source that is its primary key, and of that name in all tables made of it.
        key_type: its type in PostgreSQL.
        source: the table of the texts.
        version: a column of the source: another value says that the text is another. Newer rows have greater ones.
        text: an SQL expression over the source `s`: what is embedded, and of which words are made.
        filters: the columns by which searches can be limited, with their types. Every table has them.
        indexes: the columns of its btrees in each table of vectors.
        terms: the table with the columns `words` and `terms`. It is the source itself where that comes with them.
        lock: the first half of the advisory locks of those who write what is made of it.
    """

    name: Literal["memory", "code"]
    key: str
    key_type: str
    source: str
    version: str
    text: str
    filters: Mapping[str, str]
    indexes: tuple[tuple[str, ...], ...]
    terms: str
    lock: int

    @property
    def own_terms(self) -> bool:
        """Whether words are made of the texts here, and not by who writes the source."""
        return self.terms != self.source

    def vectors(self, n: int) -> str:
        """The table of the vectors that embedder `n` makes."""
        return f"cca.{self.name}_vectors_{n}"


MEMORY = Corpus(
    name="memory",
    key="memory",
    key_type="text",
    source="cca.memories",
    version="stored_seq",
    text="s.text",
    filters={"scope": "text", "role": "text", "kind": "text", "created_at": "timestamptz"},
    indexes=(("scope", "created_at"), ("role", "created_at"), ("kind", "created_at"), ("created_at",)),
    terms="cca.memory_terms",
    lock=0x0CCA_0501,
)
CODE = Corpus(
    name="code",
    key="chunk",
    key_type="bigint",
    source="cca.code_chunks",
    version="chunk",
    text=f"left(s.title || E'\\n' || s.text, {LONGEST})",
    filters={"project": "text", "language": "text", "kind": "text", "path": "text"},
    indexes=(("project", "path"), ("language",), ("kind",)),
    terms="cca.code_chunks",
    lock=0x0CCA_0502,
)
