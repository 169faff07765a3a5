"""A key of the bucket `CCA_STATE` whose values have versions: read, and replaced by a newer one alone."""

import logging
from typing import Generic, TypeVar

import msgspec

from cca import codec
from cca.contracts.ledger import TokenPolicies
from cca.contracts.memory import MemoryPolicies
from cca.contracts.policy import PolicySnapshot
from cca.errors import Busy, Unreadable
from cca.nats import names, stored
from cca.nats.bus import Bus
from cca.nats.frames import PubAck

logger = logging.getLogger("cca.nats")

TRIES = 5

_ack = msgspec.json.Decoder(PubAck).decode


V = TypeVar("V", PolicySnapshot, TokenPolicies, MemoryPolicies)
"""What stands in the bucket with a version."""


class Newest(Generic[V]):
    """The newest version of something, for all who read it. Several processes may write: it never goes back.

    Args:
        subject: of the key (`cca.nats.subjects`).
        kind: the message that stands there.
    """

    def __init__(self, bus: Bus, subject: str, kind: type[V]) -> None:
        self._bus, self._subject = bus, subject
        self._kind: type[V] = kind

    async def read(self) -> tuple[V | None, int]:
        """What stands there, None if nothing that can be read, and at which position. Raises `Busy`."""
        raw = await stored.last(self._bus, f"KV_{names.STATE}", self._subject)
        if raw is None:
            return None, 0
        try:
            return codec.read(raw.body, self._kind), raw.seq
        except Unreadable as error:
            logger.warning("what stands on %s cannot be read, and is replaced: %s", self._subject, error)
            return None, raw.seq

    async def publish(self, value: V, there: V | None, seq: int) -> None:
        """Put a version in place of what `read` found; a newer one stays: somebody else was faster. Raises `Busy`."""
        body, refusal = codec.encode(value), ""
        for _ in range(TRIES):
            if there is not None and there.version >= value.version:
                return
            headers = {"Nats-Expected-Last-Subject-Sequence": str(seq)}
            ack = _ack(await self._bus.request(self._subject, body, headers))
            if ack.error is None:
                return
            refusal = str(ack.error.get("description"))
            there, seq = await self.read()
        raise Busy(f"version {value.version} cannot be put on {self._subject}: {refusal}")
