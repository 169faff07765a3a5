"""Docstring → code: what a function of Python's standard library says of itself, and the function without that."""

import ast
import re
import sysconfig
import textwrap
from collections.abc import Iterator
from pathlib import Path

from cca.bench.search.sets import Pair, Set, made

LEFT_OUT = frozenset(
    {"test", "tests", "idlelib", "site-packages", "dist-packages", "__pycache__", "lib2to3", "turtledemo"}
)
"""Directories of the standard library that are no part of it, or that nobody looks for."""
WORDS = 4
"""Of a first sentence, at least."""
LINES = (4, 60)
"""Of a function without its docstring."""


def standard_library() -> Path:
    """Where the running interpreter has it, links followed."""
    return Path(sysconfig.get_paths()["stdlib"]).resolve()


def functions(queries: int, documents: int, *, spare: int = 0, root: Path | None = None) -> Set:
    """The set, of the standard library or of another directory."""
    return made("docstring", pairs(root or standard_library()), queries, documents, spare=spare)


def pairs(root: Path) -> Iterator[Pair]:
    """All functions that say what they do, in order of their paths. What cannot be read or parsed is passed by."""
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        if LEFT_OUT.isdisjoint(inside.parts):
            try:
                text = path.read_text("utf-8")
                tree = ast.parse(text)
            except (OSError, SyntaxError, ValueError):
                continue
            yield from _of_file(inside.as_posix(), text.splitlines(), tree)


def _of_file(path: str, lines: list[str], tree: ast.Module) -> Iterator[Pair]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = sentence(ast.get_docstring(node) or "")
            code = _without_docstring(node, lines)
            if len(said.split()) >= WORDS and LINES[0] <= len(code.splitlines()) <= LINES[1]:
                yield Pair(f"{path}:{node.lineno}", said, code)


def sentence(docstring: str) -> str:
    """The first sentence, in one line; of a paragraph without an end, all of it."""
    first = " ".join(docstring.strip().split("\n\n")[0].split())
    found = re.match(r".+?[.!?](?=\s|$)", first)
    return found[0] if found else first


def _without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> str:
    end = node.end_lineno or node.lineno
    said = node.body[0]
    kept = lines[node.lineno - 1 : said.lineno - 1] + lines[(said.end_lineno or said.lineno) : end]
    return textwrap.dedent("\n".join(kept)).strip()
