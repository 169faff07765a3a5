"""What tree-sitter's grammars call the parts of code: bodies of functions, comments, and what was not understood."""

from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module

from msgspec import Struct
from tree_sitter import Language, Node, Parser, Query, QueryCursor

LARGEST = 250_000
"""Bytes of code that are parsed, at most."""
PACE, BROKEN = 24, 0.5
"""A parser is stopped when it takes more rounds than this for a kilobyte, or more rounds after errors: code takes up to
17 rounds, what is no code of the language may take a hundred times as long to be understood."""
START = 100
"""Rounds that are free."""
CROWDED = 5_000
"""Looking through more parts than this that could not be put together takes time with their square."""
_JAVASCRIPT = """
(function_declaration body: (statement_block) @body)
(generator_function_declaration body: (statement_block) @body)
(method_definition body: (statement_block) @body)
(variable_declarator value: [(arrow_function body: (statement_block) @body)
  (function_expression body: (statement_block) @body)])
(assignment_expression right: [(arrow_function body: (statement_block) @body)
  (function_expression body: (statement_block) @body)])
(arrow_function body: (statement_block) @inner)
(function_expression body: (statement_block) @inner)
(comment) @comment
"""
_C = "(function_definition body: (compound_statement) @body) (comment) @comment"
_RULES = {
    "python": """
(function_definition body: (block) @body)
(module . (comment)* . (expression_statement (string) @doc))
(class_definition body: (block . (expression_statement (string) @doc)))
(function_definition body: (block . (expression_statement (string) @doc)))
(comment) @comment
""",
    "javascript": _JAVASCRIPT,
    "typescript": _JAVASCRIPT,
    "tsx": _JAVASCRIPT,
    "rust": "(function_item body: (block) @body) (line_comment) @comment (block_comment) @comment",
    "go": """
(function_declaration body: (block) @body)
(method_declaration body: (block) @body)
(func_literal body: (block) @inner)
(comment) @comment
""",
    "java": """
(method_declaration body: (block) @body)
(constructor_declaration body: (constructor_body) @body)
(lambda_expression body: (block) @inner)
(line_comment) @comment (block_comment) @comment
""",
    "c": _C,
    "cpp": _C + "(lambda_expression body: (compound_statement) @inner)",
}
"""`body` is that of a function with a name, `inner` of one without, `doc` what stands first in a body of Python."""


class Grammar(Struct):
    """A language's parser, and what is looked for in its trees."""

    parser: Parser
    query: Query


class Parts(Struct, frozen=True):
    """Nodes of code, each sort in the order in which they stand.

    Attributes:
        unread: bytes that are in no part that the grammar knows.
    """

    bodies: list[Node]
    inner: list[Node]
    docs: list[Node]
    comments: list[Node]
    unread: int


def parts(code: bytes, language: str) -> Parts | None:
    """The parts of code; None for languages without a grammar, and for more than `LARGEST` bytes."""
    if language not in _RULES or len(code) > LARGEST:
        return None
    grammar = _grammar(language)
    root = tree(grammar.parser, code)
    if root is None or any(node.is_error and node.child_count > CROWDED for node in (root, *root.children)):
        return None
    found = QueryCursor(grammar.query).captures(root)
    unread = 0
    for node in _sorted(found.get("error", [])):
        unread += node.end_byte - node.start_byte - sum(n.end_byte - n.start_byte for n in node.named_children)
    bodies, inner, docs, comments = (_sorted(found.get(kind, [])) for kind in ("body", "inner", "doc", "comment"))
    return Parts(bodies, inner, docs, comments, unread)


def tree(parser: Parser, code: bytes) -> Node | None:
    """The root of the tree of some code; None when it takes too long. Rounds are counted, not seconds: they are always
    the same."""
    rounds = broken = 0
    most, most_broken = START + PACE * len(code) / 1_024, START + BROKEN * len(code) / 1_024

    def enough(_: int, has_error: bool) -> bool:
        nonlocal rounds, broken
        rounds += 1
        broken += has_error
        return rounds > most or broken > most_broken

    try:
        return parser.parse(lambda at, _: code[at : at + 65_536], progress_callback=enough).root_node
    except ValueError:
        parser.reset()  # else it would go on where it was stopped
        return None


@lru_cache
def _grammar(language: str) -> Grammar:
    """Loaded when the first code of its language comes: together the grammars are some megabytes."""
    loaded = load(language)
    return Grammar(Parser(loaded), Query(loaded, _RULES[language] + "(ERROR) @error"))


def load(language: str) -> Language:
    """The grammar of a language, from its package."""
    package = "typescript" if language == "tsx" else language
    module = import_module(f"tree_sitter_{package}")
    return Language(getattr(module, f"language_{language}" if package == "typescript" else "language")())


def _sorted(nodes: Sequence[Node]) -> list[Node]:
    return sorted(nodes, key=lambda node: (node.start_byte, -node.end_byte))
