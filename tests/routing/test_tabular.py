"""Q-learning: states that are told apart, a table that stays bounded, and a policy that learns when to escalate."""

import json
import math
import random
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.contracts.policy import LaneSummary, Params, PolicySnapshot
from cca.errors import Unreadable
from cca.routing.algorithm import Fitted, History
from cca.routing.features import BASE, Vocabulary, described
from cca.routing.policy import Case, Judgement, LaneLoad
from cca.routing.statistics import Statistics
from cca.routing.steps import Option, Step
from cca.routing.tabular import QLearning, QTable, Situation, State, Table, rows, situation, worth

CALM = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CHEAP, STRONG = "docs/cheap", "docs/strong"
LANES = (CHEAP, STRONG)
NAMES = Vocabulary().grown(["kind=easy", "kind=hard", *(f"failed={lane}" for lane in LANES)]).names

AWKWARD = st.text(st.sampled_from("ab=/,:;|\"'[]{}\\ \x00\n\x1fé☃null"), max_size=12)
"""Names that try to be taken for something else."""
STATES = st.builds(
    State,
    AWKWARD,
    st.one_of(st.none(), AWKWARD, st.sampled_from(["null", "None", ""])),
    st.integers(1, 5),
    st.lists(AWKWARD, max_size=3, unique=True).map(lambda lanes: tuple(sorted(lanes))),
)


# ------------------------------------------------------------------------------------------ states and their keys


@pytest.mark.covers("PERF-009")
@CALM
@forall(STATES, STATES)
def test_two_states_have_one_key_only_when_they_are_the_same(one: State, other: State) -> None:
    assert (one.key() == other.key()) == (one == other)
    # The key can be read back, so nothing of the state is lost in it.
    role, kind, attempt, failed = json.loads(one.key())
    assert State(role, kind, attempt, tuple(failed)) == one


@pytest.mark.covers("PERF-009")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (State("docs", "a"), State("docs", "b")),
        (State("docs", "a"), State("ops", "a")),
        (State("docs", "a", 1), State("docs", "a", 2)),
        (State("docs", "a", 2, (CHEAP,)), State("docs", "a", 2, (STRONG,))),
        (State("docs", "a", 2, (CHEAP,)), State("docs", "a", 2)),
        (State("docs", None), State("docs", "null")),
        (State("docs", None), State("docs", "")),
        (State("docs", 'a",2,["b'), State("docs", "a", 2, ("b",))),
        (State("docs", "a", 2, ("b,c",)), State("docs", "a", 2, ("b", "c"))),
        (State("docs", "a\x00"), State("docs", "a")),
        (State("do", "cs"), State("docs", None)),
    ],
)
def test_states_that_look_alike_are_told_apart(one: State, other: State) -> None:
    assert one.key() != other.key()


@pytest.mark.covers("PERF-009")
def test_a_hundred_thousand_random_states_do_not_collide() -> None:
    chance = random.Random(9)
    letters = 'abc",[]\\\x00:='

    def word(longest: int) -> str:
        return "".join(chance.choices(letters, k=chance.randint(0, longest)))

    states: set[State] = set()
    while len(states) < 100_000:
        failed = tuple(sorted({word(3) for _ in range(chance.randint(0, 3))}))
        kind = None if chance.random() < 0.1 else word(6)
        states.add(State(chance.choice(["docs", "ops", "backend"]), kind, chance.randint(1, 5), failed))
    assert len({state.key() for state in states}) == 100_000


@CALM
@forall(
    st.one_of(st.none(), AWKWARD.filter(bool)),
    st.integers(1, 9),
    st.lists(AWKWARD, max_size=4),
)
def test_a_state_is_what_the_recorded_features_say(kind: str | None, attempt: int, failed: list[str]) -> None:
    x = described(size=700, priority="high", attempt=attempt, kind=kind, language="py", repo="r", failed=failed)
    found = situation(x)
    assert found == Situation(kind, min(attempt, 5), tuple(sorted(set(failed))))
    assert situation(dict(reversed(list(x.items())))) == found
    assert found.of("docs") == State("docs", found.kind, found.attempt, found.failed)


@CALM
@forall(st.dictionaries(st.one_of(AWKWARD, st.sampled_from(["kind=", "failed=", "attempt", "kind"])), st.integers()))
def test_features_that_nobody_writes_make_a_state_too(x: dict[str, int]) -> None:
    found = situation(x)
    assert 1 <= found.attempt <= 5


def test_lanes_of_one_role_share_a_state_and_those_of_another_do_not() -> None:
    found = rows(described(size=1, kind="easy"), ["docs/a", "ops/a", "docs/b"])
    assert [lane for _, lane in found] == ["docs/a", "ops/a", "docs/b"]
    assert found[0][0] == found[2][0] != found[1][0]


# ------------------------------------------------------------------------------------------ the table


@pytest.mark.covers("STAB-003", "STAB-001")
def test_a_million_random_states_stay_within_the_size_of_the_table() -> None:
    chance = random.Random(5)
    table = Table(10_000)
    for _ in range(1_000_000):
        row = (State("docs", f"{chance.random()}", chance.randint(1, 5)).key(), "docs/a")
        table.tried(row)
        table.learn(row, chance.random(), 0.1)
    assert len(table) == 10_000
    states = table.states()
    assert sum(map(len, states.values())) == 10_000
    assert all(0 <= value <= 1_000_000 for lanes in states.values() for value, _ in lanes.values())


@CALM
@forall(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 8))
def test_what_was_tried_longest_ago_is_dropped_first(tried: list[int], size: int) -> None:
    table = Table(size)
    for number in tried:
        table.tried((str(number), "docs/a"))
    newest = list(dict.fromkeys(reversed(tried)))[:size]
    assert set(table.states()) == {str(number) for number in newest}


def test_the_first_values_are_averages_and_later_ones_count_by_the_rate() -> None:
    table = Table(1)
    row = ("s", "docs/a")
    table.tried(row)
    for target in (1.0, 0.0, 0.0, 1.0):
        table.learn(row, target, 0.1)
    assert table.best([row]) == pytest.approx(0.5)
    for _ in range(20):
        table.learn(row, 0.5, 0.1)
    before = table.best([row])
    assert before is not None
    table.learn(row, 1.0, 0.1)
    assert table.best([row]) == pytest.approx(before + 0.1 * (1 - before))
    assert table.best([("another", "docs/a")]) is None


@CALM
@forall(st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1)), st.floats(0, 1))
def test_a_value_is_never_more_than_the_best_reward(reward: float, after: float | None, discount: float) -> None:
    found = worth(reward, after, discount)
    ends = [reward] if after is None else [reward, after]
    assert min(ends) - 1e-12 <= found <= max(ends) + 1e-12


def test_failing_first_is_not_worth_more_than_succeeding_at_once() -> None:
    assert worth(0.1, 0.8, 0.9) < worth(0.8, None, 0.9)


# ------------------------------------------------------------------------------------------ what is learned


def history(steps: Sequence[Step], params: Params | None = None) -> History:
    params = params or Params()
    return History(Statistics(params, NAMES), steps, params, NAMES)


def policy(fitted: Fitted, params: Params | None = None, **more: object) -> QTable:
    given: dict[str, object] = {"model": fitted.model, **more}
    snapshot = PolicySnapshot(1, 1, "", "q-learning", params or Params(), NAMES, **given)  # type: ignore[arg-type]  # fields by name
    return QLearning().policy(snapshot)


def ask(policy: QTable, lanes: Sequence[str] = LANES, **of_the_task: object) -> Judgement:
    x = described(size=100, **of_the_task)  # type: ignore[arg-type]  # fields by name
    return policy.judge(Case(x), [LaneLoad(*lane.partition("/")[::2], 4) for lane in lanes])


def escalations(tasks: int, seed: int = 1) -> list[Step]:
    """Cheap manages what is easy, and nearly never what is hard; strong manages both, for much more money."""
    chance = random.Random(seed)
    steps: list[Step] = []
    for number in range(tasks):
        kind = chance.choice(["easy", "hard"])
        failed: list[str] = []
        for attempt in (1, 2, 3):
            lane = chance.choice(LANES)
            likely = {"easy": 0.95, "hard": 0.05}[kind] if lane == CHEAP else 0.95
            managed = chance.random() < likely and lane not in failed
            steps.append(
                Step(
                    f"t{number}",
                    attempt,
                    len(steps),
                    0.0,
                    lane,
                    described(size=100, kind=kind, attempt=attempt, failed=failed),
                    0,
                    tuple(Option(each, 0.5) for each in LANES),
                    0.5,
                    "uniform/1",
                    ending="completed" if managed else "failed",
                    latency_s=30.0,
                    cost_usd=0.02 if lane == CHEAP else 2.0,
                )
            )
            if managed:
                break
            failed.append(lane)
    return steps


def test_it_learns_to_begin_cheap_and_to_go_on_stronger() -> None:
    params = Params(learning_rate=0.02)
    learned = policy(QLearning().fit(history(escalations(3_000), params)), params)
    assert ask(learned, kind="easy").probabilities == pytest.approx([0.975, 0.025])
    assert ask(learned, kind="hard").probabilities == pytest.approx([0.025, 0.975])
    assert ask(learned, kind="hard", attempt=2, failed=[CHEAP]).probabilities == pytest.approx([0.025, 0.975])


def test_a_failure_is_worth_what_can_still_come_of_it() -> None:
    steps = escalations(3_000)
    far, near = Params(learning_rate=0.02, discount=0.9), Params(learning_rate=0.02, discount=0.0)
    expects = [ask(policy(QLearning().fit(history(steps, each))), kind="hard").means for each in (far, near)]
    assert expects[0] is not None and expects[1] is not None
    assert expects[0][0] > 0.6 > 0.3 > expects[1][0]  # cheap nearly always fails, and strong saves the task
    assert expects[0][0] < expects[0][1]  # but that is still worth less than strong at once


@CALM
@forall(st.randoms(use_true_random=False), st.integers(1, 60), st.sampled_from([1, 5, 100_000]))
def test_the_same_decisions_in_another_order_give_the_same_bytes(
    chance: random.Random, tasks: int, table_size: int
) -> None:
    steps = escalations(tasks, seed=tasks)
    params = Params(table_size=table_size)
    fitted = QLearning().fit(history(steps, params))
    mixed = steps[:]
    chance.shuffle(mixed)
    assert QLearning().fit(history(mixed, params)) == fitted
    assert fitted.table_size <= table_size
    assert fitted.loss is not None and math.isfinite(fitted.loss)


def test_a_state_that_was_never_seen_is_decided_evenly_and_expects_nothing() -> None:
    learned = policy(QLearning().fit(history(escalations(50))))
    judged = ask(learned, kind="unheard of", attempt=3)
    assert judged.probabilities == [0.5, 0.5]
    assert (judged.scores, judged.means) == ([0, 0], None)


def test_a_new_lane_is_tried_as_often_as_the_best_until_it_is_known() -> None:
    learned = policy(QLearning().fit(history(escalations(500))))
    judged = ask(learned, (*LANES, "docs/new"), kind="easy")
    assert judged.probabilities[0] == judged.probabilities[2] > 0.45
    few = policy(QLearning().fit(history(escalations(500), Params(burn_in=1_000))), Params(burn_in=1_000))
    assert ask(few, kind="easy").probabilities == [0.5, 0.5]


def test_a_price_turns_to_the_cheaper_lane() -> None:
    fitted = QLearning().fit(history(escalations(1_000)))
    costs = {CHEAP: LaneSummary(n=9, cost_usd=0.02), STRONG: LaneSummary(n=9, cost_usd=2.0)}
    free = ask(policy(fitted, lanes=costs), kind="hard")
    dear = ask(policy(fitted, lanes=costs, prices={"all": 1.0}), kind="hard")
    assert free.probabilities[1] > free.probabilities[0]
    assert dear.probabilities[1] < dear.probabilities[0]
    assert dear.means == free.means


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_exploration_is_spread_evenly_and_is_in_the_chances(epsilon: float) -> None:
    params = Params(epsilon=epsilon)
    learned = policy(QLearning().fit(history(escalations(500), params)), params)
    assert ask(learned, kind="easy").probabilities == pytest.approx([1 - epsilon / 2, epsilon / 2])


def test_without_any_outcome_there_is_a_policy_all_the_same() -> None:
    fitted = QLearning().fit(history([]))
    assert (fitted.loss, fitted.table_size) == (None, 0)
    assert ask(policy(fitted), kind="easy").probabilities == [0.5, 0.5]


def test_a_table_within_its_cap_fits_into_the_message_that_carries_it() -> None:
    fitted = QLearning().fit(history(escalations(5_000)))
    assert fitted.table_size <= 24
    assert len(fitted.model) < 4_096


# ------------------------------------------------------------------------------------------ models


@CALM
@forall(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.one_of(st.none(), st.integers(-(2**63), 2**63), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
            ),
            max_leaves=6,
        ).map(msgspec.msgpack.encode),
    )
)
def test_junk_is_not_taken_for_a_table(junk: bytes) -> None:
    with pytest.raises(Unreadable):
        policy(Fitted(junk))


def test_a_model_that_was_cut_short_is_unreadable() -> None:
    model = QLearning().fit(history(escalations(50))).model
    for length in range(len(model)):
        with pytest.raises(Unreadable):
            policy(Fitted(model[:length]))


def test_the_vocabulary_that_everything_begins_with_is_enough() -> None:
    steps = [Step("t", 1, 1, 0.0, CHEAP, {"size": 5}, 0, (), 1.0, "uniform/1", ending="completed")]
    params = Params()
    fitted = QLearning().fit(History(Statistics(params, BASE), steps, params, BASE))
    assert fitted.table_size == 1
