"""A candidate beside the live policy: it learns only from what was before, and takes over only when that is safe."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.policy import Params, PolicySnapshot, Reward
from cca.errors import Refused
from cca.routing import algorithms
from cca.routing.algorithm import Fitted, History
from cca.routing.features import BASE
from cca.routing.policy import Case, Judgement, LaneLoad, Policy
from cca.routing.shadow import LEAST, compare
from cca.routing.steps import Option, Step

PARAMS = Params(reward=Reward(quality=0, latency=0, tokens=0, money=0, deadline=0))
"""The reward is 1 for a completed task and 0 for a failed one."""
LANES = ("docs/a", "docs/b", "docs/c")


def decided(n: int, chances: Sequence[float], success: Sequence[float], seed: int = 1, first: int = 1) -> list[Step]:
    """So many decisions, four positions apart, of a policy that draws lanes with these chances."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(LANES), n, p=chances)
    good = random.random(n) < np.array(success)[chosen]
    options = tuple(Option(lane, chance) for lane, chance in zip(LANES, chances, strict=True))
    return [
        Step(
            task=f"t{number}",
            route=1,
            position=4 * (first + number),
            time=float(number),
            lane=LANES[chosen[number]],
            x={"size": int(random.integers(4096))},
            load=0,
            options=options,
            propensity=chances[chosen[number]],
            policy="live/1",
            ending="completed" if good[number] else "failed",
        )
        for number in range(n)
    ]


class Noted(Struct, frozen=True):
    """An algorithm that likes the last lane, and notes what it was given to learn from."""

    seen: list[tuple[int, ...]]
    counted: list[int]
    turns: list[int]
    summary: str = "for tests"
    name: str = "noted/1"

    def fit(self, history: History) -> Fitted:
        self.seen.append(tuple(step.position for step in history.steps))
        self.counted.append(history.statistics.outcomes)
        return Fitted(b"")

    def policy(self, snapshot: PolicySnapshot) -> Policy:
        return self

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        self.turns.append(case.turn)
        chances = [float(place == len(lanes) - 1) for place in range(len(lanes))]
        return Judgement(chances, chances)


EVEN = (1 / 3, 1 / 3, 1 / 3)
MOSTLY_A = (0.8, 0.1, 0.1)


def test_a_candidate_that_earns_more_is_promoted() -> None:
    told = compare("linear-pm", decided(900, MOSTLY_A, (0.3, 0.5, 0.9)), PARAMS, BASE, 0)
    assert told.low is not None and told.advantage is not None and told.high is not None
    assert 0 < told.low < told.advantage < told.high
    assert told.low <= 0.9 - (0.8 * 0.3 + 0.1 * 0.5 + 0.1 * 0.9)
    assert (told.algorithm, told.position, told.decisions) == ("linear-pm", 0, 900)
    assert told.ess >= 50
    assert told.promote
    assert told.verdict.startswith("better than what decided: +0.")


def test_a_candidate_that_earns_less_is_not() -> None:
    told = compare("uniform", decided(900, MOSTLY_A, (0.9, 0.1, 0.1)), PARAMS, BASE, 0)
    assert told.high is not None and told.high < 0
    assert not told.promote
    assert told.verdict.startswith("worse than what decided: -0.")


def test_a_candidate_that_does_the_same_is_neither() -> None:
    told = compare("uniform", decided(400, EVEN, (0.9, 0.1, 0.1)), PARAMS, BASE, 0)
    assert told.advantage == pytest.approx(0, abs=1e-12)
    assert told.ess == pytest.approx(400)
    assert not told.promote
    assert told.verdict.startswith("no difference can be told")


def test_few_decisions_are_not_enough_however_clear_they_are() -> None:
    steps = decided(LEAST, EVEN, (0.0, 0.0, 1.0))
    started = steps[50].position
    clear = compare("linear-pm", steps, PARAMS, BASE, started, block=50)
    assert clear.low is not None and clear.low > 0 and clear.ess >= 50
    assert not clear.promote
    assert clear.verdict == f"no verdict yet: {LEAST - 50} decisions, and {LEAST} are needed"
    assert compare("linear-pm", steps + decided(50, EVEN, (0.0, 0.0, 1.0), 2, LEAST + 1), PARAMS, BASE, started).promote


def test_below_an_effective_sample_size_of_fifty_nobody_is_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(algorithms, "learner_of", lambda _: Noted([], [], []))
    told = compare("noted", decided(1_000, (0.49, 0.49, 0.02), (0.0, 0.0, 1.0)), PARAMS, BASE, 0)
    assert told.ess < 50
    assert told.low is not None and told.low > 0
    assert not told.promote
    assert told.verdict.startswith("no verdict: the effective sample size is")


def test_a_candidate_learns_only_from_what_was_before_each_block(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Noted([], [], [])
    monkeypatch.setattr(algorithms, "learner_of", lambda _: noted)
    steps = decided(100, EVEN, (0.1, 0.2, 0.3))
    steps[70] = replace(steps[70], ending=None)  # what is still open is judged in no block, and counts for none
    started = steps[20].position
    told = compare("noted", steps, PARAMS, BASE, started, block=30)
    positions = [step.position for step in steps]
    assert noted.seen == [tuple(positions[:20]), tuple(positions[:50]), tuple(positions[:81])]
    assert noted.counted == [20, 50, 80]
    assert noted.turns == list(range(79))
    assert told.decisions == 79


def test_the_order_in_which_decisions_are_given_does_not_matter() -> None:
    steps = decided(300, MOSTLY_A, (0.3, 0.5, 0.9))
    assert compare("linear-pm", steps[::-1], PARAMS, BASE, 100) == compare("linear-pm", steps, PARAMS, BASE, 100)


def test_before_there_are_decisions_there_is_nothing_to_say() -> None:
    steps = decided(10, EVEN, (0.1, 0.2, 0.3))
    told = compare("uniform", steps, PARAMS, BASE, steps[-1].position)
    assert (told.decisions, told.advantage, told.low, told.promote) == (1, None, None, False)
    assert told.verdict == "no decisions yet"


def test_an_algorithm_that_there_is_not_is_refused() -> None:
    with pytest.raises(Refused):
        compare("astrology", decided(10, EVEN, (0.1, 0.2, 0.3)), PARAMS, BASE, 0)
