"""How a policy comes out of what has happened: an algorithm is a function of a history, whatever order it came in."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from cca.contracts.policy import Params, PolicySnapshot
from cca.routing.policy import Policy
from cca.routing.statistics import Statistics
from cca.routing.steps import Step


class History(Struct, frozen=True):
    """What an algorithm may learn from.

    Attributes:
        statistics: integer sums of all outcomes that are remembered.
        steps: the newest decisions, oldest first, those of one task together with `Step.task`; with and without
            outcome.
        params: what is configured.
        vocabulary: names of the features, by slot.
    """

    statistics: Statistics
    steps: Sequence[Step]
    params: Params
    vocabulary: tuple[str, ...]


class Fitted(Struct, frozen=True):
    """The parameters of a policy, in the encoding of its algorithm, and what is worth saying about how they came."""

    model: bytes
    loss: float | None = None
    table_size: int = 0


class Learner(Protocol):
    """An algorithm. It has no state: `fit` is given all there is, and the same history gives the same bytes."""

    @property
    def summary(self) -> str:
        """One sentence for people who choose."""
        ...

    def fit(self, history: History) -> Fitted:
        """Parameters for the policy."""
        ...

    def policy(self, snapshot: PolicySnapshot) -> Policy:
        """The policy of these parameters. Raises `Unreadable` for a model that is not this algorithm's."""
        ...
