"""One score from two: what counts for a document is said, and nothing counts that is not there."""

from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from cca.search.bm25 import Match
from cca.search.fusion import WEIGHT, fused

KEYS = st.sampled_from("abcdefgh")
COSINES = st.dictionaries(KEYS, st.floats(-1, 1))
MATCHES = st.dictionaries(KEYS, st.builds(Match, st.floats(0.01, 50), st.floats(0.01, 1), st.just(("t",))))


def test_meaning_and_words_add_up_and_each_part_is_told() -> None:
    cosines = {"near": 0.8, "far": 0.1}
    matches = {"far": Match(10.0, 1.0, ("retry", "wait")), "word": Match(5.0, 0.5, ("retry",))}
    found = fused("hybrid", cosines, matches, depth=10)
    assert [key for key, _, _ in found] == ["near", "far", "word"]
    by_key = {key: (score, why) for key, score, why in found}
    assert by_key["near"][0] == 0.8
    assert by_key["far"][0] == approx(0.1 + WEIGHT)
    assert by_key["word"][0] == approx(WEIGHT * 0.5 * 0.5)
    assert by_key["near"][1].lexical is None
    assert (by_key["near"][1].dense_rank, by_key["far"][1].dense_rank, by_key["word"][1].dense_rank) == (1, 2, None)
    assert (by_key["far"][1].lexical_rank, by_key["word"][1].lexical_rank) == (1, 2)
    assert by_key["far"][1].terms == ("retry", "wait")
    assert by_key["word"][1].dense is None


@given(COSINES, MATCHES)
def test_every_document_is_there_once_and_the_best_stand_first(
    cosines: dict[str, float], matches: dict[str, Match]
) -> None:
    found = fused("hybrid", cosines, matches, depth=3)
    assert sorted(key for key, _, _ in found) == sorted(cosines.keys() | matches.keys())
    assert [(-score, key) for key, score, _ in found] == sorted((-score, key) for key, score, _ in found)
    best = max((match.bm25 for match in matches.values()), default=1.0)
    for key, score, why in found:
        words = matches[key].bm25 / best * matches[key].coverage if key in matches else 0.0
        assert score == approx(cosines.get(key, 0.0) + WEIGHT * words)
        assert why.dense == cosines.get(key)
        assert why.coverage == (matches[key].coverage if key in matches else 0.0)
        assert why.dense_rank is None or why.dense_rank <= 3


@given(COSINES, MATCHES)
def test_one_side_alone_keeps_its_own_order(cosines: dict[str, float], matches: dict[str, Match]) -> None:
    dense = fused("dense", cosines, matches, depth=10)
    assert {key: score for key, score, _ in dense} == cosines
    assert all(why.lexical is None and not why.terms for _, _, why in dense)
    lexical = fused("lexical", cosines, matches, depth=10)
    assert [key for key, _, _ in lexical] == sorted(matches, key=lambda key: (-matches[key].bm25, key))
    assert all(why.dense is None and 0 <= score <= 1 for _, score, why in lexical)


def test_a_search_that_finds_nothing_is_empty() -> None:
    assert fused("hybrid", dict[str, float](), {}, depth=5) == []
