"""By what estimates are multiplied: what workers reported of a model, over what had been counted."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Protocol

from cca.errors import CcaError
from cca.tokens.correction import EVIDENCE, Experience, correction

logger = logging.getLogger("cca_tokens")

AGE = 60.0
"""Seconds for which a correction is good enough."""
ENOUGH = 20_000
"""Tokens that must have been counted before the reports of a model correct anything."""


class Reports(Protocol):
    """Where reports are added up."""

    async def ratios(self) -> Mapping[str, tuple[int, int]]:
        """By model: the input tokens that had been counted, and what they were when they were billed."""
        ...


class Corrections:
    """Corrections by model, looked at anew in the background when somebody counts; none while there are no reports."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._known: dict[str, float] = {}
        self._looked = -AGE
        self._looking: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    def of(self, model: str) -> float:
        """By what estimates for a model are multiplied, as far as is known; nobody waits for the tables."""
        due = self._loop.time() >= self._looked + AGE
        if due and (self._looking is None or self._looking.done()):
            self._looked = self._loop.time()
            self._looking = self._loop.create_task(self._look())
        return self._known.get(model, 1.0)

    async def _look(self) -> None:
        try:
            found = await self._reports.ratios()
        except CcaError as error:
            logger.debug("estimates are not corrected anew: %s", error)
            return
        except Exception:
            logger.exception("estimates are not corrected anew")
            return
        self._known = factors(found)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)


def factors(found: Mapping[str, tuple[int, int]]) -> dict[str, float]:
    """Corrections by model, where enough was reported."""
    experiences = {
        model: Experience(EVIDENCE, counted, actual) for model, (counted, actual) in found.items() if counted >= ENOUGH
    }
    return {model: correction(experiences, model, exact=False) for model in experiences}
