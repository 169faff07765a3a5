"""Events to rows: in order, each exactly once, with the position in the same transaction as the rows."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from cca.errors import CcaError
from cca.postgres.pool import BAD_ROWS, DATABASE, Connection, DuplicateRow, Pool
from cca.postgres.rows import Rows
from cca.postgres.table import OpenTable

logger = logging.getLogger("cca.projection")


class Entry(Struct, frozen=True, gc=False):
    """One message of the log as it is stored; `type`, `id` and `time` are from its headers."""

    seq: int
    subject: str
    type: str | None
    id: str | None
    time: datetime
    headers: bytes
    body: bytes


class Fenced(CcaError):
    """Another process has moved or rebuilt this projection; start over from its position."""


class Projection(Protocol):
    """How rows follow from events. It does no input or output and knows no clock: a replay gives the same rows."""

    @property
    def name(self) -> str:
        """Durable: the position is kept under it."""
        ...

    @property
    def version(self) -> int:
        """Another number means other rows for the same events: those from before must be rebuilt."""
        ...

    @property
    def rows(self) -> Sequence[Rows[Any]]:
        """The tables, in the order in which they are written."""
        ...

    def read(self, entries: Sequence[Entry]) -> tuple[Sequence[Any], int]:
        """Understand a batch, and say with `Rows.need` which rows it is about.

        Returns what `apply` is to be given, and how many events were passed by because nobody knows their type.
        Raises for an event that it should understand and cannot.
        """
        ...

    def apply(self, batch: Sequence[Any]) -> None:
        """Change the rows. Raises when it cannot."""
        ...


class Position(Struct):
    """How far a projection is, and whether it goes on; a row of `cca.projections`."""

    name: str
    version: int
    build: int = 1
    seq: int = 0
    time: datetime | None = None
    events: int = 0
    passed: int = 0
    error: str | None = None
    error_seq: int | None = None
    error_type: str | None = None


_POSITION = f"SELECT {', '.join(Position.__struct_fields__)} FROM {{}}.projections"


async def positions(db: Connection | Pool, schema: str = "cca") -> list[Position]:
    """How far the projections are."""
    return [Position(*record) for record in await db.fetch(_POSITION.format(schema) + " ORDER BY name")]


class Keeper:
    """Keeps the tables of one projection up to date on one connection. Make one with `keep`."""

    def __init__(self, projection: Projection, db: Connection, schema: str, tables: list[OpenTable[Any]]) -> None:
        self.projection, self._db, self.schema = projection, db, schema
        self._tables = list(zip(projection.rows, tables, strict=True))
        self.at = Position(projection.name, projection.version)
        self.stopped = False
        """It stands before an event that it could not apply; `at.error` says why. `reload` lets it try again."""

    async def reload(self) -> None:
        """Take the position from the table; in the table, make one if there is none."""
        self.forget()
        self.stopped = False
        await self._db.execute(
            f"INSERT INTO {self.schema}.projections (name, version) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            self.projection.name,
            self.projection.version,
        )
        record = await self._db.fetchrow(_POSITION.format(self.schema) + " WHERE name = $1", self.projection.name)
        assert record is not None
        self.at = Position(*record)

    def forget(self) -> None:
        """Trust no row in memory."""
        for rows in self.projection.rows:
            rows.forget()

    async def apply(self, entries: Sequence[Entry]) -> None:
        """Apply events in order and commit; those up to the position are skipped.

        When an event cannot be applied, those before it are; the position then says so (`stopped`), and nothing
        is applied until it can be. Raises `Fenced`, and what the database raises when it is at fault itself.
        """
        if entries and entries[0].seq <= self.at.seq:
            entries = [entry for entry in entries if entry.seq > self.at.seq]
        if not entries:
            return
        try:
            await self._commit(entries, careful=False)
        except Exception as error:
            self.forget()
            if isinstance(error, (Fenced, *DATABASE)) and not isinstance(error, BAD_ROWS):
                raise
            if isinstance(error, DuplicateRow):
                try:
                    await self._commit(entries, careful=True)
                    return
                except BAD_ROWS as again:
                    self.forget()
                    error = again
            if len(entries) == 1:
                await self._stop(entries[0], error)
                return
            half = len(entries) // 2
            await self.apply(entries[:half])
            if not self.stopped:
                await self.apply(entries[half:])

    async def _commit(self, entries: Sequence[Entry], careful: bool) -> None:
        batch, passed = self.projection.read(entries)
        at = replace(
            self.at,
            seq=entries[-1].seq,
            time=entries[-1].time,
            events=self.at.events + len(entries),
            passed=self.at.passed + passed,
            error=None,
            error_seq=None,
            error_type=None,
        )
        async with self._db.transaction():
            # The position first: its row is the lock that keeps others from the tables until the commit.
            await self._move(at)
            for rows, table in self._tables:
                await rows.load(table)
            self.projection.apply(batch)
            for rows, table in self._tables:
                await rows.write(table, careful)
        self.at = at
        for rows, _ in self._tables:
            rows.written()

    async def _stop(self, entry: Entry, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}".replace("\x00", "\ufffd")[:2_000]
        await self.fail(text, entry)
        self.stopped = True
        logger.error("%s stands before event %d (%s): %s", self.at.name, entry.seq, entry.type, text)

    async def fail(self, error: str | None, entry: Entry | None = None) -> None:
        """Say in the position why the projection stands still, and before which event; None if it does no longer."""
        at = replace(
            self.at,
            error=error,
            error_seq=entry.seq if entry else None,
            error_type=entry.type if entry else None,
        )
        await self._move(at)
        self.at = at

    async def _move(self, to: Position) -> None:
        done = await self._db.execute(
            f"""UPDATE {self.schema}.projections
            SET seq = $4, time = $5, events = $6, passed = $7, error = $8, error_seq = $9, error_type = $10
            WHERE name = $1 AND seq = $2 AND build = $3""",
            to.name,
            self.at.seq,
            self.at.build,
            to.seq,
            to.time,
            to.events,
            to.passed,
            to.error,
            to.error_seq,
            to.error_type,
        )
        if done != "UPDATE 1":
            raise Fenced


async def keep(projection: Projection, db: Connection, schema: str = "cca", lock: bool = True) -> Keeper | None:
    """Begin to keep a projection's tables in a schema; None when another session does already.

    The lock is held by the session `db`, until it ends.
    """
    if lock:
        key = f"projection {schema}.{projection.name}"
        if not await db.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key):
            return None
    keeper = Keeper(projection, db, schema, [await rows.table.open(db, schema) for rows in projection.rows])
    await keeper.reload()
    return keeper
