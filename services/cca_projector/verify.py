"""Prove that the tables are what the log says: replay it beside them and compare."""

import hashlib
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import astuple

from cca.errors import Busy, Refused
from cca.nats.bus import Bus
from cca.nats.follow import Follower
from cca.postgres.pool import Connection
from cca.projection import Entry, Position, Projection
from cca_projector.digest import SHOWN, Difference, Digest, different, digest
from cca_projector.projections import Events
from cca_projector.shadow import TEMPORARY, Progress, build, fold, leave_transaction, live_position, names

PAGE = 1_000


class Checked(Struct, frozen=True):
    """A table and its replay at the same position."""

    table: str
    live: Digest
    replayed: Digest
    differences: list[Difference] = []

    @property
    def same(self) -> bool:
        return self.live == self.replayed


class Verified(Struct, frozen=True):
    """What was compared, up to which position. `problem` says what kept the replay from getting there."""

    projection: str
    position: int
    events: int
    same: bool
    tables: list[Checked]
    problem: str | None = None


async def verify(projection: Projection, db: Connection, bus: Bus, progress: Progress | None = None) -> Verified:
    """Compare the tables of a projection with the log; the projector may go on meanwhile. `db` is a session.

    Raises `Refused` (`no-projection`, `cannot-apply`) and `Busy`.
    """
    live = await live_position(db, projection.name)
    if live is None:
        raise Refused("no-projection", f"there is no projection {projection.name}: the projector has never run")
    if projection.name == Events.name:
        return await _verify_copy(live, db, bus, progress)
    try:
        keeper = await build(projection, db, TEMPORARY)
        reached = await fold(bus, keeper, live.seq, progress)
        # In one snapshot the tables stand still at their position; the replay is brought to it.
        async with db.transaction(isolation="repeatable_read"):
            live = await live_position(db, projection.name)
            assert live is not None
            reached = reached and await fold(bus, keeper, live.seq)
            checked = [await _check(db, rows.table.name, rows.table.key) for rows in projection.rows]
        problem = None if reached else f"the log ends at {keeper.at.seq}, before position {live.seq} of the tables"
        same = problem is None and all(one.same for one in checked)
        return Verified(projection.name, live.seq, keeper.at.events, same, checked, problem)
    finally:
        if not db.is_closed():
            await leave_transaction(db)
            for table in [*names(projection), "projections"]:
                await db.execute(f"DROP TABLE IF EXISTS {TEMPORARY}.{table}")
            await db.reset()


async def _check(db: Connection, table: str, key: tuple[str, ...]) -> Checked:
    live, replayed = f"cca.{table}", f"{TEMPORARY}.{table}"
    checked = Checked(table, await digest(db, live), await digest(db, replayed))
    if checked.same:
        return checked
    return Checked(table, checked.live, checked.replayed, await different(db, live, replayed, key))


class _Sum:
    """The digest of entries in order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._rows = 0

    def add(self, entry: Entry) -> None:
        self._rows += 1
        parts = (
            str(entry.seq).encode(),
            entry.subject.encode(),
            (entry.type or "").encode(),
            (entry.id or "").encode(),
            entry.time.isoformat().encode(),
            entry.headers,
            entry.body,
        )
        self._hash.update(b"".join(b"%d:%b" % (len(part), part) for part in parts))

    def digest(self) -> Digest:
        return Digest(self._rows, self._hash.hexdigest())


async def _verify_copy(live: Position, db: Connection, bus: Bus, progress: Progress | None) -> Verified:
    """Compare the copy of the log with the log, byte by byte."""
    ours, theirs = _Sum(), _Sum()
    differences: list[Difference] = []
    follower = await Follower.start(bus, "projector_verify")
    total = left = follower.pending
    done = 0
    try:
        while left and done < live.seq:
            entries = await follower.take(min(left, PAGE), wait_s=30.0)
            if not entries:
                raise Busy("the log does not deliver what it has")
            left -= len(entries)
            upto = min(entries[-1].seq, live.seq)
            there = {entry.seq: entry for entry in entries if entry.seq <= live.seq}
            here = await _copied(db, done, upto)
            for entry in there.values():
                theirs.add(entry)
            for entry in here.values():
                ours.add(entry)
            if here != there and len(differences) < SHOWN:
                differences += _differences(here, there)
            done = upto
            if progress is not None:
                progress(total - left, total)
    finally:
        await follower.stop()
    while done < live.seq:  # what the log does not have
        here = await _copied(db, done, live.seq, PAGE)
        if not here:
            break
        for entry in here.values():
            ours.add(entry)
        differences += _differences(here, {})
        done = max(here)
    beyond = await db.fetchval(
        "SELECT count(*) FROM cca.events, cca.projections p WHERE p.name = 'events' AND events.seq > p.seq"
    )
    problem = f"{beyond} rows are beyond the position" if beyond else None
    checked = Checked("events", ours.digest(), theirs.digest(), differences[:SHOWN])
    return Verified("events", live.seq, theirs.digest().rows, checked.same and not beyond, [checked], problem)


async def _copied(db: Connection, after: int, upto: int, most: int | None = None) -> dict[int, Entry]:
    query = f"""SELECT {", ".join(Entry.__struct_fields__)} FROM cca.events
    WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3"""
    return {record["seq"]: Entry(*record) for record in await db.fetch(query, after, upto, most)}


def _differences(here: Mapping[int, Entry], there: Mapping[int, Entry]) -> list[Difference]:
    found = []
    for seq in sorted(here.keys() | there.keys()):
        ours, theirs = here.get(seq), there.get(seq)
        if ours is None:
            found.append(Difference(str(seq), "missing"))
        elif theirs is None:
            found.append(Difference(str(seq), "not in the log"))
        elif ours != theirs:
            pairs = zip(Entry.__struct_fields__, astuple(ours), astuple(theirs), strict=True)
            found.append(Difference(str(seq), ", ".join(name for name, a, b in pairs if a != b)))
    return found
