"""A circuit breaker: who keeps failing is not asked for a while, so that callers hear at once that there is no answer.

Nygard, "Release It!" (2007).
"""

from typing import Literal

FAILURES = 3
"""So many failures in a row open it."""
PAUSE_S, LONGEST_S = 1.0, 15.0
"""Seconds that it stays open the first time, and at most; twice as long after each trial that fails."""


class Breaker:
    """`closed`: all may ask. `open`: nobody. `half-open`: one may, and what becomes of that decides.

    It knows no clock: `now` are seconds of any monotonic one.
    """

    def __init__(self, failures: int = FAILURES, pause_s: float = PAUSE_S, longest_s: float = LONGEST_S) -> None:
        self._most, self._first, self._longest = failures, pause_s, longest_s
        self._failures = 0
        self._pause = pause_s
        self._until: float | None = None
        self._trying = False
        self.opened = 0
        """How often it has opened."""

    @property
    def state(self) -> Literal["closed", "open", "half-open"]:
        if self._until is None:
            return "closed"
        return "half-open" if self._trying else "open"

    def admits(self, now: float) -> bool:
        """Whether one may ask; who may says later how that went, with `succeeded`, `failed` or `given_up`."""
        if self._until is None:
            return True
        if self._trying or now < self._until:
            return False
        self._trying = True
        return True

    def remaining(self, now: float) -> float:
        """Seconds until it may be tried again."""
        return 0.0 if self._until is None else max(self._until - now, 0.0)

    def succeeded(self) -> None:
        """There was an answer."""
        self._failures, self._pause = 0, self._first
        self._until, self._trying = None, False

    def failed(self, now: float) -> None:
        """There was none."""
        self._failures += 1
        if self._trying:
            self._pause = min(self._pause * 2, self._longest)
        elif self._until is not None or self._failures < self._most:
            return  # asked before it opened, or not often enough yet
        else:
            self.opened += 1
        self._until, self._trying = now + self._pause, False

    def given_up(self) -> None:
        """Nobody knows: the asker went away."""
        self._trying = False
