"""What turns are made of: numbers that add up, and repetitions, near duplicates and boilerplate that were put there."""

import random

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.contracts.tokens import Folding, Speaker, Turn
from cca.tokens.analysis import PREVIEW, REPETITIONS, analyze
from cca.tokens.compress import compress
from cca.tokens.counting import counter, o200k
from cca.tokens.weight import weigh

CALM = settings(deadline=None, max_examples=60)
HOW = Folding(model="gpt-4o")

LICENCE = """\
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in compliance
# with the License. Unless required by applicable law or agreed to in writing, it is distributed "AS IS".
"""


def code(seed: int, lines: int = 60) -> str:
    """Code that no other seed gives."""
    draw = random.Random(seed)
    return "".join(f"    value_{draw.randrange(10**6)} = compute({draw.random():.6f})\n" for _ in range(lines))


def log(seed: int, lines: int = 200) -> str:
    draw = random.Random(seed)
    return "\n".join(
        f"2026-05-01T12:{line // 60:02}:{line % 60:02}Z INFO request {draw.randrange(10**6)} took {draw.random():.3f} s"
        for line in range(lines)
    )


def test_tokens_of_kinds_and_turns_add_up_to_those_of_the_model() -> None:
    text = f"Here is what I found.\n\n```python\ndef f():\n{code(1)}```\n\nAnd the log:\n\n{log(1)}\n"
    turns = [Turn(text), Turn(log(2), "tool", "bash"), Turn("Thank you, that is all.", "assistant")]
    found = analyze(turns, HOW)
    assert found.tokens == sum(o200k(turn.text) for turn in turns) == sum(turn.tokens for turn in found.turns)
    assert sum(share.tokens for share in found.kinds.values()) == found.tokens
    assert sum(share.share for share in found.kinds.values()) == pytest.approx(1)
    assert {"code", "log"} <= set(found.kinds)
    assert found.kinds["log"].share > 0.6
    assert (found.method, found.exact, found.model) == ("o200k_base", True, "gpt-4o")
    assert found.code_blocks == 1
    assert found.lines == sum(turn.text.count("\n") + 1 for turn in turns)
    assert found.characters == sum(len(turn.text) for turn in turns)


def test_the_kind_of_a_turn_is_that_of_most_of_it() -> None:
    found = analyze([Turn(log(1) + "\n\nA word at the end.", "tool", "bash")], HOW)
    assert (found.turns[0].kind, found.turns[0].name, found.turns[0].role) == ("log", "bash", "tool")


def test_a_text_that_is_read_twice_is_repeated_and_alike() -> None:
    file = code(1)
    found = analyze([Turn(file), Turn("Read it again.", "user"), Turn(file, "tool", "cat")], HOW)
    again = found.turns[2]
    assert (again.repeated, again.like, again.similarity) == (again.tokens, 0, 1.0)
    assert found.duplicates.tokens == again.tokens
    assert found.near.tokens == 0
    (repetition,) = found.repetitions
    assert (repetition.turns, repetition.times, repetition.tokens) == ((0, 2), 2, again.tokens)
    assert repetition.preview.startswith("value_") and len(repetition.preview) <= PREVIEW


def test_paragraphs_are_repeated_within_a_turn_and_across_turns() -> None:
    shared = code(1, 10)
    found = analyze([Turn(code(2) + shared + code(3) + shared), Turn(code(4) + shared)], HOW)
    (repetition,) = found.repetitions
    assert (repetition.turns, repetition.times) == ((0, 1), 3)
    assert found.turns[0].repeated == 0  # it stood in no earlier turn
    assert found.turns[1].repeated == pytest.approx(o200k(shared), rel=0.2)
    assert found.duplicates.tokens == pytest.approx(2 * o200k(shared), rel=0.2)


def test_what_was_changed_a_little_is_a_near_duplicate_of_the_earlier_turn() -> None:
    lines = code(1).splitlines(keepends=True)
    other = "".join(line.replace("compute", "reckon") if number % 6 == 0 else line for number, line in enumerate(lines))
    found = analyze([Turn(code(9)), Turn("".join(lines)), Turn(other)], HOW)
    assert found.turns[2].like == 1
    assert 0.6 <= found.turns[2].similarity < 1
    assert 0 < found.near.tokens <= found.turns[2].tokens - found.turns[2].repeated + 1
    assert found.turns[1].like is None


def test_what_several_agents_have_read_is_counted_across_them() -> None:
    own, shared = code(1, 20), code(2, 20)
    turns = [
        Turn(own + shared, agent="a"),
        Turn(own, agent="a"),
        Turn(code(3) + shared, agent="b"),
    ]
    found = analyze(turns, HOW)
    assert found.across.tokens == pytest.approx(o200k(shared), rel=0.2)
    assert found.duplicates.tokens == pytest.approx(o200k(own + shared), rel=0.2)
    assert {repetition.agents for repetition in found.repetitions} == {("a",), ("a", "b")}
    assert analyze([Turn(turn.text) for turn in turns], HOW).across.tokens == 0


def test_a_text_that_comes_back_to_its_first_agent_counts_once_another_had_it() -> None:
    text = code(1)
    found = analyze([Turn(text, agent="a"), Turn(text, agent="b"), Turn(text, agent="a")], HOW)
    assert found.across.tokens == 2 * o200k(text)


def test_licences_and_what_many_turns_begin_with_are_boilerplate() -> None:
    assert analyze([Turn(LICENCE + "\n" + code(1))], HOW).boilerplate.tokens == pytest.approx(o200k(LICENCE), rel=0.2)
    head = code(0, 5)
    found = analyze([Turn(head + code(seed)) for seed in range(1, 5)], HOW)
    assert found.boilerplate.tokens == pytest.approx(3 * o200k(head), rel=0.2)
    assert analyze([Turn(head + code(seed)) for seed in range(1, 3)], HOW).boilerplate.tokens == 0


def test_the_plan_is_what_compressing_really_saves() -> None:
    turns = [Turn(log(1), "tool"), Turn(code(1)), Turn(code(1)), *[Turn("Go on.")] * 5]
    for how in (HOW, Folding("lossless", model="gpt-4o"), Folding(strategies=("duplicates",), model="gpt-4o")):
        found, folded = analyze(turns, how), compress(turns, how)
        assert found.after == folded.after
        assert found.potential == pytest.approx(1 - folded.after / folded.before)
        assert {step.strategy: step.saved for step in found.plan} == folded.saved
        assert sum(step.cuts for step in found.plan) == len(folded.cuts)


def test_the_costliest_repetitions_come_first_and_no_more_than_are_asked_for() -> None:
    texts = [code(seed, 5 + seed) for seed in range(REPETITIONS + 10)]
    found = analyze([Turn(text) for text in (*texts, *texts)], HOW)
    costs = [repetition.tokens for repetition in found.repetitions]
    assert len(costs) == REPETITIONS
    assert costs == sorted(costs, reverse=True)


def test_a_preview_shows_only_what_can_be_seen() -> None:
    text = "\x1b[31mred\u202e \ud800\0 " + "a long line that is repeated " * 10
    (repetition,) = analyze([Turn(text), Turn(text)], HOW).repetitions
    assert repetition.preview.isprintable() and len(repetition.preview) == PREVIEW


def test_long_lines_are_counted() -> None:
    assert analyze([Turn("x " * 101 + "\n" + "y " * 100)], HOW).long_lines == 1


def test_a_given_counter_counts() -> None:
    found = analyze([Turn(code(1)), Turn("hello")], HOW, lambda text: 7)
    assert found.tokens == 14


def test_nothing_is_no_trouble() -> None:
    found = analyze([Turn("")], HOW)
    assert (found.tokens, found.potential, found.lines) == (0, 0.0, 1)
    assert found.duplicates.share == 0.0


TEXT = st.one_of(
    st.text(st.characters(), max_size=120),
    st.sampled_from([code(1, 8), code(2, 8), log(1, 20), LICENCE, "```py\nx = 1\n```", '{"a": [1, 2]}', "\r\n" * 30]),
)
TURNS = st.lists(
    st.builds(
        Turn,
        st.lists(TEXT, max_size=4).map("\n".join),
        st.sampled_from(["user", "tool", "assistant"]),
        agent=st.sampled_from([None, "a", "b"]),
    ),
    min_size=1,
    max_size=5,
)


@CALM
@forall(TURNS)
def test_numbers_are_finite_and_within_their_bounds_for_any_turns(turns: list[Turn]) -> None:
    found = analyze(turns, HOW)
    assert (
        sum(share.tokens for share in found.kinds.values()) == found.tokens == sum(o200k(turn.text) for turn in turns)
    )
    for share in (found.duplicates, found.near, found.boilerplate, found.across, *found.kinds.values()):
        assert 0 <= share.tokens <= found.tokens
        assert 0.0 <= share.share <= 1.0
    assert found.across.tokens <= found.duplicates.tokens + 1
    assert 0.0 <= found.potential <= 1.0
    for turn in found.turns:
        assert 0 <= turn.repeated <= turn.tokens
        assert turn.like is None or (turn.like < turn.turn and 0.6 <= turn.similarity <= 1.0)
    assert analyze(turns, HOW) == found


@CALM
@forall(st.lists(TEXT, max_size=5).map("\n".join), st.sampled_from(["tool", "user"]))
def test_the_lines_of_a_turn_share_all_its_tokens(text: str, role: Speaker) -> None:
    weighed = weigh(Turn(text, role), counter("gpt-4o").count)
    assert len(weighed.before) == len(weighed.lines) + 1
    assert weighed.before[0] == 0.0
    assert weighed.of(0, len(weighed.lines)) == pytest.approx(weighed.tokens)
    assert weighed.before == sorted(weighed.before)
    assert sum(weighed.kinds.values()) == weighed.tokens
