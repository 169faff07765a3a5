"""Claude's tokens: taken apart into words and gaps they are those of `ctok`, and the estimates are near them."""

import importlib
import random
import re
import sys
from functools import partial

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.count.texts import NASTY, PROSE, code, everything, mixture

from cca.tokens.claude import Claude, CountWhole, whole
from cca.tokens.cuts import last_cut
from cca.tokens.estimate import CLAUDE, Estimate
from cca.tokens.models import Generation
from cca.tokens.vocabularies import vocabulary, well_formed

needs_ctok = pytest.mark.skipif(sys.version_info < (3, 12), reason="ctok needs Python 3.12")
GENERATIONS: tuple[Generation, ...] = ("3", "4.7", "4.8")
ALPHABET = [
    *("a", "b", "T", "NASA", "don't", "'s", "'t", "'ll", "'", '"', "(", ")", " ", "  ", "\n", "\n\n", "\t", "\r"),
    *("\r\n", "1", "23", "4567"),
    *("é", "e\u0301", "\u0301", "ß", "中", "文", "？", "。", "，", "ー", "❤️", "😀", "٣", "жук", "ов"),
    *("\x00", "\x01", "\x1b[31m", "\ue000", "\u200b", "\u00a0", "\u2019", "—", "…", "İ", "ẞ", "Σ", "้", "ำ", "\ufdd0"),
    *("_", "--", "==", "foo", "Bar", "x", "़", "य़", "가", "ㅏ"),
]  # fmt: skip
ANY = st.lists(st.sampled_from(ALPHABET), max_size=14).map("".join)


def runs(text: str, version: str) -> int:
    """A stand-in for `ctok`: a token for each word, each gap of spaces but one, and each other character."""
    return 7 + len(re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*|(?<![^\W\d_]) | (?![^\W\d_])|[^\w ]|\d|_", text))


class Asked:
    """Remembers what it was asked."""

    def __init__(self, count: CountWhole) -> None:
        self.count, self.texts = count, list[str]()

    def __call__(self, text: str, version: str) -> int:
        self.texts.append(text)
        return self.count(text, version)


def test_a_text_is_counted_as_a_whole_would_be() -> None:
    for text in (code("python", 5_000), code("go", 5_000), PROSE["latin"], "x", "", "7", " x ", "it's"):
        assert Claude("3", runs).count(text) == (runs(text, "3") - 7 if text else 0)


def test_a_word_is_asked_for_once() -> None:
    asked = Asked(runs)
    claude = Claude("3", asked)
    claude.count("one two one two one")
    before = len(asked.texts)
    assert claude.count("two one two") == 3
    assert len(asked.texts) == before


def test_a_long_text_is_taken_apart_in_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cca.tokens.claude._WINDOW", 100)
    text = code("rust", 3_000)
    assert Claude("3", runs).count(text) == runs(text, "3") - 7
    assert Claude("3", runs).count("7" * 950) == 950


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cca.tokens.claude._REMEMBERED", 10)
    claude = Claude("3", runs)
    text = code("java", 5_000)
    assert claude.count(text) == runs(text, "3") - 7
    assert len(claude._words) <= 10 and len(claude._gaps) <= 10


def test_where_there_is_no_ctok_there_is_nothing_to_count_with() -> None:
    assert (whole() is None) == (sys.version_info < (3, 12))


# ------------------------------------------------------------------------------------------ against ctok


def exactly(generation: Generation, text: str) -> int:
    count_whole = whole()
    assert count_whole is not None
    return count_whole(text, generation) - count_whole("a", generation) + 1 if text else 0


def claude(generation: Generation) -> Claude:
    count_whole = whole()
    assert count_whole is not None
    return Claude(generation, count_whole)


@needs_ctok
@pytest.mark.parametrize("generation", GENERATIONS)
def test_no_token_reaches_over_the_end_of_a_word(generation: Generation) -> None:
    pieces: dict[str, object] = importlib.import_module("ctok").pieces(generation)
    assert len(pieces) > 10_000
    for piece in pieces:
        inner = re.sub(r"^(?:⟨(?:shift|caps)⟩)*⟨bow⟩|⟨eow⟩$", "", piece)
        assert "⟨bow⟩" not in inner and "⟨eow⟩" not in inner, piece


@needs_ctok
@pytest.mark.parametrize("generation", GENERATIONS)
def test_counts_equal_those_of_ctok_on_code_prose_and_worse(generation: Generation) -> None:
    counts = claude(generation)
    for what, text in everything():
        piece = well_formed(text)[:20_000]
        assert counts.count(piece) == exactly(generation, piece), what


@needs_ctok
@pytest.mark.parametrize("generation", GENERATIONS)
def test_counts_equal_those_of_ctok_on_any_mixture(generation: Generation) -> None:
    counts, rng = claude(generation), random.Random(generation)
    for _ in range(1_500):
        text = "".join(rng.choices(ALPHABET, k=rng.randint(1, 12)))
        assert counts.count(text) == exactly(generation, text), text


@needs_ctok
@settings(deadline=None, max_examples=300)
@forall(ANY | st.text(max_size=60), st.sampled_from(GENERATIONS))
def test_counts_equal_those_of_ctok_on_any_text(text: str, generation: Generation) -> None:
    text = well_formed(text)
    assert claude(generation).count(text) == exactly(generation, text)


@needs_ctok
@settings(deadline=None, max_examples=300)
@forall(ANY, st.sampled_from(GENERATIONS))
def test_parts_between_cuts_add_up_to_the_whole(text: str, generation: Generation) -> None:
    counts = claude(generation)
    total, start, before = 0, 0, ""
    for at in [at for at in range(1, len(text)) if last_cut(text, at - 1, at) == at] + [len(text)]:
        total += counts.count(text[start:at], before)
        before, start = text[at - 1 : at], at
    assert total == exactly(generation, text)


@needs_ctok
@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_window_changes_nothing(generation: Generation, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(map(partial(code, size=3_000), ("go", "c", "typescript"))) + (PROSE["han"] + PROSE["cyrillic"]) * 9
    monkeypatch.setattr("cca.tokens.claude._WINDOW", 500)
    assert claude(generation).count(text) == exactly(generation, text)


@needs_ctok
@pytest.mark.parametrize("generation", GENERATIONS)
def test_estimates_of_code_in_every_language_are_near(generation: Generation) -> None:
    estimate = Estimate(vocabulary("o200k_base"), CLAUDE[generation])
    for language in ("python", "javascript", "typescript", "go", "rust", "java", "c", "cpp"):
        text = code(language, 20_000)
        assert estimate.count(text) == pytest.approx(exactly(generation, text), rel=2 * CLAUDE[generation].error)


@needs_ctok
@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_nastiest_texts_are_counted_as_by_ctok(generation: Generation) -> None:
    counts = claude(generation)
    for text in (*NASTY, mixture(9, 200)):
        assert counts.count(text) == exactly(generation, text)
