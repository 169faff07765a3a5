"""Every algorithm by its name: all are there, all give chances, and their numbers are finite whatever happened."""

import math
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

import pytest
from hypothesis import HealthCheck, example, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from msgspec.structs import replace

from cca import codec
from cca.contracts.policy import Algorithm, Params, PolicySnapshot
from cca.errors import Refused, Unreadable
from cca.routing.algorithm import Fitted, History
from cca.routing.algorithms import ALGORITHMS, challengers, learner_of, policy_of
from cca.routing.challenger import Challenger, VowpalWabbit, installed, lines
from cca.routing.features import BASE, ONE, Vocabulary, described
from cca.routing.pacing import prices
from cca.routing.policy import Case, LaneLoad, Policy, choose, seed_of
from cca.routing.statistics import Statistics
from cca.routing.steps import Ending, Option, Step

CALM = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
LANES = ("docs/a", "docs/b", "ops/a", "ops/c")
NAMES = Vocabulary().grown(["kind=fix", "kind=review", "language=py", *(f"failed={lane}" for lane in LANES)]).names
EVERY = sorted(challengers())
WITH_VW = pytest.mark.skipif(not installed(), reason="vowpalwabbit is not installed (extra `rl`)")


def history(steps: Sequence[Step], params: Params, names: tuple[str, ...] = NAMES) -> History:
    statistics = Statistics(params, names)
    for step in steps:
        statistics.add(step)
    return History(statistics, steps, params, names)


def snapshot(name: str, fitted: Fitted, history: History) -> PolicySnapshot:
    """As a router gets it: out of the message that carries it."""
    known: Algorithm = name if name in ALGORITHMS else "uniform"  # type: ignore[assignment]  # a challenger has no name there
    made = PolicySnapshot(
        1,
        9,
        history.statistics.digest(),
        known,
        history.params,
        history.vocabulary,
        history.statistics.summaries(),
        prices(history.statistics, history.params),
        fitted.model,
    )
    stored = codec.decode("cca.policy.snapshot.v1", codec.encode(made))
    assert isinstance(stored, PolicySnapshot)
    return stored


@contextmanager
def deciding(name: str, history: History) -> Iterator[tuple[Policy, Fitted]]:
    learner = challengers()[name]
    fitted = learner.fit(history)
    policy = learner.policy(snapshot(name, fitted, history))
    try:
        yield policy, fitted
    finally:
        if isinstance(policy, Challenger):
            policy.close()


# ------------------------------------------------------------------------------------------ by name


def test_every_algorithm_that_can_be_configured_is_there() -> None:
    assert set(ALGORITHMS) == set(get_args(Algorithm))
    assert all(learner_of(name) is learner for name, learner in ALGORITHMS.items())


@pytest.mark.parametrize("name", EVERY)
def test_each_says_in_one_sentence_what_it_is(name: str) -> None:
    summary = challengers()[name].summary
    assert summary[0].isupper() and summary.endswith(".") and "\n" not in summary
    assert len(summary) <= 120


def test_a_name_that_nobody_knows_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(Refused, match=r"'alphago'.*dqn.*linear-pm.*static") as refused:
        learner_of("alphago")
    assert refused.value.code == "unknown-algorithm"


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_a_snapshot_decides_as_its_algorithm_and_junk_does_not(name: str) -> None:
    past = history([], Params())
    made = snapshot(name, ALGORITHMS[name].fit(past), past)
    assert policy_of(made).name == f"{name}/1"
    with pytest.raises(Unreadable):
        policy_of(replace(made, model=b"\xc1 junk"))


@WITH_VW
def test_vowpal_wabbit_can_be_evaluated_but_not_decide() -> None:
    assert set(challengers()) - set(ALGORITHMS) == {"vowpal-wabbit", "vowpal-wabbit-regcb"}
    assert learner_of("vowpal-wabbit") == VowpalWabbit("squarecb")


def test_where_vowpal_wabbit_is_not_installed_it_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vowpalwabbit", None)
    assert challengers() == dict(ALGORITHMS)
    with pytest.raises(Refused):
        learner_of("vowpal-wabbit")


# ------------------------------------------------------------------------------------------ whatever happened before

ENDINGS: list[Ending | None] = ["completed", "failed", "timeout", "lost", "censored", None]
XS = st.one_of(
    st.builds(
        described,
        size=st.integers(0, 10**6),
        attempt=st.integers(1, 6),
        kind=st.sampled_from([None, "fix", "review", "unheard of"]),
        failed=st.lists(st.sampled_from(LANES), max_size=2),
    ),
    st.dictionaries(st.sampled_from([*NAMES, "kind=", "junk"]), st.integers(-(2**40), 2**40), max_size=5),
)
STEPS = st.builds(
    Step,
    st.sampled_from("tuvw"),
    st.integers(1, 4),
    st.integers(1, 5_000),
    st.just(0.0),
    st.sampled_from(LANES),
    XS,
    st.integers(0, ONE),
    st.lists(st.builds(Option, st.sampled_from(LANES), st.sampled_from([0.0, 0.25, 1.0])), max_size=4).map(tuple),
    st.sampled_from([0.0, 1e-300, 0.25, 1.0]),
    st.just("old/1"),
    kind=st.sampled_from([None, "fix"]),
    requester=st.sampled_from([None, "alice"]),
    ending=st.sampled_from(ENDINGS),
    latency_s=st.sampled_from([-1.0, 0.0, 30.0, 1e9]),
    tokens=st.sampled_from([None, 0, 10**12]),
    cost_usd=st.sampled_from([None, 0.0, 1.0, 1e9]),
    quality=st.sampled_from([None, 0.0, 1.0]),
)
HISTORIES = st.lists(STEPS, max_size=25, unique_by=(lambda step: step.position, lambda step: (step.task, step.route)))
PARAMS = st.builds(
    Params,
    floor=st.sampled_from([0.0, 0.02, 0.5]),
    burn_in=st.sampled_from([0, 2]),
    epsilon=st.sampled_from([0.0, 0.05, 1.0]),
    learning_rate=st.sampled_from([1e-9, 0.1, 1.0]),
    discount=st.sampled_from([0.0, 0.9, 1.0]),
    forgetting=st.sampled_from([0.9, 0.9995, 1.0]),
    hidden=st.sampled_from([1, 8]),
    table_size=st.sampled_from([1, 1_000]),
    budgets=st.sampled_from([{}, {"all": 1e-6}, {"requester:alice": 0.5, "role:docs": 1e6}]),
)
ROSTERS = st.lists(
    st.builds(
        LaneLoad, st.sampled_from(["docs", "ops"]), st.sampled_from("abcd"), st.integers(0, 9), st.integers(0, 9)
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda lane: lane.key,
)


def equal(lane: str, count: int = 12, propensity: float = 1.0) -> list[Step]:
    """Decisions that all went the same way."""
    options = (Option(lane, propensity),)
    return [
        Step(f"t{at}", 1, at, 0.0, lane, {"size": 9}, 0, options, propensity, "old/1", ending="completed")
        for at in range(count)
    ]


@pytest.mark.covers("STAB-001")
@pytest.mark.parametrize("name", EVERY)
@CALM
@forall(HISTORIES, PARAMS, ROSTERS, XS, st.sampled_from([NAMES, BASE]))
@example([], Params(), [LaneLoad("docs", "a", 1)], {}, BASE)
@example(equal("docs/a"), Params(), [LaneLoad("docs", "a", 1), LaneLoad("ops", "c", 1)], {"size": 9}, NAMES)
@example(equal("docs/a", propensity=0.0), Params(), [LaneLoad("docs", "a", 0)], {"size": 9}, NAMES)
@example([replace(step, ending=None) for step in equal("docs/a")], Params(), [LaneLoad("docs", "a", 1)], {}, NAMES)
def test_chances_are_chances_and_numbers_are_finite(
    name: str, steps: list[Step], params: Params, lanes: list[LaneLoad], x: dict[str, int], names: tuple[str, ...]
) -> None:
    past = history(steps, params, names)
    with deciding(name, past) as (policy, fitted):
        assert fitted.loss is None or math.isfinite(fitted.loss)
        assert 0 <= fitted.table_size <= params.table_size
        for case in (Case(x, turn=3), Case({}, "alice")):
            judged = policy.judge(case, lanes)
            assert len(judged.probabilities) == len(judged.scores) == len(lanes)
            assert all(0 <= chance <= 1 + 1e-9 for chance in judged.probabilities)
            assert math.fsum(judged.probabilities) == pytest.approx(1)
            for numbers in (judged.scores, judged.means or [], judged.deviations or []):
                assert all(map(math.isfinite, numbers))
            again = policy.judge(case, lanes)
            assert (list(again.probabilities), list(again.scores)) == (list(judged.probabilities), list(judged.scores))
            assert choose(policy, seed_of(name), case, lanes).propensity > 0


@pytest.mark.parametrize("name", EVERY)
@settings(CALM, max_examples=8)
@forall(HISTORIES, PARAMS, st.randoms(use_true_random=False))
def test_the_same_decisions_in_another_order_give_the_same_bytes(
    name: str, steps: list[Step], params: Params, chance: random.Random
) -> None:
    mixed = steps[:]
    chance.shuffle(mixed)
    learner = challengers()[name]
    assert learner.fit(history(mixed, params)).model == learner.fit(history(steps, params)).model


# ------------------------------------------------------------------------------------------ the challenger


def told_apart(count: int) -> list[Step]:
    """Fixes go well with a, reviews with b."""
    chance = random.Random(1)
    steps = []
    for position in range(count):
        kind, lane = chance.choice(["fix", "review"]), chance.choice(LANES[:2])
        managed = chance.random() < (0.9 if (kind == "fix") == (lane == LANES[0]) else 0.1)
        options = tuple(Option(each, 0.5) for each in LANES[:2])
        x, ending = described(size=90, kind=kind), "completed" if managed else "failed"
        steps.append(Step(f"t{position}", 1, position, 0.0, lane, x, 0, options, 0.5, "old/1", ending=ending))  # type: ignore[arg-type]  # one of two endings
    return steps


LEARNING = sorted(set(EVERY) - {"weighted-random", "least-loaded", "round-robin", "uniform", "static"})


@pytest.mark.parametrize("name", LEARNING)
def test_what_learns_learns_which_lane_is_good_at_what(name: str) -> None:
    with deciding(name, history(told_apart(1_000), Params())) as (policy, _):
        lanes = [LaneLoad("docs", "a", 4), LaneLoad("docs", "b", 4)]
        fix, review = (policy.judge(Case(described(size=90, kind=kind)), lanes) for kind in ("fix", "review"))
        assert fix.probabilities[0] > 0.8
        assert review.probabilities[1] > 0.8


@WITH_VW
@pytest.mark.parametrize("junk", [b"", b"junk", b"\x82\xa2of\xa1x\xa7content\xc4\x00"])
def test_junk_is_not_taken_for_a_model_of_vowpal_wabbit(junk: bytes) -> None:
    with pytest.raises(Unreadable):
        VowpalWabbit().policy(snapshot("vowpal-wabbit", Fitted(junk), history([], Params())))


@WITH_VW
def test_a_model_that_was_damaged_or_is_of_another_exploration_is_unreadable() -> None:
    past = history(told_apart(20), Params())
    model = VowpalWabbit().fit(past).model
    damaged = bytes([*model[:-9], model[-9] ^ 1, *model[-8:]])
    with pytest.raises(Unreadable, match="damaged"):
        VowpalWabbit().policy(snapshot("vowpal-wabbit", Fitted(damaged), past))
    with pytest.raises(Unreadable, match="squarecb"):
        VowpalWabbit("regcb").policy(snapshot("vowpal-wabbit", Fitted(model), past))


@WITH_VW
def test_a_challenger_is_closed_once_however_often_it_is_asked_to() -> None:
    past = history(told_apart(20), Params())
    with VowpalWabbit().policy(snapshot("vowpal-wabbit", VowpalWabbit().fit(past), past)) as policy:
        assert policy.judge(Case({}), [LaneLoad("docs", "a", 1)]).probabilities == [1]
        policy.close()
    policy.close()


def test_no_name_can_be_taken_for_syntax() -> None:
    text = lines(
        {"kind=a|b c:9\n": ONE, "size": ONE // 2, "unheard of": 10**400},
        {"size": 2, "kind=a|b c:9\n": 7},
        ["docs/a b|c"],
    )
    assert text == ["shared |s f2:0.500000 f7:1.000000", f"|a l{b'docs/a b|c'.hex()}"]
