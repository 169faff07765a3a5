"""The candidate beside the live policy: compared now and then, in the background, and let take over when it is to."""

import asyncio
import logging
from functools import partial

from msgspec.structs import replace

from cca.contracts.learner import Shadow
from cca.contracts.policy import ShadowStarted
from cca.errors import CcaError
from cca.routing.shadow import compare
from cca_learner import decide
from cca_learner.shell import Learner

logger = logging.getLogger("cca_learner")

PAUSE = 5.0
"""Seconds between two comparisons at least."""
SHARE = 5
"""The pause is this many times as long as the comparison took, so that it never takes more than a sixth of a core."""


class Trial:
    """Looks after the candidate, if there is one."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._found: Shadow | None = None
        self._changes = -1
        self._next = 0.0
        self._running: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        learner.moved.append(self.look)

    def shadow(self) -> Shadow | None:
        """How the candidate does, as far as it was compared; None when there is none."""
        tried = self._learner.at.state.shadow
        if tried is None:
            return None
        found = self._found
        if found is None or not _same(found, tried):
            return Shadow(tried.algorithm, tried.position, tried.promote, verdict="not compared yet")
        return replace(found, promote=tried.promote)

    def look(self) -> None:
        """Compare, if there is something new and the last time was long enough ago."""
        tried = self._learner.at.state.shadow
        if tried is None or (self._running is not None and not self._running.done()):
            return
        if self._found is not None and _same(self._found, tried) and self._loop.time() < self._next:
            return
        self._running = self._loop.create_task(self._compare(tried))

    async def _compare(self, tried: ShadowStarted) -> None:
        begun = self._loop.time()
        try:
            memory, policy = await self._learner.memory(), self._learner.at.state
            if self._found is not None and _same(self._found, tried) and memory.changes == self._changes:
                return
            self._changes = memory.changes
            self._found = await asyncio.to_thread(
                compare, tried.algorithm, memory.steps(), policy.params, policy.vocabulary, tried.position
            )
            if tried.promote and self._found.promote:
                await self._learner.change(partial(decide.promote, self._found))
                await self._learner.renew()
        except CcaError as error:
            logger.warning("the candidate %s cannot be compared now: %s", tried.algorithm, error)
        except Exception:
            logger.exception("the candidate %s cannot be compared", tried.algorithm)
        finally:
            took = self._loop.time() - begun
            self._next = self._loop.time() + max(PAUSE, SHARE * took)

    async def stop(self) -> None:
        """Compare no longer."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)


def _same(found: Shadow, tried: ShadowStarted) -> bool:
    return (found.algorithm, found.position) == (tried.algorithm, tried.position)
