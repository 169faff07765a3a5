"""Keeps the work messages that a worker holds from being delivered to others."""

import asyncio
import logging

from cca.work.engine import Engine

logger = logging.getLogger("cca.worker")

PATIENCE_S = 1.0
"""How long a delivered message waits for a slot before it is given back for another worker to take."""


class Lease:
    """One timer for all messages.

    Each is marked as in progress at least every third of `ack_wait_s`, so that two marks may get lost.
    """

    def __init__(self, engine: Engine, ack_wait_s: float) -> None:
        self._engine, self._ack_wait_s = engine, ack_wait_s
        self._loop = asyncio.get_running_loop()
        self._every_s = ack_wait_s / 6
        self._last = self._loop.time()
        self._timer = self._loop.call_later(self._every_s, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._last > self._ack_wait_s:
            logger.warning(
                "the event loop was blocked for %.1f s, longer than a lease: "
                "a handler that blocks must be a plain function, which is run in a thread",
                now - self._last,
            )
        self._last = now
        # What was delivered or marked a moment ago need not be marked now: short tasks cost nothing here.
        before = now - self._every_s * 0.9
        for run in self._engine.runs.values():
            if run.renewed < before:
                run.delivery.in_progress()
                run.renewed = now
        if self._engine.busy >= self._engine.concurrency:
            self._engine.give_back(PATIENCE_S)
        self._timer = self._loop.call_later(self._every_s, self._tick)

    def stop(self) -> None:
        self._timer.cancel()
