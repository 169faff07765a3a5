"""Tables without their frames and padding: one row a line, `a|b|c`, and what all rows share is said once.

    same in all rows: currency=EUR
    where empty: state=paid
    id|customer|total|state
    1|ann|12.50|
    2|bob|7.00|open

All cells are kept, with their text; blanks around them, rules and borders go. Tables are those of psql and mysql,
Markdown, reStructuredText, tables drawn with lines, CSV, and columns aligned by blanks. Lines between tables, and
rows that do not fit, stay as they are.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from cca.tokens.folds import Fold, Section

WORTH = 0.9
"""A fold is worth it when it leaves at most this share of the characters."""
FEWEST = 3
"""Rows that a table has at least."""
MOSTLY = 0.8
"""From this share of equal cells on a column says its usual value once."""
LONGEST = 2_000
"""Characters of a line of a table that is aligned by blanks, at most."""
PROBE, STRAY = 60, 20
"""So many rows show where the columns are; one in twenty may be out of line."""

_UPRIGHT = str.maketrans("│┃║┆┊╎", "||||||")
_WORDS = re.compile(r"[^\s|+:=\-─-╿]")
_DASHES = re.compile(r"-{2}|={2}|[─━═╌┄┈]")
_RECORD = re.compile(r"-\[ RECORD \d+ \][-+]*")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:")
_UPRIGHTS = re.compile(r"(?<!\\)\|")


class Table(Struct):
    """Rows of as many cells as there are names; a row that does not fit is a line by itself."""

    names: list[str]
    rows: list[list[str] | str]
    joint: str = "|"


Say = Callable[[Table], list[str]]
"""How a table is said; see `said`."""


def fold(section: Section) -> list[str] | None:
    """The tables of the section without frames and padding."""
    return folded(section, said)


def folded(section: Section, say: Say) -> list[str] | None:
    """The section with each of its tables as `say` has it; None when there is none, or that is hardly shorter."""
    lines = section.lines
    if sum(map(len, lines)) > len(lines) * LONGEST:
        return None
    ways = [told for way in (_framed, _separated, _aligned) if (told := way(lines, say)) is not None]
    out = min(ways, key=_size, default=None)
    return out if out is not None and _size(out) <= WORTH * _size(lines) else None


def _size(lines: Sequence[str]) -> int:
    return sum(map(len, lines)) + len(lines)


# ------------------------------------------------------------------------------------------ with frames


def _framed(lines: Sequence[str], say: Say) -> list[str] | None:
    """Tables whose columns are parted by upright lines."""
    out: list[str] = []
    group: list[str] = []
    found = False
    for line in (*lines, ""):
        straight = line.translate(_UPRIGHT)
        if "|" in straight or _is_rule(straight) or _RECORD.fullmatch(line):
            group.append(straight)
            continue
        if group:
            told = _records(group, say) or _group(group, say)
            found = found or told is not None
            out += told or group
            group = []
        out.append(line)
    return out[:-1] if found else None


def _group(lines: list[str], say: Say) -> list[str] | None:
    rules = [*map(_is_rule, lines)]
    texts = [line.strip() for line, rule in zip(lines, rules, strict=True) if not rule]
    if len(texts) < FEWEST:
        return None
    outer = all(text.startswith("|") for text in texts)
    rows = [_cells(text[1:] if outer else text, outer) for text in texts]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if width < 2 or sum(len(row) == width for row in rows) < MOSTLY * len(rows):
        return None
    first = rules.index(False)
    headed = first + 1 < len(rules) and rules[first + 1] and len(rows[0]) == width
    names = rows.pop(0) if headed else []
    fitting = [row if len(row) == width else text for row, text in zip(rows, texts[headed:], strict=True)]
    return say(Table(names, fitting))


def _is_rule(line: str) -> bool:
    return _DASHES.search(line) is not None and _WORDS.search(line) is None


def _cells(text: str, outer: bool) -> list[str]:
    if outer and text.endswith("|"):
        text = text[:-1]
    return [cell.strip() for cell in _UPRIGHTS.split(text)]


def _records(lines: list[str], say: Say) -> list[str] | None:
    r"""Rows that are written one field a line (`\x` of psql)."""
    if not _RECORD.fullmatch(lines[0]):
        return None
    rows: list[list[str] | str] = []
    names: list[str] = []
    for start, end in _between([at for at, line in enumerate(lines) if _RECORD.fullmatch(line)], len(lines)):
        pairs = [line.partition("|") for line in lines[start + 1 : end]]
        titles = [name.strip() for name, _, _ in pairs]
        names = names or titles
        if titles != names or "" in titles:
            return None
        rows.append([value.strip() for _, _, value in pairs])
    return say(Table(names, rows)) if len(rows) > 1 and not any("|" in cell for row in rows for cell in row) else None


def _between(starts: list[int], end: int) -> Iterable[tuple[int, int]]:
    return zip(starts, [*starts[1:], end], strict=True)


# ------------------------------------------------------------------------------------------ with separators


def _separated(lines: Sequence[str], say: Say) -> list[str] | None:
    """CSV, and its likes with tabs or semicolons: its rows stay as they are, without the columns that say nothing."""
    texts = [line.removesuffix("\r") for line in lines if line.strip()]
    if len(texts) <= FEWEST:
        return None
    for mark in ",\t;":
        if (width := texts[0].count(mark) + 1) < 2 or mark not in texts[-1]:
            continue
        try:
            rows = [*csv.reader(texts, delimiter=mark, strict=True)]
        except csv.Error:
            continue
        # A cell over several lines would make fewer rows than lines.
        if len(rows) == len(texts) and all(len(row) == len(rows[0]) for row in rows) and len(rows[0]) <= width:
            quoted = [[_quoted(cell, mark) for cell in row] for row in rows]
            return say(Table(quoted[0], [*quoted[1:]], mark))
    return None


def _quoted(cell: str, mark: str) -> str:
    if mark in cell or '"' in cell:
        return '"' + cell.replace('"', '""') + '"'
    return cell


# ------------------------------------------------------------------------------------------ aligned by blanks


def _aligned(lines: Sequence[str], say: Say) -> list[str] | None:
    """Tables with a head whose columns are parted by blanks, in all rows at the same places."""
    out: list[str] = []
    group: list[str] = []
    found = False
    for line in (*lines, ""):
        if line.strip():
            group.append(line.rstrip())
            continue
        told = _columns(group, say) if len(group) > FEWEST else None
        found = found or told is not None
        out += told or group
        group = []
        out.append(line)
    return out[:-1] if found else None


def _columns(lines: list[str], say: Say) -> list[str] | None:
    rules = [*map(_is_rule, lines)]
    texts = [line for line, rule in zip(lines, rules, strict=True) if not rule]
    if len(texts) < FEWEST or any("\t" in text or len(text) > LONGEST for text in texts):
        return None
    starts = _starts(texts[: PROBE + 1])
    if len(starts) < 2:
        return None
    rows: list[list[str] | str] = []
    for text in texts:
        # A cell that reaches into the next column is no cell: the row stays.
        fits = all(start >= len(text) or text[start - 1] == " " for start in starts[1:])
        rows.append(
            [text[a:b].strip() for a, b in _between(starts, max(len(text), starts[-1]))] if fits else text.strip()
        )
    names: list[str] | str = rows.pop(0) if _is_head(rows) else []
    if isinstance(names, str) or sum(isinstance(row, str) for row in rows) > (1 - MOSTLY) * len(rows):
        return None
    cells = [cell for row in (names, *rows) if isinstance(row, list) for cell in row]
    joints = [mark for mark in "|;¦" if not any(mark in cell for cell in cells)][:1]
    if all(cell and " " not in cell for cell in cells):
        joints.insert(0, " ")
    told = [say(Table(names, rows, joint)) for joint in joints]
    return min(told, key=_size, default=None)


def _is_head(rows: list[list[str] | str]) -> bool:
    """Whether the first row holds names: those have fewer numbers in them than what they are names of."""
    first, second = ([_has_digit(cell) for cell in row] for row in rows[:2])
    return sum(first) <= 1 or sum(first) < sum(second)


def _has_digit(cell: str) -> bool:
    return any(sign.isdecimal() for sign in cell)


def _starts(texts: list[str]) -> list[int]:
    """Where columns begin: after a place that is blank in all rows, and where the head has a name."""
    width = max(map(len, texts))
    most = len(texts) // STRAY  # in so many rows a cell may reach into the next column
    blank = [
        len(texts) - place.count(" ") <= most for place in zip(*(text.ljust(width) for text in texts), strict=True)
    ]
    ink = "".join("0" if nothing else "1" for nothing in blank)
    spans = [found.span() for found in re.finditer("1+", ink)]
    starts: list[int] = []
    for start, end in spans:
        # Without a name in the head, or without anything below it, it is a part of the column before.
        titled = texts[0][start:end].strip() != ""
        filled = any(text[start:end].strip() for text in texts[1:])
        if not starts or (titled and filled):
            starts.append(start)
    return [0, *starts[1:]] if starts else []


# ------------------------------------------------------------------------------------------ what remains


def said(table: Table) -> list[str]:
    """The lines of a table, with the columns that are the same in all rows, or empty, taken out."""
    fitting = [row for row in table.rows if isinstance(row, list)]
    same: dict[int, str] = {}
    usual: dict[int, str] = {}
    days: dict[int, str] = {}
    for at, column in enumerate(zip(*fitting, strict=True)) if len(fitting) >= FEWEST else ():
        value, times = Counter(column).most_common(1)[0]
        if times == len(table.rows):
            same[at] = value
        elif times >= MOSTLY * len(column) and len(value) > 3 and "" not in column and table.joint != " ":
            usual[at] = value
        elif _TIME.match(value) and len({cell[:11] for cell in column}) == 1:
            days[at] = value[:11]
    if len(same) == len(fitting[0] if fitting else ()):
        same.clear()
    out = [
        f"{how}: " + ", ".join(f"{_name(table, at)}={value}" for at, value in values.items())
        for how, values in (("same in all rows", same), ("where empty", usual), ("all begin with", days))
        if values
    ]
    if table.names:
        out.append(table.joint.join(name for at, name in enumerate(table.names) if at not in same))
    for row in table.rows:
        if isinstance(row, str):
            out.append(row)
            continue
        cells = (
            "" if usual.get(at) == cell else cell[11:] if at in days else cell
            for at, cell in enumerate(row)
            if at not in same
        )
        out.append(table.joint.join(cells))
    return out


def _name(table: Table, at: int) -> str:
    return table.names[at] if table.names else f"column {at + 1}"


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="table",
        summary="Tables without frames and padding; what all rows share is said once.",
        kinds=frozenset({"table"}),
        level="lossless",
        function=fold,
    ),
)
