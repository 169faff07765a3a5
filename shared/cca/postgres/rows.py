"""The rows of a table that a fold has at hand, so that it needs no database while it thinks."""

from itertools import islice
from typing import Any, Generic, TypeVar

from msgspec import Struct

from cca.postgres.table import OpenTable, Table

R = TypeVar("R", bound=Struct)


class Rows(Generic[R]):
    """The rows of one table that a fold has at hand: those it has made or changed, and some open ones from before.

    Args:
        table: where they belong.
        keep: how many rows to remember after they are written, for the events that follow; see `worth`.
    """

    def __init__(self, table: Table[R], keep: int = 0) -> None:
        self.table = table
        self._keep = keep
        self._known: dict[Any, R] = {}  # oldest first
        self._born: dict[Any, R] = {}
        self._changed: dict[Any, R] = {}
        self._gone: dict[Any, R] = {}
        self._missing: set[Any] = set()

    def need(self, key: Any) -> None:
        """Before the fold: this row will be asked for."""
        if key not in self._known:
            self._missing.add(key)

    def get(self, key: Any) -> R | None:
        """A row to be changed, as it is now; None if there is none. It must have been needed, or born since."""
        row = self._born.get(key) or self._changed.get(key)
        if row is None and key not in self._gone and (row := self._known.get(key)) is not None:
            self._changed[key] = row
        return row

    def born(self, key: Any, row: R) -> R:
        """A row begins its life here; what was there under its key is forgotten."""
        self._changed.pop(key, None)
        self._born[key] = row
        return row

    def gone(self, key: Any) -> None:
        """A row ends its life here. It must have been needed, or born since."""
        row = self.get(key)
        if row is not None and self._born.pop(key, None) is None:
            del self._changed[key]
            self._gone[key] = row

    def part(self, key: Any, row: R) -> R:
        """A row of which only some columns are given: those that it has are filled into what is there."""
        found = self._born.get(key) or self._changed.get(key)
        if found is None:
            found = self._changed[key] = row
        return found

    def forget(self) -> None:
        """Drop everything: the next fold starts from what the table says."""
        for rows in (self._known, self._born, self._changed, self._gone, self._missing):
            rows.clear()

    async def load(self, table: OpenTable[R]) -> None:
        if self._missing:
            for row in await table.load(self._missing):
                self._known[getattr(row, self.table.key[0])] = row
            self._missing.clear()

    async def write(self, table: OpenTable[R], careful: bool) -> None:
        if self._gone:
            await table.delete(list(self._gone.values()))
        if self._changed:
            await table.update(list(self._changed.values()))
        if self._born:
            rows = list(self._born.values())
            if careful:
                await table.delete(rows)
            await table.insert(rows)

    def written(self) -> None:
        """After the commit: remember what is worth it, and not more than `keep` rows."""
        known, keep = self._known, self._keep
        for key in self._gone:
            known.pop(key, None)
        if keep:
            for rows in (self._changed, self._born):
                for key, row in rows.items():
                    known.pop(key, None)
                    if self.worth(row):
                        known[key] = row
            if len(known) > keep:
                for key in list(islice(known, len(known) - keep)):
                    del known[key]
        else:
            known.clear()
        self._changed.clear()
        self._born.clear()
        self._gone.clear()

    def worth(self, row: R) -> bool:
        """Whether a row is likely to change again soon."""
        return True


class Sums(Rows[R]):
    """Rows of which only what is to be added is at hand; the table's own are never read, the database adds them up.

    What is added must come to the same in any order and in any portions: whole numbers, and the greater of two.
    """

    async def write(self, table: OpenTable[R], careful: bool) -> None:
        if self._changed:
            await table.add(list(self._changed.values()))
