"""Trees of code as tree-sitter makes them, within a limit of work."""

from functools import lru_cache

from tree_sitter import Node, Parser

from cca.contracts.code import CodeLanguage
from cca.tokens.strategies.grammars import load, tree


def root(code: bytes, language: CodeLanguage) -> Node | None:
    """The root of the tree of some code; None when it takes too long, as what is no code of the language may."""
    return tree(_parser(language), code)


@lru_cache
def _parser(language: CodeLanguage) -> Parser:
    """Loaded when the first code of its language comes: together the grammars are some megabytes."""
    return Parser(load(language))
