"""How shares, estimates and bars look in the tables of `cca tokens`."""

import json
from typing import Any

import msgspec

from cca.cli.tables import Cell, Column, Screen
from cca.contracts.tokens import Share

WIDTH = 20
"""Columns of a whole bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉"

SHARE_COLUMNS = [Column("TOKENS", "number"), Column("SHARE", "number"), Column("")]


def bar(share: float, width: int = WIDTH) -> str:
    """A share between 0 and 1 as a bar; what is not nothing has at least its thinnest line."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip(" ")


def exactness(exact: bool, error: float) -> str:
    """Whether a count is the provider's own, or how far off an estimate is in 19 of 20 cases."""
    return "exact" if exact else f"±{error:.1%}" if error else "estimate"


def cells(screen: Screen, tokens: int, whole: int) -> tuple[Cell, ...]:
    """Tokens, their share and a bar; in a pipe the plain numbers, and no bar."""
    share = tokens / whole if whole else 0.0
    return (f"{tokens:,}", f"{share:.1%}", bar(share)) if screen.person else (tokens, f"{share:.4f}", "")


def share_cells(share: Share) -> tuple[Cell, ...]:
    """The same of a share, for a report."""
    return f"{share.tokens:,}", f"{share.share:.1%}", bar(share.share)


def document(screen: Screen, value: Any) -> None:
    """One JSON document. Lone surrogates, which a transcript may hold as escapes, are escapes again."""
    try:
        screen.document(value)
    except UnicodeEncodeError:
        screen.raw(json.dumps(msgspec.to_builtins(value), indent=2).encode() + b"\n")
