"""The terms by which a text is found: words, and of names in code also their parts."""

import re
import unicodedata
from collections.abc import Iterator

LONGEST = 64
"""Characters of a term, at most; of what is longer (digests, encoded data) only the beginning is a term."""

_NAME = re.compile(r"\w+(?:\.\w+)*")
_PARTS = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z0-9]+")
_UNSPACED = re.compile(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+)")
"""Scripts that put no space between words: Han, kana, Hangul (which glues what others space)."""
_FILL = re.compile(r"(\W{16})\W+")
_COMMONEST = """
a an and are as at be been but by can could did do does for from had has have how i if in into is it its me my no not of
on or our per should so than that the their them then there these they this to was we were what when where which who why
will with would you your
"""
_STOP = frozenset(_COMMONEST.split())


def terms(text: str) -> list[str]:
    """The terms of a text in their order, as often as they are there; in lower case, without the commonest words.

    `HTTPServer.max_tokens` gives `http`, `server`, `httpserver`, `max`, `token`, `maxtokens` and
    `httpserver.maxtokens`: a name is found by its parts and, rarer and therefore worth more, as a whole, however it
    is spelt. Parts lose their English endings. Writing without spaces is found by its pairs of characters. The time
    is linear in the length.
    """
    if not text.isascii():
        # Long runs of accents would take square time to be put in order, and hold no term.
        text = unicodedata.normalize("NFKC", _FILL.sub(r"\1 ", text))
    found: list[str] = []
    for match in _NAME.finditer(text):
        found.extend(_of_name(match.group()))
    return found


def stem(word: str) -> str:
    """A word in lower case without its English ending, so that `retries` finds `retry`, and `cached` finds `caching`.

    What is no word for people but one for this: `cach`. Searches by words alone gain a twentieth by it; with vectors
    beside them it makes no difference.
    """
    if not (word.isascii() and word.isalpha()):
        return word
    if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui":
        word = word[:-3] + "y" if len(word) > 4 and word.endswith("ies") else word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) >= len(ending) + 4:
            word = word[: -len(ending)]
            word = word[:-1] if word[-1] == word[-2] and word[-1] in "bgmnprt" else word
            break
    return word[:-1] if len(word) > 4 and word[-1] == "e" else word


def _of_name(name: str) -> Iterator[str]:
    whole: list[str] = []
    for word in name.split("."):
        parts = [part for one in word.split("_") if one for part in _parts(one)]
        for part in parts:
            if part not in _STOP:
                yield stem(part)
        joined = word.replace("_", "").casefold()
        if len(parts) > 1 and len(joined) <= LONGEST:
            yield joined
        whole.append(joined)
    if len(whole) > 1 and len(dotted := ".".join(whole)) <= LONGEST:
        yield dotted


def _parts(word: str) -> list[str]:
    """The parts of a word without `_`, in lower case."""
    if not word.isascii():
        return [part for place, piece in enumerate(_UNSPACED.split(word)) for part in _pieces(piece, place % 2 == 1)]
    if len(word) > LONGEST:
        return [word[:LONGEST].lower()]
    return [word.lower()] if word.islower() or word.isdigit() else [part.lower() for part in _PARTS.findall(word)]


def _pieces(piece: str, unspaced: bool) -> Iterator[str]:
    """The same in any alphabet: a piece of a word is in a script without spaces, or in none of them."""
    if unspaced and len(piece) > 1:
        yield from (piece[at : at + 2] for at in range(len(piece) - 1))
    elif piece:
        yield from (part.casefold()[:LONGEST] for part in (_humps(piece) if len(piece) <= LONGEST else (piece,)))


def _humps(word: str) -> Iterator[str]:
    """The parts of `camelCase` in any alphabet, by the rule of `_PARTS`."""
    start = 0
    for at in range(1, len(word)):
        if word[at].isupper() and (not word[at - 1].isupper() or word[at + 1 : at + 2].islower()):
            yield word[start:at]
            start = at
    yield word[start:]
