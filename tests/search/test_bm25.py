"""BM25: rarer terms say more, more of a term says more and more slowly, longer documents say less."""

from math import isclose

from hypothesis import given
from hypothesis import strategies as st

from cca.search.bm25 import Match, Statistics, matched

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=6)


def match(counts: list[int], words: int = 20, mean: float = 20.0) -> Match:
    terms = [f"t{number}" for number in range(len(counts))]
    idf = [1.0 + number for number in range(len(counts))]
    return matched(terms, idf, sum(idf), counts, words, mean)


def test_a_term_that_is_there_once_in_an_average_document_is_worth_its_idf() -> None:
    assert isclose(match([1]).bm25, 1.0)


@given(COUNTS, st.integers(0, 5))
def test_more_of_a_term_is_better_and_within_bounds(counts: list[int], which: int) -> None:
    more = list(counts)
    more[which % len(counts)] += 1
    assert match(counts).bm25 < match(more).bm25 <= sum(1.0 + number for number in range(len(counts))) * 2.2


@given(COUNTS)
def test_a_longer_document_is_no_better(counts: list[int]) -> None:
    assert match(counts, words=10).bm25 >= match(counts, words=11).bm25


@given(COUNTS)
def test_coverage_is_the_share_of_what_is_found(counts: list[int]) -> None:
    found = match(counts)
    assert found.terms == tuple(f"t{number}" for number, count in enumerate(counts) if count)
    assert 0 <= found.coverage <= 1
    assert (found.coverage == 1) == all(counts)
    assert (found.bm25 == 0) == (not any(counts))


@given(st.integers(0, 1_000), st.dictionaries(st.sampled_from("abc"), st.integers(0, 2_000)))
def test_idf_is_never_negative_and_falls_with_the_frequency(documents: int, frequencies: dict[str, int]) -> None:
    statistics = Statistics(documents, 10.0, frequencies)
    for one in "abc":
        assert statistics.idf(one) >= 0
        for other in "abc":
            if frequencies.get(one, 0) <= frequencies.get(other, 0):
                assert statistics.idf(one) >= statistics.idf(other)


def test_an_empty_corpus_does_no_harm() -> None:
    assert matched([], [], 0.0, [], 0, 0.0) == Match(0.0, 0.0, ())
    assert matched(["a"], [1.0], 1.0, [1], 1, 0.0).bm25 > 0
