"""Pieces of lines that need not be said again: quoted texts get a short name, members of all JSON lines are said once,
and what a message says need no member say."""

import re
from collections import Counter
from collections.abc import Sequence

from cca.tokens.strategies.routine import brief
from cca.tokens.strategies.salient import is_trouble

_WORD = re.compile(r"[^\s,;()=]+")

OFTEN = 3
"""So many times a quoted text occurs at least before it gets a name."""
MOST = 9
"""Names at most."""
GAIN = 60
"""Characters that a name saves at least."""

_QUOTED = re.compile(r'"[^"\\\n]{30,300}"')
_NAMED = re.compile(r'"\$[1-9]"')
_MESSAGE = re.compile(r'"(?:msg|message|event|text)": ?"([^"\\]*+(?:\\.[^"\\]*+)*)"')
_SCALAR = re.compile(r'"([\w@.-]{1,40})": ?("[^"\\]*+(?:\\.[^"\\]*+)*"|-?[0-9.]{1,20}|true|false|null)(?:, ?|(?=\}))')
_MEMBER = re.compile(r'"[\w@.-]{1,40}": ?(?:"[^"\\]{0,100}"|[0-9.]{1,20}|true|false|null), ?')


def named(lines: Sequence[str]) -> list[str]:
    """The lines with names for long quoted texts that come again and again; what the names mean stands before them."""
    counts = Counter(text for line in lines for text in _QUOTED.findall(line))
    gains = {text: (times - 1) * (len(text) - 4) - 10 for text, times in counts.items() if times >= OFTEN}
    worth = (text for text, gain in gains.items() if gain >= GAIN and not is_trouble(text))
    chosen = sorted(worth, key=lambda text: (-gains[text], text))[:MOST]
    if not chosen or any(map(_NAMED.search, lines)):
        return list(lines)
    names = {text: f'"${number}"' for number, text in enumerate(chosen, 1)}
    known = re.compile("|".join(map(re.escape, sorted(chosen, key=len, reverse=True))))
    said = [f"${number} = {text[1:-1]}" for number, text in enumerate(chosen, 1)]
    return [*said, *(known.sub(lambda found: names[found[0]], line) for line in lines)]


def shared_members(lines: Sequence[str]) -> list[str]:
    """The members, as they are written, that each of these JSON objects has on its line; but for the last one."""
    shared = _MEMBER.findall(lines[0]) if lines else []
    for line in lines[1:]:
        shared = [member for member in shared if member in line]
        if not shared:
            break
    return [member for member in shared if len(member) > 8]


def without(line: str, members: Sequence[str]) -> str:
    """A line without its members that all have."""
    for member in members:
        line = line.replace(member, "", 1)
    return line


def in_brief(lines: Sequence[str]) -> list[str]:
    """JSON lines that tell of routine: without the members whose values their messages say, and with short ids."""
    short = brief(found[2].strip('"') for line in lines for found in _SCALAR.finditer(line))
    return [_in_brief(line, short) for line in lines]


def _in_brief(line: str, short: dict[str, str]) -> str:
    message = _MESSAGE.search(line)
    words = frozenset(_WORD.findall(message[1])) if message else frozenset()

    def said(member: re.Match[str]) -> str:
        value = member[2].strip('"')
        if message and member.start() != message.start() and len(value) > 1 and value in words:
            return ""
        return member[0].replace(value, short[value]) if value in short else member[0]

    return _SCALAR.sub(said, line).replace(", }", "}")
