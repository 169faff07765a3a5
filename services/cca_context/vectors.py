"""Which vectors a corpus is searched by: the table in use, the vector of a query, and how far they are made."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cca.contracts.search import EmbedderInfo
from cca.embed.embedder import Embedder
from cca.errors import Busy
from cca.postgres.tables import Tables
from cca_context.corpus import Corpus

Former = Callable[[str, str], Embedder | None]
"""Finds the embedder of before by id and revision; None when it cannot be had. See `cca.embed.choice.former`."""

_STATE = """
SELECT e.n, e.id, e.revision, e.dimension, e.state, e.problem, e.changed_at, c.changes
FROM cca.search_changes c LEFT JOIN cca.embedders e USING (corpus) WHERE c.corpus = $1 ORDER BY e.n
"""


class VectorTable(Struct, frozen=True):
    """A table of vectors, as `cca.embedders` has it.

    Attributes:
        table: its name. Columns: the key and the filters of the corpus, `version`, and `vec halfvec(dimension)` of
            length 1, so that `-(vec <#> query)` is the cosine. Its HNSW index is for `<#>`.
        state: `retired` ones are dropped a little later, when no search uses them any more.
    """

    n: int
    table: str
    id: str
    revision: str
    dimension: int
    state: Literal["building", "active", "retired"]
    problem: str | None
    changed_at: datetime


class Vectors:
    """The vectors of a corpus, for searches. `Embedding` keeps it up to date.

    Args:
        embedder: the one of the settings; None: searches go by words alone.
        former: finds the one that the table in use was made with, until the settings' own has made all vectors anew.

    Attributes:
        problem: why this process gets no further at present; None when all is well.
        changes: how often what searches find has changed, in this process or another.
        documents: how many texts there are; `embedded`: how many have a vector, by the `n` of the table.
    """

    def __init__(
        self, tables: Tables, embedder: Embedder | None, corpus: Corpus, former: Former = lambda id, revision: None
    ) -> None:
        self.corpus, self.embedder = corpus, embedder
        self.problem: str | None = None
        self.changes = self.documents = 0
        self.embedded: dict[int, int] = {}
        self._tables, self._former = tables, former
        self._formers: dict[tuple[str, str], Embedder | None] = {}
        self._known: tuple[VectorTable, ...] = ()

    @property
    def active(self) -> VectorTable | None:
        """The table that searches use. None: there is none yet, or nobody here can make vectors of queries for it."""
        for table in self._known:
            if table.state == "active" and self.maker(table) is not None:
                return table
        return None

    @property
    def building(self) -> VectorTable | None:
        """The table that is made beside the one in use, and takes its place when it has all that this one has."""
        return next((table for table in self._known if table.state == "building"), None)

    @property
    def note(self) -> str:
        """Why searches find less by meaning than they could; empty when there is nothing to say."""
        if self.embedder is None:
            return "no embedder is set: by words alone"
        active = self.active
        if active is None:
            table = self.building
            done = f" ({self._share(table)})" if table is not None else ""
            return f"vectors are being made{done}: by words alone until then" + self._because(table)
        if self.embedded.get(active.n, 0) < self.documents:
            return f"{self._share(active)} have a vector yet" + self._because(active)
        return ""

    async def query(self, text: str, table: VectorTable | None = None) -> NDArray[np.float32]:
        """The vector of a query, of length 1, made as those of `table` were (of the one in use when None).

        Raises `Busy` when it cannot be made at present.
        """
        table = table or self.active
        maker = self.maker(table) if table is not None else None
        if table is None or maker is None:
            raise Busy(self.note or "there are no vectors yet")
        vector: NDArray[np.float32] = (await maker.embed([text], "query"))[0]
        if len(vector) != table.dimension:
            raise Busy(f"{table.id} gave {len(vector)} numbers where {table.dimension} were expected")
        return vector

    def info(self) -> tuple[EmbedderInfo, ...]:
        """What makes the vectors, and how far it is."""
        found = tuple(
            EmbedderInfo(
                id=table.id,
                revision=table.revision,
                dimension=table.dimension,
                state=table.state,
                documents=self.documents,
                embedded=min(self.embedded.get(table.n, 0), self.documents),
                problem=self.problem or table.problem,
            )
            for table in self._known
            if table.state != "retired"
        )
        if self.embedder is None or not found:
            lexical = EmbedderInfo("", "", 0, "lexical", documents=self.documents, problem=self.problem)
            return (lexical, *found) if self.embedder is None else (lexical,)
        return found

    # -------------------------------------------------------------------------------- for `Embedding`

    @property
    def known(self) -> tuple[VectorTable, ...]:
        """All tables of vectors, oldest first."""
        return self._known

    def maker(self, table: VectorTable) -> Embedder | None:
        """Who makes vectors as those of a table are."""
        own = self.embedder
        if own is None:
            return None
        if (own.id, own.revision) == (table.id, table.revision):
            return own
        which = (table.id, table.revision)
        if which not in self._formers:
            self._formers[which] = self._former(*which)
        return self._formers[which]

    async def refresh(self) -> None:
        """Look which tables there are; another process may have changed that. Raises `Busy`."""
        rows = await self._tables.rows(_STATE, self.corpus.name)
        self._known = tuple(
            VectorTable(row["n"], self.corpus.vectors(row["n"]), *row[1:-1]) for row in rows if row["n"] is not None
        )
        self.changes = max((row["changes"] for row in rows), default=0)

    async def close(self) -> None:
        """Close the embedders that were found; the settings' own belongs to who made it."""
        for embedder in self._formers.values():
            if embedder is not None:
                await embedder.close()
        self._formers.clear()

    def _share(self, table: VectorTable) -> str:
        return f"{min(self.embedded.get(table.n, 0), self.documents)} of {self.documents}"

    def _because(self, table: VectorTable | None) -> str:
        problem = self.problem or (table.problem if table is not None else None)
        return f" ({problem})" if problem else ""
