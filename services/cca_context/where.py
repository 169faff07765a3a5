"""By what a search is limited, as SQL."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from cca.storable import text_without_nul

Value = str | int | datetime


class Where(Struct, frozen=True):
    """What a document must be to be found. Nothing said: anything.

    Attributes:
        equal: columns, and the value that they must have.
        among: columns, and the values of which they must have one; None among them: or none. An empty tuple is never
            met.
        prefix: columns, and how their text must begin.
        since, until: `created_at` is not before, and is before.
    """

    equal: Mapping[str, Value] = {}
    among: Mapping[str, tuple[Value | None, ...]] = {}
    prefix: Mapping[str, str] = {}
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.equal or self.among or self.prefix or self.since or self.until)

    def sql(self, columns: Mapping[str, str], first: int) -> tuple[str, list[object]]:
        """A condition (`TRUE` when there is none), and the values for `$first` and on.

        Raises `ValueError` for a column that is not among `columns`.
        """
        said: list[str] = []
        values: list[object] = []

        def place(column: str, value: object) -> str:
            if column not in columns:
                raise ValueError(f"searches here are not limited by {column}")
            values.append(value)
            return f"${first + len(values) - 1}::{columns[column]}"

        for column, value in self.equal.items():
            said.append(f"{column} = {place(column, _storable(value))}")
        for column, several in self.among.items():
            given = place(column, [_storable(value) for value in several if value is not None])
            said.append(
                f"({column} = ANY({given}[]) OR {column} IS NULL)" if None in several else f"{column} = ANY({given}[])"
            )
        for column, text in self.prefix.items():
            said.append(f"{column} ^@ {place(column, text_without_nul(text))}")
        if self.since is not None:
            said.append(f"created_at >= {place('created_at', self.since)}")
        if self.until is not None:
            said.append(f"created_at < {place('created_at', self.until)}")
        return " AND ".join(said) or "TRUE", values


def _storable(value: Value) -> Value:
    return text_without_nul(value) if isinstance(value, str) else value
