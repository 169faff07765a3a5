"""The languages that are indexed, told by the ending of a file's name."""

import re
from typing import get_args

from cca.contracts.code import CodeLanguage
from cca.tokens.languages import LANGUAGES as TAGS

LANGUAGES: tuple[CodeLanguage, ...] = get_args(CodeLanguage)

_OURS: dict[str, CodeLanguage] = {
    **{ending: name for ending, tag in TAGS.items() for name in LANGUAGES if name == tag},
    "tsx": "tsx",
    "md": "markdown",
    "markdown": "markdown",
    "mdx": "markdown",
    "ipp": "cpp",
    "inl": "cpp",
    "tpp": "cpp",
}
_CPP = re.compile(rb"^[ \t]*(?:class|namespace|template|using|public:|private:|protected:)\b", re.MULTILINE)
_SAMPLE = 65_536


def language_of_ending(ending: str) -> CodeLanguage | None:
    """The language of files with an ending, with its dot or without: `.py` or `py`."""
    return _OURS.get(ending.removeprefix(".").lower())


def language_of(path: str) -> CodeLanguage | None:
    """The language of a file by its name; None for one that is not indexed."""
    name, dot, ending = path.rpartition("/")[2].rpartition(".")
    return _OURS.get(ending.lower()) if dot and name else None


def language_by_look(language: CodeLanguage, path: str, code: bytes) -> CodeLanguage:
    """The language of a file whose ending says `language`: headers of C++ are often called as those of C are."""
    if language == "c" and path.endswith(".h") and _CPP.search(code, 0, _SAMPLE):
        return "cpp"
    return language
