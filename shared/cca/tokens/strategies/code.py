"""Code without its comments, and old code without the bodies of its functions.

`comments`: licences, lines that are comments alone, and all but the first line of what documents a function go. What is
meant for tools or tells of something open stays (`TODO`, `noqa`, `eslint`, …), and so do addresses and numbers of
issues.

`skeleton`: the body of a function of more than a few lines becomes `… 24 lines`. Signatures, decorators, attributes and
the first line of a docstring stay, and so does what is still to be done.
"""

import re
from collections.abc import Iterator

from tree_sitter import Node

from cca.tokens.folds import Fold, Section
from cca.tokens.strategies.source import Source, read

WORTH = 0.9
"""A fold is worth it when it leaves at most this share of the characters."""
LONG = 6
"""Bodies of more lines than this are left out."""
_TOLD = 200
"""Characters of the first line of documentation that stay."""

_OPEN = re.compile(
    r"\b(?:TODO|FIXME|HACK|XXX|BUG|WARNING|IMPORTANT|DEPRECATED|SAFETY|NOQA|NOSONAR|NOLINT)\b|\bno(?:qa|lint)\b"
    r"|type: ?ignore|pragma|eslint|prettier|jshint|istanbul|pylint|flake8|mypy:|pyright|ruff:|isort:|fmt: ?o|yapf"
    r"|clang-format|@ts-|//go:|\+build|rustfmt|clippy|coding[:=]|^\s*#!"
    r"|\b[A-Z][A-Z0-9]{1,9}-\d+\b|(?<!\w)#\d+\b|https?://|\bRFC ?\d+"
)
_UNDONE = re.compile(r"\b(?:TODO|FIXME|HACK|XXX)\b")
_LICENCE = re.compile(
    r"copyright|licen[sc]ed? |all rights reserved|spdx-|permission is hereby granted|redistribution and use"
    r"|warrant(?:y|ies)",
    re.I,
)
_MARKS = re.compile(r"^\s*(?:/\*\*?|\*+/?|///?!?|//!|#+)?\s?|\s*\*/\s*$")
_QUOTES = re.compile(r"[a-zA-Z]{0,2}(\"\"\"|'''|\"|')")


def comments(section: Section) -> list[str] | None:
    """The code without what is only there to be read."""
    source = read(section)
    if source is None:
        return None
    instead: dict[int, str | None] = {}  # lines that go, with what stays in their place
    for block in _blocks(source):
        instead.update(_of_comment(source, block))
    for doc in source.parts.docs:
        instead.update(_of_doc(source, doc))
    return _without(source, instead, section)


def skeleton(section: Section) -> list[str] | None:
    """The code without long bodies."""
    source = read(section)
    if source is None:
        return None
    instead: dict[int, str | None] = {}
    docs = {doc.start_byte: doc for doc in source.parts.docs}
    for body in _chosen(source):
        lines = _lines_of(source, body)
        doc = docs.get(body.start_byte)
        told = source.alone(doc.start_point, doc.end_point) if doc else None
        left = [at for at in lines if (told is None or at not in told) and not _UNDONE.search(source.texts[at][:1_000])]
        if len(left) <= LONG:
            continue
        instead.update(dict.fromkeys(left))
        if doc:
            instead.update(_of_doc(source, doc))
        full = next((at for at in left if source.texts[at].strip()), left[0])
        instead[left[0]] = f"{source.indent(full)}… {len(left)} lines"
    return _without(source, instead, section)


# ------------------------------------------------------------------------------------------ comments


def _blocks(source: Source) -> Iterator[range]:
    """Lines that hold nothing but comments; those that follow each other together."""
    start = end = -1
    for node in source.parts.comments:
        lines = source.alone(node.start_point, node.end_point)
        if lines is None:
            continue
        if lines.start != end:
            if end > start:
                yield range(start, end)
            start = lines.start
        end = max(end, lines.stop)
    if end > start:
        yield range(start, end)


def _of_comment(source: Source, block: range) -> dict[int, str | None]:
    """What stays of a block of comments: lines that say something to tools, and the first of documentation."""
    texts = [source.texts[at] for at in block]
    instead: dict[int, str | None] = dict.fromkeys(block)
    top = not any(source.texts[at].strip() for at in range(block.start) if not source.texts[at].startswith("#!"))
    if top and _LICENCE.search("\n".join(texts)):
        if texts[0].startswith("#!"):
            instead[block.start] = source.line(block.start)
        return instead
    opening = texts[0].lstrip()[:3]
    documents = opening in ("/**", "///", "//!") and source.language != "python"
    for at, text in zip(block, texts, strict=True):
        said = _MARKS.sub("", text)
        if _OPEN.search(text[:1_000]):
            instead[at] = source.line(at)
        elif documents and any(sign.isalnum() for sign in said) and not said.startswith("@"):
            instead[at] = source.line(at)
            if opening == "/**":
                instead[at] = f"{source.heads[at]}{source.indent(block.start)}/** {said.strip()[:_TOLD]} */"
            documents = False
    if opening[:2] == "/*":
        _close(source, block, instead)
    return instead


def _close(source: Source, block: range, instead: dict[int, str | None]) -> None:
    """Lines that stay of a comment between marks get marks of their own."""
    for at in block:
        line = instead[at]
        if line is not None and "/*" not in line and not source.texts[at].lstrip().startswith("//"):
            said = _MARKS.sub("", source.texts[at]).strip()
            instead[at] = f"{source.heads[at]}{source.indent(block.start)}/* {said} */"
        elif line is not None and "/*" in line and "*/" not in line:
            instead[at] = line.rstrip() + " */"


def _of_doc(source: Source, node: Node) -> dict[int, str | None]:
    """The first line of a docstring, closed."""
    lines = source.alone(node.start_point, node.end_point)
    if lines is None or len(lines) < 2:
        return {}
    first = source.texts[lines.start].strip()
    found = _QUOTES.match(first)
    if found is None:
        return {}
    told = first[found.end() :].strip() or source.texts[lines.start + 1].strip()
    told = told.removesuffix(found[1]).rstrip()
    instead: dict[int, str | None] = {
        at: source.line(at) if _OPEN.search(source.texts[at][:1_000]) and at > lines.start + 1 else None for at in lines
    }
    kept = any(instead.values())
    head = f"{source.heads[lines.start]}{source.indent(lines.start)}{found[0]}{told}"
    instead[lines.start] = head if kept else head + found[1]
    if kept:
        instead[lines.stop - 1] = source.line(lines.stop - 1)
    return instead


# ------------------------------------------------------------------------------------------ bodies


def _chosen(source: Source) -> Iterator[Node]:
    """Bodies to leave out: the outermost of functions with names, the innermost of those without."""
    end = -1
    chosen: list[Node] = []
    for body in source.parts.bodies:
        if body.start_byte >= end and not body.has_error and len(_lines_of(source, body)) > LONG:
            end = body.end_byte
            chosen.append(body)
    taken = {(node.start_byte, node.end_byte) for node in source.parts.bodies}
    inner = [
        node
        for node in source.parts.inner
        if (node.start_byte, node.end_byte) not in taken and not node.has_error and len(_lines_of(source, node)) > LONG
    ]
    spans = iter([*chosen, None])
    span = next(spans)
    # Of nodes in order, one holds another if the next begins before it ends.
    for node, after in zip(inner, [*inner[1:], None], strict=False):
        while span is not None and span.end_byte <= node.start_byte:
            span = next(spans)
        within = span is not None and span.start_byte <= node.start_byte
        holds = (after is not None and after.start_byte < node.end_byte) or (
            span is not None and node.start_byte < span.start_byte < node.end_byte
        )
        if not within and not holds:
            yield node
    yield from chosen


def _lines_of(source: Source, body: Node) -> range:
    """The lines between the signature and what closes the body."""
    first, last = body.start_point[0] - source.shift, body.end_point[0] - source.shift
    if source.language == "python":
        alone = source.alone(body.start_point, body.end_point)
        return alone if alone is not None else range(0)
    return range(max(first + 1, 0), last)


# ------------------------------------------------------------------------------------------ what remains


def _without(source: Source, instead: dict[int, str | None], section: Section) -> list[str] | None:
    out: list[str] = []
    gone = False  # a blank line after what went is one too many if there is one before it
    for at, text in enumerate(source.texts):
        if at in instead:
            if (line := instead[at]) is not None:
                out.append(line)
            gone = line is None
        elif gone and not text.strip() and (not out or not out[-1].strip(" \t0123456789:|→-")):
            continue
        else:
            out.append(source.line(at))
            gone = False
    before = sum(map(len, section.lines)) + len(section.lines)
    return out if instead and sum(map(len, out)) + len(out) <= WORTH * before else None


FOLDS: tuple[Fold, ...] = (
    Fold(
        name="comments",
        summary="Code without licences, comments on lines of their own, and docstrings beyond their first line.",
        kinds=frozenset({"code"}),
        level="strong",
        function=comments,
    ),
    Fold(
        name="skeleton",
        summary="Old code without the bodies of longer functions.",
        kinds=frozenset({"code"}),
        level="strong",
        function=skeleton,
        old_only=True,
    ),
)
