"""What the learner leaves in the bucket: the newest version, for routers, and a note of its own for its next start."""

import logging

import msgspec
from msgspec import Struct

from cca.contracts.policy import PolicySnapshot
from cca.decider import At
from cca.message import Seq
from cca.nats import names, stored, subjects
from cca.nats.bucket import Newest
from cca.nats.bus import Bus
from cca_learner.decide import POLICY, STREAM, Policy

logger = logging.getLogger("cca_learner")

NOTE = subjects.state("learner.policy")
LARGEST = 512 * 1024
"""A note of more bytes is not worth it: the next start reads the aggregate from its beginning then."""


class _Note(Struct, frozen=True):
    """The aggregate up to a position, so that the next start need not read all versions that ever were."""

    seq: int
    policy: Policy


class Board:
    """The two keys of the bucket `CCA_STATE` that are the learner's."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.newest = Newest(bus, subjects.POLICY, PolicySnapshot)

    async def read_note(self) -> At[Policy]:
        """The aggregate as it was noted, or its beginning when that is not the same log any more. Raises `Busy`."""
        nothing = At(POLICY.initial, Seq(0))
        raw = await stored.last(self._bus, f"KV_{names.STATE}", NOTE)
        if raw is None:
            return nothing
        try:
            note = msgspec.json.decode(raw.body, type=_Note)
        except msgspec.DecodeError:
            return nothing
        there = await stored.at(self._bus, names.EVENTS, note.seq)
        return At(note.policy, Seq(note.seq)) if there is not None and there.subject == STREAM.subject else nothing

    async def write_note(self, at: At[Policy]) -> None:
        """Note the aggregate as it is. Raises `Busy`."""
        body = msgspec.json.encode(_Note(at.seq, at.state))
        if at.seq and len(body) <= LARGEST:
            await self._bus.request(NOTE, body)
