"""Values inside JSON are replaced, and every other character stays."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.splice import Path, splice

CALM = settings(deadline=None, max_examples=150)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Every place in a value."""
    found = [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        found += paths(each, (*path, key))
    return found


def put(value: Any, path: Path, new: Any) -> Any:
    """The value with another at a place; `...` takes it away."""
    if not path:
        return new
    at = value = deepcopy(value)
    for key in path[:-1]:
        at = at[key]
    if new is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return value


@CALM
@forall(VALUES, st.data(), st.sampled_from([None, 1, 4, "\t"]), st.booleans())
def test_what_is_replaced_is_new_and_all_else_is_equal(
    value: Any, data: st.DataObject, indent: Any, plain: bool
) -> None:
    document = json.dumps(value, indent=indent, ensure_ascii=plain)
    path = data.draw(st.sampled_from(paths(value)))
    new = data.draw(VALUES)
    assert json.loads(splice(document, {path: json.dumps(new)})) == put(value, path, new)


@CALM
@forall(VALUES, st.data())
def test_what_is_removed_from_an_array_leaves_the_others(value: Any, data: st.DataObject) -> None:
    places = [path for path in paths(value) if path and isinstance(path[-1], int)]
    if places:
        path = data.draw(st.sampled_from(places))
        for indent in (None, 2):
            assert json.loads(splice(json.dumps(value, indent=indent), {path: None})) == put(value, path, ...)


@pytest.mark.parametrize("gone", [{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}, {0, 1, 2}, {3}, {2, 3}, {0, 1, 2, 3}])
def test_several_elements_go_with_their_commas(gone: set[int]) -> None:
    found = splice('{"a": [0, [1] ,\n "2" ,{}]}', {("a", index): None for index in gone})
    assert json.loads(found)["a"] == [each for index, each in enumerate([0, [1], "2", {}]) if index not in gone]


def test_nothing_else_is_touched() -> None:
    document = ' {"n":1.10, "n2": -0.0,"big":123456789012345678901234567890, "u":"\\u00e9é\\/", "a":[ ],"t":"x"} \n'
    assert splice(document, {("t",): '"y"'}) == document.replace('"x"', '"y"')


def test_of_a_key_that_occurs_twice_the_last_is_meant() -> None:
    assert splice('{"a":{"b":1},"a":{"b":2}}', {("a", "b"): "3"}) == '{"a":{"b":1},"a":{"b":3}}'


def test_a_place_that_is_not_there_is_passed_by() -> None:
    for path in (("x",), ("a", 7), ("a", 0, "y"), (0,)):
        assert splice('{"a": [1, 2]}', {path: "3"}) == '{"a": [1, 2]}'


def test_what_is_removed_or_replaced_is_not_looked_into() -> None:
    edits: dict[Path, str | None] = {("a", 0): None, ("a", 0, "b"): "1", ("c",): "2", ("c", "d"): "3"}
    assert splice('{"a":[{"b":0}],"c":{"d":0}}', edits) == '{"a":[],"c":2}'


def test_deep_and_long_documents_are_passed_without_recursion() -> None:
    deep = "[" * 50_000 + "]" * 50_000
    long = '"' + '\\"[{' * 100_000 + '"'
    assert splice(f'{{"deep":{deep},"long":{long},"t":1}}', {("t",): "2"}).endswith('"t":2}')
