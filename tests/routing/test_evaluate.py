"""What another policy would have earned: held against worlds in which we know it."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from cca.contracts.learner import Estimate
from cca.contracts.policy import Params, Reward
from cca.errors import Refused
from cca.routing.algorithm import History
from cca.routing.evaluate import (
    Logged,
    Values,
    doubt,
    estimate,
    estimates,
    evaluate,
    expected,
    lane,
    logged,
    probabilities,
    usable,
    valued,
    verdict,
)
from cca.routing.features import BASE, ONE, load
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.statistics import Statistics
from cca.routing.steps import Option, Step

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

Told = dict[str, Estimate]

KINDS = ("fix", "review", "write")
VOCABULARY = (*BASE, *(f"kind={kind}" for kind in KINDS))
SIZE, FIRST_KIND = VOCABULARY.index("size"), VOCABULARY.index("kind=fix")
SUCCESS_ONLY = Params(reward=Reward(quality=0, latency=0, tokens=0, money=0, deadline=0))
"""The reward is then 1 for a completed task and 0 for a failed one."""


# ------------------------------------------------------------------------------------------ worlds with a known truth


class World(Struct, frozen=True):
    """Lanes that are good at different kinds of task, and worse the busier they are; no straight line fits them."""

    base: Floats
    skill: Floats
    slope: Floats

    def success(self, kinds: Integers, sizes: Floats, loads: Floats) -> Floats:
        """(n, k) how likely each lane succeeds."""
        tilt = self.slope * (sizes**2)[:, None] * (1 + kinds[:, None] % 2)
        chances: Floats = np.clip(self.base + self.skill[kinds] + tilt - 0.2 * loads, 0.05, 0.95)
        return chances


def world_of(random: np.random.Generator, lanes: int) -> World:
    return World(
        random.uniform(0.3, 0.8, lanes),
        random.uniform(-0.25, 0.25, (len(KINDS), lanes)),
        random.uniform(-0.2, 0.2, lanes),
    )


def features(kinds: Integers, sizes: Floats) -> Floats:
    x = np.zeros((len(kinds), len(VOCABULARY)))
    x[:, 0], x[:, SIZE] = 1.0, sizes
    x[np.arange(len(kinds)), FIRST_KIND + kinds] = 1.0
    return x


def drawn_log(random: np.random.Generator, world: World, n: int, floor: float, adaptive: bool) -> tuple[Logged, Floats]:
    """A log and (n, k) the true chances of success: by a policy that is fixed, or that learns as it goes."""
    lanes = len(world.base)
    kinds, sizes, loads = random.integers(len(KINDS), size=n), random.random(n), random.random((n, lanes))
    true = world.success(kinds, sizes, loads)
    chances, chosen, rewards = np.zeros((n, lanes)), np.zeros(n, np.int64), np.zeros(n)
    sums, counts = np.ones((len(KINDS), lanes)), np.full((len(KINDS), lanes), 2.0)
    liking = random.normal(0, 0.2, (len(KINDS), lanes))
    for begin in range(0, n, 100):
        block = slice(begin, min(begin + 100, n))
        guess = (sums / counts if adaptive else liking)[kinds[block]]
        eager = np.exp(12 * (guess - guess.max(axis=1, keepdims=True)))
        chances[block] = (1 - floor) * eager / eager.sum(axis=1, keepdims=True) + floor / lanes
        marks = chances[block].cumsum(axis=1)
        chosen[block] = (random.random(len(guess))[:, None] * marks[:, -1:] > marks).sum(axis=1)
        rewards[block] = random.random(len(guess)) < np.take_along_axis(true[block], chosen[block, None], 1)[:, 0]
        np.add.at(sums, (kinds[block], chosen[block]), rewards[block])
        np.add.at(counts, (kinds[block], chosen[block]), 1.0)
    options = np.tile(np.arange(lanes), (n, 1))
    return Logged(features(kinds, sizes), options, loads, chances, chosen, rewards, np.arange(n)), true


def specialist(random: np.random.Generator, world: World, sharp: float) -> Callable[[Floats], Floats]:
    """A candidate that roughly knows which lane is good at what; the sharper, the surer it is of that."""
    liking = world.base + world.skill + random.normal(0, 0.1, world.skill.shape)

    def target(x: Floats) -> Floats:
        guess = x[:, FIRST_KIND:] @ liking
        eager = np.exp(sharp * (guess - guess.max(axis=1, keepdims=True)))
        chances: Floats = eager / eager.sum(axis=1, keepdims=True)
        return chances

    return target


def truth(random: np.random.Generator, world: World, target: Callable[[Floats], Floats]) -> float:
    """What the candidate really earns per decision, of very many."""
    n = 10_000
    kinds, sizes = random.integers(len(KINDS), size=n), random.random(n)
    loads = random.random((n, len(world.base)))
    return float((target(features(kinds, sizes)) * world.success(kinds, sizes, loads)).sum(axis=1).mean())


def runs(count: int, n: int, floor: float, adaptive: bool, sharp: float) -> list[tuple[Told, float]]:
    """Estimates by method, and the truth, of so many worlds, each with its own log and candidate."""
    found: list[tuple[Told, float]] = []
    for seed in range(count):
        random = np.random.default_rng(seed)
        world = world_of(random, 4)
        log, _ = drawn_log(random, world, n, floor, adaptive)
        target = specialist(random, world, sharp)
        told = estimates(log, valued(log, target(log.x)))
        found.append(({one.method: one for one in told}, truth(random, world, target)))
    return found


@pytest.mark.parametrize("adaptive", [False, True], ids=["fixed", "learning"])
@pytest.mark.parametrize("sharp", [8.0, 1e3], ids=["drawn", "certain"])
def test_with_a_floor_of_a_tenth_the_doubly_robust_value_is_unbiased_and_its_interval_holds(
    adaptive: bool, sharp: float
) -> None:
    found = runs(100, 2_000, 0.1, adaptive, sharp)
    errors = np.array([told["dr"].value - true for told, true in found])
    covered = sum(told["dr"].low <= true <= told["dr"].high for told, true in found)
    assert abs(errors.mean()) < 0.02
    assert covered >= 90
    # As far off as it says that it may be, no more and not much less.
    stated = np.array([told["dr"].error for told, _ in found])
    assert np.sqrt((errors**2).mean()) == pytest.approx(np.sqrt((stated**2).mean()), rel=0.3)


def test_the_model_makes_the_weighted_estimate_surer() -> None:
    found = runs(30, 2_000, 0.1, False, 1e3)
    spread = {
        method: np.sqrt(np.mean([(told[method].value - true) ** 2 for told, true in found]))
        for method in ("ips", "snips", "dr")
    }
    assert max(spread["dr"], spread["snips"]) < 0.8 * spread["ips"]
    for method in ("ips", "snips"):
        assert abs(np.mean([told[method].value - true for told, true in found])) < 0.02
        assert sum(told[method].low <= true <= told[method].high for told, true in found) >= 25


def test_decisions_of_one_task_count_as_one_witness() -> None:
    terms = np.tile([0.0, 1.0, 1.0, 0.0], 50)
    apart = estimate("dr", terms, np.arange(200))
    together = estimate("dr", np.repeat(terms, 5), np.repeat(np.arange(200), 5))
    assert (together.value, together.error) == pytest.approx((apart.value, apart.error))
    assert apart.error == pytest.approx(terms.std(ddof=1) / np.sqrt(200))


# ------------------------------------------------------------------------------------------ verdicts


def logs(random: np.random.Generator, n: int, floor: float = 0.1) -> tuple[World, Logged]:
    world = world_of(random, 4)
    return world, drawn_log(random, world, n, floor, False)[0]


def test_what_decided_is_worth_what_it_earned_and_no_better_than_itself() -> None:
    _, log = logs(np.random.default_rng(1), 500)
    values = valued(log, log.probabilities)
    told = {one.method: one.value for one in estimates(log, values)}
    assert told["ips"] == told["snips"] == told["logged"] == pytest.approx(log.rewards.mean())
    assert np.abs(values.advantage).max() < 1e-12
    assert values.ess == pytest.approx(500)
    assert values.untried == 0.0
    assert verdict(log, values).startswith("no difference can be told: ")


def test_a_better_and_a_worse_candidate_are_called_so() -> None:
    random = np.random.default_rng(2)
    world = World(np.array([0.2, 0.4, 0.6, 0.8]), np.zeros((3, 4)), np.zeros(4))
    log, _ = drawn_log(random, world, 2_000, 0.1, False)
    best, worst = np.tile([0.0, 0.0, 0.0, 1.0], (2_000, 1)), np.tile([1.0, 0.0, 0.0, 0.0], (2_000, 1))
    assert verdict(log, valued(log, best)).startswith("better than what decided: +0.")
    assert verdict(log, valued(log, worst)).startswith("worse than what decided: -0.")


def test_below_an_effective_sample_size_of_fifty_there_is_no_verdict() -> None:
    random = np.random.default_rng(3)
    world, log = logs(random, 100, 0.02)
    values = valued(log, specialist(random, world, 1e3)(log.x))
    assert values.ess < 50
    assert verdict(log, values) == f"no verdict: the effective sample size is {values.ess:.0f}, and 50 are needed"


def test_the_effective_sample_size_is_that_of_kish() -> None:
    weights = np.array([0.0, 1.0, 3.0])
    assert Values(weights, weights, weights, 0.0).ess == pytest.approx(16 / 10)
    assert Values(np.zeros(3), weights, weights, 0.0).ess == 0.0


@pytest.mark.covers("STAB-001")
def test_a_candidate_that_never_agrees_with_the_log_gets_no_verdict_and_no_numbers_that_are_none() -> None:
    _, log = logs(np.random.default_rng(10), 50)
    other = (np.arange(4) == ((log.chosen + 1) % 4)[:, None]).astype(np.float64)
    values = valued(log, other)
    told = estimates(log, values)
    assert values.ess == 0.0
    assert [one.method for one in told] == ["logged", "ips", "dr"]  # nothing to normalise by
    assert all(np.isfinite([one.value, one.error, one.low, one.high]).all() for one in told)
    assert verdict(log, values) == "no verdict: the effective sample size is 0, and 50 are needed"


def test_a_log_in_which_nothing_was_left_to_chance_allows_no_verdict_about_anything_else() -> None:
    _, log = logs(np.random.default_rng(4), 300)
    certain = (np.arange(4) == log.chosen[:, None]).astype(np.float64)
    log = replace(log, probabilities=certain)
    assert log.deterministic
    said = doubt(log, valued(log, np.full((300, 4), 0.25)))
    assert said == "no verdict: 75% of what it would choose was never tried, for what decided left nothing to chance"
    assert doubt(log, valued(log, certain)) is None


def test_a_lane_that_the_log_never_gave_a_chance_cannot_be_valued() -> None:
    _, log = logs(np.random.default_rng(5), 300)
    without = log.probabilities.copy()
    without[log.chosen != 3, 3] = 0.0
    log = replace(log, probabilities=without)
    assert not log.deterministic
    said = doubt(log, valued(log, np.full((300, 4), 0.25)))
    assert said is not None
    assert "was never tried, for the log gave it no chance" in said


# ------------------------------------------------------------------------------------------ from steps


def step(number: int, chosen: str = "docs/a", /, **more: object) -> Step:
    given: dict[str, object] = {
        "task": f"t{number}",
        "route": 1,
        "position": number * 4,
        "time": float(number),
        "lane": chosen,
        "x": {"size": 2048, "kind=review": ONE},
        "load": 0,
        "options": (Option("docs/a", 0.25, 1000), Option("docs/b", 0.75, 0)),
        "propensity": 0.25,
        "policy": "p/1",
        "ending": "completed",
        **more,
    }
    return Step(**given)  # type: ignore[arg-type]  # fields by name


class Sure(Struct, frozen=True):
    """Chooses the lane of this name, and says what it was asked."""

    lane: str
    asked: list[tuple[Case, Sequence[LaneLoad]]] = []
    name: str = "sure/1"

    def judge(self, case: Case, lanes: Sequence[LaneLoad]) -> Judgement:
        self.asked.append((case, lanes))
        chances = [float(one.lane == self.lane) for one in lanes]
        return Judgement(chances, chances)


def test_steps_become_arrays() -> None:
    steps = [
        step(1),
        step(2, "docs/b", ending="failed", options=(Option("docs/b", 1.0, 2048),), propensity=1.0, task="t1"),
    ]
    log = logged(steps, SUCCESS_ONLY, VOCABULARY)
    assert log.x[:, 0].tolist() == [1.0, 1.0]
    assert log.x[0, SIZE] == 0.5
    assert log.x[0, FIRST_KIND + 1] == 1.0
    assert log.options.tolist() == [[0, 1], [1, -1]]
    assert log.loads.tolist() == [[1000 / ONE, 0.0], [0.5, 0.0]]
    assert log.probabilities.tolist() == [[0.25, 0.75], [1.0, 0.0]]
    assert (log.chosen.tolist(), log.rewards.tolist(), log.tasks.tolist()) == ([0, 0], [1.0, 0.0], [0, 0])


def test_a_candidate_is_asked_what_the_router_was_asked() -> None:
    policy = Sure("b")
    chances = probabilities(policy, [step(1, requester="alice"), step(2, options=(Option("docs/a", 1.0),))], turn=7)
    assert chances.tolist() == [[0.0, 1.0], [0.0, 0.0]]
    (first, lanes), (second, _) = policy.asked
    assert first == Case({"size": 2048, "kind=review": ONE}, "alice", 7)
    assert second.turn == 8
    assert [one.key for one in lanes] == ["docs/a", "docs/b"]


@settings(deadline=None)
@forall(st.integers(0, ONE))
def test_a_lane_that_is_made_up_again_is_as_busy_as_it_was(busy: int) -> None:
    again = lane(Option("docs/a", 0.5, busy))
    assert load(again.running, again.queued, again.capacity) == busy
    assert again.running <= again.capacity


@pytest.mark.parametrize(
    "useless",
    [{"ending": None}, {"ending": "censored"}, {"propensity": 0.0}, {"options": ()}, {"lane": "docs/c"}],
)
def test_what_has_no_outcome_or_no_probability_is_not_used(useless: dict[str, object]) -> None:
    assert usable(step(1), SUCCESS_ONLY)
    assert not usable(step(1, **useless), SUCCESS_ONLY)


def test_the_model_never_predicts_a_decision_from_itself() -> None:
    _, log = logs(np.random.default_rng(6), 200)
    before = expected(log, 2.0)
    changed = log.rewards.copy()
    changed[::2] = 1 - changed[::2]
    after = expected(replace(log, rewards=changed), 2.0)
    assert (after[::2] == before[::2]).all()
    assert (after[1::2] != before[1::2]).any()


# ------------------------------------------------------------------------------------------ algorithms


def history(steps: Sequence[Step], params: Params = SUCCESS_ONLY) -> History:
    statistics = Statistics(params, VOCABULARY)
    for one in steps:
        statistics.add(one)
    return History(statistics, steps, params, VOCABULARY)


def simulated(seed: int, n: int, floor: float = 0.1) -> list[Step]:
    """A log of a fixed policy, in which lane d is the best and lane a the worst."""
    random = np.random.default_rng(seed)
    world = World(np.array([0.2, 0.4, 0.6, 0.8]), np.zeros((3, 4)), np.zeros(4))
    log, _ = drawn_log(random, world, n, floor, False)
    kinds = (log.x[:, FIRST_KIND:] @ np.arange(len(KINDS))).astype(int)
    return [
        step(
            row,
            f"docs/{'abcd'[log.chosen[row]]}",
            x={"size": round(log.x[row, SIZE] * ONE), f"kind={KINDS[kinds[row]]}": ONE},
            load=round(log.loads[row, log.chosen[row]] * ONE),
            options=tuple(
                Option(
                    f"docs/{'abcd'[place]}", round(log.probabilities[row, place], 9), round(log.loads[row, place] * ONE)
                )
                for place in range(4)
            ),
            propensity=round(log.probabilities[row, log.chosen[row]], 9),
            ending="completed" if log.rewards[row] else "failed",
        )
        for row in range(n)
    ]


def test_a_learner_that_was_trained_on_the_earlier_half_is_valued_on_the_later() -> None:
    steps = simulated(7, 1_200)
    told = evaluate("linear-pm", history(steps), SUCCESS_ONLY)
    assert (told.algorithm, told.decisions, told.trained_on) == ("linear-pm", 600, 600)
    assert [one.method for one in told.estimates] == ["logged", "ips", "snips", "dr"]
    by_method = {one.method: one for one in told.estimates}
    assert by_method["logged"].value == pytest.approx(np.mean([one.ending == "completed" for one in steps[600:]]))
    assert by_method["dr"].low <= 0.69 <= by_method["dr"].high  # lane d succeeds with 0.8 less the mean load's 0.1
    assert told.verdict.startswith("better than what decided")
    assert evaluate("linear-pm", history(steps[::-1]), SUCCESS_ONLY) == told


def test_even_chances_are_worth_the_mean_of_the_lanes() -> None:
    told = evaluate("uniform", history(simulated(8, 3_000)), SUCCESS_ONLY)
    by_method = {one.method: one for one in told.estimates}
    assert by_method["dr"].low <= 0.4 <= by_method["dr"].high


@pytest.mark.parametrize(
    "steps", [[], [step(1)], [step(1), step(2)], [step(1), step(2, task="t1"), step(3, task="t1")]]
)
def test_too_few_decisions_allow_no_verdict(steps: list[Step]) -> None:
    told = evaluate("uniform", history(steps), SUCCESS_ONLY)
    assert told.estimates == ()
    assert told.verdict == "no verdict: there are too few decisions with an outcome"


def test_an_algorithm_that_there_is_not_is_refused() -> None:
    for steps in ([], simulated(9, 100)):
        with pytest.raises(Refused):
            evaluate("astrology", history(steps), SUCCESS_ONLY)
