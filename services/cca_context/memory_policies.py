"""The policies of memories as this instance knows them: events first, then the snapshot in the bucket, for routers."""

import asyncio
import logging
import random
from functools import partial

from cca.contracts.memory import MemoryPolicies, SetMemoryPolicy
from cca.decider import At, load, transact
from cca.errors import CcaError
from cca.message import Meta, Seq
from cca.nats import subjects
from cca.nats.bucket import Newest
from cca.nats.bus import Bus
from cca.nats.log import JetStreamLog
from cca_context.memory_decide import FOLD, STREAM, Policies, set_policy

logger = logging.getLogger("cca_context")


class MemoryPolicyBoard:
    """The aggregate and its snapshot. Several instances may run: the log decides, and a snapshot never goes back."""

    def __init__(self, bus: Bus, log: JetStreamLog) -> None:
        self._log, self._newest = log, Newest(bus, subjects.MEMORY_POLICIES, MemoryPolicies)
        self._at: At[Policies] = At(FOLD.initial, Seq(0))

    @property
    def known(self) -> Policies:
        """The policies as they were when last asked for."""
        return self._at.state

    async def current(self) -> Policies:
        """The policies now: one request to the log, which another instance may have written to. Raises `Busy`."""
        at = await load(self._log, STREAM, FOLD, self._at)
        self._know(at)
        return at.state

    async def set(self, command: SetMemoryPolicy, cause: Meta) -> Policies:
        """Set or remove a policy, and let the routers know. Raises `Busy`, `Refused`.

        If the routers could not be told, the same command tells them when it is said again.
        """
        there, seq = await self._newest.read()
        decision = partial(set_policy, command, there.version if there else 0)
        at = await transact(self._log, STREAM, FOLD, decision, cause=cause, known=self._at)
        self._know(at)
        await self._newest.publish(at.state.snapshot(), there, seq)
        return at.state

    async def repair(self) -> Policies:
        """Let the routers know what the log says, if an instance ended before it had. Raises `Busy`."""
        policies = await self.current()
        there, seq = await self._newest.read()
        if there is not None and there.version > policies.version:
            logger.warning("routers have policies of version %d, the log ends with %d", there.version, policies.version)
        await self._newest.publish(policies.snapshot(), there, seq)
        return policies

    async def keep_repairing(self) -> Policies:
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

    def _know(self, at: At[Policies]) -> None:
        if at.seq > self._at.seq:
            self._at = at
