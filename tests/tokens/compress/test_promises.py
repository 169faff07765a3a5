"""What holds of compression whatever is compressed."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, example, settings
from hypothesis import given as forall
from hypothesis import strategies as st
from tests.tokens.compress.pieces import LEVELS, TURNS, document, fences, folding, log

from cca.contracts.tokens import Folding, Level, Turn
from cca.tokens.compress import Folded, compress
from cca.tokens.counting import o200k
from cca.tokens.frame import is_json
from cca.tokens.markers import expand

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
CALM = settings(deadline=None, max_examples=40, suppress_health_check=SLOW)


def again(turns: Sequence[Turn], folded: Folded) -> list[Turn]:
    """The turns as they are now, to be compressed once more."""
    return [
        Turn(text=text, role=turn.role, name=turn.name, pinned=turn.pinned)
        for turn, text in zip(turns, folded.texts, strict=True)
        if text is not None
    ]


@CALM
@forall(TURNS, LEVELS, st.booleans())
def test_what_was_cut_expands_to_the_same_bytes(turns: list[Turn], level: Level, legend: bool) -> None:
    folded = compress(turns, folding(level, legend=legend, recent=1))
    assert [expand(text or "", folded.blobs.get) for text in folded.texts] == [turn.text for turn in turns]
    assert folded.blobs[folded.original] == "\n".join(turn.text for turn in turns)


@CALM
@forall(TURNS, st.integers(1, 3000), LEVELS, st.integers(0, 3))
def test_within_a_budget_all_turns_together_expand_to_the_same_bytes(
    turns: list[Turn], budget: int, level: Level, recent: int
) -> None:
    folded = compress(turns, folding(level, max_tokens=budget, recent=recent))
    texts = [expand(text, folded.blobs.get) for text in folded.texts if text is not None]
    assert "\n".join(texts) == "\n".join(turn.text for turn in turns)


@CALM
@forall(TURNS, LEVELS)
def test_json_stays_json(turns: list[Turn], level: Level) -> None:
    for turn, text in zip(turns, compress(turns, folding(level, recent=1)).texts, strict=True):
        if is_json(turn.text):
            assert text is not None
            json.loads(text)


@CALM
@forall(TURNS, LEVELS)
def test_code_blocks_stay_closed(turns: list[Turn], level: Level) -> None:
    for turn, text in zip(turns, compress(turns, folding(level, recent=1)).texts, strict=True):
        if not fences(turn.text)[1] and "[ctx:" not in turn.text:
            assert not fences(text or "")[1]


@CALM
@forall(TURNS, LEVELS, st.integers(0, 4))
def test_a_cached_prefix_and_pinned_turns_stay_as_they_are(turns: list[Turn], level: Level, cached: int) -> None:
    folded = compress(turns, folding(level, cached=cached, max_tokens=1, recent=0, legend=True))
    for at, (turn, text) in enumerate(zip(turns, folded.texts, strict=True)):
        if at < cached or turn.pinned:
            assert text == turn.text
    assert all(cut.turn >= cached and not turns[cut.turn].pinned for cut in folded.cuts)


@CALM
@forall(TURNS, LEVELS, st.booleans(), st.none() | st.integers(1, 2000))
def test_compressing_again_changes_nothing(turns: list[Turn], level: Level, legend: bool, budget: int | None) -> None:
    how = folding(level, legend=legend, recent=2, max_tokens=budget)
    once = compress(turns, how)
    left = again(turns, once)
    twice = compress(left, how)
    assert list(twice.texts) == [turn.text for turn in left]
    assert twice.after == twice.before == once.after


@CALM
@forall(TURNS, st.sampled_from(["lossless", "safe"]), st.booleans())
def test_what_was_sent_stays_as_it_was_when_turns_follow(turns: list[Turn], level: Level, legend: bool) -> None:
    how = folding(level, legend=legend)
    all_of_them = compress(turns, how).texts
    for length in range(1, len(turns)):
        assert compress(turns[:length], how).texts == all_of_them[:length]


@CALM
@forall(TURNS, LEVELS, st.none() | st.integers(1, 2000), st.none() | st.floats(0.01, 0.99))
def test_the_numbers_are_right(turns: list[Turn], level: Level, budget: int | None, share: float | None) -> None:
    how = folding(level, max_tokens=budget, target_reduction=share, recent=1)
    folded = compress(turns, how)
    assert folded.before == sum(o200k(turn.text) for turn in turns)
    assert folded.after == sum(o200k(text) for text in folded.texts if text is not None) <= folded.before
    assert sum(folded.saved.values()) == folded.before - folded.after
    goals = [folded.before] if budget is None else [budget]
    if share is not None:
        goals.append(int(folded.before * (1 - share)))
    assert folded.reached == (folded.after <= min(goals)) == (folded.short == 0)
    assert folded.short == max(0, folded.after - min(goals))


@CALM
@forall(TURNS, LEVELS)
def test_a_cut_says_where_its_marker_stands_and_what_it_stands_for(turns: list[Turn], level: Level) -> None:
    folded = compress(turns, folding(level, recent=1, legend=True))
    for cut in folded.cuts:
        text = folded.texts[cut.turn]
        assert text is not None
        line = text.split("\n")[cut.line]
        assert line.startswith((f"[ctx:{cut.ref} ", f'{{"$ctx":"{cut.ref}","$v":'))
        assert folded.blobs[cut.ref].count("\n") + 1 == cut.lines
        assert cut.before > cut.after >= 0
    assert {cut.ref for cut in folded.cuts} | {folded.original} == set(folded.blobs)


@example([Turn(text="\n".join([log(50), document(20), log(50)]))], 1)
@CALM
@forall(TURNS, st.integers(1, 3000))
def test_a_text_within_its_budget_is_not_touched(turns: list[Turn], room: int) -> None:
    tokens = sum(o200k(turn.text) for turn in turns)
    folded = compress(turns, folding("strong", max_tokens=tokens + room))
    assert list(folded.texts) == [turn.text for turn in turns]
    assert not folded.cuts and folded.reached and folded.before == folded.after == tokens


@pytest.mark.parametrize("level", ["lossless", "safe", "strong"])
def test_nothing_to_fold_is_no_cut(level: Level) -> None:
    for text in ("", "\n", "Hello, what is the total of order 4711?", "{}", "```"):
        folded = compress([Turn(text=text)], Folding(level=level))
        assert folded.texts == (text,) and not folded.cuts and not folded.saved
