"""Sums of outcomes: the same whatever way they came about, and never anything but finite numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from math import isfinite
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from msgspec.structs import replace

from cca.contracts.policy import Params, Reward
from cca.errors import Unreadable
from cca.routing.buckets import BUCKET, GRAIN
from cca.routing.features import BASE, MOST, ONE, Vocabulary
from cca.routing.reward import value
from cca.routing.statistics import KEPT, Moments, Statistics, vector
from cca.routing.steps import Ending, Step

CALM = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
LANES = ("backend/opus", "backend/mini", "docs/opus", "docs/local")
NAMES = (
    "size",
    "priority",
    "attempt",
    "kind=review",
    "kind=docs",
    "repo=cca",
    "requester=alice",
    "failed=backend/mini",
)
VOCABULARY = (*BASE, *NAMES[3:])
PAID = Params(budgets={"all": 1.0, "requester:alice": 0.1}, forgetting=0.9)
ENDINGS: st.SearchStrategy[Ending | None] = st.sampled_from(
    ["completed", "failed", "timeout", "lost", "censored", None]
)
ABSURD = st.floats(allow_nan=True, allow_infinity=True)
NEWEST = 700
"""Buckets that tests reach: more than are kept."""


def step(
    position: int = 1,
    lane: str = "backend/opus",
    ending: Ending | None = "completed",
    x: dict[str, int] | None = None,
    load: int = 0,
    **rest: object,
) -> Step:
    return Step(f"t{position}", 1, position, 0.0, lane, x or {}, load, (), 1.0, "p", ending=ending, **rest)  # type: ignore[arg-type]  # any other fields


STEPS = st.lists(
    st.builds(
        step,
        st.integers(1, NEWEST * BUCKET) | st.integers(1, 3 * BUCKET),
        st.sampled_from(LANES),
        ENDINGS,
        st.dictionaries(st.sampled_from(NAMES), st.integers(-ONE, ONE)),
        st.integers(0, ONE),
        requester=st.sampled_from([None, "alice", "bob"]),
        latency_s=st.floats(0, 1e4),
        tokens=st.none() | st.integers(0, 10**7),
        cost_usd=st.none() | st.floats(0, 100),
        quality=st.none() | st.floats(0, 1),
        in_time=st.none() | st.booleans(),
    ),
    max_size=30,
    unique_by=lambda each: each.position,
)
ORDERS = st.randoms(use_true_random=False)


def counted(steps: Iterable[Step], params: Params = PAID, vocabulary: Sequence[str] = VOCABULARY) -> Statistics:
    statistics = Statistics(params, vocabulary)
    for each in steps:
        statistics.add(each)
    return statistics


def mixed(steps: Sequence[Step], order: Random) -> list[Step]:
    return order.sample(list(steps), len(steps))


def known(statistics: Statistics) -> bytes:
    """All that can be read, to the last bit."""
    moments = [
        (lane, one.n, one.r, one.rr, one.xr.tobytes(), one.xx.tobytes()) for lane, one in statistics.moments().items()
    ]
    scopes = ("all", "role:backend", "role:docs", "requester:alice", "requester:bob")
    spent = [statistics.spending(scope) for scope in scopes]
    read = (statistics.digest(), statistics.outcomes, moments, statistics.summaries(), spent)
    return msgspec.msgpack.encode(read)


# ------------------------------------------------------------------------------------------ one history, one digest


@CALM
@forall(STEPS, ORDERS)
def test_the_order_of_outcomes_makes_no_difference(steps: list[Step], order: Random) -> None:
    assert known(counted(mixed(steps, order))) == known(counted(steps))


@CALM
@forall(STEPS, ORDERS)
def test_three_replicas_that_saw_a_part_each_know_together_what_one_knows(steps: list[Step], order: Random) -> None:
    parts: list[list[Step]] = [[], [], []]
    for each in mixed(steps, order):
        order.choice(parts).append(each)
    # Each has met names in an order of its own, and some of them never.
    replicas = [counted(part, vocabulary=(*BASE, *mixed_names(order))) for part in parts]
    whole = replicas[0]
    for other in replicas[1:]:
        whole.merge(other)
    whole.grow(VOCABULARY)
    assert known(whole) == known(counted(steps))


def mixed_names(order: Random) -> list[str]:
    names = [name for name in VOCABULARY if name not in BASE]
    return order.sample(names, order.randrange(len(names) + 1))


@CALM
@forall(STEPS, STEPS, ORDERS)
def test_what_was_taken_back_was_never_there(steps: list[Step], mistakes: list[Step], order: Random) -> None:
    taken = {each.position for each in steps}
    mistakes = [each for each in mistakes if each.position not in taken]
    statistics = counted(mixed([*steps, *mistakes], order))
    for each in mixed(mistakes, order):
        statistics.remove(each)
    # That there was a decision remains: it says how far the log has come.
    heard = [replace(each, ending=None) for each in mistakes]
    assert known(statistics) == known(counted([*heard, *steps]))


@CALM
@forall(STEPS, st.floats(0, 1), ORDERS)
def test_a_corrected_outcome_counts_as_if_it_had_always_been_so(
    steps: list[Step], quality: float, order: Random
) -> None:
    corrected = [replace(each, quality=quality) if order.random() < 0.5 else each for each in steps]
    statistics = counted(steps)
    for before, after in zip(steps, corrected, strict=True):
        if after is not before:
            statistics.remove(before)
            statistics.add(after)
    assert known(statistics) == known(counted(corrected))


@CALM
@forall(STEPS)
def test_nothing_is_left_when_all_is_taken_back(steps: list[Step]) -> None:
    statistics = counted(steps)
    for each in steps:
        statistics.remove(each)
    assert statistics.digest() == Statistics(PAID, BASE).digest()
    assert statistics.outcomes == 0 and not statistics.moments() and not statistics.summaries()
    assert statistics.spending("all") == []


@CALM
@forall(STEPS)
def test_a_read_in_between_changes_nothing(steps: list[Step]) -> None:
    statistics = Statistics(PAID, VOCABULARY)
    for each in steps:
        statistics.add(each)
        statistics.moments(), statistics.summaries(), statistics.digest()
    assert known(statistics) == known(counted(steps))


@CALM
@forall(STEPS, ORDERS)
def test_a_name_that_is_learned_later_finds_its_sums(steps: list[Step], order: Random) -> None:
    late = counted(steps, vocabulary=BASE)
    assert all(one.xx.shape == (len(BASE), len(BASE)) for one in late.moments().values())
    late.grow(VOCABULARY)
    assert known(late) == known(counted(steps))


@CALM
@forall(STEPS, STEPS)
def test_a_checkpoint_goes_on_where_it_was_made(before: list[Step], after: list[Step]) -> None:
    statistics = counted(before)
    restored = Statistics.from_bytes(statistics.to_bytes(), PAID, VOCABULARY)
    assert known(restored) == known(statistics)
    for each in after:
        statistics.add(each)
        restored.add(each)
    assert known(restored) == known(statistics)


def test_different_outcomes_have_different_digests() -> None:
    one = step(5, tokens=7, cost_usd=0.1, x={"size": 100}, requester="alice")
    others = [
        replace(one, position=5 + BUCKET),
        replace(one, position=5 + GRAIN),
        replace(one, lane="backend/mini"),
        replace(one, ending="failed"),
        replace(one, tokens=None),
        replace(one, tokens=8),
        replace(one, cost_usd=0.100001),
        replace(one, latency_s=0.001),
        replace(one, quality=0.5),
        replace(one, load=1),
        replace(one, x={"size": 101}),
        replace(one, x={"size": 100, "attempt": 1}),
        replace(one, x={"priority": 100}),
        replace(one, requester="bob"),
    ]
    assert len({counted([each]).digest() for each in (one, *others)}) == 1 + len(others)


# ------------------------------------------------------------------------------------------ what is remembered


@CALM
@forall(STEPS, ORDERS)
def test_only_the_newest_buckets_count_and_what_comes_too_late_does_not(steps: list[Step], order: Random) -> None:
    newest = max((each.position // BUCKET for each in steps), default=0)
    kept = [each for each in steps if each.position // BUCKET > newest - KEPT]
    assert known(counted(mixed(steps, order))) == known(counted(kept))
    assert counted(steps).outcomes == sum(each.known for each in kept)


def test_taking_back_what_is_forgotten_changes_nothing() -> None:
    old, new = step(1), step(KEPT * BUCKET)
    statistics = counted([old, new])
    statistics.remove(old)
    assert known(statistics) == known(counted([new]))


@pytest.mark.covers("STAB-003")
def test_memory_is_bounded_by_the_window_and_by_the_names_of_a_vocabulary() -> None:
    statistics, numbers = Statistics(Params(), BASE), count()
    for bucket in range(2 * KEPT):
        for _ in range(4):
            statistics.add(step(bucket * BUCKET + next(numbers) % BUCKET, x={f"repo={next(numbers)}": ONE}))
    assert statistics.outcomes == 4 * KEPT
    assert len(statistics._slots) <= 2 * MOST  # what a log that no router of ours wrote can reach at most
    assert len(statistics._buckets) == KEPT
    assert len(statistics.spending("all")) <= KEPT * BUCKET // GRAIN


# ------------------------------------------------------------------------------------------ what is read


def decayed(steps: Sequence[Step], params: Params, vocabulary: Sequence[str]) -> dict[str, Moments]:
    """Moments as they are defined, the plain way."""
    slots, newest = Vocabulary(tuple(vocabulary)).slots(), max(each.position // BUCKET for each in steps)
    outcomes = Counter(each.position // BUCKET for each in steps if each.known)
    sums: dict[str, Moments] = {}
    for each in steps:
        valued, bucket = value(each, params), each.position // BUCKET
        if valued is None or bucket <= newest - KEPT:
            continue
        weight = params.forgetting ** sum(many for other, many in outcomes.items() if other > bucket)
        x, r = np.zeros(len(slots)), round(valued.reward * ONE) / ONE
        for slot, size in vector(each.x, each.load, slots):
            x[slot] = size / ONE
        was = sums.get(each.lane) or Moments(0.0, np.zeros((len(x), len(x))), np.zeros(len(x)), 0.0, 0.0)
        sums[each.lane] = Moments(
            was.n + weight,
            was.xx + weight * np.outer(x, x),
            was.xr + weight * r * x,
            was.r + weight * r,
            was.rr + weight * r * r,
        )
    return sums


@CALM
@forall(STEPS.filter(bool), st.sampled_from([0.9, 0.9995, 1.0]))
def test_moments_are_the_sums_of_products_in_which_old_outcomes_weigh_less(
    steps: list[Step], forgetting: float
) -> None:
    params = Params(forgetting=forgetting)
    moments, expected = counted(steps, params).moments(), decayed(steps, params, VOCABULARY)
    assert moments.keys() == expected.keys()
    for lane, one in moments.items():
        for name in one.__struct_fields__:
            np.testing.assert_allclose(getattr(one, name), getattr(expected[lane], name), rtol=1e-9, atol=1e-12)


def test_averages_are_over_the_outcomes_that_told() -> None:
    steps = [
        step(1, latency_s=2.0, tokens=100, cost_usd=0.5),
        step(2, ending="failed", latency_s=4.0, cost_usd=0.25),
        step(3, lane="docs/opus"),
        step(4, latency_s=6.0, tokens=300),
        step(5, ending=None, latency_s=50.0),
        step(6, ending="censored", latency_s=50.0),
    ]
    summaries = counted(steps, Params(reward=Reward(1, 0, 0, 0, 0, 0))).summaries()
    one = summaries["backend/opus"]
    assert (one.n, one.success, one.latency_s, one.tokens, one.cost_usd) == (3.0, 0.666667, 4.0, 200.0, 0.375)
    assert one.reward == pytest.approx(2 / 3)
    assert summaries["docs/opus"].tokens is None and summaries["docs/opus"].cost_usd is None


def test_what_happened_lately_weighs_more() -> None:
    steps = [step(number + 1, ending="completed") for number in range(100)]
    steps += [step(BUCKET + number, ending="failed") for number in range(100)]
    summary = counted(steps, Params(forgetting=0.99)).summaries()["backend/opus"]
    assert summary.success == pytest.approx(0.99**100 / (1 + 0.99**100))
    assert summary.n == pytest.approx(100 * (1 + 0.99**100))


def test_a_lane_is_as_old_as_there_are_outcomes_since_its_first() -> None:
    steps = [step(number * BUCKET) for number in range(10)] + [step(7 * BUCKET + 1, "docs/local")]
    summaries = counted(steps).summaries()
    assert {lane: summary.age for lane, summary in summaries.items()} == {"backend/opus": 11, "docs/local": 4}


def test_a_lane_whose_outcomes_weigh_nothing_any_more_is_new_again() -> None:
    old = [step(1, "docs/local")]
    recent = [step(BUCKET + number, ending="failed") for number in range(1_000)]
    statistics = counted(old + recent, Params(forgetting=0.9))
    assert set(statistics.moments()) == set(statistics.summaries()) == {"backend/opus"}
    assert statistics.outcomes == 1_001


def test_spending_is_kept_by_who_pays() -> None:
    steps = [
        step(1, cost_usd=0.5, requester="alice"),
        step(2, "docs/opus", cost_usd=0.25, requester="bob"),
        step(GRAIN, cost_usd=1.0, requester="alice"),
        step(9 * GRAIN, requester="alice"),
        step(9 * GRAIN + 1, cost_usd=0.125, requester="alice", ending="failed", x={"attempt": 1024}),
    ]
    statistics = counted(steps)
    assert statistics.spending("all") == [(0, 2, 750_000), (1, 1, 1_000_000), (9, 1, 125_000)]
    assert statistics.spending("role:backend") == [(0, 1, 500_000), (1, 1, 1_000_000), (9, 1, 125_000)]
    assert statistics.spending("role:docs") == [(0, 1, 250_000)]
    assert statistics.spending("requester:alice") == statistics.spending("role:backend")
    assert statistics.spending("requester:bob") == []  # has no budget


def test_a_vector_has_the_intercept_and_the_load_and_only_names_that_are_known() -> None:
    slots = Vocabulary((*BASE, "kind=review")).slots()
    assert vector({"kind=review": ONE, "kind=other": ONE, "size": 12}, 7, slots) == [
        (0, ONE),
        (1, 7),
        (5, ONE),
        (2, 12),
    ]
    assert vector({}, 0, slots) == [(0, ONE)]
    assert vector({"size": 10**30, "priority": -(10**30), "1": 3, "load": 3}, 10**30, slots) == [
        (0, ONE),
        (1, ONE),
        (2, ONE),
        (3, -ONE),
    ]


# ------------------------------------------------------------------------------------------ limits


@pytest.mark.covers("STAB-001")
@CALM
@forall(
    st.lists(
        st.builds(
            step,
            st.integers(1, 2**40),
            st.sampled_from(LANES),
            ENDINGS,
            st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), st.integers() | st.just(10**400)),
            latency_s=ABSURD,
            tokens=st.none() | st.integers() | st.just(10**400),
            cost_usd=st.none() | ABSURD,
            quality=st.none() | ABSURD,
        ),
        max_size=20,
    )
)
def test_whatever_workers_report_all_numbers_are_finite(steps: list[Step]) -> None:
    statistics = counted(steps)
    for one in statistics.moments().values():
        assert np.isfinite(one.xx).all() and np.isfinite(one.xr).all()
        assert isfinite(one.n) and isfinite(one.r) and isfinite(one.rr)
    for summary in statistics.summaries().values():
        numbers = (getattr(summary, name) for name in summary.__struct_fields__)
        assert all(number is None or isfinite(number) for number in numbers)
    assert known(Statistics.from_bytes(statistics.to_bytes(), PAID, VOCABULARY)) == known(statistics)


def test_a_bucket_full_of_the_greatest_numbers_is_exact() -> None:
    most = 2**40 - 1
    x = {"size": ONE, "priority": -ONE}
    steps = [step(n, x=x, load=ONE, tokens=most, cost_usd=1e9, latency_s=1e12) for n in range(BUCKET)]
    statistics = counted(steps, Params(forgetting=1.0, reward=Reward(1, 0, 0, 0, 0, 0)))
    summary, moments = statistics.summaries()["backend/opus"], statistics.moments()["backend/opus"]
    assert (summary.tokens, summary.latency_s, summary.cost_usd) == (most, most / 1e3, most / 1e6)
    assert moments.xx[2, 3] == -BUCKET and moments.xx[0, 0] == moments.rr == moments.n == BUCKET
    for each in steps:
        statistics.remove(each)
    assert statistics.digest() == Statistics(Params(), BASE).digest()


def test_sums_of_other_rewards_are_not_added_up() -> None:
    with pytest.raises(ValueError, match="value outcomes differently"):
        counted([]).merge(counted([], Params()))
    same_but_for_the_floor = Params(budgets=PAID.budgets, floor=0.1, forgetting=1.0)
    counted([]).merge(counted([], same_but_for_the_floor))


@pytest.mark.parametrize("damage", [b"", b"what?", Statistics(Params(), BASE).to_bytes()[:-3]])
def test_what_is_no_checkpoint_is_refused(damage: bytes) -> None:
    with pytest.raises(Unreadable, match="not a checkpoint"):
        Statistics.from_bytes(damage, Params(), BASE)


def test_a_checkpoint_of_other_rewards_is_refused() -> None:
    made = counted([step()], Params(reward=Reward(success=0.9))).to_bytes()
    with pytest.raises(Unreadable, match="other parameters"):
        Statistics.from_bytes(made, Params(), BASE)
