"""A text without its secrets.

What was found stands as two characters, NUL and one that says the sort, until all rules have been asked: no rule looks
into what another has put there, and what is redacted already stays as it is.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from cca.redact import said
from cca.redact.pem import private_keys
from cca.redact.shapes import SHAPES
from cca.storable import text_without_nul

SORTS: tuple[str, ...] = (
    *dict.fromkeys(shape.sort for shape in SHAPES),
    *("private-key", "authorization", "cookie", "url-password", "password", "secret"),
)
"""What a secret can be called in `[redacted:<sort>]`."""
_MARK = {sort: f"\0{chr(0xE000 + number)}" for number, sort in enumerate(SORTS)}
_SHOWN = {mark: f"[redacted:{sort}]" for sort, mark in _MARK.items()}
_MARKS = re.compile("\0[\ue000-\ue0ff]")
_REDACTED = re.compile(rf"\[redacted:({'|'.join(SORTS)})\]")
_NAMES = re.compile(
    r"(?i)pass|pwd|secret|token|key|credential|connection|signature|bearer|basic|authorization|cookie|://"
)
PASSES = 5
"""What one rule takes away may show another what it is looking for."""

Span = tuple[int, int, str]


class Redacted(Struct, frozen=True):
    """A text, and how many secrets of which sort were taken out of it."""

    text: str
    found: dict[str, int]


def redact(text: str) -> Redacted:
    """Replace secrets by `[redacted:<sort>]`, and NUL by U+FFFD. Takes time in proportion to the text."""
    marked = _REDACTED.sub(lambda match: _MARK[match[1]], text_without_nul(text))
    found: Counter[str] = Counter()
    for _ in range(PASSES):
        before = found.total()
        marked = _once(marked, found)
        if found.total() == before:
            break
    return Redacted(_MARKS.sub(lambda match: _SHOWN[match[0]], marked) if "\0" in marked else marked, dict(found))


def marks(text: str) -> dict[str, int]:
    """How many secrets of which sort were taken out of a text, as it says itself."""
    return dict(sorted(Counter(_REDACTED.findall(text)).items()))


def redacted_values(texts: Mapping[str, str]) -> dict[str, str]:
    """Names and values, labels for example, without secrets. A value is also judged by its name."""
    clean: dict[str, str] = {}
    for name, value in texts.items():
        alone, pair = redact(value), redact(f"{name}: {value}")
        if sum(pair.found.values()) > sum(alone.found.values()) + sum(redact(name).found.values()):
            clean[redact(name).text] = "[redacted:secret]"
        else:
            clean[redact(name).text] = alone.text
    return clean


def _once(text: str, found: Counter[str]) -> str:
    text = _cut(text, ((*span, "private-key") for span in private_keys(text)), found)
    for shape in SHAPES:
        if shape.hint in text:
            group = 1 if shape.pattern.groups else 0
            text = _cut(text, ((*m.span(group), shape.sort) for m in shape.pattern.finditer(text)), found)
    if _NAMES.search(text) is None:
        return text
    for rule in (_urls, _headers, _variables, _named, _runs):
        text = _cut(text, rule(text), found)
    return text


def _cut(text: str, spans: Iterable[Span], found: Counter[str]) -> str:
    parts: list[str] = []
    done = 0
    for start, end, sort in spans:
        if start < done:
            continue
        parts += (text[done:start], _MARK[sort])
        done = end
        found[sort] += 1
    if not parts:
        return text
    parts.append(text[done:])
    return "".join(parts)


def _urls(text: str) -> Iterator[Span]:
    for pattern in (said.URL, said.URL_USER) if "://" in text else ():
        for match in pattern.finditer(text):
            if pattern is said.URL or said.random_looking(match["value"]):
                yield *match.span("value"), "url-password"


def _headers(text: str) -> Iterator[Span]:
    spans: list[Span] = [(*match.span("value"), "cookie") for match in said.COOKIE.finditer(text)]
    for match in said.AUTHORIZATION.finditer(text):
        value = match["value"]
        if any(map(str.isdigit, value)) or said.random_looking(value) or value.endswith("="):
            spans.append((*match.span("value"), "authorization"))
    return iter(sorted(spans))


def _variables(text: str) -> Iterator[Span]:
    for match in said.VARIABLE.finditer(text):
        judge = said.is_password if "PASS" in match["name"] or "PWD" in match["name"] else said.is_key
        if judge(match["value"], quoted=False, said=False, called=False):
            yield *match.span("value"), "password" if judge is said.is_password else "secret"


def _named(text: str) -> Iterator[Span]:
    at = 0
    while match := said.NAMED.search(text, at):
        # A value may itself be the name of the next: `secret: password=…`.
        at = match.end("suffix")
        password = match["password"] is not None
        if match["flag"] is not None and not _is_flag(text, match.start()):
            continue
        judge = said.is_password if password else said.is_key
        quoted, prose, called = match["quote"] is not None, match["is"] is not None, match["call"] is not None
        if judge(match["value"], quoted=quoted, said=prose, called=called):
            yield *match.span("value"), "password" if password else "secret"
            at = match.end("value")


def _is_flag(text: str, at: int) -> bool:
    """Whether the word at a place belongs to an option of a command, `--db-password`."""
    start = max(at - 30, 0)
    before = text[start:at]
    word = before[max(before.rfind(" "), before.rfind("\n"), before.rfind("\t")) + 1 :]
    return word.startswith("--")


def _runs(text: str) -> Iterator[Span]:
    for match in said.RUN.finditer(text):
        if said.is_random_run(match.group()) and said.BEFORE.search(
            text, max(match.start() - said.WINDOW, 0), match.start()
        ):
            yield *match.span(), "secret"
