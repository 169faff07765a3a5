"""Near repeats."""

import json
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st
from tests.tokens.compress import pieces

from cca.contracts.tokens import Turn
from cca.tokens.compress import Folded, compress
from cca.tokens.delta import of_json, of_lines
from cca.tokens.markers import expand

DELTA = ("delta",)


def folded(*texts: str, strategies: tuple[str, ...] = DELTA) -> Folded:
    found = compress([Turn(text=text, role="tool") for text in texts], pieces.folding(strategies=strategies))
    assert [expand(text or "", found.blobs.get) for text in found.texts] == list(texts)
    return found


def test_a_turn_that_resembles_an_earlier_one_is_said_as_that_and_what_is_different() -> None:
    old = pieces.log(60).split("\n")
    new = [*old]
    new[20] = "2026-11-22T14:00:20.000Z WARN  [worker-6] the disk is full"
    del new[40:43]
    new.append("bye")
    found = folded("\n".join(old), "\n".join(new))
    assert (found.texts[1] or "").split("\n") == [
        f"[ctx:{found.cuts[0].ref} 59 lines, as message 1 but; next 5]",
        "21 is now",
        "+" + new[20],
        "without 41-43",
        "after 61",
        "+bye",
    ]


def test_what_does_not_resemble_anything_stays() -> None:
    assert not folded(pieces.log(60), pieces.CODE, pieces.TESTS).cuts


def test_many_small_changes_are_cheaper_as_a_delta_than_as_runs() -> None:
    old = [f"setting.number.{at}.of.the.shop = {at * 7}" for at in range(120)]
    new = [line + "0" if at % 12 == 0 else line for at, line in enumerate(old)]
    found = folded("\n".join(old), "\n".join(new), strategies=("delta", "duplicates"))
    assert [cut.strategy for cut in found.cuts] == ["delta"]


def test_json_that_resembles_earlier_json_stays_json() -> None:
    old, new = pieces.records(30), pieces.records(30)
    new[3]["status"] = "closed"
    del new[9]
    new.append({"id": 77, "name": "user77"})
    found = folded(json.dumps(old, indent=1), json.dumps(new, indent=1))
    assert json.loads(found.texts[1] or "")["$v"] == {
        "same_as": "message 1",
        "set": {"[id=3].status": "closed", "[id=77]": {"id": 77, "name": "user77"}},
        "gone": ["[id=9]"],
    }


def test_of_columns_and_delta_the_smaller_is_taken() -> None:
    old, new = pieces.records(40), pieces.records(40)
    both = ("delta", "json")
    new[3]["status"] = "closed"
    assert folded(json.dumps(old), json.dumps(new), strategies=both).cuts[-1].strategy == "delta"
    for record in new:
        record["city"] = f"city of {record['id']}"
        record["status"] = f"status of {record['id']}"
    assert folded(json.dumps(old), json.dumps(new), strategies=both).cuts[-1].strategy == "json"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"set": {"b": 3}}),
        ({"a": 1}, {"a": True}, {"set": {"a": True}}),
        ({"a": 1}, {"a": 1.0}, {"set": {"a": 1.0}}),
        ({"a": {"b": {"c": 1}}, "z": 0}, {"a": {"b": {}}, "z": 0}, {"set": {"a.b": {}}}),
        ({"a": [1, 2, 3]}, {"a": [1, 5, 3]}, {"set": {"a[1]": 5}}),
        ({"a": [1, 2, 3]}, {"a": [1, 2]}, {"set": {"a": [1, 2]}}),
        ({"x y": 1, "k": 2}, {"x y": 2, "k": 2}, {"set": {'["x y"]': 2}}),
        ({"a": 1, "b": 2}, {"a": 1}, {"gone": ["b"]}),
        ({"a": {"b.c": 1, "d": 2}}, {"a": {"d": 2}}, {"gone": ['a["b.c"]']}),
        ([{"id": 1, "v": 1}, {"id": 2, "v": 2}], [{"id": 2, "v": 2}, {"id": 1, "v": 1}], None),
        ({"l": [{"id": "a b", "v": 1}], "z": 1}, {"l": [{"id": "a b", "v": 2}], "z": 1}, {"set": {'l[id="a b"].v': 2}}),
        ([{"v": 1}, {"v": 2}], [{"v": 1}], {"gone": ["[1]"]}),
        ([{"v": 1}], [{"v": 1}, {"v": 2}], {"set": {"[1]": {"v": 2}}}),
        ({"a": 1}, [1], None),
    ],
)
def test_a_difference_in_json_is_told_by_its_place(old: Any, new: Any, told: dict[str, Any] | None) -> None:
    found = of_json(json.dumps(old), json.dumps(new), "message 1")
    assert (found and json.loads(found)) == (told and {"same_as": "message 1", **told})


def replayed(old: list[str], said: list[str]) -> list[str]:
    """What `of_lines` says, done."""
    out: list[str] = []
    done = at = 0
    while at < len(said):
        head = said[at]
        at += 1
        if head.startswith("after "):
            start = end = int(head[6:])
        else:
            first, _, last = head.removeprefix("without ").removesuffix(" is now").partition("-")
            start, end = int(first) - 1, int(last or first)
        out += old[done:start]
        done = end
        while at < len(said) and said[at].startswith("+"):
            out.append(said[at][1:])
            at += 1
    return out + old[done:]


LINES = st.lists(
    st.sampled_from(["a", "b", "c", "d", "", "+", "after 3", "x" * 9]) | pieces.ARBITRARY.map(str.strip), max_size=30
)


@settings(deadline=None, max_examples=150)
@forall(LINES, LINES)
def test_a_delta_says_all(old: list[str], new: list[str]) -> None:
    assert replayed(old, of_lines(old, new)) == new


@settings(deadline=None, max_examples=100)
@forall(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
        lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=3), below, max_size=4),
        max_leaves=12,
    ),
    st.data(),
)
def test_any_two_documents_can_be_compared(old: Any, data: st.DataObject) -> None:
    new = data.draw(st.sampled_from([old, [old], {"a": old}, [old, old], None]))
    found = of_json(json.dumps(old), json.dumps(new), "message 1")
    if found is not None:
        assert json.loads(found)["same_as"] == "message 1" and "\n" not in found
