"""What language code is written in, told by a name or by its look."""

import re
from collections.abc import Sequence

_BY_WORD = {
    "python": "py pyi pyw python py3 python3",
    "javascript": "js mjs cjs jsx javascript node",
    "typescript": "ts mts cts tsx typescript",
    "rust": "rs rust",
    "go": "go golang",
    "java": "java",
    "c": "c h",
    "cpp": "cpp cc cxx c++ hpp hh hxx",
    "csharp": "cs csharp c#",
    "kotlin": "kt kts kotlin",
    "ruby": "rb ruby",
    "php": "php",
    "swift": "swift",
    "scala": "scala",
    "shell": "sh bash zsh shell fish ksh",
    "sql": "sql psql",
    "html": "html htm vue svelte",
    "css": "css scss less",
    "xml": "xml svg xsd",
    "yaml": "yaml yml",
    "toml": "toml",
    "ini": "ini cfg conf properties env",
    "make": "mk makefile make",
    "docker": "dockerfile docker",
    "proto": "proto",
    "lua": "lua",
    "elixir": "ex exs elixir",
}
LANGUAGES: dict[str, str] = {word: language for language, words in _BY_WORD.items() for word in words.split()}
"""Language by the tag of a code fence or the ending of a file's name."""

_ENDING = re.compile(r"\.(\w{1,12})(?![\w.])")
_BARE = re.compile(r"(?:^|[\s/])(Makefile|Dockerfile)\b")

_SAMPLE = 120
# Each tells one language from all others that are here; code has several of them in a hundred lines.
_LOOKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (language, re.compile(pattern))
    for language, pattern in (
        (
            "python",
            r"\s*(?:(?:async )?def \w+\(.*|class \w+[^;{]*:\s*$|from [\w.]+ import |import [\w., ]+$|elif .+:"
            r"|except\b.*:|(?:if|for|while|with) [^{(].*:\s*$|self\.\w+|@\w[\w.]*(?:\(.*\))?$|\"\"\")",
        ),
        (
            "rust",
            r"\s*(?:(?:pub(?:\([^)]{0,40}\))? )?(?:async )?fn \w+|let mut |impl\b.*\{|use [\w:]+(?:::|;)|#\[\w"
            r"|match .*\{"
            r"|(?:pub )?(?:struct|enum|trait|mod) \w+.*[{;]$|println!|\w+!\()",
        ),
        (
            "go",
            r"\s*(?:func (?:\(|\w+\()|package \w+$|\w+(?:, \w+)* := |import \($|type \w+ (?:struct|interface)|defer )",
        ),
        (
            "typescript",
            r"\s*(?:(?:export )?(?:interface|type) \w+.*[={]$|(?:export )?(?:const|let|function"
            r"|async function) \w+.*: ?"
            r"[A-Za-z<>\[\]| ]+ ?[={]|(?:private|public|readonly|protected) \w+(?:\??:|\().*|import type )",
        ),
        (
            "javascript",
            r"\s*(?:(?:export )?(?:default )?(?:async )?function\b|(?:const|let|var) [\w{\[].*=|import .* from ['\"]"
            r"|module\.exports|.*=> ?[{(]|.*require\(['\"])",
        ),
        (
            "java",
            r"\s*(?:(?:public|private|protected)(?: static)?(?: final)? [\w<>\[\], ]+[({;=]|import (?:static )?[\w.]+;$"
            r"|package [\w.]+;$|@Override|public (?:class|interface|enum) )",
        ),
        (
            "cpp",
            r"\s*(?:#include <\w+>$|std::|template ?<|namespace \w+|using namespace|class \w+.*[{:]$|(?:public"
            r"|private):$"
            r"|.*\bnullptr\b|auto \w+ = )",
        ),
        (
            "c",
            r"\s*(?:#include [<\"][\w/]+\.h[>\"]|#define |#if(?:n?def)? |typedef |(?:static |const |unsigned )*"
            r"(?:int|char|void|size_t|struct \w+|long|float|double) \*?\w+[ (;=\[].*)",
        ),
        ("shell", r"#!.*sh$|\s*(?:fi|done|esac|then)$|\s*(?:export \w+=|if \[\[? |echo |set -[eux])"),
        ("sql", r"(?i)\s*(?:select .* from|create (?:table|index)|insert into|alter table|update \w+ set)\b"),
        ("html", r"\s*(?:<!DOCTYPE html|</?(?:html|div|span|head|body|script|p|ul|li|table)\b)"),
        ("css", r"\s*[.#@]?[\w-]+(?: [\w.#:-]+)* \{$|\s+[a-z-]+: [^;]+;$"),
        ("yaml", r"\s*(?:- )?[\w.-]+:(?: [^{;]*)?$|---$"),
        ("toml", r"\[\[?[\w.\"-]+\]\]?$|[\w-]+ = [\"\[\d{tf]"),
    )
)


def tagged(tag: str) -> str | None:
    """The language that the tag of a code fence names, or None."""
    return LANGUAGES.get(tag.strip().lower())


def of_file(name: str | None) -> str | None:
    """The language that the last file in a name or a command has by its ending; None when there is none."""
    if not name:
        return None
    languages = [LANGUAGES[ending] for ending in map(str.lower, _ENDING.findall(name[:500])) if ending in LANGUAGES]
    if languages:
        return languages[-1]
    bare = _BARE.search(name[:500])
    return LANGUAGES[bare[1].lower()] if bare else None


def ending_of(hint: str | None) -> str:
    """The last file ending in a name, in small letters and without its dot; empty when there is none."""
    endings = _ENDING.findall(hint[:500]) if hint else []
    return str(endings[-1]).lower() if endings else ""


def language_of(lines: Sequence[str], hint: str | None = None) -> str | None:
    """The language of code, by its common name (`python`, `rust`, …), or None when nothing tells.

    Args:
        hint: the tag of a fence or the name of a file; it decides when it names a language.
    """
    if hint and (found := tagged(hint) or of_file(hint)):
        return found
    sample = [line for line in lines[: 4 * _SAMPLE] if line.strip()][:_SAMPLE]
    best, most = None, 0.0
    for language, look in _LOOKS:
        match = look.match
        score: float = sum([match(line, 0, 200) is not None for line in sample])
        # TypeScript is JavaScript with types, and C++ has all of C: what is more special wins a draw.
        if language in ("yaml", "css", "toml"):
            score *= 0.5 if score < 0.7 * len(sample) else 1
        if score > most:
            best, most = language, score
    if best == "javascript" and any(_LOOKS[3][1].match(line, 0, 200) for line in sample):
        return "typescript"
    return best if most >= max(1, 0.06 * len(sample)) else None
