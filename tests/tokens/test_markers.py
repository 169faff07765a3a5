"""Markers: what a cut leaves behind, and that what was cut comes back byte for byte."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca.tokens.markers import (
    LEGEND,
    Block,
    blocks,
    decoded,
    encoded,
    expand,
    is_ref,
    json_marker,
    marker,
    ref_of,
    refs,
)

REF = ref_of("something")
NOTHING: dict[str, str] = {}
lines = st.lists(st.text(st.characters(exclude_characters="\n")), max_size=8)
texts = st.text()


def known(*originals: str) -> dict[str, str]:
    return {ref_of(one): one for one in originals}


def test_a_reference_is_a_hash_of_the_content_and_never_changes() -> None:
    assert ref_of("") == "kc2ny3yuri7slolu4xec"
    assert ref_of("a\nb") == "pwzlomvsi6ptr5qix3e5"
    assert ref_of("é") == ref_of("é") != ref_of("e\u0301")


@given(texts)
def test_a_text_and_its_bytes_are_the_same_thing(text: str) -> None:
    assert decoded(encoded(text)) == text
    assert is_ref(ref_of(text)) == is_ref(f"ctx:{ref_of(text)}") == ref_of(text)


def test_lone_surrogates_survive() -> None:
    text = "a\ud83d b\ude00 \ud83d\ude00"
    assert decoded(encoded(text)) == text
    assert expand(marker(ref_of(text), "1 line"), known(text).get) == text


@pytest.mark.parametrize("text", ["", "ctx:", "ctx:" + "a" * 19, "a" * 21, "A" * 20, "1" * 20, " " + "a" * 20])
def test_what_is_no_reference_is_none(text: str) -> None:
    assert is_ref(text) is None


@given(lines, lines, lines, lines)
def test_a_cut_comes_back_with_everything_around_it(
    before: list[str], cut: list[str], instead: list[str], after: list[str]
) -> None:
    original = "\n".join(cut)
    folded = [*before, marker(ref_of(original), "some lines", len(instead)), *instead, *after]
    if not list(blocks(before)) and not list(blocks(after)):
        assert expand("\n".join(folded), known(original).get) == "\n".join([*before, original, *after])


def test_what_stands_for_the_original_is_counted_and_goes_with_its_marker() -> None:
    text = "\n".join(["before", marker(REF, "2000 log lines", 2), "one", "two", "after"])
    assert text.splitlines()[1] == f"[ctx:{REF} 2000 log lines; next 2]"
    assert expand(text, {REF: "x\ny"}.get) == "before\nx\ny\nafter"


def test_a_json_document_stays_one() -> None:
    original = '{\n  "rows": [1, 2, 3]\n}'
    text = json_marker(ref_of(original), "[1,2,3]")
    assert json.loads(text) == {"$ctx": ref_of(original), "$v": [1, 2, 3]}
    assert expand(text, known(original).get) == original


def test_an_unknown_marker_stays_with_its_lines() -> None:
    text = "\n".join([marker(REF, "3 lines", 2), marker(ref_of("x"), "inside"), "two", marker(ref_of("y"), "after")])
    assert expand(text, known("x").get) == text
    assert expand(text, known("y").get).endswith("two\ny")


def test_originals_may_hold_markers_of_their_own() -> None:
    inner = "the first\nof all"
    outer = f"around\n{marker(ref_of(inner), '2 lines')}\nit"
    assert expand(marker(ref_of(outer), "4 lines"), known(inner, outer).get) == "around\nthe first\nof all\nit"


def test_a_store_that_lies_ends_nothing_in_a_circle() -> None:
    one, two = marker("a" * 20, "one"), marker("b" * 20, "two")
    assert expand(one, {"a" * 20: two, "b" * 20: one}.get) == one


@pytest.mark.parametrize(
    "line",
    [
        "[ctx:]",
        f"[ctx:{REF}]",
        f"[ctx:{REF[:-1]} x]",
        f" [ctx:{REF} x]",
        f"[ctx:{REF} x] ",
        f"[ctx:{REF} x; next 99999999] y",
        f"[ctx:{REF.upper()} x]",
        f'{{"$ctx":"{REF}"}}',
        f'{{"$v":1,"$ctx":"{REF}"}}',
        f"[ctx:{REF} a[0]]",
    ],
)
def test_what_only_looks_like_a_marker_is_text(line: str) -> None:
    assert not list(blocks([line]))
    assert expand(line, {REF: "!"}.get) == line


def test_a_marker_that_counts_more_lines_than_there_are_ends_with_the_text() -> None:
    assert list(blocks(["a", marker(REF, "x", 9_999_999), "b"])) == [Block(REF, 1, 3)]


def test_the_legend_is_taken_away() -> None:
    assert expand(f"{LEGEND}\n{marker(REF, 'x')}\nb", {REF: "a"}.get) == "a\nb"
    assert "\n" not in LEGEND


@given(texts)
def test_any_text_without_known_markers_expands_to_itself(text: str) -> None:
    if not text.startswith(LEGEND):
        assert expand(text, NOTHING.get) == text


def test_references_are_named_once_and_in_order() -> None:
    one, two = ref_of("1"), ref_of("2")
    assert refs("\n".join([marker(two, "x"), "a", marker(one, "x"), marker(two, "x")])) == [two, one]


def test_a_long_line_of_near_markers_takes_no_time_worth_mentioning() -> None:
    nasty = "[ctx:" + "a" * 20 + " " + "; next 1" * 200_000
    assert expand(nasty, NOTHING.get) == nasty
    assert hashlib.blake2b(encoded(nasty)).digest()
