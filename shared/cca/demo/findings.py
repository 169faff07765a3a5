"""What an audit of one file found; every role reports in the same form."""

import ast
import json
import threading
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")
KEPT = 40
"""Findings that are kept of one file, worst first; `count` has them all."""


class Finding(Struct, frozen=True):
    """One thing that a tool has to say: `rule` is the tool's own name for it, `line` counts from 1."""

    rule: str
    severity: Severity
    line: int
    text: str


class Audit(Struct, frozen=True):
    """The result of one task. `measures` are numbers about the whole file."""

    path: str
    tool: str
    count: int
    findings: tuple[Finding, ...]
    measures: dict[str, float] = {}


def audit(path: str, tool: str, findings: Iterable[Finding], measures: dict[str, float] | None = None) -> Audit:
    """The result, with the worst findings first."""
    found = sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.line, one.rule))
    return Audit(path, tool, len(found), tuple(found[:KEPT]), measures or {})


def unreadable(path: str, tool: str, reason: Exception | str) -> Audit:
    """A file that the tool cannot parse: that is a finding, not a failure of the task."""
    line = getattr(reason, "lineno", None) or 1
    text = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
    return audit(path, tool, [Finding("unreadable", "high", line, text[:300])])


def path_of(description: str, given: dict[str, Any] | None) -> str:
    """The file that a task is about: from its input, or the end of its text (`Check the docstrings of PATH`)."""
    if given and isinstance(given.get("path"), str):
        return str(given["path"])
    return description.rpartition(" of ")[2]


ONE_AT_A_TIME = threading.Lock()
"""Held while a syntax tree is made: CPython 3.11 counts the depth of all threads' trees in one place, and fails
("AST constructor recursion depth mismatch") when two are made at once. They would share one processor anyway."""


def parse(path: str) -> ast.Module:
    """The syntax tree of a file, in the encoding that it declares.

    Raises `SyntaxError`, `OSError`, `ValueError` or `RecursionError`: see `UNPARSABLE`.
    """
    with tokenize.open(path) as file, ONE_AT_A_TIME:
        return ast.parse(file.read(), filename=Path(path).name)


UNPARSABLE = (SyntaxError, OSError, ValueError, RecursionError)
"""What a file can have against being read as Python."""


def of_ruff(path: str, output: str) -> Audit:
    """What `ruff check --output-format json` said. Raises `ValueError` when that is not JSON."""
    entries = json.loads(output)
    findings = [_of_entry(entry) for entry in entries]
    broken = [one for one in findings if one.rule == "invalid-syntax"]
    # One sentence is enough: what follows a syntax error is noise.
    return audit(path, "ruff", [Finding("unreadable", "high", broken[0].line, broken[0].text)] if broken else findings)


def _of_entry(entry: dict[str, Any]) -> Finding:
    code = str(entry.get("code") or "invalid-syntax")
    line = int((entry.get("location") or {}).get("row") or 1)
    return Finding(code, _severity(code), line, str(entry.get("message", ""))[:300])


def _severity(code: str) -> Severity:
    if code in ("F821", "F823", "invalid-syntax") or code.startswith(("E9", "PLE")):
        return "high"
    return "medium" if code.startswith("B") else "low"
