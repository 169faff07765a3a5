"""What may be stored of what people and workers say, and how a repeated request is recognised."""

import hashlib
import re
from typing import Any

import msgspec
from msgspec.structs import replace

from cca.contracts.task import Retry, SubmitTask
from cca.errors import Refused
from cca.storable import text_without_nul

MAX_BYTES = 900_000
"""The largest submission: what is stored of it must fit into one message of the log (1 MiB with headers)."""
MAX_DEPTH = 64
"""How deeply lists and objects may be nested in what is stored: far below what any reader's stack allows."""

MAX_RESULT = 1_100_000
"""The largest result in bytes of JSON; the SDK's own limit is 1 MiB."""

_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="deterministic").encode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # an escaped NUL, not an escaped backslash before "u0000"


def fingerprint_of(command: SubmitTask, role: str) -> str:
    """The SHA-256 of what is asked, whatever id it is asked under; hexadecimal.

    Raises `Refused` (`unreadable`, `too-large`) for what cannot be stored.
    """
    if command.input is not None and deeper_than(MAX_DEPTH, command.input):
        raise Refused("unreadable", f"input is nested more than {MAX_DEPTH} levels deep")
    body = _canonical(replace(command, role=role, id=None, idempotency_key=None, retry=_plain(command.retry)))
    if len(body) > MAX_BYTES:
        raise Refused("too-large", f"a task may have {MAX_BYTES} bytes of JSON, this one has {len(body)}")
    if (b"\\u0000" in body and _NUL.search(body)) or "\x00" in (command.idempotency_key or ""):
        raise Refused("unreadable", "the task contains a NUL character (U+0000), which cannot be stored")
    return hashlib.sha256(body).hexdigest()


def _plain(retry: Retry) -> Retry:
    """A rule that is spelt out and is the default is the default: left out of what is encoded."""
    return _DEFAULT.retry if retry == _DEFAULT.retry else retry


_DEFAULT = SubmitTask("")


def deeper_than(limit: int, value: Any) -> bool:
    """Whether lists and objects are nested in more levels than `limit`."""
    level = [value] if isinstance(value, dict | list) else []
    while level and limit > 0:
        limit -= 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def unstorable(result: Any) -> str | None:
    """Why a result cannot be stored, if it cannot."""
    if deeper_than(MAX_DEPTH, result):
        return f"the result is nested more than {MAX_DEPTH} levels deep"
    if len(_encode(result)) > MAX_RESULT:
        return f"the result has more than {MAX_RESULT} bytes of JSON"
    return None


def without_nul(value: Any) -> Any:
    """A JSON value that can be stored: what a worker has done must not be lost for a NUL in its result.

    The value must not be nested deeper than `MAX_DEPTH`.
    """
    if isinstance(value, str):
        return text_without_nul(value)
    if isinstance(value, dict):
        return {text_without_nul(key): without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nul(inner) for inner in value]
    return value
