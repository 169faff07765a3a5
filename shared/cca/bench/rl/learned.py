"""The product's own algorithms as players: every new version is fitted to all that was heard, and decides alone."""

from collections.abc import Sequence

from cca.bench.rl.world import Job
from cca.contracts.policy import Algorithm, Params, PolicySnapshot
from cca.routing import pacing
from cca.routing.algorithm import History, Learner
from cca.routing.features import Vocabulary, known
from cca.routing.policy import Case, Judgement, LaneLoad, Policy
from cca.routing.statistics import Statistics
from cca.routing.steps import Step


class Learned:
    """What the learner and the router do between them, without a bus."""

    def __init__(
        self, name: str, algorithm: Algorithm, learner: Learner, params: Params, every: int, share: float = 0.0
    ) -> None:
        self.name, self.every, self.share = name, every, share
        self._algorithm, self._learner, self._params = algorithm, learner, params
        self._vocabulary = Vocabulary()
        self._met: dict[str, None] = {}
        self._statistics = Statistics(params, self._vocabulary.names)
        self._steps: list[Step] = []
        self._place: dict[int, int] = {}
        self._version = 0
        self._slots = self._vocabulary.slots()
        self._policy: Policy | None = None

    def known(self, x: dict[str, int]) -> dict[str, int]:
        # Names that the deciding version has no slot for enter the next one, as far as there is room.
        self._met.update(dict.fromkeys(x))
        return known(x, self._slots)

    def judge(self, job: Job, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        assert self._policy is not None, "decided before there was a version"
        return self._policy.judge(case, lanes)

    def routed(self, step: Step) -> None:
        self._place[step.position] = len(self._steps)
        self._steps.append(step)

    def heard(self, job: Job, step: Step) -> None:
        self._steps[self._place[step.position]] = step
        self._statistics.add(step)

    def refit(self, position: int) -> None:
        grown = self._vocabulary.grown(self._met)
        self._met.clear()
        if grown != self._vocabulary:
            self._vocabulary, self._slots = grown, grown.slots()
            self._statistics.grow(grown.names)
        kept = self._steps[-self._params.buffer_size :]
        fitted = self._learner.fit(History(self._statistics, kept, self._params, grown.names))
        self._version += 1
        snapshot = PolicySnapshot(
            version=self._version,
            position=position,
            digest="",
            algorithm=self._algorithm,
            params=self._params,
            vocabulary=grown.names,
            lanes=self._statistics.summaries(),
            prices=pacing.prices(self._statistics, self._params),
            model=fitted.model,
        )
        self._policy = self._learner.policy(snapshot)
