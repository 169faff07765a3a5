"""What JSON is like is found in its bytes exactly where a walk over its values finds it."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cca.json_text import has_more, is_deep

TEXT = st.text(st.sampled_from('[]{}"\\/u0,:\x00\nä🙂'), max_size=8)
JSON = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def values(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + sum(map(values, value)) if isinstance(value, list) else 1


@given(JSON, st.integers(0, 3), st.integers(1, 4))
def test_depth_is_found_as_by_a_walk(value: Any, around: int, most: int) -> None:
    for _ in range(around):
        value = [value]
    assert is_deep(msgspec.json.encode(value), most) == (depth(value) > most)


@given(JSON, st.integers(1, 12))
def test_how_many_values_there_are_is_found_as_by_a_walk(value: Any, most: int) -> None:
    assert has_more(msgspec.json.encode(value), most) == (values(value) > most)


def test_text_with_many_commas_is_one_value() -> None:
    assert not has_more(msgspec.json.encode(["a,[{:" * 1_000, '"\\' * 1_000]), 3)
    assert has_more(msgspec.json.encode(["a"] * 1_000), 100)
