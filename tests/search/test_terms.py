"""Terms: names in code are found by their parts and as a whole, in any script, and nothing makes it slow or fail."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.search.terms import LONGEST, stem, terms

WORDS = st.text(string.ascii_lowercase, min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("HTTPServer.max_tokens", "http server httpserver max token maxtokens httpserver.maxtokens"),
        ("parseHTTPResponse", "pars http respons parsehttpresponse"),
        ("__init__", "init"),
        ("utf8 SHA256 sha256Hash", "utf8 sha256 sha256 hash sha256hash"),
        ("v1.2.3", "v1 2 3 v1.2.3"),
        ("the state of the art", "stat art"),
        ("größeBerechnen", "grösse berechnen grösseberechnen"),
        ("naïve cafe\u0301", "naïve café"),
        ("日本語", "日本 本語 日本語"),
        ("東 京", "東 京"),
        ("don't -- !?", "don t"),
        ("", ""),
        ("a_b", "b ab"),
    ],
)
def test_names_are_found_by_their_parts_and_as_a_whole(text: str, found: str) -> None:
    assert terms(text) == found.split()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("maxTokens", "max_tokens"),
        ("MaxTokens", "MAX_TOKENS"),
        ("retries", "retry"),
        ("caching", "cached"),
        ("running", "runs"),
        ("ＦＵＬＬ", "full"),
        ("Straße", "STRASSE"),
        ("cafe\u0301", "CAFÉ"),
    ],
)
def test_spellings_of_the_same_have_a_term_in_common(one: str, other: str) -> None:
    assert set(terms(one)) & set(terms(other))


@pytest.mark.parametrize("word", ["class", "status", "bus", "this", "is", "s", "des", "string", "ring", "bed", "x86s"])
def test_what_is_no_ending_stays(word: str) -> None:
    assert stem(word) == word


@given(st.text(max_size=300))
def test_any_text_has_terms_that_can_be_stored(text: str) -> None:
    for term in terms(text):
        assert 0 < len(term) <= 2 * LONGEST
        assert "\0" not in term
        assert not any(character.isspace() for character in term)
        term.encode()


@given(st.lists(WORDS, max_size=8), st.lists(WORDS, max_size=8))
def test_the_terms_of_two_texts_are_those_of_both(one: list[str], other: list[str]) -> None:
    assert terms(" ".join(one + other)) == terms(" ".join(one)) + terms(" ".join(other))


@given(st.lists(WORDS, min_size=2, max_size=4))
def test_a_name_is_found_by_itself_however_it_is_spelt(parts: list[str]) -> None:
    snake, camel = "_".join(parts), "".join(part.capitalize() for part in parts)
    assert "".join(parts) in terms(snake)
    assert "".join(parts) in [*terms(camel), camel.lower()]


@pytest.mark.parametrize(
    "piece",
    ["a", "aB", "a.b.", "_", "a_", "._", "日", "ÄÖ", "äÖ", "\u0315\u0300", "é\u0301 ", "\ufdfa", "A1", "\ud800", "\0"],
)
def test_a_million_of_anything_is_done_at_once(piece: str) -> None:
    # Square time would take hours for this, so nothing needs to be measured.
    text = "x" + piece * (1_000_000 // len(piece))
    assert len(terms(text)) <= 4_000_000


def test_of_what_is_too_long_the_beginning_is_a_term() -> None:
    assert terms("f" * 500) == ["f" * LONGEST]
    assert terms("é" * 500) == ["é" * LONGEST]
