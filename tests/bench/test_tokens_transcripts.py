"""The transcripts: the same everywhere, as long as they are said to be, and every fact where it is said to be."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from typing import get_args

import pytest

from cca.bench.tokens.facts import FactKind, visible
from cca.bench.tokens.transcripts.catalogue import HEAVY, KINDS, transcripts
from cca.bench.tokens.transcripts.project import ENDINGS, numbered, project, unified
from cca.bench.tokens.transcripts.script import Script, Transcript
from cca.bench.tokens.transcripts.words import Words, fill
from cca.tokens.counting import o200k
from cca.tokens.markers import LEGEND, refs

SEEDS = (0, 1, 7)


@pytest.fixture(scope="module")
def made() -> list[Transcript]:
    return [transcript for seed in SEEDS for transcript in transcripts(seed)]


def digest() -> str:
    """Of everything that a seed makes."""
    said = [
        (one.name, one.kind, [(t.role, t.name, t.text) for t in one.turns], str(one.facts)) for one in transcripts(3)
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def test_the_same_seed_makes_the_same_bytes_in_every_process() -> None:
    program = "from tests.bench import test_tokens_transcripts as t; print(t.digest())"
    found = {digest()}
    for hashes in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hashes, "PYTHONPATH": os.getcwd(), "TZ": "Asia/Tokyo"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout.strip())
    assert len(found) == 1


def test_another_seed_makes_other_transcripts_of_the_same_names() -> None:
    first, second = transcripts(0), transcripts(1)
    assert [one.name for one in first] == [one.name for one in second]
    assert all(one.turns != other.turns for one, other in zip(first, second, strict=True))


def test_there_are_as_many_as_were_asked_for(made: list[Transcript]) -> None:
    one = transcripts(0)
    assert len(one) >= 24 and len(KINDS) >= 9
    assert {each.kind for each in one} == set(KINDS)
    assert min(Counter(each.kind for each in one).values()) >= 3
    assert len({each.name for each in one}) == len(one)
    assert sum(len(each.facts) for each in one) >= 300
    assert all(len(each.facts) >= 8 for each in made)


def test_they_are_as_long_as_sessions_are(made: list[Transcript]) -> None:
    sizes = [sum(o200k(turn.text) for turn in one.turns) for one in made]
    assert min(sizes) > 1_500 and max(sizes) < 75_000
    assert sum(size >= 7_000 for size in sizes) >= len(sizes) * 0.7


def test_every_fact_stands_in_its_turn(made: list[Transcript]) -> None:
    for one in made:
        for fact in one.facts:
            assert fact.text in one.turns[fact.turn].text
            assert visible(fact, one.turns[fact.turn].text) == "literal", (one.name, fact)


def test_facts_are_of_every_kind_and_none_is_planted_twice(made: list[Transcript]) -> None:
    assert {fact.kind for one in made for fact in one.facts} == set(get_args(FactKind))
    for one in made:
        assert len({(fact.turn, fact.text) for fact in one.facts}) == len(one.facts), one.name


def test_a_fact_is_something_that_can_be_told_from_others(made: list[Transcript]) -> None:
    for one in made:
        for fact in one.facts:
            assert len(fact.text.strip()) >= 3, (one.name, fact)


def test_facts_are_rare_among_what_machines_wrote(made: list[Transcript]) -> None:
    """In logs and JSON a fact stands in few lines: it is what somebody looks for, and not the routine."""
    for one in made:
        if one.kind in HEAVY:
            for fact in one.facts:
                turn = one.turns[fact.turn].text
                first = fact.text.split("\n")[0]
                whole = re.compile(re.escape(first) + r"(?!\w)")
                assert sum(bool(whole.search(line)) for line in turn.split("\n")) <= 6, (one.name, fact)


def test_what_tools_answer_comes_after_the_call(made: list[Transcript]) -> None:
    for one in made:
        assert one.turns[0].role == "system"
        for before, turn in zip(one.turns, one.turns[1:], strict=False):
            if turn.role == "tool":
                assert before.role == "assistant" and before.name == turn.name
                json.loads(before.text.rpartition("\n\n")[2].partition(" ")[2])


def test_nothing_was_left_unfilled_and_nothing_looks_like_a_marker(made: list[Transcript]) -> None:
    gap = re.compile(r"(?<![\w\\])\$(thing|Thing|field|Field|verb|Verb|adj|small|large|phrase|package|part|Person)\b")
    for one in made:
        for turn in one.turns:
            assert not gap.search(turn.text), (one.name, gap.search(turn.text))
            assert refs(turn.text) == [] and LEGEND not in turn.text


def test_json_that_tools_answer_is_json() -> None:
    found = 0
    for one in transcripts(0, ["json"]):
        for turn in one.turns:
            if turn.role == "tool" and turn.text[0] in "[{":
                json.loads(turn.text)
                found += 1
    assert found > 15


def test_python_that_was_made_is_python() -> None:
    for seed in range(5):
        for path, text in project(random.Random(seed), "python").files.items():
            compile(text, path, "exec")


@pytest.mark.parametrize("language", ENDINGS)
def test_a_project_repeats_itself_little(language: str) -> None:
    repository = project(random.Random(1), language)
    lines = [line for text in repository.files.values() for line in text.split("\n") if len(line.strip()) > 30]
    assert len(set(lines)) > 0.6 * len(lines)


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="poetry: not one of coding"):
        transcripts(0, ["poetry"])


def test_a_fact_that_does_not_stand_there_cannot_be_planted() -> None:
    script = Script("x")
    script.user("The budget is 40 euros.")
    with pytest.raises(ValueError, match="does not stand"):
        script.fact("number", "50 euros")


def test_numbers_of_lines_are_those_of_the_file() -> None:
    assert numbered("a\nb\nc\n", start=2) == "     2\tb\n     3\tc"


def test_a_diff_is_what_git_prints() -> None:
    assert unified("x.py", ["a", "b"], ["a", "c"]).split("\n") == [
        "diff --git a/x.py b/x.py", "--- a/x.py", "+++ b/x.py", "@@ -1,2 +1,2 @@", " a", "-b", "+c",
    ]  # fmt: skip
    assert unified("x.py", ["a"], ["a"]) == ""


def test_the_same_gap_gets_the_same_word() -> None:
    words = Words(random.Random(0), thing="invoice")
    assert fill("$thing $Thing $things $THING $Things", words) == "invoice Invoice invoices INVOICE Invoices"
    assert fill("$field", words) == fill("$field", words)
    assert fill("$thing2", words) != "invoice"
    assert fill("$1 ${x} $thing's", words) == "$1 ${x} invoice's"
