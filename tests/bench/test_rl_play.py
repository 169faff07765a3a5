"""A game is played as the product would: nothing is known before its time, and everybody has the same luck."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from cca.bench.rl import drift, escalation
from cca.bench.rl.entrants import chosen, entrants
from cca.bench.rl.old import OldQ
from cca.bench.rl.play import Game
from cca.bench.rl.world import Job
from cca.contracts.policy import Params
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.steps import Step


class Witness:
    """Chooses evenly, and writes down what happens."""

    name, every, share = "witness", 10, 0.0

    def __init__(self) -> None:
        self.log: list[tuple[str, Step]] = []
        self.offered: list[list[str]] = []
        self.fits: list[int] = []

    def known(self, x: dict[str, int]) -> dict[str, int]:
        return x

    def judge(self, job: Job, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        self.offered.append([lane.key for lane in lanes])
        return Judgement([1 / len(lanes)] * len(lanes), [0.0] * len(lanes))

    def routed(self, step: Step) -> None:
        self.log.append(("routed", step))

    def heard(self, job: Job, step: Step) -> None:
        self.log.append(("heard", step))

    def refit(self, position: int) -> None:
        self.fits.append(position)


def test_every_outcome_is_heard_once_and_never_before_its_decision() -> None:
    witness = Witness()
    Game(drift.late(1, 300), witness).play()
    routed = [step.task for what, step in witness.log if what == "routed"]
    heard = [step.task for what, step in witness.log if what == "heard"]
    assert sorted(routed) == sorted(heard) == sorted(set(routed))
    places = {(what, step.task): place for place, (what, step) in enumerate(witness.log)}
    waited = [places["heard", task] - places["routed", task] for task in routed]
    assert min(waited) > 0
    assert np.mean(waited) > 60  # what is routed and heard meanwhile stands between them


def test_without_delay_an_outcome_is_known_to_the_next_decision() -> None:
    witness = Witness()
    Game(drift.world(1, 50), witness).play()
    assert [what for what, _ in witness.log] == ["routed", "heard"] * 50


def test_there_is_a_version_before_the_first_decision_and_then_every_ten() -> None:
    witness = Witness()
    Game(drift.world(1, 45), witness).play()
    assert witness.fits == [0, 50, 100, 150, 200]


def test_a_lane_is_a_candidate_from_its_beginning_on() -> None:
    witness, world = Witness(), drift.world(1, 90)
    Game(world, witness).play()
    assert [len(lanes) for lanes in witness.offered] == [7] * 60 + [8] * 30


def test_a_failed_attempt_is_routed_again_and_the_policy_is_told_who_failed() -> None:
    witness, world = Witness(), escalation.world(1, 300)
    run = Game(world, witness).play()
    steps: dict[str, list[Step]] = {}
    for what, step in witness.log:
        if what == "heard":
            steps.setdefault(step.task, []).append(step)
    assert any(len(each) == world.attempts for each in steps.values())
    assert run.attempts == sum(map(len, steps.values())) / 300
    for each in steps.values():
        assert [step.route for step in each] == list(range(1, len(each) + 1))
        assert all(step.ending == "failed" for step in each[:-1])
        assert each[-1].ending == "completed" or len(each) == world.attempts
        for before, after in itertools.pairwise(each):
            assert f"failed={before.lane}" in after.x
            assert before.position < after.position


def test_what_is_recorded_is_what_was_drawn_from() -> None:
    witness = Witness()
    Game(drift.world(1, 60), witness).play()
    for what, step in witness.log:
        if what == "routed":
            assert step.propensity == {option.lane: option.probability for option in step.options}[step.lane]


@pytest.mark.parametrize("name", chosen(None))
def test_everybody_can_play_and_plays_the_same_again(name: str) -> None:
    world = escalation.world(1, 120)
    one, other = (Game(world, entrants()[name](world)).play() for _ in range(2))
    assert np.array_equal(one.worth, other.worth)
    assert one.attempts == other.attempts
    assert one.worth.min() >= 0 and one.worth.max() <= 1


def test_nobody_is_there_who_does_not_exist() -> None:
    with pytest.raises(ValueError, match="nobody"):
        chosen(["linear-pm", "nobody"])


# ------------------------------------------------------------------------------------------- the predecessor

LANES = [f"bench/lane-{letter}" for letter in "abcdefgh"]
LOADS = [LaneLoad("bench", lane.partition("/")[2], 1) for lane in LANES]
CASE = Case({})


def job(complexity: float, tokens: float, kind: str = "fix") -> Job:
    return Job("t", 100, kind, complexity=complexity, tokens=tokens)


def step(lane: str, ending: str = "completed") -> Step:
    return Step("t", 1, 0, 0.0, lane, {}, 0, (), 1.0, "old", ending=ending)  # type: ignore[arg-type]  # one of the endings


def test_the_predecessor_sends_what_it_has_never_seen_to_the_first_lane() -> None:
    judged = OldQ.exact(LANES, Params()).judge(job(0.1, 0.2), CASE, LOADS)
    # Nine tenths, and the six of twelve actions that end there: the coordinator's own, and five of no role.
    assert judged.probabilities[0] == pytest.approx(0.9 + 0.1 * 6 / 12)
    assert judged.probabilities[1:7] == pytest.approx([0.1 / 12] * 6)
    assert judged.probabilities[7] == 0  # an eighth lane has no action


def test_the_kinder_predecessor_sends_it_to_the_last_one() -> None:
    judged = OldQ.kinder(LANES, Params()).judge(job(0.1, 0.2), CASE, LOADS)
    assert judged.probabilities == pytest.approx([0.0125] * 7 + [0.9125])


def test_the_predecessor_cannot_tell_sorts_apart_but_hundredths() -> None:
    assert OldQ.key(job(0.5, 0.25, "fix")) == OldQ.key(job(0.501, 0.25, "review"))
    assert OldQ.key(job(0.5, 0.25)) != OldQ.key(job(0.51, 0.25))


def test_the_predecessor_learns_a_tenth_of_the_error_and_explores_ever_less() -> None:
    old = OldQ.exact(LANES, Params())
    old.heard(job(0.1, 0.2), step(LANES[3]))
    judged = old.judge(job(0.1, 0.2), CASE, LOADS)
    assert np.argmax(judged.probabilities) == 3
    assert judged.probabilities[3] == pytest.approx(1 - 0.0999 * 11 / 12)
    for _ in range(5_000):
        old.heard(job(0.1, 0.2), step(LANES[3], "failed"))
    assert sum(old.judge(job(0.9, 0.9), CASE, LOADS).probabilities[1:7]) == pytest.approx(0.01 * 6 / 12)
