"""Medians and percentiles are what the field means by them."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.bench.spread import Spread, median, percentile

NUMBERS = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=50)


@given(NUMBERS)
def test_the_median_is_the_one_of_the_standard_library(values: list[float]) -> None:
    assert median(values) == pytest.approx(statistics.median(values), abs=1e-6)


@given(NUMBERS, st.floats(0, 100))
def test_a_percentile_lies_between_the_extremes(values: list[float], percent: float) -> None:
    assert min(values) <= percentile(values, percent) <= max(values)


def test_percentiles_are_interpolated_between_neighbours() -> None:
    assert percentile([1, 2, 3, 4], 0) == 1
    assert percentile([4, 3, 2, 1], 100) == 4
    assert percentile([1, 2, 3, 4], 50) == 2.5
    assert percentile([10, 20], 99) == pytest.approx(19.9)


def test_one_value_is_its_own_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0, (3.0,))


@pytest.mark.parametrize("values, percent", [([], 50), ([1.0], -1), ([1.0], 101)])
def test_what_cannot_be_computed_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError):
        percentile(values, percent)
