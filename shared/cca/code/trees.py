"""Trees of code as tree-sitter makes them, within a limit of work."""

from functools import lru_cache
from importlib import import_module

from tree_sitter import Language, Node, Parser

from cca.contracts.code import CodeLanguage
from cca.tokens.strategies.grammars import BROKEN, PACE, START


def root(code: bytes, language: CodeLanguage) -> Node | None:
    """The root of the tree of some code; None when it takes too long, as what is no code of the language may."""
    parser = _parser(language)
    rounds = broken = 0
    most, most_broken = START + PACE * len(code) / 1_024, START + BROKEN * len(code) / 1_024

    def enough(_: int, has_error: bool) -> bool:
        nonlocal rounds, broken
        rounds += 1  # rounds, not seconds: they are always the same
        broken += has_error
        return rounds > most or broken > most_broken

    try:
        return parser.parse(lambda at, _: code[at : at + 65_536], progress_callback=enough).root_node
    except ValueError:
        parser.reset()  # else it would go on where it was stopped
        return None


@lru_cache
def _parser(language: CodeLanguage) -> Parser:
    """Loaded when the first code of its language comes: together the grammars are some megabytes."""
    package = "typescript" if language == "tsx" else language
    module = import_module(f"tree_sitter_{package}")
    name = f"language_{language}" if package == "typescript" else "language"
    return Parser(Language(getattr(module, name)()))
