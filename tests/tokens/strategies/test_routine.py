"""Which rows of a table stand out, and which columns say enough of the others."""

from collections.abc import Sequence

import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from cca.tokens.strategies.routine import ODD, SELDOM, Field, Routine, brief, routine

CALM = settings(deadline=None, max_examples=60)
COUNT = 60


def mail(n: int) -> str:
    return f"customer.number.{n * 7919 % 10_007}@mail.example.com"


def planned(columns: dict[str, Sequence[str | None]]) -> Routine | None:
    fields = [Field(name, cells) for name, cells in columns.items()]
    weights = [sum(len(cell) for cell in field.cells if cell) if len({*field.cells}) > 1 else 0 for field in fields]
    return routine(fields, weights)


def orders(count: int = COUNT) -> dict[str, Sequence[str | None]]:
    return {
        "id": [str(1000 + n) for n in range(count)],
        "email": [mail(n) for n in range(count)],
        "status": [("paid", "open", "shipped")[n % 3] for n in range(count)],
        "total": [f"{10 + n * 7 % 83}.50" for n in range(count)],
    }


def put(
    columns: dict[str, Sequence[str | None]], name: str, cells: dict[int, str | None]
) -> dict[str, Sequence[str | None]]:
    """The columns with other cells in one of them."""
    count = len(columns["id"])
    column = [*columns.get(name, [None] * count)]
    for row, cell in cells.items():
        column[row] = cell
    return {**columns, name: column}


def test_the_columns_that_name_sort_and_measure_stay() -> None:
    found = planned(orders())
    assert found is not None
    assert [[*orders()][at] for at in found.kept] == ["id", "status", "total"]
    assert 0 in found.whole and len(found.whole) < 5


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("status", {31: "chargeback"}),
        ("status", {31: "chargeback", 44: "chargeback"}),
        ("total", {31: "98765.50"}),
        ("error", {31: "card declined", 44: "no such customer"}),
        ("note", {31: "call before delivery"}),
        ("email", {31: "error: lookup timed out", 44: "error: connection refused"}),
    ],
    ids=["rare", "rare twice", "far", "error field", "seldom field", "error"],
)
def test_a_row_stands_out(name: str, cells: dict[int, str | None]) -> None:
    found = planned(put(orders(), name, cells))
    assert found is not None and {*cells} <= {*found.whole}


def test_errors_stand_out_when_warnings_are_common() -> None:
    messages = [
        "checksum error in a block" if n in (17, 33, 51) else "warning: nearly full" if n % 3 == 0 else f"fine {n}"
        for n in range(COUNT)
    ]
    found = planned({**orders(), "output": messages})
    assert found is not None and {17, 33, 51} <= {*found.whole}


def test_what_many_rows_say_is_no_trouble_but_routine() -> None:
    found = planned({**orders(), "kind": ["error" if n % 2 else "warning" for n in range(COUNT)]})
    assert found is not None and len(found.whole) < 5


def test_rows_that_each_have_fields_of_their_own_do_not_all_stand_out() -> None:
    columns = orders()
    for kind in range(10):
        columns[f"of_{kind}"] = [f"value {n}" if n % 10 == kind else None for n in range(COUNT)]
    found = planned(columns)
    assert found is not None and len(found.whole) < 5


def test_of_few_rows_the_one_that_differs_stands_out() -> None:
    found = planned(put(orders(12), "status", {n: "failed" if n == 7 else "paid" for n in range(12)}))
    assert found is not None and 7 in found.whole


@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_few_rows_are_no_routine(count: int) -> None:
    assert planned(orders(count)) is None


def test_without_columns_there_is_nothing_to_say() -> None:
    assert routine([], []) is None


def test_when_many_rows_stand_out_none_does() -> None:
    columns = orders()
    for at in range(24):  # one strange cell in each of so many columns
        columns[f"flag {at}"] = ["strange" if n == at + 5 else "usual" for n in range(COUNT)]
    assert planned(columns) is None


def test_what_is_short_already_stays() -> None:
    columns = orders()
    del columns["email"]
    assert planned(columns) is None


def test_the_rest_says_ranges_and_values_of_the_columns_that_go() -> None:
    columns = orders()
    columns["created_at"] = [f"2026-03-{n % 28 + 1:02d}T08:{n % 60:02d}:00Z" for n in range(COUNT)]
    columns["agent"] = ["Mozilla/5.0 (X11)" if n % 4 else "curl/8.5.0 (x86_64)" for n in range(COUNT)]
    columns["same"] = ["a text that is the same in all rows"] * COUNT
    found = planned(columns)
    assert found is not None
    assert found.rest["created_at"].startswith("<2026-03-01T08:") and "…2026-03-28T08:" in found.rest["created_at"]
    assert found.rest["agent"] == "<Mozilla/5.0 (X11|curl/8.5.0 (x86_64>)"
    assert not {"id", "status", "total"} & {*found.rest}


def test_long_ids_are_known_by_their_beginning() -> None:
    uuids = [f"{n * 2654435761 % 2**32:08x}-1b2c-4d5e-8f90-0123456789ab" for n in range(1, 9)]
    assert brief(uuids) == {one: f"{one[:8]}…" for one in uuids}
    assert brief(["pi9MtwBwLkdIwHu7ix28a3tqPa"]) == {"pi9MtwBwLkdIwHu7ix28a3tqPa": "pi9MtwBw…"}


@pytest.mark.parametrize(
    "texts",
    [
        [f"order-20260101-{n:09d}" for n in range(9)],
        [f"01HXYZABCDEFGHJKMNPQ{n:06d}" for n in range(9)],
        [f"018f3a2b-1b2c-7d5e-8f90-{n:012d}" for n in range(9)],
        ["checkout-api-7d9f8b6c5-x2k4q", "payments-worker-5c9d8-abcde1"],
        ["src/components/button2/index", "feature/JIRA-1234-add-login"],
        ["feature_flags_for_service_v2", "ReplicationControllerManager"],
        ["", "short", "2026-03-01T08:00:00.000+01:00"],
    ],
    ids=["running", "ulid", "uuid by time", "pods", "paths", "names", "others"],
)
def test_names_stay_and_so_do_ids_that_begin_alike(texts: list[str]) -> None:
    assert brief(texts) == {}


CELLS = st.none() | st.sampled_from(["", "a", "b", "open", "7", "8.5", "-1", "error: x", "\0\n", "\ud800"]) | st.text()


@CALM
@forall(st.data(), st.integers(0, 45), st.integers(0, 5))
def test_a_plan_is_one_that_can_be_done_and_always_the_same(data: st.DataObject, count: int, width: int) -> None:
    columns: dict[str, Sequence[str | None]] = {}
    for at in range(width):
        few = data.draw(st.lists(CELLS, min_size=1, max_size=8))
        columns[f"column {at}"] = [few[(n * (at + 3) + n // 5) % len(few)] for n in range(count)]
    found = planned(columns)
    assert found == planned(columns)
    if found is not None:
        assert list(found.whole) == sorted({*found.whole}) and 0 <= found.whole[0] <= found.whole[-1] < count
        assert len(found.whole) <= ODD * count + 3
        assert list(found.kept) == sorted({*found.kept}) and {*found.kept} < {*range(width)}
        assert {*found.rest} <= {name for at, name in enumerate(columns) if at not in found.kept}


@CALM
@forall(
    st.sets(st.integers(0, COUNT - 1), min_size=1, max_size=3), st.sampled_from(["error", "disk error 7", "IOError"])
)
def test_rare_errors_always_stand_out(rows: set[int], text: str) -> None:
    assert len(rows) <= SELDOM * COUNT
    found = planned(put(orders(), "email", dict.fromkeys(rows, text)))
    assert found is not None and rows <= {*found.whole}
