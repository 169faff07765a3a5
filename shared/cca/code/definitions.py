"""What code defines: functions, classes and their like, nested as they stand, by lines."""

from collections.abc import Iterator

from msgspec import Struct
from tree_sitter import Node

from cca.code.names import name_of, signature_of, spoken
from cca.contracts.code import CodeLanguage

LARGE = 2_400
"""Bytes of a function from which on what it defines inside counts by itself."""
DEPTH = 100
"""Deeper is not looked: nobody writes that by hand."""

_SCRIPT = {
    "function_declaration": "function",
    "generator_function_declaration": "function",
    "function_signature": "function",
    "class_declaration": "class",
    "abstract_class_declaration": "class",
    "method_definition": "method",
    "interface_declaration": "interface",
    "enum_declaration": "enum",
    "type_alias_declaration": "type",
    "internal_module": "module",
    "module": "module",
    "variable_declarator": "value",
    "assignment_expression": "value",
    "public_field_definition": "value",
    "field_definition": "value",
    "pair": "value",
}
_C = {
    "function_definition": "function",
    "struct_specifier": "struct",
    "union_specifier": "struct",
    "enum_specifier": "enum",
    "type_definition": "typedef",
    "preproc_function_def": "macro",
}
_KINDS: dict[str, dict[str, str]] = {
    "python": {"function_definition": "function", "class_definition": "class"},
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "tsx": _SCRIPT,
    "rust": {
        "function_item": "function",
        "struct_item": "struct",
        "union_item": "struct",
        "enum_item": "enum",
        "trait_item": "trait",
        "impl_item": "impl",
        "mod_item": "module",
        "macro_definition": "macro",
    },
    "go": {
        "function_declaration": "function",
        "method_declaration": "method",
        "type_spec": "go-type",
        "type_alias": "type",
    },
    "java": {
        "class_declaration": "class",
        "record_declaration": "class",
        "interface_declaration": "interface",
        "annotation_type_declaration": "interface",
        "enum_declaration": "enum",
        "method_declaration": "method",
        "constructor_declaration": "method",
        "compact_constructor_declaration": "method",
    },
    "c": _C,
    "cpp": {**_C, "class_specifier": "class", "namespace_definition": "module"},
}
"""What nodes are. `value`, `typedef` and `go-type` depend on what is in them."""
_NEEDS_BODY = frozenset(
    (
        "struct_specifier",
        "union_specifier",
        "enum_specifier",
        "class_specifier",
        "function_definition",
        "method_declaration",
        "mod_item",
    )
)
"""Without a body they declare, or only mention, what is somewhere else."""
_FUNCTIONS = frozenset(("arrow_function", "function_expression", "generator_function", "function"))
_SPECIFIED = {"struct_specifier": "struct", "union_specifier": "struct", "enum_specifier": "enum"}
_GO_TYPES = {"struct_type": "struct", "interface_type": "interface"}
_COMMENTS = frozenset(("comment", "line_comment", "block_comment"))
_ABOVE = _COMMENTS | {"attribute_item", "decorator"}
"""What stands above a definition and belongs to it."""
_WRAPPERS = frozenset(
    (
        "decorated_definition",
        "export_statement",
        "ambient_declaration",
        "template_declaration",
        "lexical_declaration",
        "variable_declaration",
        "expression_statement",
        "type_declaration",
        "declaration",
    )
)
"""What they wrap begins where they do."""
_OF_TYPES = frozenset(("class", "struct", "enum", "trait", "impl", "interface"))


class Definition(Struct):
    """Something that code defines.

    Attributes:
        name: with those of what it stands in: `Client.submit`.
        signature: what stands before its body, in one line; `doc`: the first line of what is said of it.
        start, end: lines from 0, both included, with the comments right above it.
    """

    kind: str
    name: str
    signature: str
    doc: str
    start: int
    end: int
    inner: list["Definition"] = []


def definitions(root: Node, language: CodeLanguage) -> list[Definition]:
    """What the code of a tree defines, in order. No two share a line unless one stands in the other."""
    found: list[Definition] = []
    _Look(language).into(root, None, found, [], 0)
    return found


def lines_of(node: Node) -> tuple[int, int]:
    """The first and the last line of a node, from 0. One that ends with its line's break ends on that line."""
    first, last = node.start_point.row, node.end_point.row
    return first, last - 1 if node.end_point.column == 0 and last > first else last


class _Look:
    """One look through a tree."""

    def __init__(self, language: CodeLanguage) -> None:
        self._kinds = _KINDS[language]
        self._python = language == "python"

    def into(
        self, node: Node, owner: Definition | None, found: list[Definition], wrapped: list[Node], depth: int
    ) -> None:
        """Put what a node defines into `found`; the first of it begins with the nodes that are `wrapped` around it."""
        comments: list[Node] = []
        before, count = -1, len(found)
        for child in node.children:
            first, last = lines_of(child)
            if child.type in _ABOVE:
                if first == before:
                    continue  # it stands behind something
                if comments and first > lines_of(comments[-1])[1] + 1:
                    comments.clear()
                comments.append(child)
                continue
            if not child.is_named:
                before = last
                continue
            above = comments if comments and lines_of(comments[-1])[1] + 1 >= first else []
            around = wrapped if len(found) == count else []
            self._one(child, owner, found, [*around, *above], depth)
            comments, before = [], last

    def _one(
        self, node: Node, owner: Definition | None, found: list[Definition], above: list[Node], depth: int
    ) -> None:
        first, last = lines_of(node)
        kind = self._kind(node, owner)
        one = None if kind is None else self._definition(node, kind, owner, above)
        if one is not None and self._stands_alone(one, first, owner, found):
            found.append(one)
            if last > first and (not _is_function(one.kind) or node.end_byte - node.start_byte > LARGE):
                self.into(node, one, one.inner, [], depth + 1)
        elif last > first and depth < DEPTH:
            # What stands on one line is not taken apart.
            self.into(node, owner, found, [*above, node] if node.type in _WRAPPERS else [], depth + 1)

    def _kind(self, node: Node, owner: Definition | None) -> str | None:
        kind = self._kinds.get(node.type)
        if kind is None or (node.type in _NEEDS_BODY and node.child_by_field_name("body") is None):
            return None
        if kind == "value":
            value = node.child_by_field_name("right" if node.type == "assignment_expression" else "value")
            if value is None or (value.type not in _FUNCTIONS and value.type != "class"):
                return None
            kind = "class" if value.type == "class" else "function"
        elif kind == "typedef":
            made = node.child_by_field_name("type")
            if made is None or made.type not in _SPECIFIED or made.child_by_field_name("body") is None:
                return None
            kind = _SPECIFIED[made.type]
        elif kind == "go-type":
            made = node.child_by_field_name("type")
            kind = _GO_TYPES.get(made.type if made else "", "type")
        return "method" if kind == "function" and owner is not None and owner.kind in _OF_TYPES else kind

    def _definition(self, node: Node, kind: str, owner: Definition | None, above: list[Node]) -> Definition | None:
        name = name_of(node)
        if not name:
            return None
        full = f"{owner.name}.{name}" if owner is not None else name
        start = min(lines_of(one)[0] for one in (*above, node))
        doc = (_docstring(node) if self._python else "") or next(_said(above), "")
        return Definition(kind, full, signature_of(node), doc, start, lines_of(node)[1])

    def _stands_alone(self, one: Definition, first: int, owner: Definition | None, found: list[Definition]) -> bool:
        """See that no line is claimed twice: comments may be given up for that, the definition itself may not."""
        free = max(found[-1].end + 1 if found else 0, owner.start + 1 if owner is not None else 0)
        if first < free:
            return False
        one.start = max(one.start, free)
        return True


def _is_function(kind: str) -> bool:
    return kind in ("function", "method")


def _docstring(node: Node) -> str:
    body = node.child_by_field_name("body")
    said = _first_in(body)
    if said is not None and said.type == "expression_statement":
        said = _first_in(said)
    if said is None or said.type != "string" or said.text is None:
        return ""
    text = said.text[:2_000].decode("utf-8", "replace").lstrip("rRuUbBfF")
    return next(spoken(text.strip("\"'")), "")


def _first_in(node: Node | None) -> Node | None:
    return node.named_child(0) if node is not None and node.named_child_count else None


def _said(above: list[Node]) -> Iterator[str]:
    for node in above:
        if node.type in _COMMENTS and node.text is not None:
            yield from spoken(node.text[:2_000].decode("utf-8", "replace"))
