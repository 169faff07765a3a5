"""Facts that were planted in a transcript, and whether somebody who reads a compressed one still sees them."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from cca.bench.tokens.paths import shows_path
from cca.bench.tokens.records import pairs_of, shows_pairs
from cca.tokens.markers import expand

FactKind = Literal["name", "number", "id", "path", "error", "decision"]
Visibility = Literal["literal", "reformatted", "hidden"]

LEAST = 4
"""A form of fewer characters than this, punctuation aside, is only looked for literally: chance would find it."""

_QUOTES = re.compile(r"[\"'`]+")
_SOFT = re.compile(r"[\s,|]+")
_COLON = re.compile(r" ?: ?")
_PLACE = re.compile(r"^([\w./@+-]+\.\w+):(\d+)(?::.*)?$")


class Fact(Struct, frozen=True):
    """Something that an agent needs later.

    Attributes:
        turn: where it stands, counted from 0.
        text: how it stands there, literally.
        forms: other ways to say the same that count as re-formatted.
    """

    turn: int
    kind: FactKind
    text: str
    forms: tuple[str, ...] = ()


def visible(fact: Fact, text: str) -> Visibility:
    """Whether a fact stands in a text: as it did, or in another form.

    Re-formatted is: the same but for white space, quotes, commas and column rules; the `"key": value` pairs of one
    JSON object in one row of a table whose head names the keys; a path in a tree or below its folder; `path:line` with
    the line below the path; and the fact's own `forms`. A fact begins and ends where a word does: `1.2` does not stand
    in `11.25`.
    """
    if _stands(fact.text, text):
        return "literal"
    if fact.kind == "decision":
        return "reformatted" if _loosely(fact.text, text) else "hidden"
    if any(_loosely(form, text) for form in (fact.text, *fact.forms)):
        return "reformatted"
    pairs = pairs_of(fact.text)
    if pairs and shows_pairs(pairs, text):
        return "reformatted"
    if place := _PLACE.match(fact.text):
        return "reformatted" if shows_path(place[1], text, line=place[2]) else "hidden"
    if "/" in fact.text and not re.search(r"\s", fact.text) and shows_path(fact.text, text):
        return "reformatted"
    return "hidden"


def _loosely(form: str, text: str) -> bool:
    """Whether a form stands in a text when quotes do not count, and white space, commas and rules are one blank."""
    wanted = _plain(form).strip()
    return len(wanted.replace(" ", "")) >= LEAST and _stands(wanted, _plain(text))


def _stands(wanted: str, text: str) -> bool:
    """Whether words stand in a text, and not only inside of longer ones."""
    at = -1
    while (at := text.find(wanted, at + 1)) >= 0:
        end = at + len(wanted)
        before, after = text[max(at - 1, 0) : at], text[end : end + 2]
        decimal = wanted[-1].isdigit() and after[:1] == "." and after[1:].isdigit()
        if not (_joins(before, wanted[0]) or _joins(after[:1], wanted[-1]) or decimal):
            return True
    return False


def _joins(neighbour: str, edge: str) -> bool:
    """Whether two characters that stand side by side are of one word."""
    return bool(neighbour) and (edge.isalnum() or edge == "_") and (neighbour.isalnum() or neighbour == "_")


@lru_cache(maxsize=4)
def _plain(text: str) -> str:
    return _COLON.sub(":", _SOFT.sub(" ", _QUOTES.sub("", text)))


def retrievable(original: str, compressed: str, fetch: Callable[[str], str | None]) -> bool:
    """Whether a compressed text expands to the original, byte for byte."""
    return expand(compressed, fetch) == original


def counts(facts: Sequence[Fact], text: str) -> dict[Visibility, int]:
    """How many of the facts are visible in a text, and in what way."""
    found: dict[Visibility, int] = {"literal": 0, "reformatted": 0, "hidden": 0}
    for fact in facts:
        found[visible(fact, text)] += 1
    return found
