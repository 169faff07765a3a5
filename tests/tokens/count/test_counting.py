"""Counters: what they say of themselves, what they remember, what they refuse."""

import sys
from collections.abc import Mapping

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.count.texts import NASTY, PROSE, code, mixture

from cca.contracts.tokens import LIMIT, ContentKind
from cca.errors import Refused
from cca.tokens.counting import Counter, Remembered, counter, o200k
from cca.tokens.estimate import CLAUDE, Estimate, Weights, blocks, letters
from cca.tokens.vocabularies import vocabulary, well_formed

MODELS = ("gpt-4o", "gpt-4", "claude-sonnet-4", "claude-sonnet-5", "gemini-2.5-pro", "never heard of")
WITH_CTOK = sys.version_info >= (3, 12)


class Spy:
    """A way to count that tells how often it was asked."""

    name, exact, error = "spy", True, 0.0

    def __init__(self) -> None:
        self.asked = 0

    def count(self, text: str) -> int:
        self.asked += 1
        return len(text)

    def settled(self, text: str, start: int) -> int:
        return 0

    def weigh(self, text: str, before: str) -> int:
        return 1_000 * len(text)


@pytest.mark.parametrize(
    ("model", "method", "exact"),
    [
        ("gpt-4o", "o200k_base", True),
        ("gpt-3.5-turbo", "cl100k_base", True),
        ("claude-sonnet-4", "ctok:claude-3" if WITH_CTOK else "ratio:claude-3", False),
        ("claude-opus-4-7", "ctok:claude-4.7" if WITH_CTOK else "ratio:claude-4.7", False),
        ("claude-sonnet-5", "ctok:claude-4.8" if WITH_CTOK else "ratio:claude-4.8", False),
        ("opus", "ctok:claude-4.8" if WITH_CTOK else "ratio:claude-4.8", False),
        ("gemini-2.5-pro", "ratio:gemini", False),
        ("never heard of", "ratio:unknown", False),
    ],
)
def test_a_counter_says_how_it_counts_and_whether_that_is_exact(model: str, method: str, exact: bool) -> None:
    found = counter(model)
    assert (found.model, found.method, found.exact) == (model, method, exact)
    assert (found.error == 0) == exact


@pytest.mark.parametrize("model", MODELS)
def test_no_text_is_no_tokens_and_some_text_is_some(model: str) -> None:
    assert counter(model).count("") == 0
    assert counter(model).count("x") >= 1


@pytest.mark.parametrize("model", MODELS)
def test_the_nastiest_texts_are_counted(model: str) -> None:
    found = counter(model)
    for text in (*NASTY, "\ud800", "\udc00" * 300, "a\ud83d"):
        assert 0 <= found.count(text) <= 10 + 4 * len(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4"])
def test_many_texts_are_counted_in_their_order(model: str) -> None:
    texts = [code("go", 3_000), "", "one", code("rust", 500)]
    assert counter(model).count_many(texts) == [counter(model).count(text) for text in texts]
    assert counter(model).count_many(iter([])) == []


def test_a_long_text_is_counted_once() -> None:
    spy = Spy()
    counts = Counter("m", spy, Remembered())
    text = code("python", 1_000)
    assert counts.count(text) == counts.count("".join(text)) == len(text)
    assert spy.asked == 1


def test_a_short_text_is_not_remembered() -> None:
    remembered = Remembered()
    assert Counter("m", Spy(), remembered).count("short") == 5
    assert len(remembered) == 0


def test_what_differs_by_a_lone_surrogate_is_not_taken_for_the_same() -> None:
    counts = Counter("m", Spy(), Remembered())
    assert counts.count("x" * 300 + "\ud800\ud800") == 302
    assert counts.count("x" * 300 + "\U00010000") == 301


def test_models_that_count_alike_share_what_they_remember() -> None:
    text = code("java", 2_000)
    assert counter("gpt-4o").count(text) == counter("gpt-5-mini").count(text)
    assert counter("gpt-4o")._remembered is counter("gpt-5-mini")._remembered


@forall(st.lists(st.integers(0, 30), max_size=200))
def test_only_so_much_is_remembered_and_what_was_asked_for_lately_is(keys: list[int]) -> None:
    remembered = Remembered(size=5)
    for key in keys:
        found = remembered.get(bytes([key]))
        assert found in (None, key)
        if found is None:
            remembered.put(bytes([key]), key)
        assert len(remembered) <= 10
    for key in list(dict.fromkeys(reversed(keys)))[:5]:
        assert remembered.get(bytes([key])) == key


@pytest.mark.parametrize("text", ["x" * (LIMIT + 1), "é" * (LIMIT // 2 + 1), "\ud800" * (LIMIT // 3 + 1)])
def test_a_text_over_the_limit_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        Counter("m", Spy(), Remembered()).count(text)
    assert refused.value.code == "too-large"


def test_a_text_at_the_limit_is_counted() -> None:
    assert Counter("m", Spy(), Remembered()).count("x" * LIMIT) == LIMIT


@settings(deadline=None, max_examples=50)
@forall(st.text(st.characters(), max_size=300), st.sampled_from(MODELS))
def test_any_text_is_counted_and_the_same_every_time(text: str, model: str) -> None:
    tokens = counter(model).count(text)
    assert tokens == counter(model).count(text)
    assert 0 <= tokens <= 10 + 4 * len(text.encode("utf-8", "surrogatepass"))


# ------------------------------------------------------------------------------------------ estimates

TWICE = Estimate(vocabulary("o200k_base"), 2.0)


def weights(**ratios: float) -> Estimate:
    kinds: Mapping[ContentKind, float] = {"prose": 1.0, **ratios}  # type: ignore[dict-item]  # kinds, as keywords
    return Estimate(vocabulary("o200k_base"), Weights(kinds, small=0.0, capital=0.0, other=0.0))


def test_a_single_ratio_multiplies_what_the_vocabulary_counts() -> None:
    text = "It is raining in Berlin. "
    assert TWICE.count(text) == 2 * o200k(text)


def test_what_is_json_is_counted_with_the_ratio_of_json() -> None:
    text = '{"name": "x", "values": [1, 2, 3]}\n' * 20
    assert weights(json=2.0).count(text) == 2 * o200k(text)


def test_a_kind_that_has_no_ratio_counts_as_prose() -> None:
    text = "[ctx:aaaaaaaaaaaaaaaaaaaa 20 lines]\n" * 3
    assert weights().count(text) == o200k(text)


def test_letters_are_told_apart() -> None:
    assert letters("Abc É 中😀 D1_") == (2, 2, 3)
    assert letters("") == (0, 0, 0)


@settings(deadline=None, max_examples=60)
@forall(st.integers(0, 10**6), st.integers(0, 3_000), st.integers(1, 40))
def test_blocks_are_the_text_and_do_not_depend_on_what_follows(seed: int, cut: int, times: int) -> None:
    text = well_formed(mixture(seed, times * 30))
    whole = list(blocks(text))
    assert "".join(whole) == text
    shorter = list(blocks(text[:cut]))[:-1]
    assert whole[: len(shorter)] == shorter


def test_a_line_without_an_end_is_cut_into_blocks() -> None:
    assert max(map(len, blocks("x" * 100_000))) <= 20_000


@pytest.mark.parametrize("generation", CLAUDE)
def test_every_kind_of_content_has_a_ratio_and_the_error_was_measured(generation: str) -> None:
    found = CLAUDE[generation]  # type: ignore[index]  # a key of it
    kinds = {"prose", "code", "json", "log", "table", "diff", "search", "tests", "listing", "build", "trace"}
    assert set(found.ratios) == kinds
    assert all(0.9 < ratio < 1.5 for ratio in found.ratios.values())
    assert 0 < found.error < 0.2


@pytest.mark.parametrize("script", PROSE)
def test_claude_is_estimated_above_o200k_in_every_script(script: str) -> None:
    text = (PROSE[script] + "\n") * 40
    estimate = Estimate(vocabulary("o200k_base"), CLAUDE["4.8"]).count(text)
    assert 1.0 < estimate / o200k(text) < 2.2
