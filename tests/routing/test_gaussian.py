"""The probability of being the largest: a probability, exact, and finite whatever the beliefs are."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from numpy.typing import NDArray

from cca.routing.gaussian import chances

Floats = NDArray[np.float64]
Belief = tuple[float, float]

CALM = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MEANS = st.floats(-10, 10)
DEVIATIONS = st.one_of(st.just(0.0), st.floats(1e-12, 1e3), st.floats(-6, 1).map(lambda size: 10.0**size))
BELIEFS = st.lists(st.tuples(MEANS, DEVIATIONS), min_size=1, max_size=24)
ROUTINE = st.lists(st.tuples(st.floats(0.3, 0.8), st.floats(0.003, 0.3)), min_size=2, max_size=24)
"""What regressions of rewards look like."""


def asked(beliefs: list[Belief]) -> Floats:
    return np.array(chances([mean for mean, _ in beliefs], [width for _, width in beliefs]))


def brute(beliefs: list[Belief]) -> Floats:
    """The integral, from its definition: Gauss-Legendre between very many cuts around every mean."""
    largest = max(abs(number) for belief in beliefs for number in belief)
    means = np.array([mean for mean, _ in beliefs])
    widths = np.maximum([width for _, width in beliefs], 1e-9 * largest)
    edges = np.unique((means[:, None] + widths[:, None] * np.linspace(-8, 8, 25)).ravel())
    nodes, weights = np.polynomial.legendre.leggauss(5)
    halves = np.diff(edges) / 2
    y = ((edges[:-1] + halves)[:, None] + halves[:, None] * nodes).ravel()
    z = (y - means[:, None]) / widths[:, None]
    below = 0.5 * np.vectorize(math.erfc)(-z / math.sqrt(2))
    density = np.exp(-0.5 * z * z) / widths[:, None] / math.sqrt(2 * math.pi)
    mass = (halves[:, None] * weights).ravel()
    return np.array(
        [(density[one] * np.delete(below, one, axis=0).prod(axis=0) * mass).sum() for one in range(len(beliefs))]
    )


@pytest.mark.covers("STAB-001")
@CALM
@forall(BELIEFS)
def test_it_is_a_probability_whatever_the_beliefs(beliefs: list[Belief]) -> None:
    found = asked(beliefs)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.covers("STAB-001")
@CALM
@forall(st.lists(st.tuples(st.floats(), st.floats(min_value=0)), min_size=1, max_size=6))
def test_no_float_at_all_makes_it_something_else(beliefs: list[Belief]) -> None:
    found = asked(beliefs)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1, abs=1e-9)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@forall(ROUTINE)
def test_it_is_the_integral_to_a_thousandth(beliefs: list[Belief]) -> None:
    assert asked(beliefs) == pytest.approx(brute(beliefs), abs=1e-3)


@pytest.mark.parametrize("spread", [1e-5, 1e-3, 1e-1])
@pytest.mark.parametrize("smallest", [-6.0, -3.0, -1.5])
@pytest.mark.parametrize("count", [2, 3, 8, 24])
def test_it_is_the_integral_however_much_deviations_differ(count: int, smallest: float, spread: float) -> None:
    rng = np.random.default_rng([count, round(-smallest * 10), round(1 / spread)])
    for _ in range(5):
        beliefs = [(float(rng.normal(0.6, spread)), float(10 ** rng.uniform(smallest, -0.5))) for _ in range(count)]
        assert asked(beliefs) == pytest.approx(brute(beliefs), abs=1e-3)


def test_a_lane_that_is_known_well_beside_new_ones_is_no_exception() -> None:
    beliefs = [(0.62, 0.0004), (0.6, 0.0005), *((0.5 + 0.01 * place, 0.1) for place in range(6))]
    assert asked(beliefs) == pytest.approx(brute(beliefs), abs=1e-3)


@pytest.mark.parametrize("count", [2, 3, 5, 24])
def test_it_is_what_draws_come_to(count: int) -> None:
    rng = np.random.default_rng(count)
    means, widths = rng.normal(0.6, 0.1, count), rng.uniform(0.02, 0.2, count)
    draws = (means + widths * rng.standard_normal((200_000, count))).argmax(axis=1)
    assert chances(means.tolist(), widths.tolist()) == pytest.approx(
        np.bincount(draws, minlength=count) / 200_000, abs=1e-2
    )


@CALM
@forall(MEANS, DEVIATIONS, st.integers(1, 24))
def test_the_same_belief_is_equally_likely_everywhere(mean: float, width: float, count: int) -> None:
    assert asked([(mean, width)] * count) == pytest.approx([1 / count] * count, abs=1e-9)


@CALM
@forall(BELIEFS, st.randoms(use_true_random=False))
def test_the_order_of_lanes_makes_no_difference(beliefs: list[Belief], random: object) -> None:
    order = list(range(len(beliefs)))
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis hands out a random.Random
    assert asked([beliefs[place] for place in order]) == pytest.approx(asked(beliefs)[order], abs=1e-9)


@CALM
@forall(ROUTINE, st.floats(0.01, 0.2))
def test_a_better_mean_is_never_less_likely(beliefs: list[Belief], more: float) -> None:
    (mean, width), *others = beliefs
    # To the accuracy of the quadrature: grids differ.
    assert asked([(mean + more, width), *others])[0] >= asked(beliefs)[0] - 1e-3


def test_a_dominated_lane_is_hardly_ever_the_best() -> None:
    found = asked([(0.8, 0.02), (0.7, 0.1), (0.2, 0.03)])
    assert found[2] < 1e-6
    assert found[0] > found[1] > 0.1


def test_a_certainty_is_compared_with_what_is_uncertain() -> None:
    assert asked([(0.5, 0.0), (0.5, 0.1)]) == pytest.approx([0.5, 0.5], abs=1e-9)
    assert asked([(0.6, 0.0), (0.5, 0.1)]) == pytest.approx([0.8413447, 0.1586553], abs=1e-6)
    assert asked([(0.6, 0.0), (0.5, 0.1), (0.4, 0.0)]) == pytest.approx([0.8413447, 0.1586553, 0.0], abs=1e-3)


def test_of_certainties_the_largest_wins_and_equal_ones_share() -> None:
    assert asked([(0.1, 0.0), (0.3, 0.0), (0.2, 0.0)]) == pytest.approx([0, 1, 0])
    assert asked([(0.3, 0.0), (0.3, 0.0), (0.2, 0.0), (0.3, 0.0)]) == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])
    assert asked([(0.0, 0.0)] * 3) == pytest.approx([1 / 3] * 3)


def test_one_alone_is_the_best() -> None:
    assert asked([(0.1, 0.3)]).tolist() == [1.0]


def test_numbers_that_are_none_say_nothing() -> None:
    assert asked([(math.nan, 0.1), (0.5, 0.1)]).tolist() == [0.5, 0.5]
    assert asked([(0.5, math.inf), (0.5, 0.1), (0.1, 0.1)]).tolist() == [1 / 3] * 3
    assert asked([(1e308, 1e308), (-1e308, 0.1), (0.1, 0.1)]).tolist() == [1 / 3] * 3


@CALM
@forall(ROUTINE)
def test_more_points_change_nothing_that_matters(beliefs: list[Belief]) -> None:
    means, widths = [mean for mean, _ in beliefs], [width for _, width in beliefs]
    assert chances(means, widths, 32) == pytest.approx(chances(means, widths, 500), abs=1e-3)


@CALM
@forall(BELIEFS)
def test_the_same_beliefs_give_the_same_bits(beliefs: list[Belief]) -> None:
    assert asked(beliefs).tobytes() == asked(beliefs).tobytes()
