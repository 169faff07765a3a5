"""The sections of a Markdown document: each from its heading to the next one."""

from collections.abc import Iterator

from tree_sitter import Node

from cca.code.definitions import Definition, lines_of
from cca.code.names import NAME, heading

_BETWEEN = " > "


def sections(root: Node) -> list[Definition]:
    """The sections in order, none in another. A name has those of the headings above it: `Guide > Install`."""
    found: list[Definition] = []
    above: list[tuple[int, str]] = []
    for head in _headings(root):
        line, _ = lines_of(head)
        if found:
            found[-1].end = line - 1
        level, title = _level(head), _title(head)
        while above and above[-1][0] >= level:
            above.pop()
        above.append((level, title))
        name = _BETWEEN.join(text for _, text in above if text)
        found.append(Definition("section", name[-NAME:], "", "", line, lines_of(root)[1]))
    return found


def _headings(root: Node) -> Iterator[Node]:
    """Those that stand for themselves: not in a list, a quotation or a block of code."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.type in ("atx_heading", "setext_heading"):
            yield node
        elif node.type in ("document", "section"):
            waiting.extend(reversed(node.named_children))


def _level(head: Node) -> int:
    mark = next((child.type for child in head.children if child.type.startswith(("atx_h", "setext_h"))), "")
    digit = mark.partition("_h")[2][:1]
    return int(digit) if digit.isdigit() else 6


def _title(head: Node) -> str:
    text = head.child_by_field_name("heading_content")
    return heading((text.text or b"").decode("utf-8", "replace")) if text is not None else ""
