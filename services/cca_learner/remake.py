"""A version of the policy made again, from the log alone."""

import time
from asyncio import to_thread

from msgspec import Struct

from cca import codec
from cca.contracts.policy import PolicySnapshot, PolicyUpdated
from cca.message import Seq
from cca.nats import names, stored
from cca.nats.bus import Bus
from cca_learner.decide import STREAM, Policy
from cca_learner.versions import make
from cca_learner.window import remembered

UPDATED = codec.tag_of(PolicyUpdated)


class Remade(Struct, frozen=True):
    """A version as it comes out now, what the log says of it, and how many events and seconds it took."""

    snapshot: PolicySnapshot
    recorded: PolicyUpdated
    events: int
    seconds: float


async def remade(bus: Bus, policy: Policy, version: int, before: int) -> Remade | None:
    """Make a version again: the same events, under what was configured and known by name then.

    Args:
        policy: the aggregate as it is now.
        before: a position of the log that is after the version.

    Returns None when the log has no such version. Raises `Busy`.
    """
    begun = time.perf_counter()
    era, updated = policy.era_of(version), await recorded(bus, version, before)
    if era is None or updated is None:
        return None
    memory, events = await remembered(bus, era, updated.position)
    made = await to_thread(make, memory, era)
    return Remade(made.snapshot(version), updated, events, time.perf_counter() - begun)


async def recorded(bus: Bus, version: int, before: int) -> PolicyUpdated | None:
    """What the log says of a version, by bisection: versions rise. None when it has none before a position."""
    low, high = 0, before
    while low < high:
        middle = (low + high) // 2
        found = await _next(bus, middle)
        if found is None or found[0] >= before or found[1].version > version:
            high = middle
        elif found[1].version == version:
            return found[1]
        else:
            low = found[0]
    return None


async def _next(bus: Bus, after: int) -> tuple[int, PolicyUpdated] | None:
    """The first version after a position, and where it stands."""
    async for raw in stored.scan(bus, names.EVENTS, STREAM.subject, Seq(after)):
        if raw.headers.get("ce-type") == UPDATED:
            return raw.seq, codec.read(raw.body, PolicyUpdated)
    return None
