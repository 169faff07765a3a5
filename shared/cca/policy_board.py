"""Policies by role as one instance knows them: events first, then the snapshot in the bucket, for routers to read."""

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from cca.contracts.ledger import TokenPolicies
from cca.contracts.memory import MemoryPolicies
from cca.decider import At, Decision, Fold, load, transact
from cca.errors import CcaError
from cca.log import EventLog
from cca.message import Meta, Seq, Stream
from cca.nats.bucket import Newest
from cca.nats.bus import Bus

logger = logging.getLogger("cca.policies")


class Versioned(Protocol):
    """The state of the aggregate."""

    @property
    def version(self) -> int: ...
    def snapshot(self) -> Any: ...


S = TypeVar("S", bound=Versioned)
C = TypeVar("C")
V = TypeVar("V", TokenPolicies, MemoryPolicies)


class Sort(Struct, Generic[S, C, V], frozen=True):
    """Which policies.

    Attributes:
        stream: of their events; `fold` makes the state of those.
        decide: what a command adds, given a version that others may have and the state.
        subject: the key of the bucket where the snapshot stands; `kind` is its type.
    """

    stream: Stream
    fold: Fold[S]
    decide: Callable[[C, int, S], Decision]
    subject: str
    kind: type[V]


class PolicyBoard(Generic[S, C, V]):
    """The aggregate and its snapshot. Several instances may run: the log decides, and a snapshot never goes back."""

    def __init__(self, bus: Bus, log: EventLog, sort: Sort[S, C, V]) -> None:
        self._log = log
        self._sort: Sort[S, C, V] = sort
        self._newest: Newest[V] = Newest(bus, sort.subject, sort.kind)
        self._at: At[S] = At(sort.fold.initial, Seq(0))

    @property
    def known(self) -> S:
        """The policies as they were when last asked for."""
        return self._at.state

    async def current(self) -> S:
        """The policies now: one request to the log, which another instance may have written to. Raises `Busy`."""
        at = await load(self._log, self._sort.stream, self._sort.fold, self._at)
        self._know(at)
        return at.state

    async def set(self, command: C, cause: Meta) -> S:
        """Set or remove a policy, and let the routers know. Raises `Busy`, `Refused`.

        If the routers could not be told, the same command tells them when it is said again.
        """
        there, seq = await self._newest.read()
        decision = partial(self._sort.decide, command, there.version if there else 0)
        at = await transact(self._log, self._sort.stream, self._sort.fold, decision, cause=cause, known=self._at)
        self._know(at)
        await self._newest.publish(at.state.snapshot(), there, seq)
        return at.state

    async def repair(self) -> S:
        """Let the routers know what the log says, if an instance ended before it had. Raises `Busy`."""
        policies = await self.current()
        there, seq = await self._newest.read()
        if there is not None and there.version > policies.version:
            logger.warning("routers have policies of version %d, the log ends with %d", there.version, policies.version)
        await self._newest.publish(policies.snapshot(), there, seq)
        return policies

    async def keep_repairing(self) -> S:
        """Repair as soon as that can be done, and say what the policies are then."""
        pause, said = 0.1, ""
        while True:
            try:
                return await self.repair()
            except CcaError as error:
                logger.log(logging.DEBUG if str(error) == said else logging.WARNING, "%s; trying again", error)
                said = str(error)
            await asyncio.sleep(pause + random.uniform(0, pause))
            pause = min(pause * 2, 5.0)

    def _know(self, at: At[S]) -> None:
        if at.seq > self._at.seq:
            self._at = at
