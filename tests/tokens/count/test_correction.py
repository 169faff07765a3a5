"""Reports of workers correct estimates, and never more than is believable."""

from math import isfinite

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from cca.tokens.correction import EVIDENCE, LEAST, MODELS, MOST, Corrections, corrected, correction, learn

ANY = st.floats() | st.integers() | st.sampled_from([0.0, -1.0, 1e308, 5e-324, float("nan"), float("inf"), 10**400])
REPORTS = st.lists(st.tuples(st.sampled_from(["a", "b"]), ANY, ANY), max_size=40)


def after(*reports: tuple[str, float, float]) -> Corrections:
    known: Corrections = {}
    for report in reports:
        known = learn(known, *report)
    return known


def test_an_estimate_is_corrected_by_what_was_really_used() -> None:
    known = after(*[("claude-sonnet-4", 1_000, 1_200)] * 10)
    assert correction(known, "claude-sonnet-4", exact=False) == pytest.approx(1.2)


def test_an_exact_count_is_never_corrected() -> None:
    assert correction(after(*[("gpt-4o", 1_000, 1_200)] * 10), "gpt-4o", exact=True) == 1.0


def test_few_reports_are_no_evidence() -> None:
    few = [("m", 100.0, 150.0)] * (EVIDENCE - 1)
    assert correction(after(*few), "m", exact=False) == 1.0
    assert correction(after(*few, few[0]), "m", exact=False) == pytest.approx(1.5)


def test_one_model_says_nothing_about_another() -> None:
    assert correction(after(*[("m", 100.0, 150.0)] * 9), "n", exact=False) == 1.0


def test_long_texts_have_more_weight_than_short_ones() -> None:
    known = after(*[("m", 10.0, 19.0), ("m", 10_000.0, 11_000.0)] * 10)
    assert correction(known, "m", exact=False) == pytest.approx(1.1, abs=0.01)


def test_what_is_long_ago_is_forgotten() -> None:
    known = after(*[("m", 100.0, 150.0)] * 100, *[("m", 100.0, 90.0)] * 1_000)
    assert correction(known, "m", exact=False) == pytest.approx(0.9, abs=0.01)


def test_one_absurd_report_does_not_outweigh_the_others() -> None:
    known = after(*[("m", 10_000.0, 11_000.0)] * 200, ("m", 10_000.0, 1e15))
    assert 1.1 < correction(known, "m", exact=False) < 1.15


def test_one_giant_report_does_not_outweigh_the_others() -> None:
    known = after(*[("m", 100_000.0, 110_000.0)] * 200, ("m", 1e12, 2e12))
    assert 1.1 < correction(known, "m", exact=False) < 1.2


@pytest.mark.parametrize(("actual", "bound"), [(1.0, LEAST), (1e9, MOST)])
def test_a_correction_stays_within_bounds(actual: float, bound: float) -> None:
    assert correction(after(*[("m", 1_000.0, actual)] * 50), "m", exact=False) == bound


@forall(REPORTS)
def test_whatever_is_reported_a_correction_is_a_finite_number_within_bounds(
    reports: list[tuple[str, float, float]],
) -> None:
    known = after(*reports)
    for model in ("a", "b", "c"):
        factor = correction(known, model, exact=False)
        assert isfinite(factor) and LEAST <= factor <= MOST


@forall(st.integers(0, 10**12), st.floats(LEAST, MOST))
def test_what_is_something_stays_something(tokens: int, factor: float) -> None:
    assert (corrected(tokens, factor) > 0) == (tokens > 0)
    assert corrected(tokens, 1.0) == tokens


def test_only_so_many_models_are_remembered_and_those_of_the_newest_reports() -> None:
    known: Corrections = {}
    for number in range(MODELS + 10):
        known = learn(known, f"m{number}", 10, 10)
        known = learn(known, "m0", 10, 10)
    assert len(known) == MODELS and "m0" in known and "m1" not in known


def test_learning_leaves_what_was_known_before_as_it_was() -> None:
    before = after(("m", 10, 20))
    learn(before, "m", 10, 10)
    assert before == after(("m", 10, 20))
