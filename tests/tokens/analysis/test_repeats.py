"""Runs of lines that stood before are found once each, in linear time, and nothing else is."""

from collections.abc import Sequence

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.repeats import LEAST, Run, repeats

CALM = settings(deadline=None, max_examples=200)


def numbered(count: int, what: str = "line") -> list[str]:
    return [f"{what} {number}: something that is long enough to matter" for number in range(count)]


def test_a_turn_that_is_said_again_is_one_run() -> None:
    lines = numbered(20)
    assert repeats([lines, ["other"], lines, lines]) == [
        Run(2, 0, 20, 0, 0, whole=True),
        Run(3, 0, 20, 0, 0, whole=True),
    ]


def test_a_short_turn_that_is_said_again_is_one_too_but_not_an_empty_one() -> None:
    assert repeats([["ok"], ["ok"]]) == [Run(1, 0, 1, 0, 0, whole=True)]
    assert repeats([[""], [""], [], []]) == []


def test_a_paragraph_inside_others_is_found_where_it_stands() -> None:
    shared = numbered(4, "shared")
    first = [*numbered(10, "a"), *shared, *numbered(10, "b")]
    second = [*numbered(3, "c"), *shared, *numbered(3, "d")]
    assert repeats([first, second]) == [Run(1, 3, 4, 0, 10)]


def test_a_paragraph_within_the_same_turn_is_found() -> None:
    shared = numbered(4, "shared")
    assert repeats([[*shared, "between", *shared]]) == [Run(0, 5, 4, 0, 0)]


def test_one_long_line_is_enough() -> None:
    long = "a document on one line " * 10
    assert repeats([["x", long, "y"], ["z", long, "w"]]) == [Run(1, 1, 1, 0, 1)]


def test_what_is_short_is_everywhere_and_is_no_repetition() -> None:
    assert repeats([["}", "", "return x"], ["a", "}", "", "return x"]]) == []


def test_a_line_that_follows_upon_itself_repeats_so_often() -> None:
    line = "retrying the connection in a moment, please wait"
    assert repeats([[line] * 100]) == [Run(0, 1, 99, 0, 0, times=99)]


def test_lines_that_alternate_repeat_as_a_pair() -> None:
    pair = ["ping from the one side of the connection", "pong from the other side of the connection"]
    assert repeats([pair * 50]) == [Run(0, 2, 98, 0, 0, times=49)]


LINES = st.lists(st.sampled_from(["", "}", "a" * 30, "b" * 30, "c" * 70, "d" * 90, "e" * 90]), max_size=40)


@CALM
@forall(st.lists(LINES, max_size=6))
def test_every_run_stood_before_and_none_overlaps(turns: list[list[str]]) -> None:
    done: dict[int, int] = {}
    for run in repeats(turns):
        assert (run.source, run.source_line) < (run.turn, run.line)
        assert run.lines % run.times == 0
        period = run.lines // run.times
        said = turns[run.turn][run.line : run.line + run.lines]
        assert said == turns[run.source][run.source_line : run.source_line + period] * run.times
        assert run.line >= done.get(run.turn, 0)
        done[run.turn] = run.line + run.lines
        if not run.whole:  # less than half of a run is left out as the rest of a period
            assert 2 * sum(len(line) + 1 for line in said) > LEAST


@pytest.mark.parametrize(
    "lines",
    [
        [""] * 100_000,
        ["}"] * 100_000,
        ["}", ""] * 50_000,
        [str(number % 3) for number in range(100_000)],
        [bin(number).count("1") * "x" for number in range(100_000)],
        ["x" * 1_000_000] * 3,
    ],
    ids=["empty", "brackets", "pairs", "threes", "bits", "long"],
)
def test_nasty_lines_are_no_trouble(lines: Sequence[str]) -> None:
    assert sum(run.lines for run in repeats([lines, lines[:-1]])) <= 2 * len(lines)
