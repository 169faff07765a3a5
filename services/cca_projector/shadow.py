"""The tables of one projection, built a second time from the log, in a schema of their own."""

from collections.abc import Callable

from cca.errors import Busy, Refused
from cca.nats.bus import Bus
from cca.nats.follow import Doubt, Follower
from cca.postgres.pool import Connection
from cca.projection import Keeper, Position, Projection, keep, positions

BATCH = 2_000

Progress = Callable[[int, int], None]
"""Is told how many events are done, and how many there are in all."""

TEMPORARY = "pg_temp"
"""The schema of a session's temporary tables: they vanish with it, and write nothing to the write-ahead log."""

_OPTIONS = "SELECT array_to_string(reloptions, ', ') FROM pg_class WHERE oid = to_regclass($1)"
_GRANTS = """
SELECT format('GRANT %s ON {to} TO %s', privilege_type,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass($1) AND grantee <> relowner
"""


def names(projection: Projection) -> list[str]:
    """The tables of a projection, without their schema."""
    return [rows.table.name for rows in projection.rows]


async def live_position(db: Connection, name: str) -> Position | None:
    """How far the tables in service are; None when no projector has ever run."""
    return next((position for position in await positions(db) if position.name == name), None)


async def build(projection: Projection, db: Connection, schema: str) -> Keeper:
    """Empty tables like those in service, indexes, options and grants included."""
    for name in [*names(projection), "projections"]:
        live, new = f"cca.{name}", f"{schema}.{name}"
        options = await db.fetchval(_OPTIONS, live)
        await db.execute(
            f"CREATE TABLE IF NOT EXISTS {new} (LIKE {live} INCLUDING ALL)" + (f" WITH ({options})" if options else "")
        )
        if schema != TEMPORARY:
            for record in await db.fetch(_GRANTS.format(to=new), live):
                await db.execute(record[0])
    keeper = await keep(projection, db, schema, lock=False)
    assert keeper is not None
    return keeper


async def leave_transaction(db: Connection) -> None:
    """Be in no transaction, for certain.

    Who is cancelled while a transaction begins does not know that it has begun; what is done after that would be
    part of it, and be undone with it. `db.reset()` at the end makes the session fit for others again.
    """
    await db.execute("ROLLBACK")


async def fold(bus: Bus, keeper: Keeper, until: int, progress: Progress | None = None) -> bool:
    """Fold the log up to a position, or to its end if that is earlier; whether the position was reached.

    Raises `Refused` (`cannot-apply`) for an event that cannot be applied.
    """
    while keeper.at.seq < until:
        follower = await Follower.start(bus, "projector_shadow", keeper.at.seq)
        # A position that was reached once lies among the events that the log has now.
        left, total = follower.pending, keeper.at.events + follower.pending
        try:
            while left and keeper.at.seq < until:
                entries = await follower.take(min(left, BATCH), wait_s=30.0)
                if not entries:
                    raise Busy("the log does not deliver what it has")
                left -= len(entries)
                entries = [entry for entry in entries if entry.seq <= until]
                await keeper.apply(entries)
                if keeper.stopped:
                    at = keeper.at
                    text = f"event {at.error_seq} ({at.error_type}) cannot be applied: {at.error}"
                    raise Refused("cannot-apply", text)
                if progress is not None:
                    progress(keeper.at.events, total)
                if not entries:  # the log has nothing at the position itself
                    return False
            return keeper.at.seq >= until
        except Doubt:
            continue
        finally:
            await follower.stop()
    return True
