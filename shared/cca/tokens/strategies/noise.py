"""What a terminal shows and nobody reads: colours, overwritten progress, blanks, the same line again and again."""

import re
from collections.abc import Sequence

from cca.contracts.tokens import ContentKind
from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.salient import is_trouble

# What a terminal obeys: CSI, OSC up to its end (on the same line), and the escapes of two characters.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)?|[()#%*+][0-9A-Za-z]|[ -/]?[0-Z\\^-~])"
    r"|\x9b[0-?]*+[@-~]"
)
_SHOWN = re.compile(r"[\x1b\x9b\x08\r]")
"""What a terminal does not show as it is."""
_STRUCK = re.compile(r"[^\x08]\x08")
_RULE = re.compile(r"([=*#_~+─━═▔▁•·.-])\1{8,}+")
_GAIN = 0.15
"""A fold that is not lossless has to save this share of the characters."""
_KINDS: frozenset[ContentKind] = frozenset(
    {"prose", "code", "log", "table", "diff", "search", "tests", "listing", "build", "trace"}
)
_EXACT: frozenset[ContentKind] = frozenset({"code", "diff", "table"})
"""Kinds in which blanks, rules and equal lines may mean something."""


def plain(lines: Sequence[str]) -> list[str]:
    """The lines as a terminal shows them in the end: without escapes, progress overwritten, no blanks behind.

    What was overwritten stays as a line of its own when it tells of trouble.
    """
    if not _SHOWN.search("\n".join(lines)):
        return [line.rstrip() for line in lines]
    out: list[str] = []
    for line in lines:
        if "\x1b" in line or "\x9b" in line:
            line = _ESCAPES.sub("", line)
        if "\x08" in line:
            line = _STRUCK.sub("", line)
        if "\r" in line:
            states = [state for state in line.split("\r") if state.strip()]
            if len(states) > 1:
                out += [state.rstrip() for state in _overwritten(states)]
            line = states[-1] if states else ""
        out.append(line.rstrip())
    return out


def _overwritten(states: Sequence[str]) -> list[str]:
    shown = dict.fromkeys(state for state in states[:-1] if is_trouble(state))
    # Progress that counts its errors would stay a hundred times.
    return [] if len(shown) > 5 else list(shown)


def worthwhile(lines: Sequence[str], out: list[str]) -> list[str] | None:
    """What stands for the lines, when that is at least `_GAIN` fewer characters; None when it is not."""
    before = sum(map(len, lines)) + len(lines)
    after = sum(map(len, out)) + len(out)
    return out if after < before and after <= (1 - _GAIN) * before else None


def quiet(section: Section) -> list[str] | None:
    """Every line that says something, once."""
    lines = section.lines
    exact = section.kind in _EXACT
    if exact:
        out = [_ESCAPES.sub("", line) if "\x1b" in line else line for line in lines]
    else:
        text = "\n".join(plain(lines))
        out = _runs(_RULE.sub(r"\1\1\1", text).split("\n") if lines else [])
    before = sum(map(len, lines)) + len(lines)
    after = sum(map(len, out)) + len(out)
    return out if after < before else None


def _runs(lines: Sequence[str]) -> list[str]:
    """Runs of one line, and of empty ones, are said once."""
    out: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        end = at + 1
        while end < len(lines) and lines[end] == line:
            end += 1
        times = end - at
        if not line:
            out += [line] * (times if times <= 2 else 1)
        elif times > 2 or (times == 2 and len(line) > 10):
            out.append(f"{line} (x{times})")
        else:
            out += lines[at:end]
        at = end
    return out


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="noise",
        summary="Colours, overwritten progress, blanks, drawn rules and the same line again and again go.",
        kinds=_KINDS,
        level="lossless",
        function=quiet,
    ),
)
