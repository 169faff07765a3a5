"""Policies that another service sets for roles: the newest version, as it stands in the bucket."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from cca import codec
from cca.contracts.ledger import EVERYONE, RolePolicy, TokenPolicies
from cca.contracts.memory import MemoryPolicies, MemoryPolicy
from cca.errors import Busy, Unreadable
from cca.nats import names, stored
from cca.nats.bus import Bus
from cca.nats.wire import Msg

logger = logging.getLogger("cca_router.sheet")

S = TypeVar("S", TokenPolicies, MemoryPolicies)
P = TypeVar("P", RolePolicy, MemoryPolicy)


class Sheet(Generic[S]):
    """The newest policies. One that cannot be read, or is older, changes nothing.

    Args:
        subject: the key of the bucket.
        none: what holds while nothing has been set.
        spawn: runs a coroutine in the background, and waits for it at the end.
    """

    def __init__(self, bus: Bus, subject: str, none: S, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._bus, self._subject = bus, subject
        self.policies: S = none
        bus.reconnected.append(lambda: spawn(self._look_again()))

    async def start(self) -> None:
        """Read them. Raises `Busy`."""
        noted = await stored.last(self._bus, f"KV_{names.STATE}", self._subject)
        if noted is not None:
            self._read(noted.body)

    def heard(self, msg: Msg) -> None:
        """They have changed."""
        self._read(msg.data)

    def _read(self, body: bytes) -> None:
        try:
            policies = codec.read(body, type(self.policies))
        except Unreadable as error:
            logger.error("%s cannot be used, version %d stays: %s", self._subject, self.policies.version, error)
            return
        if policies.version > self.policies.version:
            self.policies = policies
            logger.info("version %d of %s holds now", policies.version, self._subject)

    async def _look_again(self) -> None:
        """After a reconnect: a change may have been missed."""
        try:
            await self.start()
        except Busy as error:
            logger.warning("whether %s has changed is not known: %s", self._subject, error)


def of_role(policies: dict[str, P], role: str | None) -> P | None:
    """The policy of a role: its own, else everyone's."""
    return policies.get(role or "", policies.get(EVERYONE)) if policies else None
