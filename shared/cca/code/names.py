"""What definitions in code are called, and how they are written before their bodies."""

import re
from collections.abc import Iterator

from tree_sitter import Node

NAME, SIGNATURE, DOC = 200, 300, 200
"""Characters of each, at most."""

_SPACE = re.compile(r"\s+")
_MARKS = re.compile(r"^[\s/*!#;-]+|[\s*/]+$")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_IDLE = ("module.exports.", "exports.", "this.")


def name_of(node: Node) -> str:
    """The name of a definition in its own scope; empty when it has none. Parts of it have dots between."""
    match node.type:
        case "impl_item":
            named = node.child_by_field_name("type")
            inner = named.child_by_field_name("type") if named is not None else None
            return _name(inner or named)
        case "method_declaration" if (receiver := node.child_by_field_name("receiver")) is not None:
            of, own = _name(_first(receiver, "type_identifier")), _name(node.child_by_field_name("name"))
            return f"{of}.{own}" if of and own else own
        case "function_definition" | "type_definition" if (inner := node.child_by_field_name("declarator")) is not None:
            return _name(_declared(inner))
        case "assignment_expression":
            name = _name(node.child_by_field_name("left")).replace(".prototype.", ".")
            for idle in _IDLE:
                name = name.removeprefix(idle)
            return name
        case "pair":
            return _name(node.child_by_field_name("key"))
    return _name(node.child_by_field_name("name") or node.child_by_field_name("property"))


def signature_of(node: Node) -> str:
    """What stands before the body, in one line; of what has no body, its first line."""
    text = node.text or b""
    value = node.child_by_field_name("value") or node.child_by_field_name("right") or node.child_by_field_name("type")
    body = node.child_by_field_name("body") or (value.child_by_field_name("body") if value is not None else None)
    head = text[: body.start_byte - node.start_byte] if body is not None else text.split(b"\n", 1)[0]
    line = _SPACE.sub(" ", head[: SIGNATURE * 4].decode("utf-8", "replace")).strip()
    return line.removesuffix("=>").rstrip(" {:=\\")[:SIGNATURE]


def heading(text: str) -> str:
    """A heading in one line."""
    return _SPACE.sub(" ", text).strip()[:NAME]


def spoken(text: str) -> Iterator[str]:
    """The lines of a comment that say something, without the marks that make it one."""
    for line in text.split("\n"):
        bare = _MARKS.sub("", line.strip())
        if _LETTERS.search(bare):
            yield _SPACE.sub(" ", bare)[:DOC]


def _name(node: Node | None) -> str:
    if node is None or node.text is None:
        return ""
    text = node.text[: NAME * 4].decode("utf-8", "replace").strip("\"'`")
    return _SPACE.sub(" ", text.replace("::", ".")).strip(" .")[:NAME]


def _declared(node: Node) -> Node:
    """What a declarator of C declares, within all that says how: pointers, references, parameters."""
    while True:
        inner = node.child_by_field_name("declarator")
        if inner is None and node.type in ("parenthesized_declarator", "reference_declarator"):
            inner = next(iter(node.named_children[-1:]), None)
        if inner is None:
            return node
        node = inner


def _first(node: Node, kind: str) -> Node | None:
    """The first node of a kind within another."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type == kind:
            return one
        waiting.extend(reversed(one.named_children))
    return None
