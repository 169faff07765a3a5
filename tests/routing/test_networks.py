"""Networks that really train: their slopes are right, they learn what no straight line can, and they store little."""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from msgspec.structs import replace

from cca.contracts.policy import Params, PolicySnapshot, Reward
from cca.errors import Unreadable
from cca.routing.algorithm import Fitted, History, Learner
from cca.routing.buffer import experiences
from cca.routing.dqn import DQN, targets
from cca.routing.features import MOST, ONE, Vocabulary, described
from cca.routing.networks import LANES, Adam, Floats, examples, fresh, known_lanes, pack, unpack, vector
from cca.routing.pacing import prices
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.ppo import CLIP, PPO, ascent, chances, objective
from cca.routing.statistics import Statistics
from cca.routing.steps import Option, Step

CALM = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = (
    Vocabulary()
    .grown(["kind=fix", "kind=review", "language=go", "language=py", "failed=docs/cheap", "failed=docs/strong"])
    .names
)
SUCCESS = Params(reward=Reward(quality=0, latency=0, tokens=0, money=0, deadline=0))
"""Only success counts: 1 or 0."""
TRAINED = [DQN(), PPO()]
CALLED = ["dqn", "ppo"]


def history(steps: Sequence[Step], params: Params = SUCCESS) -> History:
    return History(Statistics(params, NAMES), steps, params, NAMES)


def snapshot(model: bytes, params: Params = SUCCESS) -> PolicySnapshot:
    return PolicySnapshot(1, 1, "", "dqn", params, NAMES, model=model)


def ask(
    learner: Learner, fitted: Fitted, x: dict[str, int], lanes: Sequence[str], params: Params = SUCCESS
) -> Judgement:
    loads = [LaneLoad(*lane.partition("/")[::2], 4) for lane in lanes]
    return learner.policy(snapshot(fitted.model, params)).judge(Case(x), loads)


def step(
    position: int,
    lane: str,
    lanes: Sequence[str],
    x: dict[str, int],
    managed: bool,
    task: str | None = None,
    route: int = 1,
    cost_usd: float | None = None,
) -> Step:
    """A decision that was drawn evenly."""
    share = 1 / len(lanes)
    options = tuple(Option(each, share) for each in lanes)
    return Step(
        task or f"t{position}",
        route,
        position,
        float(position),
        lane,
        x,
        0,
        options,
        share,
        "uniform/1",
        ending="completed" if managed else "failed",
        latency_s=30.0,
        cost_usd=cost_usd,
    )


# ------------------------------------------------------------------------------------------ slopes


def by_hand(loss: Callable[[], float], parameters: Sequence[Floats]) -> list[Floats]:
    """How a loss changes with each parameter, found by moving each a little to both sides."""
    found = []
    for each in parameters:
        slopes = np.zeros_like(each)
        for place in np.ndindex(each.shape):
            before = each[place]
            each[place] = before + 1e-6
            above = loss()
            each[place] = before - 1e-6
            slopes[place] = (above - loss()) / 2e-6
            each[place] = before
        found.append(slopes)
    return found


@CALM
@forall(st.integers(0, 5), st.integers(1, 6), st.integers(1, 4), st.integers(1, 7), st.integers(0, 2**32))
def test_the_gradient_is_what_small_moves_say(inputs: int, hidden: int, outputs: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = fresh(inputs, hidden, outputs, rng, 0.3)
    network.outer[:] = rng.standard_normal(network.outer.shape)
    x, wanted = rng.standard_normal((count, inputs)), rng.standard_normal((count, outputs))

    def loss() -> float:
        return float(((network(x) - wanted) ** 2).sum() / 2)

    found = network.gradient(x, network.hidden(x), network(x) - wanted)
    for slope, true in zip(found, by_hand(loss, network.parameters), strict=True):
        assert slope == pytest.approx(true, rel=1e-4, abs=1e-6)


@CALM
@forall(st.integers(1, 6), st.integers(1, 5), st.integers(0, 2**32))
def test_the_slope_of_the_clipped_objective_is_what_small_moves_say(count: int, lanes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs = rng.standard_normal((count, lanes)) * 2
    taken = rng.integers(0, lanes, count)
    able = rng.random((count, lanes)) < 0.7
    able[np.arange(count), taken] = True
    now = chances(outputs, able)[np.arange(count), taken]
    before = now * rng.uniform(0.6, 1.6, count)
    kinks = np.abs(np.stack([now / before - 1 + CLIP, now / before - 1 - CLIP])).min()
    weight, advantage = rng.uniform(0.2, 5, count), rng.standard_normal(count)
    if kinks > 1e-4:  # at a kink there is no slope
        (true,) = by_hand(lambda: float(objective(outputs, able, taken, before, weight, advantage).sum()), [outputs])
        assert ascent(outputs, able, taken, before, weight, advantage) == pytest.approx(true, rel=1e-4, abs=1e-6)


def test_adam_finds_the_lowest_point() -> None:
    place = np.array([5.0, -3.0])
    adam = Adam([place], 0.1)
    for _ in range(500):
        adam.step([2 * (place - np.array([1.0, 2.0])) * np.array([1.0, 100.0])])
    assert place == pytest.approx([1, 2], abs=1e-3)


def test_a_parameter_that_nothing_pulls_at_shrinks() -> None:
    place = np.array([1.0])
    adam = Adam([place], 0.1, decay=0.5)
    for _ in range(100):
        adam.step([np.zeros(1)])
    assert place[0] == pytest.approx(0.95**100)


# ------------------------------------------------------------------------------------------ what no line can say

XOR = ("docs/one", "docs/two")
CASES = list(itertools.product(("fix", "review"), ("go", "py")))


def best_of(kind: str, language: str) -> int:
    return int((kind == "fix") != (language == "go"))


def crossed(count: int, seed: int) -> list[Step]:
    """Which lane manages a task depends on kind and language together, on neither alone; one in ten goes wrong."""
    chance = random.Random(seed)
    steps = []
    for position in range(count):
        kind, language = chance.choice(CASES)
        lane = chance.randrange(2)
        managed = (lane == best_of(kind, language)) != (chance.random() < 0.1)
        x = described(size=chance.randint(10, 9_000), kind=kind, language=language)
        steps.append(step(position, XOR[lane], XOR, x, managed))
    return steps


@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
@pytest.mark.parametrize("seed", [1, 2])
def test_it_learns_what_depends_on_two_features_together(learner: Learner, seed: int) -> None:
    fitted = learner.fit(history(crossed(2_000, seed)))
    for (kind, language), size in itertools.product(CASES, (30, 1_000, 8_000)):
        judged = ask(learner, fitted, described(size=size, kind=kind, language=language), XOR)
        assert judged.probabilities[best_of(kind, language)] > 0.8


def test_no_linear_model_can_tell_these_lanes_apart() -> None:
    rows = examples(experiences(history(crossed(2_000, 1))), NAMES, 1.0)
    every = np.column_stack([np.ones(len(rows)), rows.x])
    lines = [np.linalg.lstsq(every[mine := rows.taken == lane], rows.reward[mine], rcond=None)[0] for lane in (0, 1)]
    slots = {name: slot for slot, name in enumerate(NAMES)}
    right = 0
    for kind, language in CASES:
        x = vector(described(size=1_000, kind=kind, language=language), slots, len(NAMES))
        seen = np.append(1, x)
        right += int((seen @ lines[1] > seen @ lines[0]) == best_of(kind, language))
    assert right <= 3


# ------------------------------------------------------------------------------------------ escalation

CHEAP, STRONG = "docs/cheap", "docs/strong"
BOTH = (CHEAP, STRONG)


def escalations(tasks: int, seed: int) -> list[Step]:
    """Cheap manages fixes, and hardly any review; strong manages both, for more money; neither what it has failed."""
    chance = random.Random(seed)
    steps: list[Step] = []
    for number in range(tasks):
        kind = chance.choice(["fix", "review"])
        failed: list[str] = []
        for attempt in (1, 2, 3):
            lane = chance.choice(BOTH)
            likely = 0.05 if (lane, kind) == (CHEAP, "review") else 0.92
            managed = lane not in failed and chance.random() < likely
            x = described(size=100, kind=kind, attempt=attempt, failed=failed)
            cost = 0.02 if lane == CHEAP else 2.0
            steps.append(step(len(steps), lane, BOTH, x, managed, f"t{number}", attempt, cost))
            if managed:
                break
            failed.append(lane)
    return steps


@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
def test_it_learns_to_begin_cheap_and_to_go_on_stronger(learner: Learner) -> None:
    params = Params()
    fitted = learner.fit(history(escalations(2_000, 1), params))

    def chosen(**of_the_task: object) -> str:
        x = described(size=100, **of_the_task)  # type: ignore[arg-type]  # fields by name
        shares = ask(learner, fitted, x, BOTH, params).probabilities
        return BOTH[int(np.argmax(shares))]

    assert chosen(kind="fix") == CHEAP
    assert chosen(kind="review") == STRONG
    assert chosen(kind="review", attempt=2, failed=[CHEAP]) == STRONG
    assert chosen(kind="fix", attempt=2, failed=[CHEAP]) == STRONG
    assert chosen(kind="fix", attempt=2, failed=[STRONG]) == CHEAP


def test_what_follows_a_failure_is_asked_of_the_lanes_that_were_open_then() -> None:
    x, later = described(size=100, kind="fix"), described(size=100, kind="fix", attempt=2, failed=[CHEAP])
    steps = [
        step(1, CHEAP, BOTH, x, False, "t", 1),
        step(2, CHEAP, [CHEAP], later, True, "t", 2),
        step(3, STRONG, BOTH, x, True, "u", 1),
    ]
    rows = examples(experiences(history(steps)), NAMES, 1.0)
    network = fresh(len(NAMES), 4, 2, np.random.default_rng(1))
    network.outer[:], network.outer_bias[:] = np.random.default_rng(2).standard_normal((4, 2)), [0.0, 9.0]
    expected = network(vector(later, {name: slot for slot, name in enumerate(NAMES)}, len(NAMES)))[0]
    found = targets(rows, np.array([2, 0, 1]), network, Params(discount=0.75))
    assert found.tolist() == pytest.approx([1, 0.25 * 0 + 0.75 * expected, 1])


def test_dqn_expects_of_a_failure_what_can_still_come_of_it() -> None:
    steps, x = escalations(2_000, 1), described(size=100, kind="review")
    far, near = Params(discount=0.9), Params(discount=0.0)
    expects = [ask(DQN(), DQN().fit(history(steps, each)), x, BOTH, each).means for each in (far, near)]
    assert expects[0] is not None and expects[1] is not None
    assert expects[0][1] > expects[0][0] > 0.55 > 0.35 > expects[1][0]


# ------------------------------------------------------------------------------------------ how chances come about


@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
def test_exploration_is_in_the_chances(learner: Learner) -> None:
    params = replace(SUCCESS, epsilon=0.2, floor=0.2)
    fitted = learner.fit(history(crossed(1_000, 1), params))
    x = described(size=500, kind="fix", language="py")
    assert min(ask(learner, fitted, x, XOR, params).probabilities) >= 0.1 - 1e-9


@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
def test_a_new_lane_is_tried_as_often_as_the_best_until_it_is_known(learner: Learner) -> None:
    fitted = learner.fit(history(crossed(1_000, 1)))
    x = described(size=500, kind="fix", language="py")
    shares = ask(learner, fitted, x, [*XOR, "docs/new"]).probabilities
    assert shares[2] == pytest.approx(max(shares))
    assert shares[2] > 0.4
    assert ask(learner, fitted, x, ["docs/new", "docs/newer"]).probabilities == [0.5, 0.5]


@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
def test_a_budget_turns_to_the_cheaper_lane(learner: Learner) -> None:
    steps, case = escalations(1_000, 1), Case(described(size=100, kind="review"))
    loads = [LaneLoad("docs", "cheap", 4), LaneLoad("docs", "strong", 4)]
    shares = []
    for budget in (1_000.0, 0.05):
        params = Params(budgets={"all": budget})
        statistics = Statistics(params, NAMES)
        for each in steps:
            statistics.add(each)
        model = learner.fit(History(statistics, steps, params, NAMES)).model
        told = replace(snapshot(model, params), lanes=statistics.summaries(), prices=prices(statistics, params))
        shares.append(learner.policy(told).judge(case, loads).probabilities[1])
    assert shares[0] > 0.9 > 0.1 > shares[1]


# ------------------------------------------------------------------------------------------ the same again, and bounded


@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
def test_the_same_decisions_in_another_order_give_the_same_bytes(learner: Learner) -> None:
    steps = escalations(150, 3)
    mixed = steps[:]
    random.Random(1).shuffle(mixed)
    fitted = learner.fit(history(steps))
    assert learner.fit(history(mixed)) == fitted
    assert learner.fit(history(steps[1:])).model != fitted.model


@pytest.mark.covers("STAB-003")
@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
def test_lanes_without_end_do_not_make_a_model_without_end(learner: Learner) -> None:
    lanes = [f"docs/l{number}" for number in range(300)]
    steps = [
        step(position, lanes[position % 300], lanes[position % 300 :][:5], described(size=position), position % 3 > 0)
        for position in range(900)
    ]
    assert len(known_lanes(experiences(history(steps)))) == LANES
    fitted = learner.fit(history(steps))
    assert len(fitted.model) < 4 * (MOST + LANES) * 40
    judged = ask(learner, fitted, described(size=3), lanes[280:])
    assert math.fsum(judged.probabilities) == pytest.approx(1)
    assert all(map(math.isfinite, judged.scores))


@pytest.mark.covers("STAB-001")
def test_features_beyond_every_measure_are_held() -> None:
    slots = {name: slot for slot, name in enumerate(NAMES)}
    row = vector({"size": 10**400, "attempt": -(10**400), "kind=fix": ONE, "unheard of": ONE}, slots, len(NAMES))
    assert row[slots["size"]] == -row[slots["attempt"]] == 8
    assert row[slots["kind=fix"]] == 1
    assert np.count_nonzero(row) == 3


# ------------------------------------------------------------------------------------------ models


@CALM
@forall(st.integers(0, len(NAMES)), st.integers(1, 64), st.integers(0, LANES), st.integers(0, 2**32))
def test_a_stored_network_answers_as_it_did(inputs: int, hidden: int, outputs: int, seed: int) -> None:
    network = fresh(inputs, hidden, outputs, np.random.default_rng(seed), 0.5)
    lanes = [f"docs/l{number:02}" for number in range(outputs)]
    heads = unpack("dqn/1", snapshot(pack("dqn/1", network, lanes, [9] * outputs)))
    x = described(size=300, kind="review", attempt=2)
    answers = heads.ask(x, [*lanes, "docs/new"], 2)
    assert answers[-1] is None
    expected = network(vector(x, heads.slots, inputs))
    assert answers[:-1] == pytest.approx(expected.tolist(), abs=1e-5)
    assert heads.ask(x, lanes, 10) == [None] * outputs


class _Unpacks(Protocol):
    def policy(self, snapshot: PolicySnapshot) -> object: ...


@pytest.mark.parametrize("learner", TRAINED, ids=CALLED)
@CALM
@forall(st.one_of(st.binary(max_size=100), st.dictionaries(st.text(), st.integers(-9, 9)).map(msgspec.msgpack.encode)))
def test_junk_is_not_taken_for_a_network(learner: _Unpacks, junk: bytes) -> None:
    with pytest.raises(Unreadable):
        learner.policy(snapshot(junk))


def test_a_network_that_does_not_fit_is_unreadable() -> None:
    network = fresh(5, 3, 2, np.random.default_rng(1))
    good = pack("ppo/1", network, ["docs/a", "docs/b"], [1, 2])
    assert PPO().policy(snapshot(good)).heads.lanes == {"docs/a": 0, "docs/b": 1}
    stored = msgspec.msgpack.decode(good)
    weights = np.frombuffer(stored["weights"], "<f4").copy()
    weights[3] = np.nan
    wrongs: tuple[dict[str, object], ...] = (
        {"of": "dqn/1"},
        {"lanes": ["docs/a"]},
        {"lanes": ["docs/a", "docs/a"]},
        {"lanes": []},
        {"tried": [1]},
        {"hidden": 0},
        {"hidden": -3},
        {"inputs": -5},
        {"inputs": 6},
        {"weights": b""},
        {"weights": stored["weights"][:-1]},
        {"weights": weights.tobytes()},
        {"more": 1},
    )
    for wrong in wrongs:
        with pytest.raises(Unreadable):
            PPO().policy(snapshot(msgspec.msgpack.encode({**stored, **wrong})))
    with pytest.raises(Unreadable, match="5 inputs"):
        PPO().policy(replace(snapshot(good), vocabulary=("1", "load")))
    for length in range(len(good)):
        with pytest.raises(Unreadable):
            PPO().policy(snapshot(good[:length]))


def test_what_is_stored_is_finite_whatever_the_weights_have_become() -> None:
    network = fresh(2, 3, 1, np.random.default_rng(1))
    network.outer[:] = [[np.inf], [np.nan], [-1e300]]
    heads = unpack("dqn/1", snapshot(pack("dqn/1", network, ["docs/a"], [5])))
    (answer,) = heads.ask({"1": ONE}, ["docs/a"], 0)
    assert answer is not None and math.isfinite(answer)
