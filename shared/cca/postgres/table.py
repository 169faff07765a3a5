"""A table that is written from structs in groups: new rows by binary COPY, changed ones by one UPDATE."""

from collections.abc import Collection, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from cca.errors import Misconfigured
from cca.postgres.pool import Connection

R = TypeVar("R", bound=Struct)

BIGGEST = 2**63 - 1
"""What a bigint holds."""

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
        known: those of the fixed columns that a load fills all the same.
        fill: columns in which None means "as it was" when a row is updated; a load leaves them empty, too.
        adds: columns of type bigint to whose value `add` adds.
        tops: columns of which `add` keeps the greater value.
    """

    def __init__(
        self,
        name: str,
        row: type[R],
        *,
        key: int = 1,
        fixed: Sequence[str] = (),
        known: Sequence[str] = (),
        fill: Sequence[str] = (),
        adds: Sequence[str] = (),
        tops: Sequence[str] = (),
    ) -> None:
        self.name, self.row = name, row
        self.columns = row.__struct_fields__
        self.key = self.columns[:key]
        self.fixed, self.fill = frozenset(fixed), frozenset(fill)
        self.empty = (self.fixed | self.fill) - frozenset(known)
        self.adds, self.tops = tuple(adds), tuple(tops)
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
        loaded = (f"NULL::{types[c]}" if c in table.empty else c for c in table.columns)
        self._load = f"SELECT {', '.join(loaded)} FROM {name} WHERE {table.key[0]} = ANY($1::{arrays[table.key[0]]})"
        self._arrays, self._updates = arrays, dict[tuple[str, ...], str]()
        self._same = same = " AND ".join(f"t.{column} = v.{column}" for column in table.key)
        keys = ", ".join(f"${number}::{arrays[column]}" for number, column in enumerate(table.key, start=1))
        self._delete = f"DELETE FROM {name} t USING unnest({keys}) AS v({', '.join(table.key)}) WHERE {same}"
        every = ", ".join(f"${number}::{arrays[column]}" for number, column in enumerate(table.columns, start=1))
        sums = [f"{c} = least(t.{c}::numeric + excluded.{c}, {BIGGEST})" for c in table.adds]
        sums += [f"{c} = greatest(t.{c}, excluded.{c})" for c in table.tops]
        self._add = (
            f"INSERT INTO {name} AS t ({', '.join(table.columns)}) SELECT * FROM unnest({every})"
            f" ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {', '.join(sums)}"
        )

    async def load(self, keys: Collection[Any]) -> list[R]:
        """The rows with these values of the first key column."""
        row = self._table.row
        return [row(*record) for record in await self._db.fetch(self._load, list(keys))]

    async def update(self, rows: Sequence[R]) -> None:
        """Write rows over those with the same key; one that is not there stays away."""
        table = self._table
        if table._pick is None:
            return
        given: list[str] = []
        values: list[Sequence[Any]] = []
        for column, said in zip([*table.key, *table._set], zip(*map(table._pick, rows), strict=True), strict=True):
            # Most events leave most of what is filled in as it was: what none of the rows says is not sent.
            if column not in table.fill or said.count(None) < len(said):
                given.append(column)
                values.append(said)
        if len(given) > len(table.key):
            await self._db.execute(self._update(tuple(given)), *values)

    def _update(self, given: tuple[str, ...]) -> str:
        statement = self._updates.get(given)
        if statement is None:
            table = self._table
            unnest = ", ".join(f"${number}::{self._arrays[column]}" for number, column in enumerate(given, start=1))
            values = (
                f"{c} = coalesce(v.{c}, t.{c})" if c in table.fill else f"{c} = v.{c}" for c in given[len(table.key) :]
            )
            statement = self._updates[given] = (
                f"UPDATE {self._schema}.{table.name} t SET {', '.join(values)}"
                f" FROM unnest({unnest}) AS v({', '.join(given)}) WHERE {self._same}"
            )
        return statement

    async def insert(self, rows: Sequence[R]) -> None:
        """Add rows. Raises `asyncpg.UniqueViolationError` when one is there."""
        await self._db.copy_records_to_table(
            self._table.name,
            schema_name=self._schema,
            columns=self._table.columns,
            records=map(astuple, rows),
        )

    async def add(self, rows: Sequence[R]) -> None:
        """Add to what is there: the columns `adds` and `tops` of rows with the same key, and all other rows whole.

        Sums end at what a bigint holds. No two rows may have the same key.
        """
        await self._db.execute(self._add, *zip(*map(astuple, rows), strict=True))

    async def delete(self, rows: Sequence[R]) -> None:
        """Remove the rows with these rows' keys."""
        key = attrgetter(*self._table.key)
        keys = [key(row) for row in rows]
        await self._db.execute(self._delete, *(zip(*keys, strict=True) if len(self._table.key) > 1 else [keys]))
