"""What compression would save, found out on samples: what is advised rests on it."""

from collections.abc import Sequence

from cca import codec
from cca.contracts.tokens import CompressTokens, Folding, Turn
from cca.pool.pool import Pool
from cca_tokens.jobs import Costs, Job

HOW = Folding("safe", model="gpt-5")
"""The level that is advised first, counted exactly and fast: a share of tokens is much the same for any model."""


class Potential:
    """Compresses texts, each by itself, and keeps nothing but what it saved."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __call__(self, texts: Sequence[str]) -> float:
        """The share of the tokens of texts that compression saves, between 0 and 1. Raises `Busy`, `Refused`."""
        command = CompressTokens(tuple(map(Turn, texts)), HOW)
        costs = await self._pool.done(Job("weigh", codec.encode(command)), Costs)
        return (costs.before - costs.after) / costs.before if costs.before else 0.0
