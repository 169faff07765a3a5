"""What is looked for: everything while there are few documents, then the rarest words first, and never too much."""

from hypothesis import given
from hypothesis import strategies as st

from cca.search.bm25 import Statistics
from cca.search.query import MOST, READ, distinct, wanted


def test_of_few_documents_all_with_any_word_are_looked_at() -> None:
    found = wanted(["rare", "common", "nowhere"], Statistics(1_000, 10.0, {"rare": 2, "common": 900}), 5_000)
    assert found.terms == ("rare", "common")
    assert found.candidates == "'rare' | 'common'"
    assert not found.bounded
    assert found.total > sum(found.idf)


def test_of_many_documents_those_with_rare_words_or_pairs_of_common_ones_are_looked_at() -> None:
    frequencies = {"rare": 10, "often": 20_000, "always": 60_000, "usual": 9_000}
    found = wanted(list(frequencies), Statistics(100_000, 10.0, frequencies), 5_000)
    assert found.bounded
    assert found.candidates == "('rare') | ('usual' & 'often')"


def test_of_common_words_alone_all_are_wanted_together() -> None:
    frequencies = dict.fromkeys(("one", "two", "three"), 50_000)
    found = wanted(list(frequencies), Statistics(100_000, 10.0, frequencies), 5_000)
    assert found.candidates == "('one' & 'two' & 'three')"


def test_a_word_that_is_nearly_everywhere_is_still_looked_for() -> None:
    assert wanted(["all"], Statistics(100_000, 10.0, {"all": 99_999}), 5_000).candidates == "('all')"


def test_every_document_is_looked_at_when_that_is_asked_for() -> None:
    found = wanted(["all"], Statistics(100_000, 10.0, {"all": 99_999}), 5_000, every=True)
    assert found.candidates == "'all'"
    assert not found.bounded


def test_words_that_nobody_has_find_nothing() -> None:
    found = wanted(["nowhere"], Statistics(10, 10.0, {}), 5_000)
    assert (found.terms, found.candidates) == ((), "")
    assert wanted([], Statistics(0, 0.0, {}), 5_000).candidates == ""


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(0, 200_000), max_size=60), st.integers(1, 200_000))
def test_the_rarest_stand_first_and_what_stands_alone_is_within_the_budget(
    frequencies: dict[str, int], documents: int
) -> None:
    found = wanted(list(frequencies), Statistics(documents, 10.0, frequencies), 5_000)
    assert len(found.terms) <= MOST
    assert [frequencies[term] for term in found.terms if frequencies[term] < documents] == sorted(
        frequencies[term] for term in found.terms if frequencies[term] < documents
    )
    assert bool(found.candidates) == any(frequencies.values())
    if found.bounded:
        groups = found.candidates.split(" | ")
        alone = [group for group in groups if "&" not in group]
        if len(groups) > 1:
            assert sum(frequencies[group.strip("()'")] for group in alone) <= 5_000
        assert len(groups) <= MOST + 28


def test_of_a_very_long_query_the_beginning_is_read() -> None:
    words = [f"word{number}" for number in range(1_000)]
    assert distinct(words + words) == tuple(words[:READ])
