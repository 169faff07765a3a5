"""The vocabularies of OpenAI's models, as their tokenizers count with them: exactly, and without a network."""

import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any, Literal, Protocol

VocabularyName = Literal["o200k_base", "cl100k_base"]

_PACKAGE = "bpe_openai"


class Vocabulary(Protocol):
    """What we use of the kernel of `bpe-openai`."""

    def count(self, text: str) -> int:
        """Tokens of a text; what looks like a special token is ordinary text.

        Raises `UnicodeEncodeError` for lone surrogates.
        """
        ...

    def encode(self, text: str) -> Sequence[int]:
        """The ids of those tokens."""
        ...


@cache
def vocabulary(name: VocabularyName) -> Vocabulary:
    """A vocabulary, loaded when it is first asked for; 70 ms and 70 MB for the first, half of it for the other.

    The public wrapper of `bpe-openai` refuses text with `<|endoftext|>` in it, and makes a list of ids where we want
    their number. Its kernel does neither, but is private: so its version is pinned, and the tests hold its counts to
    those of tiktoken.
    """
    made: Vocabulary = _kernel().tokenizer_for_encoding(name)
    return made


@cache
def _kernel() -> Any:
    """The kernel without the package around it, which reads every vocabulary a second time: 0.6 s and 70 MB."""
    name = f"{_PACKAGE}._bindings"
    if name not in sys.modules:
        package = find_spec(_PACKAGE)
        spec = PathFinder.find_spec(name, package.submodule_search_locations if package else None)
        if spec is None or spec.loader is None:
            raise ModuleNotFoundError(f"{_PACKAGE} is not installed", name=_PACKAGE)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        # It can be made only once in a process: who imports the package afterwards has to find it.
        sys.modules[name] = module
    return sys.modules[name]


def well_formed(text: str) -> str:
    """The text with lone surrogates replaced by U+FFFD, and pairs of them joined: what tiktoken makes of such text."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def o200k(text: str) -> int:
    """Tokens of a text in `o200k_base`: the yardstick for everything that only has to compare."""
    return vocabulary("o200k_base").count(well_formed(text)) if text else 0
