"""Signatures estimate the Jaccard similarity, and the index finds what is most alike, everywhere the same."""

import subprocess
import sys

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.similar import CROWD, Index, Signature, signature, similarity

CALM = settings(deadline=None, max_examples=60)


def text(numbers: range) -> str:
    """A text of lines that differ, too long to be compared by its words."""
    return "\n".join(f"line {number} says {number * number} and nothing else in the world" for number in numbers)


def known(text: str) -> Signature:
    found = signature(text)
    assert found is not None
    return found


@pytest.mark.parametrize("shared", range(0, 301, 25))
def test_the_estimate_is_within_a_tenth_of_the_exact_similarity_of_lines(shared: int) -> None:
    a, b = text(range(300)), text(range(300 - shared, 600 - shared))
    exact = shared / (600 - shared)
    assert abs(similarity(known(a), known(b)) - exact) < 0.1


@pytest.mark.parametrize("changed", [0, 1, 2, 5, 10, 30])
@pytest.mark.parametrize("lines", [1, 6])
def test_short_texts_are_compared_by_runs_of_three_words(changed: int, lines: int) -> None:
    words = [f"word{number}" for number in range(60)]
    other = [f"other{number}" if number < changed else word for number, word in enumerate(words)]
    triples = [{tuple(each[at : at + 3]) for at in range(58)} for each in (words, other)]
    exact = len(triples[0] & triples[1]) / len(triples[0] | triples[1])

    def broken(words: list[str]) -> str:
        return "".join(word + ("\n" if at % (60 // lines) == 59 // lines else " ") for at, word in enumerate(words))

    assert abs(similarity(known(broken(words)), known(broken(other))) - exact) < 0.1


def test_a_document_on_one_long_line_is_compared_by_its_words() -> None:
    a = " ".join(f"n{number}" for number in range(4_000))
    b = " ".join(f"n{number}" for number in range(2_000, 6_000))
    assert abs(similarity(known(a), known(b)) - 1 / 3) < 0.1


def test_a_script_without_spaces_is_compared_by_its_characters() -> None:
    a = "我们在这里看到一个很长的句子它没有任何空格但是仍然可以比较"
    assert similarity(known(a), known(a[:-2] + "压缩")) > 0.7


def test_texts_on_both_sides_of_the_border_of_short_ones_are_compared() -> None:
    a, b = text(range(82)), text(range(88))
    assert len(a) < 4_000 < len(b)
    assert similarity(known(a), known(b)) > 0.8


@pytest.mark.parametrize("short", ["", "\n", "\n" * 5_000, "ok", "a few words only", "same\n" * 5_000, "QUJD" * 50_000])
def test_what_is_too_short_or_all_the_same_says_nothing(short: str) -> None:
    assert signature(short) is None


@CALM
@forall(st.text(st.characters()), st.text(st.characters()))
def test_any_two_texts_have_a_similarity_and_a_text_is_wholly_like_itself(a: str, b: str) -> None:
    for each in (a, a * 40, "\ud800 \x00 " * 30 + a):
        found = signature(each)
        if found is None:
            continue
        assert similarity(found, known(each)) == 1.0
        other = signature(b)
        if other is not None:
            assert 0.0 <= similarity(found, other) == similarity(other, found) <= 1.0


def test_the_nearest_is_found_among_many() -> None:
    index = Index()
    for key in range(300):
        index.add(key, known(text(range(key * 100, key * 100 + 100))))
    key, alike = index.nearest(known(text(range(20_010, 20_110)))) or (-1, 0.0)
    assert key == 200
    assert abs(alike - 90 / 110) < 0.1
    assert index.nearest(known(text(range(90_000, 90_100)))) is None


def test_nothing_is_near_in_an_empty_index() -> None:
    assert Index().nearest(known(text(range(50)))) is None


def test_what_is_less_alike_than_asked_is_not_near() -> None:
    index = Index()
    index.add(1, known(text(range(100))))
    question = known(text(range(10, 110)))
    assert index.nearest(question, 0.95) is None
    assert index.nearest(question, 0.5) is not None


def test_of_several_that_are_equally_alike_the_latest_is_nearest() -> None:
    index = Index()
    for key in range(CROWD * 3):
        index.add(key, known(text(range(100))))
    assert index.nearest(known(text(range(100)))) == (CROWD * 3 - 1, 1.0)


def test_the_first_of_a_crowd_that_differs_is_still_found() -> None:
    index = Index()
    index.add(0, known(text(range(100))))
    for key in range(1, 100):
        index.add(key, known(text(range(40, 140))))
    assert index.nearest(known(text(range(100))), 0.9) == (0, 1.0)


def test_signatures_are_the_same_in_every_process() -> None:
    program = (
        "from cca.tokens.similar import signature\n"
        "found = signature('\\n'.join(f'line {n}' for n in range(500)))\n"
        "print(found.lines.digest()[:8], found.words and found.words.digest()[:8])"
    )

    def printed(seed: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        return ran.stdout

    assert printed("1") == printed("2") != ""
