"""Whether a fact is visible: literally, in another form, or not at all; what is hidden never counts."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cca.bench.tokens.facts import Fact, FactKind, counts, retrievable, visible
from cca.bench.tokens.paths import shows_path
from cca.bench.tokens.records import pairs_of, shows_pairs
from cca.bench.tokens.transcripts.catalogue import transcripts
from cca.tokens.markers import marker, ref_of


def fact(text: str, *forms: str, kind: FactKind = "name") -> Fact:
    return Fact(0, kind, text, forms)


def test_what_stands_there_is_literal() -> None:
    assert visible(fact("took 30012ms"), "WARN call took 30012ms; again") == "literal"


def test_a_word_inside_of_a_longer_one_is_not_it() -> None:
    for text in ("11.25", "1.25", "01.2", "a1.2"):
        assert visible(fact("1.2", kind="number"), text) == "hidden"
    assert visible(fact("1.2", kind="number"), "it was 1.2.") == "literal"
    assert visible(fact("core.7", kind="name"), "core.77") == "hidden"
    assert visible(fact("4711"), "id=a4711b and 47110, then 4711") == "literal"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"status": "failed"', '{"status":"failed"}'),
        ('"status": "failed"', "status: failed"),
        ("pool exhausted: 20 of 20", "pool  exhausted: 20 of\n20"),
        ("| Leads | 40 | hard |", "Leads,40,hard"),
        ("    Expected: 3\n    Received: 4", "Expected: 3 Received: 4"),
    ],
)
def test_blanks_quotes_and_rules_make_no_difference(text: str, shown: str) -> None:
    assert visible(fact(text), shown) == "reformatted"


def test_other_forms_may_be_named() -> None:
    assert visible(fact("5448814", "5,448,814"), "rows 5,448,814") == "reformatted"
    assert visible(fact("5448814", "5,448,814"), "rows 5,448,815") == "hidden"


def test_a_short_form_is_only_taken_literally() -> None:
    assert visible(fact("a b"), "x a  b y") == "hidden"


# ------------------------------------------------------------------------------------------- records

ITEM = '"id": "job-7",\n      "state": "dead"'


def test_pairs_are_read_from_a_piece_of_json() -> None:
    assert pairs_of(ITEM) == (("id", "job-7"), ("state", "dead"))
    assert pairs_of('"limits": {"burst": 50') == (("burst", 50),)
    assert pairs_of('"a": null, "b": 1.5, "c": true') == (("a", None), ("b", 1.5), ("c", True))
    for text in ("status: failed", "", '"status"', 'ERROR "a": 1', '"a": 1 and more'):
        assert pairs_of(text) == ()


@pytest.mark.parametrize(
    "shown",
    [
        '{"id":"job-7","queue":"in","state":"dead"}',
        '[{"state":"ok","id":"job-6"},{"state":"dead","id":"job-7"}]',
        '{"$ctx":"aaaaaaaaaaaaaaaaaaaa","$v":{"cols":["id","n","state"],"rows":[["job-6",1,"ok"],["job-7",2,"dead"]]}}',
        '{"cols":["id"],"const":{"state":"dead"},"rows":[["job-6"],["job-7"]]}',
        '{"cols":["id","n"],"default":{"state":"ok"},"rows":[["job-6",1],["job-7",2,{"state":"dead"}]]}',
        '[["id","state"],["job-6","ok"],["job-7","dead"]]',
        '{"jobs":{"cols":["job.id","meta.state"],"rows":[["job-7","dead"]]}}',
        '{"cols":["n",{"jobs":{"cols":["id","state"]}}],"rows":[[1,[["job-6","ok"],["job-7","dead"]]]]}',
        "id,queue,state\njob-6,in,ok\njob-7,in,dead",
        "| id | state |\n|---|---|\n| job-6 | ok |\n| job-7 | dead |",
        "id\tstate\njob-7\tdead",
        "jobs[2]{id,state}:\n  job-6,ok\n  job-7,dead",
    ],
)
def test_pairs_of_one_record_count_in_objects_and_in_rows(shown: str) -> None:
    assert visible(fact(ITEM), f"before\n{shown}\nafter") == "reformatted"


@pytest.mark.parametrize(
    "shown",
    [
        '[{"id":"job-7","state":"ok"},{"id":"job-6","state":"dead"}]',
        '{"cols":["id","state"],"rows":[["job-7","ok"],["job-6","dead"]]}',
        '{"cols":["id","state"],"rows":[["dead","job-7"]]}',
        '{"cols":["id","other"],"rows":[["job-7","dead"]]}',
        '{"rows":[["job-7","dead"]]}',
        '{"cols":["id","state"],"rows":[["job-77","dead"]]}',
        '{"state":"dead"}',
        "id,state\njob-7,ok\njob-6,dead",
        "id,state\n\njob-7,dead",
        "state,id\njob-7,dead",
        "job-7,dead",
        "the states are: dead. The id is job-7.",
        "[ctx:aaaaaaaaaaaaaaaaaaaa 40 jobs]",
        '{"id":"job-7","state":',
    ],
)
def test_pairs_of_different_records_do_not(shown: str) -> None:
    assert visible(fact(ITEM), f"before\n{shown}\nafter") == "hidden"


def test_json_of_many_lines_is_read() -> None:
    rows = {"data": {"cols": ["id", "state"], "rows": [["job-6", "ok"], ["job-7", "dead"]]}}
    assert shows_pairs(pairs_of(ITEM), "Found:\n" + json.dumps(rows, indent=2) + "\nDone.")


def test_a_value_in_a_long_list_belongs_to_no_object() -> None:
    text = '{"id":"job-7","states":[{"state":"ok"},{"state":"dead"}]}'
    assert not shows_pairs(pairs_of(ITEM), text)


def test_nasty_json_is_no_trouble() -> None:
    for text in ("[" * 5_000, '{"a":' * 5_000, '{"cols":[' * 200, "[[],[]]", '{"cols":["id"],"rows":[[]]}', "\ud800{}"):
        assert not shows_pairs(pairs_of(ITEM), text)


# ------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "shown",
    [
        "src/billing/:\n  cache.py rounding.py",
        "src/billing: cache.py, rounding.py, rules.py",
        "src/billing\n    cache.py\n    rounding.py (12)",
        "src\n├── app.py\n├── billing\n│   ├── cache.py\n│   └── rounding.py\n└── main.py",
        "src/\n  billing/\n    rounding.py",
        "./src/billing/{cache,rounding}.py",
    ],
)
def test_a_path_counts_in_parts(shown: str) -> None:
    assert visible(fact("src/billing/rounding.py", kind="path"), f"x\n{shown}\ny") == "reformatted"


@pytest.mark.parametrize(
    "shown",
    [
        "src/billing/:\n  cache.py",
        "src/billing/: cache.py\nsrc/risk/: rounding.py",
        "src/billing/cache.py\nsrc/risk/rounding.py",
        "src\n├── billing\n│   └── cache.py\n└── rounding.py",
        "src/billing (40 files)\n\nrounding.py",
        "src/{billing,risk}/cache.py",
        "rounding.py",
        "src/billing/rounding.pyc",
        "src/billing/:\n  test_rounding.py",
    ],
)
def test_a_path_of_other_parts_does_not(shown: str) -> None:
    assert visible(fact("src/billing/rounding.py", kind="path"), f"x\n{shown}\ny") == "hidden"


def test_a_line_counts_below_its_path() -> None:
    place = fact("src/a/b.py:81", kind="path")
    assert visible(place, "src/a/b.py\n  12: def x\n  81: raise Y\nsrc/a/c.py\n  9: z") == "reformatted"
    assert visible(place, "src/a/b.py\n12:def x\nsrc/a/c.py\n81:raise Y") == "hidden"
    assert visible(place, "src/a/b.py\n  12: 81 things\n") == "hidden"
    assert visible(place, "src/a/c.py:81") == "hidden"


def test_deep_trees_are_no_trouble() -> None:
    text = "\n".join(" " * depth + "x" for depth in range(3_000))
    assert not shows_path("a/b", text)


# ------------------------------------------------------------------------------------------- all


def test_no_fact_of_another_seed_is_visible() -> None:
    """What stands nowhere in a text must not be seen there: facts of other transcripts, which look the same."""
    texts = [
        "\n".join(turn.text for turn in one.turns) for one in transcripts(0, ["logs", "json", "files", "database"])
    ]
    strange = [fact for one in transcripts(5, ["logs", "json", "files", "database"]) for fact in one.facts]
    # Some are the same by nature (`AccessExclusiveLock`, a decision, a pair of small numbers).
    strange = [
        one for one in strange if not any(one.text in text for text in texts) and any(c.isdigit() for c in one.text)
    ]
    assert len(strange) > 70
    seen = [one for one in strange for text in texts if visible(one, text) != "hidden"]
    assert seen == []


@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_what_is_taken_away_is_hidden(seed: int) -> None:
    """A turn without the lines of a fact does not show it, however much else is there."""
    rng = random.Random(seed)
    one = rng.choice(HEAVY)
    fact = rng.choice(one.facts)
    told = [turn.text for turn in one.turns]
    lines = {line.strip() for line in fact.text.split("\n") if line.strip()}
    rest = "\n".join(line for text in told for line in text.split("\n") if not any(each in line for each in lines))
    assert visible(fact, rest) == "hidden"


HEAVY = transcripts(2, ["logs", "builds", "tests"])


@settings(max_examples=40)
@given(st.text(), st.text(min_size=1))
def test_any_text_can_be_looked_at(text: str, wanted: str) -> None:
    assert visible(fact(wanted), text) in ("literal", "reformatted", "hidden")
    assert visible(fact(wanted), f"a {wanted} b") == "literal"


def test_facts_are_counted() -> None:
    found = counts([fact("alpha 1"), fact("beta   2"), fact("gamma 3")], "alpha 1, beta 2")
    assert found == {"literal": 1, "reformatted": 1, "hidden": 1}


def test_expansion_must_give_every_byte() -> None:
    original = "one\ntwo\nthree"
    ref = ref_of("two")
    folded = f"one\n{marker(ref, '1 line')}\nthree"
    stored, spoilt, empty = {ref: "two"}, {ref: "two "}, dict[str, str]()
    assert retrievable(original, folded, stored.get)
    assert not retrievable(original, folded, spoilt.get)
    assert not retrievable(original, folded, empty.get)
