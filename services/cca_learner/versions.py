"""A version of the policy, made of what is known; and the newest ones, kept for questions."""

from collections import OrderedDict

from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.policy import PolicySnapshot
from cca.routing import pacing
from cca.routing.algorithm import Fitted, History
from cca.routing.algorithms import ALGORITHMS
from cca_learner.decide import Era, Made, Policy
from cca_learner.memory import Memory

KEPT_BYTES = 32 * 1024 * 1024
KEPT_VERSIONS = 1_024
OVERHEAD = 8_192
"""What a version weighs besides its model: summaries of lanes, the vocabulary."""


class Version(Struct, frozen=True):
    """A version that could be: how it would stand in the log, and in the bucket once it has a number."""

    made: Made
    draft: PolicySnapshot
    fitted: Fitted

    def snapshot(self, version: int) -> PolicySnapshot:
        """What routers need of it."""
        return replace(self.draft, version=version)


def make(memory: Memory, under: Policy | Era) -> Version:
    """Learn from what is known. The same events and the same `under` make the same version.

    Nothing else may be done with the memory meanwhile.
    """
    statistics = memory.statistics
    position, digest = memory.head, memory.digest()
    history = History(statistics, memory.steps(), under.params, under.vocabulary)
    fitted = ALGORITHMS[under.algorithm].fit(history)
    lanes, prices = statistics.summaries(), pacing.prices(statistics, under.params)
    made = Made(under.algorithm, under.params, under.vocabulary, position, digest, statistics.outcomes)
    draft = PolicySnapshot(
        0, position, digest, under.algorithm, under.params, under.vocabulary, lanes, prices, fitted.model
    )
    return Version(made, draft, fitted)


class Recent:
    """The newest versions, by number, as many as fit."""

    def __init__(self, versions: int = KEPT_VERSIONS, size: int = KEPT_BYTES) -> None:
        self._versions, self._size = versions, size
        self._kept: OrderedDict[int, PolicySnapshot] = OrderedDict()
        self._bytes = 0

    def add(self, snapshot: PolicySnapshot) -> None:
        """Keep a version; the one that was kept first goes when there is no more room."""
        if snapshot.version in self._kept:
            return
        self._kept[snapshot.version] = snapshot
        self._bytes += len(snapshot.model) + OVERHEAD
        while len(self._kept) > 1 and (len(self._kept) > self._versions or self._bytes > self._size):
            _, gone = self._kept.popitem(last=False)
            self._bytes -= len(gone.model) + OVERHEAD

    def get(self, version: int) -> PolicySnapshot | None:
        return self._kept.get(version)

    def __len__(self) -> int:
        return len(self._kept)
