"""How good a ranking is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.bench.search.ranking import DEPTH, Quality, mean, ndcg, quality

IDS = st.lists(st.text("abcdefghijklmnop", min_size=1, max_size=1), unique=True, max_size=16)


def test_an_answer_counts_less_the_further_down_it_stands() -> None:
    assert ndcg(["a", "b"], {"a"}) == 1
    assert ndcg(["b", "a"], {"a"}) == pytest.approx(0.6309, abs=1e-4)
    assert ndcg(["b"] * DEPTH + ["a"], {"a"}) == 0


def test_one_of_several_answers_is_as_good_as_all_of_them() -> None:
    assert ndcg(["a", "c"], {"a", "b"}) == ndcg(["a", "b"], {"a", "b"}) == 1


@given(IDS, st.sets(st.text("abcdefghijklmnop", min_size=1, max_size=1)))
def test_it_is_between_0_and_1_and_0_only_when_no_answer_is_among_the_first_ten(
    found: list[str], answers: set[str]
) -> None:
    score = ndcg(found, answers)
    assert 0 <= score <= 1
    assert (score > 0) == bool(answers & set(found[:DEPTH]))


@given(IDS.filter(lambda ids: len(ids) > 1), st.data())
def test_moving_an_answer_up_never_makes_it_worse(found: list[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(found) - 1))
    better = [*found[: place - 1], found[place], found[place - 1], *found[place + 1 :]]
    assert ndcg(better, {found[place]}) >= ndcg(found, {found[place]})


def test_a_set_has_the_means_of_its_questions() -> None:
    found = quality([(["a"], {"a"}), (["b"], {"a"})])
    assert found == Quality(0.5, 0.5, 2)
    with pytest.raises(ValueError):
        quality([])


def test_each_set_counts_alike_in_the_mean_of_sets() -> None:
    assert mean([Quality(1.0, 1.0, 1), Quality(0.0, 0.5, 99)]) == Quality(0.5, 0.75, 100)
    with pytest.raises(ValueError):
        mean([])
