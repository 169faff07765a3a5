"""A clock that goes on as logs do: a little with every line, sometimes more."""

import random
from datetime import UTC, datetime, timedelta


class Clock:
    """A moment in time that moves forward."""

    def __init__(self, rng: random.Random, step_ms: float = 400.0) -> None:
        self._rng, self._step_ms = rng, step_ms
        self.now = datetime(
            2025, rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 22), rng.randint(0, 59), tzinfo=UTC
        )
        self.now += timedelta(microseconds=rng.randint(0, 59_999_999))

    def tick(self, factor: float = 1.0) -> datetime:
        """Go on by a random step, `factor` times as long as usual on average."""
        self.now += timedelta(milliseconds=self._rng.expovariate(1 / (self._step_ms * factor)))
        return self.now

    def iso(self) -> str:
        """With milliseconds and `Z`."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.now.microsecond // 1000:03d}Z"

    def plain(self, separator: str = ".") -> str:
        """With a blank, as Python and Java log it."""
        return self.now.strftime("%Y-%m-%d %H:%M:%S") + f"{separator}{self.now.microsecond // 1000:03d}"

    def syslog(self) -> str:
        """`Mar  4 08:15:01`."""
        return f"{self.now:%b} {self.now.day:>2} {self.now:%H:%M:%S}"

    def access(self) -> str:
        """As nginx and Apache write it."""
        return self.now.strftime("%d/%b/%Y:%H:%M:%S +0000")
