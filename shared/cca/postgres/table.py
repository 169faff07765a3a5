"""A table that is written from structs in groups: new rows by binary COPY, changed ones by one UPDATE."""

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from cca.errors import Misconfigured
from cca.postgres.pool import Connection

R = TypeVar("R", bound=Struct)

_COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""


class Table(Generic[R]):
    """The rows of a table as structs whose fields are its columns; the database says their types.

    Args:
        name: without its schema.
        row: the struct. Its first fields are the primary key.
        key: how many they are.
        fixed: columns that never change once a row is there; an update leaves them out, a load leaves them empty.
        fill: columns in which None means "as it was" when a row is updated; a load leaves them empty, too.
    """

    def __init__(
        self, name: str, row: type[R], *, key: int = 1, fixed: Sequence[str] = (), fill: Sequence[str] = ()
    ) -> None:
        self.name, self.row = name, row
        self.columns = row.__struct_fields__
        self.key = self.columns[:key]
        self.fixed, self.fill = frozenset(fixed), frozenset(fill)
        self._set = tuple(c for c in self.columns if c not in self.fixed and c not in self.key)
        self._pick = attrgetter(*self.key, *self._set) if self._set else None

    async def open(self, db: Connection, schema: str) -> "OpenTable[R]":
        """Look at the table in a schema. Raises `Misconfigured` when its columns are not the struct's fields."""
        records = await db.fetch(_COLUMNS, f"{schema}.{self.name}")
        types: dict[str, str] = {record[0]: record[1] for record in records}
        if types.keys() != set(self.columns):
            other = sorted(types.keys() ^ set(self.columns))
            raise Misconfigured(f"table {schema}.{self.name} and this version differ in {', '.join(other)}")
        return OpenTable(self, db, schema, types)


class OpenTable(Generic[R]):
    """A table on a connection."""

    def __init__(self, table: Table[R], db: Connection, schema: str, types: dict[str, str]) -> None:
        self._table, self._db, self._schema = table, db, schema
        name = f"{schema}.{table.name}"
        arrays = {column: f"{kind}[]" for column, kind in types.items()}
        empty = table.fixed | table.fill
        loaded = (f"NULL::{types[c]}" if c in empty else c for c in table.columns)
        self._load = f"SELECT {', '.join(loaded)} FROM {name} WHERE {table.key[0]} = ANY($1::{arrays[table.key[0]]})"
        given = [*table.key, *table._set]
        unnest = ", ".join(f"${number}::{arrays[column]}" for number, column in enumerate(given, start=1))
        values = (f"{c} = coalesce(v.{c}, t.{c})" if c in table.fill else f"{c} = v.{c}" for c in table._set)
        same = " AND ".join(f"t.{column} = v.{column}" for column in table.key)
        self._update = (
            f"UPDATE {name} t SET {', '.join(values)} FROM unnest({unnest}) AS v({', '.join(given)}) WHERE {same}"
        )
        keys = ", ".join(f"${number}::{arrays[column]}" for number, column in enumerate(table.key, start=1))
        self._delete = f"DELETE FROM {name} t USING unnest({keys}) AS v({', '.join(table.key)}) WHERE {same}"

    async def load(self, keys: Collection[Any]) -> list[R]:
        """The rows with these values of the first key column."""
        row = self._table.row
        return [row(*record) for record in await self._db.fetch(self._load, list(keys))]

    async def update(self, rows: Sequence[R]) -> None:
        """Write rows over those with the same key; one that is not there stays away."""
        pick = self._table._pick
        if pick is not None:
            await self._db.execute(self._update, *zip(*map(pick, rows), strict=True))

    async def insert(self, rows: Sequence[R]) -> None:
        """Add rows. Raises `asyncpg.UniqueViolationError` when one is there."""
        await self._db.copy_records_to_table(
            self._table.name,
            schema_name=self._schema,
            columns=self._table.columns,
            records=map(astuple, rows),
        )

    async def delete(self, rows: Sequence[R]) -> None:
        """Remove the rows with these rows' keys."""
        key = attrgetter(*self._table.key)
        keys = [key(row) for row in rows]
        await self._db.execute(self._delete, *(zip(*keys, strict=True) if len(self._table.key) > 1 else [keys]))
