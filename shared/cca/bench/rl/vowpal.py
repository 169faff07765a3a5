"""Vowpal Wabbit as it is meant to be used: it learns from each outcome as it comes, and decides with all it knows."""

from collections.abc import Sequence
from typing import Any

from cca.bench.rl.world import Job
from cca.contracts.policy import Params
from cca.routing.challenger import RARE, lines
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.reward import value
from cca.routing.simple import even
from cca.routing.steps import Step


class Vowpal:
    """A contextual bandit of Vowpal Wabbit.

    Args:
        exploration: options: `--squarecb` (Foster and Rakhlin, 2020) or `--regcbopt` (Foster and others, 2018).
    """

    every = 1
    share = 1.0  # it has no versions

    def __init__(self, name: str, exploration: str, params: Params) -> None:
        """Raises ImportError when the package is not installed."""
        import vowpalwabbit

        self.name, self._params = name, params
        self._slots: dict[str, int] = {}
        self._bandit: Any = vowpalwabbit.Workspace(f"--cb_explore_adf {exploration} --quiet --random_seed 1 -q sa")

    def known(self, x: dict[str, int]) -> dict[str, int]:
        for name in x:
            self._slots.setdefault(name, len(self._slots))
        return x

    def judge(self, job: Job, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        answer = self._bandit.predict(lines(case.x, self._slots, [lane.key for lane in lanes]))
        chances = [max(float(chance), 0.0) for chance in answer]
        total = sum(chances)
        shares = [chance / total for chance in chances] if total > 0 else even(len(lanes))
        return Judgement(shares, shares)

    def routed(self, step: Step) -> None:
        pass

    def heard(self, job: Job, step: Step) -> None:
        if (valued := value(step, self._params)) is None:
            return
        label = f"0:{1 - valued.reward:.6f}:{max(step.propensity, RARE):.6f} "
        lanes = [option.lane for option in step.options]
        self._bandit.learn(lines(step.x, self._slots, lanes, {step.lane: label}))

    def refit(self, position: int) -> None:
        pass
