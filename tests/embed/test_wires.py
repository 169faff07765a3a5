"""Formats, texts and answers: pure pieces of the endpoints."""

import base64
import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cca.embed.answers import LONGEST_S, SHOWN, pause, said, sense
from cca.embed.cutting import estimated, fitting, groups
from cca.embed.embedder import BLANK, Rows, normalized, readable
from cca.embed.models import known
from cca.embed.wires import Malformed, Ollama, OpenAI, Voyage, Wire
from cca.tokens.vocabularies import vocabulary

CALM = settings(deadline=None)
WIRES: list[Wire] = [OpenAI(), Ollama(), Voyage()]
VECTORS = arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 6)), elements=st.floats(-9, 9, width=32))

# ----------------------------------------------------------------------------------------------- formats


@CALM
@given(VECTORS, st.randoms(), st.booleans())
def test_vectors_come_back_in_the_order_of_the_texts(rows: Rows, random: object, packed: bool) -> None:
    data = [
        {"index": n, "embedding": base64.b64encode(row.tobytes()).decode() if packed else row.tolist()}
        for n, row in enumerate(rows)
    ]
    random.shuffle(data)  # type: ignore[attr-defined]  # it is a `random.Random`
    for wire in (OpenAI(), Voyage()):
        assert np.array_equal(wire.rows(msgspec.json.encode({"data": data}), len(rows)), rows)
    assert np.array_equal(Ollama().rows(msgspec.json.encode({"embeddings": rows.tolist()}), len(rows)), rows)


@CALM
@given(st.binary(), st.integers(1, 3))
def test_whatever_is_answered_is_vectors_or_malformed(body: bytes, count: int) -> None:
    for wire in WIRES:
        with pytest.raises(Malformed):
            wire.rows(body, count)


@CALM
@given(
    st.lists(
        st.fixed_dictionaries({"index": st.integers(-1, 3), "embedding": st.lists(st.floats(width=32)) | st.text()}),
        max_size=4,
    ),
    st.integers(1, 3),
)
def test_a_list_that_is_not_for_our_texts_is_malformed(data: list[dict[str, object]], count: int) -> None:
    try:
        rows = OpenAI().rows(msgspec.json.encode({"data": data}), count)
    except Malformed:
        return
    assert rows.shape[0] == count == len(data) and rows.shape[1] > 0
    assert {item["index"] for item in data} == set(range(count))


@CALM
@given(st.lists(st.text(), min_size=1))
def test_a_question_has_the_texts_as_they_are(texts: list[str]) -> None:
    for wire in WIRES:
        assert msgspec.json.decode(wire.question("m", None, texts, "query"))["input"] == texts


# ----------------------------------------------------------------------------------------------- answers


def test_what_an_answer_means() -> None:
    assert [sense(status, "") for status in (200, 301, 400, 401, 403, 404, 413, 422, 429, 500, 503, 599)] == (
        ["fine", "place", "texts", "key", "key", "place", "texts", "texts", "later", "failed", "failed", "failed"]
    )
    assert sense(500, "The input length exceeds the Context Length") == "texts"


@CALM
@given(st.integers(100, 999), st.text())
def test_every_answer_means_something(status: int, text: str) -> None:
    assert (sense(status, text) == "fine") == (status == 200)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": {"message": "no such\\n  model", "type": "x"}}', "no such model"),
        (b'{"error": "model not found"}', "model not found"),
        (b'{"detail": "nope"}', "nope"),
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required"),
        (b'{"object": "error", "message": "too long"}', "too long"),
        (b'{"error": {"code": 3}}', ""),
        (b"<html>502</html>", ""),
        (b"[]", ""),
        (b"\xff", ""),
    ],
)
def test_what_a_provider_says_is_found(body: bytes, text: str) -> None:
    assert said(body, None) == text


@CALM
@given(st.text(min_size=6, alphabet="abcdef0123456789"), st.text(), st.text())
def test_the_key_is_never_shown(key: str, before: str, after: str) -> None:
    shown = said(msgspec.json.encode({"error": {"message": before + key + after}}), key)
    assert key not in shown and len(shown) <= SHOWN and shown.isprintable()


@CALM
@given(st.text(), st.text())
def test_a_pause_is_within_reason_or_none(one: str, other: str) -> None:
    found = pause({"Retry-After": one, "Retry-After-Ms": other}, 1e9)
    assert found is None or 0 <= found <= LONGEST_S


def test_a_pause_is_seconds_or_a_date() -> None:
    now = 1_800_000_000.0
    assert pause({}, now) is None
    assert pause({"Retry-After": "7"}, now) == 7 and pause({"Retry-After": "0.5"}, now) == 0.5
    assert pause({"Retry-After": "9", "Retry-After-Ms": "250"}, now) == 0.25
    assert pause({"Retry-After": "Fri, 15 Jan 2027 08:00:12 GMT"}, now) == 12
    assert pause({"Retry-After": "Fri, 15 Jan 2020 08:00:12 GMT"}, now) == 0
    assert pause({"Retry-After": "99999999"}, now) == LONGEST_S


# ------------------------------------------------------------------------------------------------- texts


@CALM
@given(st.text(st.characters(exclude_categories=())))
def test_a_readable_text_can_be_encoded_and_is_not_blank(text: str) -> None:
    found = readable(text)
    assert found.encode() and not found.isspace() and "\0" not in found
    assert readable(found) == found
    assert found == BLANK or found in text.replace("\0", " ") or not text.isascii()


@CALM
@given(st.text(max_size=300), st.integers(1, 60))
def test_a_cut_text_is_the_longest_beginning_that_fits(text: str, tokens: int) -> None:
    found = fitting(text, tokens)
    assert text.startswith(found) and (estimated(found) <= tokens or found == text)
    if found != text:
        assert estimated(text[: len(found) + 1]) > tokens


def test_an_estimate_is_above_what_is_counted() -> None:
    count = vocabulary("cl100k_base").count
    for text in (
        "The quick brown fox jumps over the lazy dog, and nobody knows why it should.",
        "def sums(numbers: list[int]) -> int:\n    return sum(n for n in numbers if n % 2 == 0)\n",
        '{"name": "cca", "version": 12, "tags": ["a", "b"], "nested": {"deep": true}}',
        "中文文本是一个例子，说明分词器的行为。",
    ):
        assert count(text) <= estimated(text) <= 2 * count(text)


@CALM
@given(st.lists(st.floats(0.1, 50)), st.integers(1, 6), st.floats(1, 60))
def test_groups_are_all_texts_in_order_and_within_bounds(sizes: list[float], most: int, room: float) -> None:
    found = list(groups(sizes, most, room))
    assert list(itertools.chain.from_iterable(found)) == list(range(len(sizes)))
    for group in found:
        assert 1 <= len(group) <= most
        assert len(group) == 1 or sum(sizes[number] for number in group) <= room + 1e-6
    for one, other in itertools.pairwise(found):
        assert len(one) == most or sum(sizes[number] for number in [*one, other[0]]) > room - 1e-6


@CALM
@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 5)), elements=st.floats(width=32)))
def test_normalized_vectors_have_length_one_and_the_others_are_refused(rows: Rows) -> None:
    good = bool(np.isfinite(rows).all() and (rows != 0).any(axis=1).all())
    if not good:
        with pytest.raises(ValueError, match="zero or not finite"):
            normalized(rows)
        return
    found = normalized(rows)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5) and found.dtype == np.float32


def test_models_are_known_under_all_their_names() -> None:
    assert known("nomic-embed-text:v1.5") == known("text-embedding-nomic-embed-text-v1.5") == known("nomic-embed-text")
    assert known("BAAI/bge-m3").dimension == 1_024 and known("bge-small-en-v1.5").query
    assert known("voyage-3.5-lite").dimension == 1_024 and known("voyage-9").dimension == 0
    assert known("text-embedding-3-large").dimension == 3_072
    assert known("intfloat/e5-base-v2").asked("document") == "passage: "
    assert known("my own model").asked("query") == "" and known("my own model").dimension == 0
