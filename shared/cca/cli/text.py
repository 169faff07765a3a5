"""Text for people: nothing that a task or an agent wrote can move the cursor, hide itself or break a line."""

import re
from collections.abc import Iterator
from datetime import datetime

from rich.cells import cell_len, split_graphemes

_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, among them ESC and the one-byte CSI
    "\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # bidi controls, invisible operators
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\ufff0-\ufffb\ufffe\uffff"
    "\u115f\u1160\u17b4\u17b5\u180e\u3164\uffa0"  # letters that look like nothing
    "\ud800-\udfff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags and more variation selectors: whole hidden sentences fit into them
    "]"
)
# Joiners and variation selectors belong to emoji and to Arabic and Indic scripts: one of each, after a character
# that can have them.
_JOINERS = re.compile("([^\u200c\u200d\ufe00-\ufe0f]?)([\u200c\u200d\ufe00-\ufe0f]+)(\u20e3?)")
_RIGHT_JOINERS = re.compile("[\ufe00-\ufe0f]?[\u200c\u200d]?")
_SPACES = re.compile(r"[ \t\n]+")

CODES_PER_CELL = 8
"""How many code points a column may hold on average before a text is cut: accents can be piled up for ever."""


def visible(text: str, *, lines: bool = False) -> str:
    """The text with every control, bidi override and other invisible character as an escape that can be seen.

    Without `lines` the result is one line, with runs of spaces, tabs and line breaks as one space each; with it,
    line breaks stay. The result holds no surrogates: it can be encoded.
    """
    text = _INVISIBLE.sub(_escape, text.replace("\r\n", "\n"))
    text = _JOINERS.sub(_escape_joiners, text)
    return text.expandtabs(4) if lines else _SPACES.sub(" ", text).strip(" ")


def _escape(found: re.Match[str]) -> str:
    return _escaped(found[0])


def _escape_joiners(found: re.Match[str]) -> str:
    base, run, keycap = found.groups()
    if base and not base.isascii():
        allowed = _RIGHT_JOINERS.match(run)
        kept = allowed[0] if allowed else ""
    else:
        kept = run[:1] if keycap and base and base in "0123456789#*" and run[0] == "\ufe0f" else ""
    return base + kept + _escaped(run[len(kept) :]) + keycap


def _escaped(text: str) -> str:
    return "".join(
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
        for code in map(ord, text)
    )


def visible_json(text: str) -> str:
    """JSON with its invisible characters as JSON's own escapes: it means the same and hides nothing."""
    return _INVISIBLE.sub(lambda found: found[0] if found[0] in "\r" else _json_escaped(found[0]), text)


def _json_escaped(character: str) -> str:
    pairs = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pairs[at]:02x}{pairs[at + 1]:02x}" for at in range(0, len(pairs), 2))


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    return cell_len(text)


def clip(text: str, width: int, *, spaces: bool = False) -> str:
    """The text made visible, in one line of at most `width` columns, with "…" where something was left out.

    With `spaces`, runs of spaces stay as they are, as a line of code needs it.
    """
    if width <= 0:
        return ""
    budget = width * CODES_PER_CELL
    whole = len(text) <= budget * 2
    text = text[: budget * 2]
    text = visible(text, lines=True).replace("\n", " ") if spaces else visible(text)
    if whole and len(text) <= budget and cell_len(text) <= width:
        return text
    end = 0
    for stop, size in _graphemes(text[:budget]):
        if size > width - 1:
            break
        end = stop
    return text[:end].rstrip(" \u200c\u200d") + "…"


def _graphemes(text: str) -> Iterator[tuple[int, int]]:
    """After each grapheme: its end in the text, and the columns that everything up to there takes."""
    spans, _ = split_graphemes(text)
    columns, half_flag = 0, False
    for number, (start, end, size) in enumerate(spans):
        columns += size
        flag = "\U0001f1e6" <= text[start] <= "\U0001f1ff"
        half_flag = flag and not half_flag  # two regional indicators make one flag
        if half_flag and number + 1 < len(spans) and "\U0001f1e6" <= text[end] <= "\U0001f1ff":
            continue
        yield end, columns


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def seconds(text: str) -> float:
    """`30s`, `5m`, `1h30m`, `250ms` or a bare number of seconds. Raises `ValueError`."""
    text = text.strip().lower()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return float(text)
    if len(text) > 40 or not text.isascii() or _DURATION.match(text) is None:
        raise ValueError("a time span is a number with a unit, for example 30s, 5m, 2h or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def span(duration_s: float) -> str:
    """A duration, short: `12 ms`, `1.2 s`, `3 m 05 s`, `2 h 10 m`, `4 d 3 h`."""
    if duration_s < 0:
        return "-" + span(-duration_s)
    if duration_s < 0.9995:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 59.95:
        return f"{duration_s:.1f} s"
    whole = round(duration_s)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02} m" if hours else f"{minutes} m {rest:02} s"


def ago(time: datetime, now: datetime) -> str:
    """How long ago, in one unit: `12 s ago`, `3 h ago`; `in 5 s` for what is to come."""
    passed = (now - time).total_seconds()
    size = abs(passed)
    if size < 1:
        return "now"
    unit, name = next((u, n) for u, n in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")) if size >= u)
    words = f"{int(size // unit)} {name}"
    return f"{words} ago" if passed > 0 else f"in {words}"
