"""What tasks and agents wrote, as a person sees it (`cca.cli.text`)."""

import unicodedata
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cca.cli.text import ago, cells, clip, seconds, span, visible, visible_json

ANY = st.text(st.characters(), max_size=60)  # every code point, surrogates too
NASTY = st.lists(
    st.sampled_from(
        [
            "a",
            " ",
            "\n",
            "\t",
            "\r",
            "\x1b[31m",
            "\x9b1A",
            "\x00",
            "\x7f",
            "\u202e",
            "\u2066",
            "\u200b",
            "\ufeff",
            "\u2028",
            "\ud800",
            "\U000e0041",
            "é",
            "e\u0301",
            "中",
            "한",
            "🎉",
            "👨\u200d👩\u200d👧\u200d👦",
            "👍🏽",
            "🇩🇪",
            "1\ufe0f\u20e3",
            "❤\ufe0f",
            "\u200d",
            "\ufe0f",
            "می\u200cخواهم",
            "\u0301" * 5,
        ]
    ),
    max_size=30,
).map("".join)
TEXTS = ANY | NASTY
JOINERS = {"\u200c", "\u200d"}


@pytest.mark.covers("NEW-SEC-002")
@given(TEXTS, st.booleans())
def test_nothing_that_a_person_sees_moves_the_cursor_or_hides(text: str, lines: bool) -> None:
    shown = visible(text, lines=lines)
    shown.encode()
    for character in shown:
        if character not in JOINERS and not (lines and character == "\n"):
            assert unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"), ascii(character)


@given(TEXTS, st.booleans())
def test_what_is_visible_stays_as_it_is(text: str, lines: bool) -> None:
    shown = visible(text, lines=lines)
    assert visible(shown, lines=lines) == shown


@pytest.mark.parametrize(
    "text",
    [
        "plain text, C:\\path, 100 %",
        "Grüße, naïve, Ελλάδα, Кириллица, 中文, 한국어, हिन्दी, ไทย",
        "می\u200cخواهم",
        "👨\u200d👩\u200d👧\u200d👦 👩\u200d❤\ufe0f\u200d👨 👍🏽 🇩🇪 1\ufe0f\u20e3 ❤\ufe0f",
    ],
)
def test_honest_text_is_shown_as_it_was_written(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\u202eb", "a\\u202eb"),
        ("\r\x08", "\\x0d\\x08"),
        ("a\r\nb\tc", "a b c"),
        ("x\u200dy", "x\\u200dy"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_would_act_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.covers("NEW-SEC-002")
@given(TEXTS, st.integers(-1, 40), st.booleans())
@example("👨\u200d👩\u200d👧\u200d👦" * 5, 3, False)
@example("a" + "\u0301" * 100_000, 4, False)
@example("🇩🇪" * 20, 5, True)
def test_a_cut_text_fits_and_is_cut_between_characters(text: str, width: int, spaces: bool) -> None:
    cut = clip(text, width, spaces=spaces)
    assert "\n" not in cut
    assert cells(cut) <= max(width, 0)
    assert len(cut) <= max(width, 0) * 8 + 1
    cut.encode()
    if cut.endswith("…") and "…" not in text:
        whole = visible(text, lines=True).replace("\n", " ") if spaces else visible(text)
        assert whole.startswith(cut[:-1])


@pytest.mark.parametrize(
    "character", ["👨\u200d👩\u200d👧\u200d👦", "👍🏽", "🇩🇪", "1\ufe0f\u20e3", "❤\ufe0f", "e\u0301", "中"]
)
@pytest.mark.parametrize("width", range(1, 9))
def test_no_character_is_cut_in_two(character: str, width: int) -> None:
    kept = clip(character * 9, width).removesuffix("…")
    assert kept == character * (len(kept) // len(character))


@given(st.text(st.characters(codec="utf-8"), max_size=40), st.integers(1, 200))
def test_a_text_that_fits_is_not_cut(text: str, extra: int) -> None:
    shown = visible(text)
    assert clip(text, max(cells(shown), len(shown)) + extra) == shown


def test_a_line_of_code_keeps_its_spaces() -> None:
    assert clip("    if a:  # why", 40, spaces=True) == "    if a:  # why"
    assert clip("    if a:  # why", 11, spaces=True) == "    if a:…"
    assert clip("\tif a:  # \x1b[2J", 40, spaces=True) == "    if a:  # \\x1b[2J"


@given(st.dictionaries(TEXTS.filter(lambda t: t.isprintable()), st.text(st.characters(codec="utf-8"))))
def test_json_made_visible_means_the_same(value: dict[str, str]) -> None:
    written = msgspec.json.encode(value).decode()
    shown = visible_json(written)
    assert msgspec.json.decode(shown) == value
    assert "\u202e" not in shown and "\x9b" not in shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7_200),
        ("1h30m", 5_400),
        ("250ms", 0.25),
        ("1.5h", 5_400),
        ("7", 7),
        ("1D", 86_400),
    ],
)
def test_time_spans_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@given(ANY)
def test_anything_else_is_no_time_span(text: str) -> None:
    try:
        assert seconds(text) >= 0
    except ValueError as error:
        assert "30s" in str(error)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0042, "4 ms"),
        (1.25, "1.2 s"),
        (59.96, "1 m 00 s"),
        (65, "1 m 05 s"),
        (7_260, "2 h 01 m"),
        (100_000, "1 d 3 h"),
    ],
)
def test_durations_are_short(value: float, text: str) -> None:
    assert span(value) == text


def test_times_are_told_from_now() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert ago(now - timedelta(seconds=90), now) == "1 m ago"
    assert ago(now + timedelta(hours=3), now) == "in 3 h"
    assert ago(now - timedelta(milliseconds=10), now) == "now"
