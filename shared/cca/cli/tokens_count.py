"""`cca tokens count`: how many tokens files, folders and transcripts are."""

from collections import Counter as Totals
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Literal

import click
from msgspec import Struct

from cca.cli.exits import Exit
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.tokens_input import Document, documents
from cca.cli.tokens_show import SHARE_COLUMNS, cells, document, exactness
from cca.contracts.tokens import Folding, Turn
from cca.tokens.counting import Counter, counter

MODEL = Folding().model


class _Row(Struct):
    """What is counted together, and its tokens by model."""

    name: str
    tokens: dict[str, int]
    bytes: int = 0


class _Tally:
    """Adds up tokens by model, and by whatever they are counted by."""

    def __init__(self, counters: list[Counter], by: Literal["file", "kind", "directory"], chat: bool) -> None:
        self.counters, self.by, self.chat = counters, by, chat
        self.rows: dict[str, _Row] = {}
        self.overhead = Totals[str]()
        self.files = 0

    def add(self, document: Document) -> None:
        """Count a document."""
        self.files += 1
        turns: tuple[Turn, ...] = (Turn(document.text, name=document.label),)
        tools: tuple[dict[str, Any], ...] = ()
        if self.chat:
            # Heavy only where needed, here and below.
            from cca.tokens.transcript import read

            found = read(document.text, document.label)
            turns, tools = found.turns, found.tools
        size = len(document.text.encode("utf-8", "surrogatepass"))
        for each in self.counters:
            if self.by == "kind":
                self._kinds(turns, each)
            else:
                self._put(self._name(document), each, sum(each.count(turn.text) for turn in turns))
            if self.chat:
                from cca.tokens.chat import overhead

                more = overhead(turns, tools, each.model)
                self.overhead[each.model] += more
                if self.by != "kind":
                    self._put(self._name(document), each, more)
        if self.by != "kind":
            self.rows[self._name(document)].bytes += size

    def _name(self, document: Document) -> str:
        if document.name == "-":
            return "standard input"
        return str(PurePath(document.name).parent) if self.by == "directory" else document.name

    def _kinds(self, turns: tuple[Turn, ...], each: Counter) -> None:
        from cca.tokens.weight import weigh

        for turn in turns:
            for kind, tokens in weigh(turn, each.count).kinds.items():
                self._put(kind, each, tokens)

    def _put(self, name: str, each: Counter, tokens: int) -> None:
        row = self.rows.setdefault(name, _Row(name, {}))
        row.tokens[each.model] = row.tokens.get(each.model, 0) + tokens

    def total(self, model: str) -> int:
        """All tokens of a model."""
        more = self.overhead[model] if self.by == "kind" else 0
        return sum(row.tokens.get(model, 0) for row in self.rows.values()) + more

    def sorted(self) -> list[_Row]:
        """The rows, most tokens of the first model first."""
        first = self.counters[0].model
        return sorted(self.rows.values(), key=lambda row: (-row.tokens.get(first, 0), row.name))


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]…")
@click.option("--model", "models", multiple=True, help=f"For this model; may be repeated.  [default: {MODEL}]")
@click.option(
    "--by",
    type=click.Choice(["file", "kind", "directory"]),
    default="file",
    show_default=True,
    help="A row for each of these.",
)
@click.option("--chat", is_flag=True, help="Files are transcripts: count what is said, and what the chat format adds.")
@click.option("--total", "only_total", is_flag=True, help="Print only the totals, one line for each model.")
@json_option
def count(
    paths: tuple[str, ...],
    models: tuple[str, ...],
    by: Literal["file", "kind", "directory"],
    chat: bool,
    only_total: bool,
    as_json: bool,
) -> int:
    """Count the tokens of files, of everything below folders, or of standard input.

    It needs no stack. Counts for models of OpenAI are exact; an estimate is marked with the error that 19 of 20 texts
    stay below. Binary files and folders like .git and node_modules are passed by.
    """
    counters = [counter(model) for model in dict.fromkeys(models or (MODEL,))]
    tally = _Tally(counters, by, chat)
    for each in documents(paths):
        tally.add(each)
    screen = Screen(json=as_json)
    if as_json:
        document(screen, _document(tally))
    elif only_total:
        _totals(screen, tally)
    elif screen.person:
        _table(screen, tally)
        screen.say()
        _totals(screen, tally)
    else:
        for row in tally.sorted():
            screen.line(row.name, *(row.tokens.get(each.model, 0) for each in counters), *_how(counters))
    return Exit.OK


def _how(counters: list[Counter]) -> tuple[Cell, ...]:
    """How one model was counted; of several the totals say it."""
    if len(counters) > 1:
        return ()
    return (counters[0].method, exactness(counters[0].exact, counters[0].error))


def _table(screen: Screen, tally: _Tally) -> None:
    first, *others = tally.counters
    rows: list[tuple[Cell, ...]] = []
    for row in tally.sorted():
        counts = (f"{row.tokens.get(each.model, 0):,}" for each in others)
        rows.append((row.name, *cells(screen, row.tokens.get(first.model, 0), tally.total(first.model)), *counts))
    title = {"file": "FILE", "kind": "KIND", "directory": "DIRECTORY"}[tally.by]
    tokens = Column(first.model if others else "TOKENS", "number")
    columns = [
        Column(title, grows=True),
        tokens,
        *SHARE_COLUMNS[1:],
        *(Column(each.model, "number") for each in others),
    ]
    screen.table(columns, rows, "There is nothing to count.")


def _totals(screen: Screen, tally: _Tally) -> None:
    shown: Callable[[int], Cell] = (lambda tokens: f"{tokens:,}") if screen.person else (lambda tokens: tokens)
    rows: list[tuple[Cell, ...]] = [
        (each.model, shown(tally.total(each.model)), each.method, exactness(each.exact, each.error))
        for each in tally.counters
    ]
    columns = [Column("MODEL"), Column("TOKENS", "number"), Column("METHOD"), Column("")]
    screen.table(columns, rows, "There is nothing to count.")


def _document(tally: _Tally) -> dict[str, Any]:
    return {
        "files": tally.files,
        "models": [
            {
                "model": each.model,
                "tokens": tally.total(each.model),
                "method": each.method,
                "exact": each.exact,
                "error": each.error,
                "overhead": tally.overhead[each.model],
            }
            for each in tally.counters
        ],
        "by": tally.by,
        "rows": [{"name": row.name, "tokens": row.tokens, "bytes": row.bytes} for row in tally.sorted()],
    }
