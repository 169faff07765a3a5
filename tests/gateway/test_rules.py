"""What JSON must not hold is found in its bytes exactly where a walk over its values finds it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cca_gateway import rules
from cca_gateway.bodies import decoder
from cca_gateway.problems import Problem

TEXT = st.text(st.sampled_from('[]{}"\\/u0\x00\nä🙂'), max_size=8)
JSON = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for one in value.values() for text in texts(one))]
    return [text for one in value for text in texts(one)] if isinstance(value, list) else [str(value)]


@given(JSON)
def test_nul_is_found_as_by_a_walk(value: Any) -> None:
    found = rules.has_nul(msgspec.json.encode(value))
    assert found == any("\x00" in text for text in texts(value))
    assert found or rules.place_of_nul(value) == "$"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'"\\u0000"', "$"),
        (b'{"a": [1, {"b": "x\\u0000"}]}', "$.a[1].b"),
        (b'{"a": {"\\u0000": 1}}', "$.a"),
        (b'["\\\\\\u0000"]', "$[0]"),
    ],
)
def test_nul_is_refused_by_its_place(body: bytes, place: str) -> None:
    with pytest.raises(Problem, match="U\\+0000") as raised:
        decoder(Any)(body)
    assert str(raised.value).endswith(f"- at `{place}`")


def test_what_looks_like_nul_is_none() -> None:
    assert decoder(Any)(b'"\\\\u0000"') == "\\u0000"


@pytest.mark.parametrize("kind", [Any, msgspec.Raw])
def test_the_deepest_that_is_taken_is_a_hundred(kind: Any) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"[":', b"}")):
        decoder(kind)(opening * 99 + b"[]" + closing * 99)
        for levels in (100, 5_000):
            with pytest.raises(Problem, match="nested deeper"):
                decoder(kind)(opening * levels + b"[]" + closing * levels)
    decoder(kind)(b"[" + b"[]," * 5_000 + b'"' + b"[" * 500 + b'"]')
