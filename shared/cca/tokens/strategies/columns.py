"""JSON in columns: what the objects of a list have in common is said once. Nothing is lost but blanks.

A list of objects, or an object of objects, becomes a table, and the document stays JSON:

    {"$const":{"type":"User"},"$default":{"state":"open"},"$cols":["id","user.name"],"$rows":[[1,"ann"],[2,"bob"]]}

- `$const`: fields that are the same in every row; `$default`: in most of them.
- A row may end with an object: its own values of defaults, and fields that few rows have.
- `user.name` is the field `name` of the object `user`; `$sep` says what stands there instead of the dot.
- `$absent`: a cell with this text says that the row has no such field. (null is null.)
- A column may be an object: `{"labels":{"$cols":[…]}}` has a list of rows in each cell, `{"user":{"$enum":[…]}}` the
  positions (from 0) of its values in that list, and `{"url":{"$prefix":"https://…/"}}` what comes after (and before
  `$suffix`); so have times of one day.
- `$like` names fields whose cells are those of another column: `{"html_url":{"$col":"url","$prefix":"https://…/"}}`.
- Where `$rows` is an object, the table was one, with the same names.
- JSON lines become `{"$lines":…}`. A name of the document that begins with `$` has one more.

`cca.tokens.strategies.json_decode.decode` gives back the values. In a row's object the constants then come first, the
defaults after them, then the columns, and those of `$like` last; all other order is kept.
"""

from collections.abc import Sequence

from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.json_tables import Writer
from cca.tokens.strategies.json_values import Unfoldable, names_in, parse, parse_lines

WORTH = 0.9
"""A fold is worth it when it leaves at most this share of the characters."""


def fold(section: Section) -> list[str] | None:
    """One line of JSON that says the same, in columns where that is shorter."""
    text = "\n".join(section.lines)
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        line = _written(text, section.lines)
        line.encode()  # a lone surrogate may have been written as an escape
    except (Unfoldable, UnicodeEncodeError):
        return None
    return [line] if len(line) <= WORTH * len(text) else None


def _written(text: str, lines: Sequence[str]) -> str:
    try:
        value = parse(text)
    except Unfoldable:
        value = parse_lines(lines)
        return f'{{"$lines":{Writer(names_in(value)).say(value)}}}'
    return Writer(names_in(value)).say(value)


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="json",
        summary="JSON in columns: names, constants and defaults of a list are said once.",
        kinds=frozenset({"json"}),
        level="lossless",
        function=fold,
    ),
)
