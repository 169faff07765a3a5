"""Regressions per lane: they are the textbook's, they explore honestly, they learn, and no numbers break them."""

from collections.abc import Sequence
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import NDArray

from cca.contracts.policy import LaneSummary, Params, PolicySnapshot, Reward
from cca.errors import Unreadable
from cca.routing.algorithm import History, Learner
from cca.routing.features import BASE, MOST, ONE, described, known, load
from cca.routing.linear import EpsilonGreedy, LinearPM, LinearPolicy, LinUCB, fitted, untried
from cca.routing.policy import Case, Judgement, LaneLoad, choose, draw, seed_of
from cca.routing.posterior import Model, read
from cca.routing.statistics import Moments, Statistics, vector
from cca.routing.steps import Step
from cca.routing.thompson import Thompson

Floats = NDArray[np.float64]

CALM = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LEARNERS: dict[str, Learner] = {"pm": LinearPM(), "ucb": LinUCB(), "greedy": EpsilonGreedy()}
KINDS = ("docs", "fix", "review")
NAMES = (*BASE, *(f"kind={kind}" for kind in KINDS), "language=go", "language=python", "repo=web")
SUCCESS = Params(reward=Reward(quality=0, latency=0, tokens=0, money=0, deadline=0))
"""The reward is then 1 for a completed task and 0 for a failed one."""


def step(lane: str, x: dict[str, int], good: bool, position: int = 0, load: int = 0) -> Step:
    return Step(
        task=f"t{position}",
        route=1,
        position=position,
        time=0.0,
        lane=lane,
        x=x,
        load=load,
        options=(),
        propensity=0.5,
        policy="test/1",
        ending="completed" if good else "failed",
    )


def history(steps: Sequence[Step], params: Params = SUCCESS, names: Sequence[str] = NAMES) -> History:
    statistics = Statistics(params, names)
    for one in steps:
        statistics.add(one)
    return History(statistics, steps, params, tuple(names))


def snapshot(learner: Learner, past: History, **fields: object) -> PolicySnapshot:
    model = learner.fit(past).model
    return replace(PolicySnapshot(1, 1, "", "linear-pm", past.params, past.vocabulary, model=model), **fields)


def lanes(*names: str, running: int = 0) -> list[LaneLoad]:
    return [LaneLoad("r", name, 4, running) for name in names]


def random_steps(seed: int, count: int, names: Sequence[str] = ("a", "b", "c")) -> list[Step]:
    rng = Random(seed)
    return [
        step(
            f"r/{rng.choice(names)}",
            described(
                size=rng.randrange(50_000),
                priority=rng.choice(("low", "normal", "high")),
                attempt=rng.randint(1, 3),
                kind=rng.choice((*KINDS, None)),
                language=rng.choice(("go", "python", None)),
                repo=rng.choice(("web", None)),
            ),
            rng.random() < 0.6,
            position,
            rng.randrange(ONE),
        )
        for position in range(count)
    ]


X = st.builds(
    described,
    size=st.integers(0, 200_000),
    priority=st.sampled_from(("low", "normal", "critical")),
    attempt=st.integers(1, 6),
    kind=st.sampled_from((*KINDS, None)),
    language=st.sampled_from(("go", "python", None)),
    repo=st.sampled_from(("web", "nowhere", None)),
)
LANES = st.lists(
    st.builds(
        LaneLoad,
        st.just("r"),
        st.sampled_from("abcde"),
        st.integers(0, 50),
        st.integers(0, 50),
        st.integers(0, 500),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda lane: lane.lane,
)


def sound(judged: Judgement, count: int, least: float = 0.0) -> None:
    assert len(judged.probabilities) == len(judged.scores) == count
    assert np.isfinite([*judged.probabilities, *judged.scores]).all()
    assert min(judged.probabilities) >= least
    assert sum(judged.probabilities) == pytest.approx(1, abs=1e-9)
    if count > 1:
        assert judged.means is not None and judged.deviations is not None
        assert np.isfinite([*judged.means, *judged.deviations]).all()
        assert min(judged.deviations) > 0


# ------------------------------------------------------------------------------------------ the regression


def dense(steps: Sequence[Step], params: Params, x: dict[str, int], lane: str, busy: int) -> tuple[float, float]:
    """Mean and deviation, written down from the definition: rows, not sums, and every slot."""
    slots = {name: slot for slot, name in enumerate(NAMES)}

    def row(features: dict[str, int], load: int) -> Floats:
        found = np.zeros(len(NAMES))
        for slot, value in vector(features, load, slots):
            found[slot] = value / ONE
        return found

    rewards = np.array([float(one.ending == "completed") for one in steps])
    rows = np.array([row(dict(one.x), one.load) for one in steps])
    precision = np.diag([1.0, *[params.prior_precision] * (len(NAMES) - 1)])
    offset = (rewards.sum() + 1) / (len(rewards) + 2)
    common = np.linalg.solve(rows.T @ rows + precision, rows.T @ (rewards - offset))
    surprise, theta, covariance = 0.25**2 * 4, common, np.linalg.inv(precision)
    for key in {one.lane for one in steps}:
        own = [one.lane == key for one in steps]
        inverse = np.linalg.inv(rows[own].T @ rows[own] + precision)
        away = inverse @ rows[own].T @ (rewards[own] - offset - rows[own] @ common)
        left = rewards[own] - offset - rows[own] @ (common + away)
        surprise += left @ left + away @ precision @ away
        if key == lane:
            theta, covariance = common + away, inverse
    at = row(x, busy)
    noise = surprise / (len(rewards) + 4)
    return float(offset + theta @ at), float(np.sqrt(noise * (at @ covariance @ at)))


@CALM
@forall(st.integers(0, 10_000), st.integers(1, 120), X, LANES)
def test_means_and_deviations_are_those_of_the_textbook(
    seed: int, count: int, x: dict[str, int], lanes: list[LaneLoad]
) -> None:
    params = replace(SUCCESS, forgetting=1.0)
    steps = random_steps(seed, count)
    policy = LinearPM().policy(snapshot(LinearPM(), history(steps, params)))
    judged = policy.judge(Case(x), [*lanes, LaneLoad("r", "z", 1)])
    assert judged.means is not None and judged.deviations is not None
    for mean, deviation, lane in zip(judged.means, judged.deviations, lanes, strict=False):
        busy = load(lane.running, lane.queued, lane.capacity)
        expected, uncertain = dense(steps, params, x, lane.key, busy)
        assert mean == pytest.approx(expected, abs=1e-5)
        assert deviation == pytest.approx(uncertain, abs=1e-5)


def test_the_loss_is_the_root_mean_squared_residual() -> None:
    past = history([step("r/a", {}, True, 0), step("r/a", {}, False, 1)] * 200, replace(SUCCESS, forgetting=1.0))
    assert LinearPM().fit(past).loss == pytest.approx(0.5, abs=1e-3)
    assert LinearPM().fit(history([])).loss is None


def test_a_feature_that_nobody_has_seen_makes_all_lanes_equally_less_certain() -> None:
    names = (*NAMES, "language=cobol")
    policy = LinearPM().policy(snapshot(LinearPM(), history(random_steps(1, 200), names=names)))
    plain = policy.judge(Case({}), lanes("a", "b"))
    strange = policy.judge(Case({"language=cobol": ONE}), lanes("a", "b"))
    assert strange.means == plain.means
    assert plain.deviations is not None and strange.deviations is not None
    more = [after**2 - before**2 for before, after in zip(plain.deviations, strange.deviations, strict=True)]
    assert more[0] == pytest.approx(more[1]) and more[0] > 0


def test_a_feature_that_the_vocabulary_does_not_have_changes_nothing() -> None:
    policy = LinearPM().policy(snapshot(LinearPM(), history(random_steps(1, 200))))
    assert policy.judge(Case({"repo=nowhere": ONE}), lanes("a", "b")) == policy.judge(Case({}), lanes("a", "b"))


def test_a_kind_that_is_hard_for_every_lane_is_expected_to_be_hard_for_a_new_one() -> None:
    steps = [
        step(f"r/{lane}", described(size=0, kind=kind), kind == "docs", position)
        for position, (lane, kind) in enumerate([("a", "docs"), ("a", "fix"), ("b", "docs"), ("b", "fix")] * 50)
    ]
    policy = LinearPM().policy(snapshot(LinearPM(), history(steps)))
    easy, hard = (policy.judge(Case(described(size=0, kind=kind)), lanes("a", "new")) for kind in ("docs", "fix"))
    assert easy.means is not None and hard.means is not None
    assert easy.means[1] > 0.8 and hard.means[1] < 0.2


def test_a_busy_lane_can_be_a_worse_one() -> None:
    rng = Random(5)
    steps = [step(f"r/{'ab'[n % 2]}", {}, rng.random() > (n % 97) / 97, n, (n % 97) * 42) for n in range(1_000)]
    policy = LinearPM().policy(snapshot(LinearPM(), history(steps)))
    idle, busy = LaneLoad("r", "a", 4), LaneLoad("r", "b", 4, running=4, queued=20)
    judged = policy.judge(Case({}), [idle, busy])
    assert judged.probabilities[0] > 0.95


# ------------------------------------------------------------------------------------------ how lanes are chosen


@pytest.mark.covers("STAB-001")
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
@CALM
@forall(st.integers(0, 1_000), st.integers(0, 60), X, LANES, st.floats(0, 0.5))
def test_whatever_was_seen_probabilities_sum_to_one_and_keep_the_floor(
    learner: Learner, seed: int, count: int, x: dict[str, int], lanes: list[LaneLoad], floor: float
) -> None:
    past = history(random_steps(seed, count), replace(SUCCESS, floor=floor, burn_in=0))
    sound(learner.policy(snapshot(learner, past)).judge(Case(x), lanes), len(lanes), floor / len(lanes) * (1 - 1e-9))


def test_one_lane_alone_is_chosen_at_once() -> None:
    policy = LinearPM().policy(snapshot(LinearPM(), history([])))
    assert list(policy.judge(Case({}), lanes("a")).probabilities) == [1.0]


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_a_lane_that_was_hardly_tried_comes_first(learner: Learner) -> None:
    policy = learner.policy(snapshot(learner, history(random_steps(1, 200))))
    assert list(policy.judge(Case({}), lanes("a", "new", "b", "other")).probabilities) == [0, 0.5, 0, 0.5]


def test_what_a_new_lane_is_running_counts_as_tried() -> None:
    policy = LinearPM().policy(snapshot(LinearPM(), history(random_steps(1, 200))))
    judged = policy.judge(Case({}), [*lanes("a", "b"), LaneLoad("r", "new", 4, running=1, queued=1)])
    assert 0 < judged.probabilities[2] < 0.9
    assert untried([0, 1, 5], lanes("a", "b", "c", running=1), 2) == [1, 0, 0]
    assert untried([2, 2], lanes("a", "b"), 2) is None


def test_with_equal_lanes_probability_matching_is_even_and_the_best_guess_shares() -> None:
    steps = [step(f"r/{lane}", {}, good, 0) for lane in "abc" for good in (True, False) * 5]
    for learner in LEARNERS.values():
        judged = learner.policy(snapshot(learner, history(steps))).judge(Case({}), lanes("a", "b", "c"))
        assert judged.probabilities == pytest.approx([1 / 3] * 3, abs=1e-6)


def test_an_upper_bound_takes_the_best_and_spreads_the_floor() -> None:
    steps = [step(f"r/{lane}", {}, lane == "b", n) for n in range(50) for lane in "abc"]
    judged = LinUCB().policy(snapshot(LinUCB(), history(steps))).judge(Case({}), lanes("a", "b", "c"))
    assert judged.probabilities == pytest.approx([0.02 / 3, 0.98 + 0.02 / 3, 0.02 / 3])
    assert judged.means is not None and judged.deviations is not None
    bounds = [mean + 0.7 * width for mean, width in zip(judged.means, judged.deviations, strict=True)]
    assert judged.scores == pytest.approx(bounds)


@pytest.mark.parametrize(("epsilon", "spread"), [(0.3, 0.3), (0.0, 0.02)])
def test_the_best_guess_explores_by_epsilon_but_never_less_than_the_floor(epsilon: float, spread: float) -> None:
    steps = [step(f"r/{lane}", {}, lane == "b", n) for n in range(50) for lane in "abc"]
    past = history(steps, replace(SUCCESS, epsilon=epsilon))
    judged = EpsilonGreedy().policy(snapshot(EpsilonGreedy(), past)).judge(Case({}), lanes("a", "b", "c"))
    assert judged.probabilities == pytest.approx([spread / 3, 1 - spread + spread / 3, spread / 3])


def test_a_price_turns_the_choice_and_not_the_expectation() -> None:
    steps = [step(f"r/{lane}", {}, n % 10 < (9 if lane == "a" else 7), n) for n in range(400) for lane in "ab"]
    summaries = {"r/a": LaneSummary(n=400, cost_usd=1.0), "r/b": LaneSummary(n=400, cost_usd=0.1)}
    free = LinearPM().policy(snapshot(LinearPM(), history(steps))).judge(Case({}), lanes("a", "b"))
    told = snapshot(LinearPM(), history(steps), lanes=summaries, prices={"all": 0.5})
    paid = LinearPM().policy(told).judge(Case({}), lanes("a", "b"))
    assert free.probabilities[0] > 0.95 and paid.probabilities[0] < 0.05
    assert free.means is not None and paid.means == free.means
    assert paid.scores == pytest.approx([free.means[0] - 0.5, free.means[1] - 0.05])


# ------------------------------------------------------------------------------------------ explained, made again


@CALM
@forall(st.integers(0, 1_000), X, LANES)
def test_contributions_sum_to_the_mean(seed: int, x: dict[str, int], lanes: list[LaneLoad]) -> None:
    policy = LinearPM().policy(snapshot(LinearPM(), history(random_steps(seed, 100))))
    judged = policy.judge(Case(x), [*lanes, LaneLoad("r", "new", 3, 1)])
    assert judged.means is not None
    for lane, mean in zip(lanes, judged.means, strict=False):
        told = policy.contributions(Case(x), lane)
        assert sum(told.values()) == pytest.approx(mean, abs=1e-9)
        assert set(told) <= {"1", "load", *x}


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
@CALM
@forall(st.integers(0, 1_000), X, LANES, st.integers(0, 2**63 - 1))
def test_the_same_snapshot_decides_the_same_to_the_last_bit(
    learner: Learner, seed: int, x: dict[str, int], lanes: list[LaneLoad], number: int
) -> None:
    told = snapshot(learner, history(random_steps(seed, 100)))
    one, other = (
        learner.policy(told),
        learner.policy(msgspec.json.decode(msgspec.json.encode(told), type=PolicySnapshot)),
    )
    for again in (described(size=9, kind="docs"), x):  # what was asked before leaves no trace
        other.judge(Case(again), lanes[::-1])
    reordered = Case(dict(reversed(x.items())))
    assert repr(one.judge(Case(x), lanes)) == repr(other.judge(reordered, lanes))
    assert choose(one, number, Case(x), lanes) == choose(other, number, reordered, lanes)


@CALM
@forall(st.integers(0, 1_000), st.randoms(use_true_random=False))
def test_the_order_of_outcomes_makes_no_difference_to_a_single_byte(seed: int, random: Random) -> None:
    steps = random_steps(seed, 80)
    shuffled = random.sample(steps, len(steps))
    assert LinearPM().fit(history(steps)) == LinearPM().fit(history(shuffled))


def test_statistics_that_were_merged_make_the_same_model() -> None:
    steps = random_steps(3, 300)
    whole, part = history(steps), history(steps[::2])
    part.statistics.merge(history(steps[1::2]).statistics)
    assert LinearPM().fit(part) == LinearPM().fit(whole)


def test_the_three_policies_share_their_parameters() -> None:
    past = history(random_steps(3, 300))
    assert len({learner.fit(past).model for learner in LEARNERS.values()}) == 1


# ------------------------------------------------------------------------------------------ what is stored


def test_sixty_four_lanes_with_the_longest_vocabulary_fit_into_a_message() -> None:
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (64, 200, MOST))
    rows[:, :, 0] = 1
    rewards = rng.uniform(0, 1, (64, 200))
    model, _ = fitted(
        {
            f"r/l{lane}": Moments(200.0, x.T @ x, x.T @ r, float(r.sum()), float(r @ r))
            for lane, (x, r) in enumerate(zip(rows, rewards, strict=True))
        },
        2.0,
    )
    assert len(msgspec.msgpack.encode(model)) < 400_000


def test_only_features_with_outcomes_take_space() -> None:
    names = (*NAMES, *(f"requester=r{n}" for n in range(6)))
    model = LinearPM().fit(history([step("r/a", {"size": 7}, True)], names=names)).model
    assert read(model).slots == (0, 1, 2)


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
def test_a_model_of_something_else_is_unreadable(learner: Learner) -> None:
    whole = snapshot(LinearPM(), history(random_steps(1, 50)))
    wrong = [b"", b"nonsense", whole.model[:-5], Thompson().fit(history(random_steps(1, 50))).model]
    found = msgspec.msgpack.decode(whole.model, type=Model)
    for fields in (
        {"means": found.means[:-4]},
        {"covariances": b""},
        {"packed": not found.packed},
        {"noise": 0.0},
        {"noise": float("nan")},
        {"slots": (5, 6, 7)},
        {"slots": ()},
        {"slots": (0, 1, *range(100, 98 + len(found.slots)))},
        {"counts": found.counts[1:]},
        {"means": np.full(len(found.slots) * 4, np.nan, "<f4").tobytes(), "packed": False},
    ):
        wrong.append(msgspec.msgpack.encode(replace(found, **fields)))
    for model in wrong:
        with pytest.raises(Unreadable):
            learner.policy(replace(whole, model=model))


def test_a_model_of_a_shorter_vocabulary_still_decides() -> None:
    told = snapshot(LinearPM(), history(random_steps(1, 200)))
    grown = replace(told, vocabulary=(*told.vocabulary, "repo=new"))
    sound(LinearPM().policy(grown).judge(Case({"repo=new": ONE}), lanes("a", "b")), 2)


# ------------------------------------------------------------------------------------------ no numbers break it

AWKWARD = st.one_of(
    st.floats(),
    st.sampled_from((0.0, -0.0, 1e-300, 1e-30, 1e6, 1e14, 1e15, 1e200, -1.0)),
)


@pytest.mark.covers("STAB-001")
@pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)
@CALM
@forall(
    st.lists(st.lists(AWKWARD, min_size=13, max_size=13), min_size=0, max_size=3),
    st.floats(1e-300, 1_000),
    X,
    LANES,
)
def test_sums_that_make_no_sense_break_nothing(
    learner: Learner, numbers: list[list[float]], precision: float, x: dict[str, int], lanes: list[LaneLoad]
) -> None:
    moments = {}
    for lane, (n, r, rr, *rest) in zip("abc", numbers, strict=False):
        xx = np.zeros((len(BASE), len(BASE)))
        xx[:2, :3] = np.reshape(rest[:6], (2, 3))
        xx[np.diag_indices(4)] = rest[6:10]
        xx = np.maximum(xx, xx.T)
        moments[f"r/{lane}"] = Moments(n, xx, np.resize(rest, len(BASE)), r, rr)
    model, loss = fitted(moments, precision)
    assert loss is None or np.isfinite(loss)
    params = replace(SUCCESS, burn_in=0)
    told = PolicySnapshot(1, 1, "", "linear-pm", params, BASE, model=msgspec.msgpack.encode(model))
    sound(learner.policy(told).judge(Case(known(x, {name: 0 for name in BASE})), lanes), len(lanes), 0.02 / 6)


@pytest.mark.covers("STAB-001")
@CALM
@forall(st.integers(1, 10**9), st.integers(1, 1_000), X, LANES)
def test_any_number_of_equal_outcomes_is_as_good_as_one(
    times: int, precision: int, x: dict[str, int], lanes: list[LaneLoad]
) -> None:
    rows = np.array([[1.0, 0.5, 0.25, 0.0, 0.0], [1.0, 0.5, 0.25, 0.0, 0.0]])
    every = Moments(2.0 * times, times * rows.T @ rows, times * rows.sum(0), 2.0 * times, 2.0 * times)
    model, _ = fitted({"r/a": every, "r/b": every}, float(precision))
    told = PolicySnapshot(1, 1, "", "linear-pm", SUCCESS, BASE, model=msgspec.msgpack.encode(model))
    sound(LinearPM().policy(told).judge(Case({"size": 1024}), lanes), len(lanes))


@pytest.mark.covers("STAB-001")
def test_features_and_loads_beyond_their_range_are_held_in_it() -> None:
    policy = LinearPM().policy(snapshot(LinearPM(), history(random_steps(1, 200))))
    huge = policy.judge(Case({"size": 10**30, "priority": -(10**30)}), [LaneLoad("r", n, 0, 0, 10**18) for n in "ab"])
    assert huge == policy.judge(Case({"size": ONE, "priority": -ONE}), [LaneLoad("r", n, 0, 0, 10**18) for n in "ab"])
    sound(huge, 2)


# ------------------------------------------------------------------------------------------ it learns

RATES = {"a": (0.9, 0.3, 0.5), "b": (0.4, 0.85, 0.3), "c": (0.5, 0.5, 0.8)}
"""How often each lane succeeds, by kind: each is the best for one."""


def played(learner: Learner, seed: int, count: int = 1_500) -> Floats:
    """The success rate of the lane that was chosen, for each of so many tasks."""
    past = history([])
    policy = learner.policy(snapshot(learner, past))
    earned = np.zeros(count)
    rng = Random(seed)
    for number in range(count):
        if number % 20 == 0:
            policy = learner.policy(snapshot(learner, past))
        kind = rng.randrange(len(KINDS))
        x = described(size=rng.randrange(20_000), kind=KINDS[kind])
        there = [LaneLoad("r", name, 4, rng.randint(0, 4)) for name in RATES]
        place = draw(policy.judge(Case(x), there).probabilities, seed_of(seed, number))
        earned[number] = RATES[there[place].lane][kind]
        busy = load(there[place].running, 0, 4)
        past.statistics.add(step(there[place].key, x, rng.random() < earned[number], number, busy))
    return earned


@pytest.mark.parametrize(
    ("learner", "share"),
    [(LinearPM(), 0.9), (LinUCB(), 0.85), (EpsilonGreedy(), 0.85), (Thompson(), 0.85)],
    ids=["pm", "ucb", "greedy", "thompson"],
)
def test_it_finds_the_best_lane_for_each_kind(learner: Learner, share: float) -> None:
    oracle = np.mean([max(rates) for rates in zip(*RATES.values(), strict=True)])
    chance = np.mean(list(RATES.values()))
    late = np.array([played(learner, seed)[1_000:].mean() for seed in range(3)])
    assert late.min() >= share * oracle
    assert late.min() >= 1.25 * chance


def test_the_policies_have_names_and_say_what_they_are() -> None:
    told = snapshot(LinearPM(), history([]))
    policies = [learner.policy(told) for learner in LEARNERS.values()]
    assert all(isinstance(policy, LinearPolicy) for policy in policies)
    assert [policy.name for policy in policies] == ["linear-pm/1", "linucb/1", "epsilon-greedy/1"]
    assert all(learner.summary.endswith(".") for learner in LEARNERS.values())
