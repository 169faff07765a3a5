"""JSON in columns: it says the same, it is one line of JSON, and it is much shorter."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from msgspec import Raw

from cca.tokens.folds import Section
from cca.tokens.strategies.columns import FOLDS, fold
from cca.tokens.strategies.json_decode import decode
from cca.tokens.strategies.json_tables import Writer
from cca.tokens.strategies.json_values import Unfoldable, Value, names_in, parse

CALM = settings(deadline=None, max_examples=80)

NAMES = st.sampled_from(
    ["id", "name", "user", "tags", "a", "b", "url", "$rows", "$cols", "$$", "a.b", "", "$ctx"]
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [
            "",
            "-",
            "open",
            "https://a.b/c/1",
            "https://a.b/c/2",
            "2024-05-01T10:00:00Z",
            "2024-05-01T10:00:07Z",
            "x" * 50,
            "\0\n",
        ]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=40
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Lists of objects that are somewhat alike, as an API returns them."""
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    few = {name: draw(st.lists(VALUES, min_size=1, max_size=3)) for name in names}
    row = st.fixed_dictionaries({}, optional={name: st.sampled_from(few[name]) for name in names})
    rows = draw(st.lists(row, min_size=2, max_size=25))
    return [{**rows[0], **row} for row in rows] if draw(st.booleans()) else rows


def folded(text: str) -> list[str] | None:
    return fold(Section(lines=tuple(text.split("\n")), kind="json"))


def plain(value: Any) -> Any:
    """A value with Python's own numbers."""
    return msgspec.json.decode(msgspec.json.encode(value))


def issues(count: int) -> list[dict[str, Any]]:
    users = [
        {
            "login": name,
            "id": 1000 + at,
            "avatar_url": f"https://avatars.example.com/u/{at * 7919}?v=4",
            "type": "User",
            "site_admin": name == "ann",
        }
        for at, name in enumerate(["ann", "bob", "cleo"])
    ]
    return [
        {
            "url": f"https://api.example.com/repos/acme/shop/issues/{at}",
            "number": at,
            "title": f"Checkout fails with error {at * 37 % 101}",
            "user": users[at % 3],
            "labels": [{"id": 5, "name": "bug", "color": "f29513"}] if at % 2 else [],
            "state": "closed" if at == 7 else "open",
            "milestone": None,
            "score": at / 8,
        }
        for at in range(count)
    ]


def test_a_list_from_an_api_takes_a_third_and_says_the_same() -> None:
    document = {"total": 40, "items": issues(40)}
    text = json.dumps(document, indent=2)
    lines = folded(text)
    assert lines is not None and len(lines) == 1
    assert len(lines[0]) < 0.2 * len(text)
    assert plain(decode(lines[0])) == document


def test_what_rows_have_in_common_is_said_once() -> None:
    rows = [
        {"id": n, "kind": "user", "state": "off" if n == 3 else "on", "place": {"city": "Oslo", "zip": str(n)}}
        for n in range(10)
    ]
    lines = folded(json.dumps(rows))
    assert lines is not None
    table = json.loads(lines[0])
    assert table["$const"] == {"kind": "user", "place.city": "Oslo"}
    assert table["$default"] == {"state": "on"}
    assert table["$cols"] == ["id", "place.zip"]
    assert table["$rows"][2:4] == [[2, "2"], [3, "3", {"state": "off"}]]


def test_a_field_that_is_absent_is_not_one_that_is_null() -> None:
    rows: list[dict[str, Any]] = [{"id": n, "name": f"number {n}", "end": n * n} for n in range(9)]
    del rows[4]["end"]
    rows[5]["end"] = None
    lines = folded(json.dumps(rows))
    assert lines is not None and '"$absent":"-"' in lines[0]
    value: Any = decode(lines[0])
    assert "end" not in value[4] and value[5]["end"] is None


def test_the_sign_for_absent_is_one_that_no_cell_holds() -> None:
    rows: list[dict[str, Any]] = [{"id": n, "name": "-", "mark": "-" if n % 2 else "--"} for n in range(9)]
    del rows[4]["mark"]
    lines = folded(json.dumps(rows))
    assert lines is not None and '"$absent":"---"' in lines[0]
    assert plain(decode(lines[0])) == rows


def test_an_object_of_objects_is_a_table_with_names() -> None:
    document = {"packages": {f"lib-{n}": {"version": f"1.{n}.0", "dev": False, "license": "MIT"} for n in range(8)}}
    lines = folded(json.dumps(document, indent=4))
    assert lines is not None
    assert json.loads(lines[0])["packages"]["$rows"]["lib-3"] == ["1.3.0"]
    assert plain(decode(lines[0])) == document


def test_objects_that_come_again_are_numbered() -> None:
    lines = folded(json.dumps(issues(30)))
    assert lines is not None
    columns = {name: how for c in json.loads(lines[0])["$cols"] if isinstance(c, dict) for name, how in c.items()}
    assert len(columns["user"]["$enum"]["$rows"]) == 3
    assert lines[0].count('"cleo"') == 1


def test_addresses_say_once_what_they_begin_with() -> None:
    lines = folded(json.dumps(issues(30)))
    assert lines is not None and '"$prefix":"https://api.example.com/repos/acme/shop/issues/"' in lines[0]


def test_times_of_one_day_say_once_which() -> None:
    rows = [
        {"id": n, "at": f"2024-05-01T10:{n:02}:09.120Z", "until": f"2024-05-0{n % 3 + 1}T10:{n:02}:09Z"}
        for n in range(9)
    ]
    lines = folded(json.dumps(rows))
    assert lines is not None and '{"at":{"$prefix":"2024-05-01T","$suffix":"Z"}},"until"]' in lines[0]
    assert '[3,"10:03:09.120","2024-05-01T10:03:09Z"]' in lines[0]
    assert plain(decode(lines[0])) == rows


def test_what_parts_the_names_of_nested_objects_is_in_no_name() -> None:
    rows = [{"a.b": {"c:": {"d": n}}, ":": {"e": "some text"}, "x": [n]} for n in range(9)]
    lines = folded(json.dumps(rows, indent=2))
    assert lines is not None and '"$sep":"/"' in lines[0]
    assert plain(decode(lines[0])) == rows


def test_lines_of_json_are_one_line_with_their_values() -> None:
    values = [{"ts": f"2024-05-01T10:00:{n:02}Z", "level": "info", "n": n} for n in range(20)]
    lines = folded("\n".join(map(json.dumps, values)) + "\n")
    assert lines is not None and lines[0].startswith('{"$lines":')
    assert plain(decode(lines[0])) == values


@pytest.mark.parametrize("number", ["1.10", "1e5", "1E+05", "-0.0", "-0", "123456789012345678901234567890", "0.1e-400"])
def test_numbers_keep_the_text_they_were_written_with(number: str) -> None:
    lines = folded("[\n" + ",\n".join(f'    {{"value": {number}, "at": {n}}}' for n in range(6)) + "\n]")
    assert lines is not None
    value: Any = decode(lines[0])
    assert [row["value"] for row in value] == [Raw(number.encode())] * 6


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1,     "a": 2          }',
        '{"a": NaN,                   "b": [1, 2, 3]}',
        "[Infinity,             -Infinity            ]",
        '{"a": "\\ud800",                          "b": 1}',
        '{"a": "\ud800",                           "b": 1}',
        "[ " * 150 + " ]" * 150,
        "[ " * 100_000 + " ]" * 100_000,
        "{" * 1000,
        "",
        "   ",
        "not json",
        '{"a": 1}\nnot json',
        '"only   a   string"',
        '{"a":1}',
    ],
)
def test_what_would_lose_something_or_gain_nothing_stays(text: str) -> None:
    assert folded(text) is None


@CALM
@forall(VALUES | tables() | st.lists(tables()) | st.dictionaries(NAMES, tables()))
def test_every_value_is_said_so_that_it_can_be_read_back(value: Any) -> None:
    exact = parse(json.dumps(value))
    line = Writer(names_in(exact)).say(exact)
    assert "\n" not in line
    json.loads(line)
    assert decode(line) == exact


@CALM
@forall(tables(), st.sampled_from([None, 2, "\t"]))
def test_a_fold_is_shorter_valid_and_always_the_same(value: list[dict[str, Any]], indent: Any) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    lines = folded(text)
    assert lines == folded(text)
    if lines is not None:
        (line,) = lines
        assert "\n" not in line and len(line) < len(text)
        assert decode(line) == parse(text)


@CALM
@forall(st.text() | st.text(alphabet='{}[]",:0-1.eE\\ntru \n'))
def test_whatever_it_is_it_never_fails(text: str) -> None:
    lines = folded(text)
    assert lines is None or len(lines[0]) < len(text)


@CALM
@forall(VALUES)
def test_what_is_no_table_of_ours_is_refused_with_a_reason(value: Any) -> None:
    try:
        decode(json.dumps(value))
    except Unfoldable:
        pass  # that is the one error there is


def nasty() -> list[str]:
    deep: Any = {"end": 1}
    for _ in range(40):
        deep = [{"a": 1}, {"a": 2}, {"a": deep}]
    maps: Any = {"end": 1}
    for _ in range(40):
        maps = {"a": maps, "b": {}, "c": {}}
    return [
        json.dumps([{f"k{n}": n} for n in range(20_000)], indent=1),
        json.dumps([deep] * 20, indent=1),
        json.dumps([maps] * 20, indent=1),
        json.dumps([{"text": "x" * 1_000_000}], indent=1),
        json.dumps({f"k{n}": {f"v{n}": {"x": n}} for n in range(10_000)}, indent=1),
        json.dumps([[n, [n]] for n in range(30_000)], indent=1),
        "\n".join(["{}"] * 100_000),
    ]


@pytest.mark.parametrize("text", nasty(), ids=lambda text: text[:12].replace("\n", ""))
def test_nasty_documents_are_read_back_as_well(text: str) -> None:
    lines = folded(text)
    if lines is not None:
        expected: Value = [parse(line) for line in text.split("\n")] if text.startswith("{}") else parse(text)
        assert decode(lines[0]) == expected


def test_the_strategy_is_lossless() -> None:
    (strategy,) = FOLDS
    assert (strategy.name, strategy.level, [*strategy.kinds]) == ("json", "lossless", ["json"])
