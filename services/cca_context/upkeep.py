"""Of each role no more memories are kept than its policy says: the least useful are forgotten first."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from cca.errors import CcaError
from cca_context.memory_decide import Policies
from cca_context.memory_rows import MemoryRows

logger = logging.getLogger("cca_context")

EVERY = 300.0
"""Seconds between two looks, at most."""
SOON = 10.0
"""Seconds between two looks while memories are stored."""
AT_ONCE = 500
"""So many of a role are forgotten in one look."""

Forget = Callable[[str], Awaitable[None]]
"""Forgets a memory to make room; one that is not there any more is no error. Raises `CcaError`."""


class Upkeep:
    """Looks now and then. Several may: they choose the same ones, and what is forgotten already stays so.

    Args:
        policies: those of now. Raises `Busy`.
        now: the time, aware.
    """

    def __init__(
        self,
        rows: MemoryRows,
        policies: Callable[[], Awaitable[Policies]],
        forget: Forget,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._rows, self._policies, self._forget, self._now = rows, policies, forget, now
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There may be more than are kept."""
        self._woken.set()

    async def run(self) -> None:
        """Look until cancelled. Whatever goes wrong is said and tried again after a while."""
        said = ""
        while True:
            try:
                await self.look()
                said = ""
            except CcaError as error:
                level = logging.DEBUG if str(error) == said else logging.WARNING
                logger.log(level, "memories that are too many stay for now: %s", error)
                said = str(error)
            except Exception:
                logger.exception("memories that are too many stay for now: unforeseen")
            await asyncio.sleep(SOON + random.uniform(0, SOON / 2))
            try:
                async with asyncio.timeout(EVERY):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    async def look(self) -> int:
        """Forget what is too much; how many were to be forgotten. Raises `Busy`."""
        policies, total = await self._policies(), 0
        if not policies.roles:
            return 0
        for role, count in (await self._rows.by_role()).items():
            policy = policies.of(role)
            if policy is None or count <= policy.cap:
                continue
            most = min(count - policy.cap, AT_ONCE)
            if most < count - policy.cap:
                self.wake()  # the rest the next time
            worst = await self._rows.worst(role, policy.half_life_days, most, self._now())
            for memory in worst:
                await self._forget(memory)
            total += len(worst)
            logger.info("role %s has %d memories and keeps %d: %d were forgotten", role, count, policy.cap, len(worst))
        return total
