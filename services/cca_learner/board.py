"""What the learner leaves in the bucket: the newest version, for routers, and a note of its own for its next start."""

import logging

import msgspec
from msgspec import Struct

from cca import codec
from cca.contracts.policy import PolicySnapshot
from cca.decider import At
from cca.errors import Busy, Unreadable
from cca.message import Seq
from cca.nats import names, stored, subjects
from cca.nats.bus import Bus
from cca.nats.frames import PubAck
from cca_learner.decide import POLICY, STREAM, Policy

logger = logging.getLogger("cca_learner")

NOTE = subjects.state("learner.policy")
LARGEST = 512 * 1024
"""A note of more bytes is not worth it: the next start reads the aggregate from its beginning then."""
TRIES = 5

_ack = msgspec.json.Decoder(PubAck).decode


class _Note(Struct, frozen=True):
    """The aggregate up to a position, so that the next start need not read all versions that ever were."""

    seq: int
    policy: Policy


class Board:
    """The two keys of the bucket `CCA_STATE` that are the learner's."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def newest(self) -> tuple[PolicySnapshot | None, int]:
        """The version that routers have, and where it stands in the bucket. Raises `Busy`."""
        raw = await stored.last(self._bus, f"KV_{names.STATE}", subjects.POLICY)
        if raw is None:
            return None, 0
        try:
            return codec.read(raw.body, PolicySnapshot), raw.seq
        except Unreadable as error:
            logger.warning("the version in the bucket cannot be read, and is replaced: %s", error)
            return None, raw.seq

    async def publish(self, snapshot: PolicySnapshot, seq: int) -> None:
        """Give a version to the routers, in place of an older one that stands at `seq` of the bucket.

        When another stands there by now, a newer one stays: another learner was faster. Raises `Busy`.
        """
        body = codec.encode(snapshot)
        refusal = ""
        for _ in range(TRIES):
            headers = {"Nats-Expected-Last-Subject-Sequence": str(seq)}
            ack = _ack(await self._bus.request(subjects.POLICY, body, headers))
            if ack.error is None:
                return
            refusal = str(ack.error.get("description"))
            there, seq = await self.newest()
            if there is not None and there.version >= snapshot.version:
                return
        raise Busy(f"version {snapshot.version} cannot be published: {refusal}")

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
