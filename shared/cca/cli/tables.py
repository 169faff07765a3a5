"""What a command prints: tables and colours for a person, tab-separated lines for a pipe, JSON for a program."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from cca.cli.text import ago, clip, visible, visible_json

STATE_STYLES = {
    "submitted": "blue",
    "routed": "cyan",
    "working": "yellow",
    "input-required": "magenta",
    "completed": "green",
    "failed": "red",
    "canceled": "bright_black",
    "lost": "magenta",
    "attempt-failed": "red",
    "started": "yellow",
    "rejected": "red",
    "open": "red",
    "redriven": "green",
}

WIDE = 160
"""Columns of a report that goes into a pipe."""

Cell = str | int | float | datetime | None


class Column(Struct, frozen=True):
    """A column of a table. Only one that `grows` is cut to what the terminal has left, down to 16 columns."""

    title: str
    kind: Literal["text", "state", "number", "time"] = "text"
    grows: bool = False
    short: int = 0
    """On a terminal, only the last so many characters: of ids, which differ there."""
    most: int = 0
    """On a terminal, at most so many columns."""


class Screen:
    """Standard output. `json` asks for JSON; `person` says that somebody looks at it."""

    def __init__(self, *, json: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.json = json
        self.person = self.console.is_terminal and not json
        self.now = datetime.now(UTC)

    def document(self, value: Any) -> None:
        """One JSON document, indented."""
        self._json(msgspec.json.format(msgspec.json.encode(value), indent=2))

    def ndjson(self, value: Any) -> None:
        """One line of JSON, at once."""
        self._json(msgspec.json.encode(value))
        sys.stdout.flush()

    def _json(self, body: bytes) -> None:
        if self.console.is_terminal:
            body = visible_json(body.decode()).encode()
        self.raw(body + b"\n")

    def raw(self, body: bytes) -> None:
        """Bytes as they are, for programs and files."""
        sys.stdout.flush()
        sys.stdout.buffer.write(body)

    def say(self, text: str = "", style: str = "") -> None:
        """A sentence or a value for a person; made visible, lines kept."""
        self.console.print(Text(visible(text, lines=True), style=style if self.person else ""))

    def parts(self, *parts: tuple[str, str]) -> None:
        """One line of texts and their styles."""
        line = Text()
        for text, style in parts:
            line.append(visible(text, lines=True).replace("\n", " "), style if self.person else "")
        self.console.print(line)

    def value(self, value: Any) -> None:
        """A result: a text as it is, anything else as indented JSON; verbatim for a pipe, visible for a person."""
        if isinstance(value, str):
            text = value
        else:
            text = msgspec.json.format(msgspec.json.encode(value), indent=2 if self.person else -1).decode() + "\n"
        if not self.person:
            self.raw(text.encode("utf-8", "backslashreplace"))
        elif isinstance(value, str):
            self.say(text.removesuffix("\n"))
        else:
            self.console.print(JSONHighlighter()(Text(visible_json(text).rstrip("\n"))))

    def line(self, *cells: Cell) -> None:
        """One row of what has no table: values with space between them, or tabs in a pipe; at once."""
        self.console.file.write(("  " if self.person else "\t").join(_plain(cell) for cell in cells) + "\n")
        self.console.file.flush()

    def table(
        self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], empty: str, *, header: bool = False
    ) -> None:
        """Rows with aligned columns and a header on a terminal, else one tab-separated line each, uncut.

        `header` asks for aligned columns in a pipe too, for what is a report and not data.
        """
        if not self.person and not header:
            for row in rows:
                self.line(*row)
            return
        if not rows:
            self.say(empty, "dim")
            return
        if not self.person:
            self.console.width = WIDE  # a report in a file is not cut to what a terminal would have
        self.console.print(self.grid(columns, rows), soft_wrap=False)

    def grid(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Table:
        """The table as rich draws it."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        shown = [[self._text(column, cell) for column, cell in zip(columns, row, strict=True)] for row in rows]
        fixed = 0
        for number, column in enumerate(columns):
            table.add_column(column.title.upper(), justify="right" if column.kind == "number" else "left", no_wrap=True)
            if not column.grows:
                width = max([len(column.title), *(row[number].cell_len for row in shown)])
                table.columns[-1].min_width = width  # a narrow terminal cuts the right end off, not every cell
                fixed += width + 2
        growing = sum(column.grows for column in columns)
        room = max((self.console.width - fixed - 2 * growing) // max(growing, 1), 16)
        for row in shown:
            for number, column in enumerate(columns):
                if column.grows:
                    row[number] = Text(clip(row[number].plain, room), style=row[number].style)
            table.add_row(*row)
        return table

    def _text(self, column: Column, cell: Cell) -> Text:
        if isinstance(cell, datetime):
            return Text(ago(cell, self.now), style="dim")
        text = _plain(cell)
        if column.short and len(text) > column.short:
            text = text[-column.short :]
        if column.most:
            text = clip(text, column.most)
        return Text(text, style=STATE_STYLES.get(text, "") if column.kind == "state" else "")


def _plain(cell: Cell) -> str:
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return "" if cell is None else visible(str(cell))
