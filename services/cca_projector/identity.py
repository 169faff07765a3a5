"""Whether the log is the one that the tables were made from, or another one in its place."""

from collections.abc import Sequence

from cca.errors import Busy
from cca.nats.bus import Bus
from cca.nats.follow import id_at, last_position
from cca.postgres.pool import Connection
from cca.projection import Keeper


async def same_log(bus: Bus, db: Connection, keepers: Sequence[Keeper]) -> None:
    """Raise `Busy`, and say so in the positions, when the log cannot be the one that was projected.

    It is another one when it ends before a position, or has another event where the copy's last one was: the
    server lost or was given other data. The log is the truth, so a rebuild makes the tables fit again.
    """
    seq = max((keeper.at.seq for keeper in keepers), default=0)
    if seq == 0:
        return
    last = await last_position(bus)
    copy = await db.fetchrow("SELECT seq, id FROM cca.events WHERE seq <= $1 ORDER BY seq DESC LIMIT 1", seq)
    reason = None
    if last < seq:
        reason = f"the log ends at {last}, before position {seq}"
    elif copy is not None and copy["id"] is not None and await id_at(bus, copy["seq"]) != copy["id"]:
        reason = f"the log has another event at {copy['seq']}"
    if reason is None:
        for keeper in keepers:
            if keeper.at.error and keeper.at.error_seq is None:  # the right log is back
                await keeper.fail(None)
        return
    text = f"{reason}: it is not the one that the tables were made from; `cca projections rebuild` makes them fit"
    for keeper in keepers:
        await keeper.fail(text)
    raise Busy(text)
