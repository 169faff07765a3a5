"""A text that comes in pieces has the tokens of the whole, wherever it was cut."""

import random

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.count.texts import NASTY, code, documents, logs, mixture

from cca.contracts.tokens import LIMIT
from cca.errors import Refused
from cca.tokens.counting import counter
from cca.tokens.cuts import last_cut
from cca.tokens.stream import StreamCounter
from cca.tokens.vocabularies import VocabularyName, vocabulary, well_formed

MODELS = ("gpt-4o", "gpt-4", "claude-sonnet-4", "claude-opus-4-8", "gemini-2.5-pro")
ALPHABET = [
    *"aZ é中ж.,'0\n\r\t -_",
    "  ",
    "\n\n",
    "don't ",
    "'s",
    "\u0301",
    "😀",
    "\ud83d",
    "\ude00",
    "\x00",
    "\x01",
    "。",
    "ー",
]
PIECES = st.lists(st.lists(st.sampled_from(ALPHABET), max_size=12).map("".join), max_size=30)


def in_pieces(text: str, model: str, rng: random.Random, longest: int) -> StreamCounter:
    stream = StreamCounter(counter(model))
    at = 0
    while at < len(text):
        size = rng.randint(1, longest)
        stream.feed(text[at : at + size])
        at += size
    return stream


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("longest", [7, 5_000, 60_000])
def test_the_total_is_that_of_the_whole(model: str, longest: int) -> None:
    rng = random.Random(longest)
    for text in (code("go", 50_000), logs(50_000), documents(60_000), mixture(3, 1_500)):
        stream = in_pieces(text, model, rng, longest)
        assert stream.total == counter(model).count(text)
        assert stream.close() == stream.total


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", NASTY)
def test_the_nastiest_texts_may_come_in_pieces(model: str, text: str) -> None:
    assert in_pieces(text, model, random.Random(0), 900).total == counter(model).count(text)


@settings(deadline=None, max_examples=200)
@forall(PIECES, st.sampled_from(MODELS), st.integers(0, 40))
def test_any_pieces_of_any_text_add_up(pieces: list[str], model: str, look: int) -> None:
    """Parts are settled as early as can be, so that cuts are made even in a text of a few words."""
    stream = StreamCounter(counter(model))
    for piece in pieces:
        stream._look = look
        stream.feed(piece)
    assert stream.total == counter(model).count("".join(pieces))


@pytest.mark.parametrize("model", MODELS)
def test_the_total_may_be_asked_for_at_any_time(model: str) -> None:
    text = logs(3_000)
    stream = StreamCounter(counter(model))
    for end in range(0, len(text), 300):
        stream.feed(text[end : end + 300])
        assert stream.total == counter(model).count(text[: end + 300])


def test_nothing_has_no_tokens() -> None:
    stream = StreamCounter(counter("gpt-4o"))
    stream.feed("")
    assert stream.total == stream.close() == 0


@pytest.mark.parametrize("model", MODELS)
def test_what_is_settled_is_not_kept(model: str) -> None:
    stream = StreamCounter(counter(model))
    for _ in range(40):
        stream.feed(code("c", 20_000))
        assert sum(map(len, stream._waiting)) < 40_000


def test_a_text_without_any_word_is_refused_when_it_is_over_the_limit() -> None:
    stream = StreamCounter(counter("gpt-4o"))
    with pytest.raises(Refused) as refused:
        for _ in range(12):
            stream.feed("7" * (LIMIT // 10))
    assert refused.value.code == "too-large"


# ------------------------------------------------------------------------------------------ cuts


@settings(deadline=None, max_examples=300)
@forall(st.lists(st.sampled_from(ALPHABET), max_size=60).map("".join), st.sampled_from(["o200k_base", "cl100k_base"]))
def test_parts_between_cuts_add_up_to_the_whole(text: str, name: VocabularyName) -> None:
    text, count = well_formed(text), vocabulary(name).count
    places = [at for at in range(1, len(text)) if last_cut(text, at - 1, at) == at]
    parts = [text[start:stop] for start, stop in zip([0, *places], [*places, len(text)], strict=True)]
    assert sum(map(count, parts)) == count(text)


def test_the_last_place_is_found_within_its_bounds() -> None:
    text = "one two three"
    assert last_cut(text, 0, len(text)) == 7
    assert last_cut(text, 0, 7) == 7
    assert last_cut(text, 0, 6) == 3
    assert last_cut(text, 3, 6) == 0
    assert last_cut("x" * 5_000 + " " + "7" * 50_000, 0, 60_000) == 5_000


@pytest.mark.parametrize("text", ["", "a", "aa", "it's", "7 7", "中文", "a\u0301 b"[1:], "a\x01b", "é "])
def test_there_is_no_place_where_a_word_may_go_on(text: str) -> None:
    assert last_cut(text, 0, len(text)) == 0
