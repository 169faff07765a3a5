"""What a search is limited by, as SQL."""

from datetime import UTC, datetime

import pytest

from cca_context.corpus import CODE, MEMORY
from cca_context.where import Where

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_nothing_said_is_true_of_all() -> None:
    assert Where().sql(MEMORY.filters, 1) == ("TRUE", [])
    assert not Where()


def test_every_condition_has_its_value_in_order() -> None:
    where = Where(
        equal={"scope": "project:a"}, among={"role": ("backend", None), "kind": ("fact",)}, since=NOW, until=NOW
    )
    sql, values = where.sql(MEMORY.filters, 2)
    assert sql == (
        "scope = $2::text AND (role = ANY($3::text[]) OR role IS NULL) AND kind = ANY($4::text[])"
        " AND created_at >= $5::timestamptz AND created_at < $6::timestamptz"
    )
    assert values == ["project:a", ["backend"], ["fact"], NOW, NOW]
    assert where


def test_a_prefix_is_not_a_pattern() -> None:
    assert Where(prefix={"path": "src/%_"}).sql(CODE.filters, 1) == ("path ^@ $1::text", ["src/%_"])


@pytest.mark.parametrize("where", [Where(equal={"x; DROP": "y"}), Where(since=NOW), Where(prefix={"scope": "a"})])
def test_a_column_that_is_not_there_is_refused(where: Where) -> None:
    with pytest.raises(ValueError, match="not limited by"):
        where.sql(CODE.filters, 1)


def test_what_postgresql_cannot_hold_is_compared_as_it_is_stored() -> None:
    assert Where(equal={"project": "a\0b"}).sql(CODE.filters, 1)[1] == ["a\ufffdb"]
