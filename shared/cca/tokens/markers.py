"""What a cut leaves behind: a marker that names the original by its content, and how that is put back.

A marker is a line of its own. The lines that stand for what was cut, if there are any, follow it and are counted:

    [ctx:k3v7… 2000 log lines; next 14]

A JSON document stays one: there the marker is the first member of an object on a line of its own.

    {"$ctx":"k3v7…","$v":{"cols":["id","name"],"rows":[[1,"a"],[2,"b"]]}}

Text is taken apart at line feeds alone, so that putting it together again gives the same bytes.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

LEGEND = (
    "[ctx: parts of this text are folded. After a marker, `next N` says how many lines stand for the original; "
    "`cca tokens expand ctx:…` prints it.]"
)
"""May stand as the first line of a compressed text; taken away when it is expanded."""

_LINE = re.compile(r"\[ctx:([a-z2-7]{20}) [^\[\]\n]{1,100}?(?:; next (\d{1,7}))?\]")
_JSON = re.compile(r'\{"\$ctx":"([a-z2-7]{20})","\$v":')
_REF = re.compile(r"(?:ctx:)?([a-z2-7]{20})")


class Block(Struct, frozen=True):
    """A marker and what stands for the original: lines `start` up to, not including, `end`."""

    ref: str
    start: int
    end: int


def ref_of(text: str) -> str:
    """The reference of a text: the first 100 bits of the BLAKE2b hash of its UTF-8, in base 32.

    Lone surrogates, which Python may hold and UTF-8 cannot, are hashed as they are (WTF-8).
    """
    digest = hashlib.blake2b(encoded(text), digest_size=13).digest()
    return base64.b32encode(digest)[:20].decode().lower()


def encoded(text: str) -> bytes:
    """The bytes of a text; `decoded` gives back the same, lone surrogates too."""
    return text.encode("utf-8", "surrogatepass")


def decoded(body: bytes) -> str:
    """The text of bytes that `encoded` made. Raises `UnicodeDecodeError` for others."""
    return body.decode("utf-8", "surrogatepass")


def is_ref(text: str) -> str | None:
    """The reference that a text is, with or without `ctx:` before it; None when it is none."""
    found = _REF.fullmatch(text)
    return found[1] if found else None


def marker(ref: str, what: str, following: int = 0) -> str:
    """The line that stands for a cut.

    Args:
        what: what was cut, in a few words: `2000 log lines`. No brackets, no line feed.
        following: how many lines after it stand for the original.
    """
    return f"[ctx:{ref} {what}; next {following}]" if following else f"[ctx:{ref} {what}]"


def json_marker(ref: str, value: str) -> str:
    """The line of JSON that stands for a JSON document; `value` is JSON on one line."""
    return f'{{"$ctx":"{ref}","$v":{value}}}'


def blocks(lines: Sequence[str]) -> Iterator[Block]:
    """The markers in a text, with the lines that belong to them, in order. One inside another's lines is its own."""
    at = 0
    while at < len(lines):
        line = lines[at]
        found = None
        if line.startswith("[ctx:"):
            found = _LINE.fullmatch(line)
        elif line.startswith('{"$ctx":"'):
            found = _JSON.match(line)
        if found is None:
            at += 1
            continue
        following = int(found[2] or 0) if found.re is _LINE else 0
        end = min(at + 1 + following, len(lines))
        yield Block(found[1], at, end)
        at = end


def expand(text: str, fetch: Callable[[str], str | None]) -> str:
    """The original of a text: every marker replaced by what `fetch` knows, and what that holds itself as well.

    A marker of which `fetch` knows nothing stays with its lines, as it is.
    """
    return _expand(text.removeprefix(LEGEND + "\n"), fetch, frozenset())


def _expand(text: str, fetch: Callable[[str], str | None], within: frozenset[str]) -> str:
    if "ctx" not in text:
        return text
    lines = text.split("\n")
    out: list[str] = []
    done = 0
    for block in blocks(lines):
        # A text cannot hold its own hash; without the check a store that lies could send us round for ever.
        original = None if block.ref in within or len(within) > 32 else fetch(block.ref)
        if original is not None:
            out += lines[done : block.start]
            out.append(_expand(original, fetch, within | {block.ref}))
            done = block.end
    out += lines[done:]
    return "\n".join(out)


def refs(text: str) -> list[str]:
    """The references of the markers in a text, each once, in order."""
    return list(dict.fromkeys(block.ref for block in blocks(text.split("\n"))))
