"""Build the tables of a projection anew beside those in service, compare, and swap them in one transaction."""

import asyncio
import logging
from datetime import timedelta

from msgspec import Struct

from cca.errors import Busy, Refused
from cca.nats.bus import Bus
from cca.postgres.pool import DATABASE, Connection
from cca.projection import Keeper, Projection
from cca_projector.digest import Digest, digest
from cca_projector.shadow import Progress, build, fold, leave_transaction, live_position, names

logger = logging.getLogger("cca_projector")

NEW, OLD = "cca_new", "cca_old"
"""The schemas of the tables that are being built, and of those that were in service before."""
PATIENCE = timedelta(seconds=5)
"""How long the swap may wait for readers of the tables, while new readers wait behind it, before it steps back."""
TRIES = 20
CLOSE, ROUNDS = 5_000, 20
"""Being fewer positions behind is close enough to take a snapshot or a lock for the rest; so many attempts are made."""

_VIEWS = """
SELECT DISTINCT v.oid::regclass::text AS name, pg_get_viewdef(v.oid) AS definition
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
  AND d.refobjid = ANY($1::text[]::regclass[]) AND v.relkind = 'v'
"""


class Compared(Struct, frozen=True):
    """A table before and after, at the same position. `live` is None when the log could not be followed to there."""

    table: str
    live: Digest | None
    rebuilt: Digest


class Rebuilt(Struct, frozen=True):
    """What a rebuild has done. `same` says that it changed nothing, `old` where the tables of before are kept."""

    projection: str
    version: int
    position: int
    events: int
    passed: int
    same: bool
    tables: list[Compared]
    old: str | None


async def rebuild(
    projection: Projection, db: Connection, bus: Bus, *, drop_old: bool = False, progress: Progress | None = None
) -> Rebuilt:
    """Rebuild a projection from the log, while it stays in service and the projector goes on.

    `db` is a session of its own. When this is cancelled or fails, nothing has changed. Raises `Refused`
    (`no-projection`, `being-rebuilt`, `cannot-apply`) and `Busy`.
    """
    name = projection.name
    if await live_position(db, name) is None:
        raise Refused("no-projection", f"there is no projection {name} yet: the projector has never run")
    key = f"projection rebuild {name}"
    if not await db.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", key):
        raise Refused("being-rebuilt", f"{name} is being rebuilt already")
    try:
        await db.execute(f"CREATE SCHEMA IF NOT EXISTS {NEW}")
        await _drop_new(projection, db)  # what a killed rebuild has left
        keeper = await build(projection, db, NEW)
        compared = await _compare(keeper, db, bus, progress)
        for table in names(projection):
            await db.execute(f"ANALYZE {NEW}.{table}")
        await _swap_patiently(keeper, db, bus)
        if drop_old:
            await _drop(projection, db, OLD)
        return Rebuilt(
            projection=name,
            version=projection.version,
            position=keeper.at.seq,
            events=keeper.at.events,
            passed=keeper.at.passed,
            same=all(one.live == one.rebuilt for one in compared),
            tables=compared,
            old=None if drop_old else OLD,
        )
    finally:
        if not db.is_closed():
            await leave_transaction(db)
            await _drop_new(projection, db)
            await db.reset()  # and with it the lock


async def _approach(keeper: Keeper, db: Connection, bus: Bus, progress: Progress | None = None) -> bool:
    """Come close to the position of the tables in service, which moves on; False if the log ends before it."""
    for _ in range(ROUNDS):
        live = await live_position(db, keeper.at.name)
        assert live is not None
        far = live.seq - keeper.at.seq > CLOSE
        if not await fold(bus, keeper, live.seq, progress):
            return False
        if not far:
            break
    return True


async def _compare(keeper: Keeper, db: Connection, bus: Bus, progress: Progress | None) -> list[Compared]:
    """Come as far as the tables in service, and compare with them at exactly their position."""
    name = keeper.at.name
    reached = await _approach(keeper, db, bus, progress)
    # In one snapshot the tables stand still at their position; ours are brought to it in the same transaction.
    async with db.transaction(isolation="repeatable_read"):
        live = await live_position(db, name)
        assert live is not None
        reached = reached and await fold(bus, keeper, live.seq)
        return [
            Compared(
                table,
                await digest(db, f"cca.{table}") if reached else None,
                await digest(db, f"{keeper.schema}.{table}"),
            )
            for table in names(keeper.projection)
        ]


async def _swap_patiently(keeper: Keeper, db: Connection, bus: Bus) -> None:
    for attempt in range(TRIES):
        await _approach(keeper, db, bus)
        before = keeper.at
        try:
            await _swap(keeper, db, bus)
            return
        except DATABASE as error:
            if getattr(error, "sqlstate", None) != "55P03":  # lock_not_available
                raise
            keeper.at = before
            keeper.forget()
            logger.info("somebody reads the tables for a long time; trying again to swap them (%d)", attempt + 1)
        await asyncio.sleep(0.5)
    raise Busy(f"the tables of {keeper.at.name} were in use all the time; the rebuild was given up")


async def _swap(keeper: Keeper, db: Connection, bus: Bus) -> None:
    name, tables = keeper.at.name, names(keeper.projection)
    async with db.transaction():
        # Whoever writes the tables updates this row first, so from here on they stand still.
        live = await db.fetchrow("SELECT seq FROM cca.projections WHERE name = $1 FOR UPDATE", name)
        assert live is not None
        await fold(bus, keeper, live["seq"])
        views = await db.fetch(_VIEWS, [f"cca.{table}" for table in tables])
        await db.execute(f"SET LOCAL lock_timeout = {int(PATIENCE.total_seconds() * 1000)}")
        await db.execute(f"CREATE SCHEMA IF NOT EXISTS {OLD}")
        for table in tables:
            await db.execute(f"DROP TABLE IF EXISTS {OLD}.{table} CASCADE")
            await db.execute(f"ALTER TABLE cca.{table} SET SCHEMA {OLD}")
            await db.execute(f"ALTER TABLE {NEW}.{table} SET SCHEMA cca")
        for view in views:  # they have followed the old tables
            await db.execute(f"CREATE OR REPLACE VIEW {view['name']} AS {view['definition']}")
        at = keeper.at
        await db.execute(
            """UPDATE cca.projections
            SET version = $2, build = build + 1, seq = $3, time = $4, events = $5, passed = $6,
            error = NULL, error_seq = NULL, error_type = NULL WHERE name = $1""",
            name,
            keeper.projection.version,
            at.seq,
            at.time,
            at.events,
            at.passed,
        )


async def _drop_new(projection: Projection, db: Connection) -> None:
    await _drop(projection, db, NEW)
    if await db.fetchval("SELECT to_regclass($1)", f"{NEW}.projections") is not None:
        await db.execute(f"DELETE FROM {NEW}.projections WHERE name = $1", projection.name)


async def _drop(projection: Projection, db: Connection, schema: str) -> None:
    for table in names(projection):
        await db.execute(f"DROP TABLE IF EXISTS {schema}.{table} CASCADE")
