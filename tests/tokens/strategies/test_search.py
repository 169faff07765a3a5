"""Search results by file: every path, number and text is still there."""

import re

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.folds import Section
from cca.tokens.strategies.search import FOLDS, fold

CALM = settings(deadline=None, max_examples=80)

GREP = """\
shared/cca/log.py:12:    def read(self) -> Iterator[Event]:
shared/cca/log.py:40:        return None
shared/cca/log.py:52:        return None
shared/cca/nats/follow.py:7:    def read(self) -> list[Event]:
Makefile:3:read: setup
Binary file shared/cca/x.bin matches"""
CONTEXT = """\
src/my-app/json-values.py-3-import json
src/my-app/json-values.py-4-
src/my-app/json-values.py:5:from json.encoder import encode
src/my-app/json-values.py-6-from typing import NoReturn
--
src/my-app/json-values.py:17:spell = encode
--
src/my-app/other.py:1:# encode"""
HEADED = """\
src/app.py
12:                def load(self, path):
13-                    with open(path) as file:
40:                def save(self, path):"""


def folded(text: str) -> list[str] | None:
    return fold(Section(lines=tuple(text.split("\n")), kind="search"))


def test_a_path_is_said_once_above_its_lines() -> None:
    assert folded(GREP) == [
        "shared/cca/log.py",
        "12 def read(self) -> Iterator[Event]:",
        "40,52 return None",
        "shared/cca/nats/follow.py",
        "7 def read(self) -> list[Event]:",
        "Makefile",
        "3 read: setup",
        "Binary file shared/cca/x.bin matches",
    ]


def test_lines_of_context_belong_to_their_file_even_if_its_name_has_dashes() -> None:
    assert folded(CONTEXT) == [
        "src/my-app/json-values.py",
        "3- import json",
        "5 from json.encoder import encode",
        "6- from typing import NoReturn",
        "17 spell = encode",
        "src/my-app/other.py",
        "1 # encode",
    ]


def test_results_that_are_grouped_already_lose_their_indentation() -> None:
    text = HEADED + "\n\nsrc/b.py:1:x = load()\nsrc/b.py:2:x = load(1)"
    lines = folded(text)
    assert lines is not None
    assert lines[:4] == [
        "src/app.py",
        "12 def load(self, path):",
        "13- with open(path) as file:",
        "40 def save(self, path):",
    ]


def test_results_without_numbers_are_grouped_too() -> None:
    lines = folded("\n".join(f"src/routing/buffer.py:class Kind{n}(Struct, frozen=True):" for n in range(3)))
    assert lines is not None and lines[0] == "src/routing/buffer.py"
    assert lines[1:] == [f" class Kind{n}(Struct, frozen=True):" for n in range(3)]


def test_a_text_that_is_found_in_many_files_is_said_once_with_its_places() -> None:
    lines = folded(
        "\n".join(f"src/m{n}.py:{n}:from collections.abc import Sequence" for n in range(4)) + "\nsrc/a.py:9:x"
    )
    assert lines == [
        "src/a.py",
        "9 x",
        "in 4 files: from collections.abc import Sequence",
        " src/m0.py:0, src/m1.py:1, src/m2.py:2, src/m3.py:3",
    ]


def test_a_long_root_is_said_once() -> None:
    root = "/home/ann/projects/customers/webshop/backend/"
    lines = folded("\n".join(f"{root}m{n}/a.py:{n}:value = {n}" for n in range(4)))
    assert lines is not None and lines[:3] == [f"paths below {root}", "m0/a.py", "0 value = 0"]


@pytest.mark.parametrize("text", ["", "a:b", "nothing was found", "10:20:30 started", "x.py:1:short"])
def test_what_is_no_result_or_gains_nothing_stays(text: str) -> None:
    assert folded(text) is None


PATHS = st.sampled_from(
    ["src/app/handlers/orders.py", "src/app/handlers/users-v2.py", "tests/test_all_of_it.py", "Makefile"]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=30)
HITS = st.lists(st.tuples(PATHS, st.integers(1, 9999), TEXTS), min_size=2, max_size=30)


@CALM
@forall(HITS)
def test_every_result_can_be_read_back(hits: list[tuple[str, int, str]]) -> None:
    lines = folded("\n".join(f"{path}:{number}:{text}" for path, number, text in hits))
    if lines is None:
        return
    again: list[tuple[str, str, str]] = []
    path = ""
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("in "):
            text = line.partition(": ")[2]
            for place in lines[at + 1].strip().split(", "):
                again.append((*place.split(":"), text))  # type: ignore[arg-type]  # a path and a number
            at += 2
            continue
        if found := re.fullmatch(r"(\d+(?:,\d+)*)(?: (.*))?", line, re.DOTALL):
            again += [(path, number, found[2] or "") for number in found[1].split(",")]
        else:
            path = line
        at += 1
    assert sorted(again) == sorted((path, str(number), text.strip()) for path, number, text in hits)


@CALM
@forall(st.text() | st.text(alphabet="ab/.:-12 \n"))
def test_whatever_it_is_it_never_fails_and_never_grows(text: str) -> None:
    lines = folded(text)
    assert lines == folded(text)
    if lines is not None:
        assert len("\n".join(lines)) < len(text) and not any("\n" in line for line in lines)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"src/a{n % 7}.py:{n}:text {n % 100} of a line" for n in range(100_000)),
        "a.py:1:" + "x" * 1_000_000,
        "-1-" * 300_000 + "\na.py:1:x",
        "a/" * 500_000,
        ":1:" * 300_000,
        "\n".join(["--"] * 100_000),
        "\n".join(f"a.py-{n}-\x00" for n in range(50_000)) + "\na.py:7:x",
    ],
    ids=range(7),
)
def test_nasty_results_are_read_in_time(text: str) -> None:
    lines = folded(text)
    assert lines is None or len("\n".join(lines)) < len(text)


def test_the_strategy_is_lossless() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level, [*strategy.kinds]) == ("search", "lossless", ["search"])
