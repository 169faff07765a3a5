"""What JSON is like, told from its bytes: how deep it is, and of how many values. A walk over all values of a large
text takes seconds, and to decode some takes hundreds of milliseconds."""

LEVELS = 100
"""How deep arrays and objects may be nested: what is stored must be readable for every reader."""

_ALIKE = bytes.maketrans(b"{}", b"[]")
_ELSE = bytes(set(range(256)) - set(b"[]{}"))


def is_deep(body: bytes, levels: int = LEVELS) -> bool:
    """Whether JSON is nested deeper than so many levels."""
    if body.count(b"[") + body.count(b"{") <= levels:
        return False
    brackets = _outside(body).translate(_ALIKE, _ELSE)
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")  # the innermost of each place: one level
        if not brackets:
            return False
    return True


def has_more(body: bytes, values: int) -> bool:
    """Whether JSON is of more than so many values, each array and object being one of them."""
    if _marks(body) < values:
        return False
    text = _unescaped(body)
    if text.count(b'"') > 4 * values:
        return True  # at most every other string is a name
    outside = _outside(body)
    return _marks(outside) - outside.count(b"[]") - outside.count(b"{}") >= values


def _marks(text: bytes) -> int:
    """What stands before values, but for the first."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _unescaped(body: bytes) -> bytes:
    """Without the quotation marks that are part of strings."""
    return body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body


def _outside(body: bytes) -> bytes:
    """What is in no string, with a mark for each: every other piece between quotation marks."""
    return b'"'.join(_unescaped(body).split(b'"')[::2])
