"""What an endpoint's answer means: come back later, change the settings, or these texts are not for it."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

Sense = Literal["fine", "later", "failed", "key", "place", "texts"]
"""`later`: it is there, and asks for patience. `failed`: it is not as it should be. `key`, `place`: the settings are
wrong: key, or URL and model. `texts`: it will not embed what it was sent, or not in this way."""

LONGEST_S = 3_600.0
"""Seconds that it is left alone at most, whatever it says."""
SHOWN = 200
"""Characters that are shown of what it says."""
_OF_TEXTS = ("context length", "unsupported value: nan", "too large to process", "input is too long")
"""What makes a 500 one that the text is to blame for (Ollama, llama.cpp): it will not get better by asking again."""


def sense(status: int, said: str) -> Sense:
    """What an answer means, by its status and what it says."""
    match status:
        case 200:
            return "fine"
        case 429 | 425 | 409:
            return "later"
        case 401 | 403 | 402:
            return "key"
        case 404 | 405:
            return "place"
        case 408:
            return "failed"
        case _ if 300 <= status < 400:
            return "place"
        case _ if 400 <= status < 500 or any(mark in said.lower() for mark in _OF_TEXTS):
            return "texts"
    return "failed"


def said(body: bytes, key: str | None) -> str:
    """What an endpoint says is wrong, in one short line. Never with the key."""
    try:
        text = _found(msgspec.json.decode(body)) or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = ""  # a page of somebody on the way, more likely than something to read
    if key:
        text = text.replace(key, "***")
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 10 * SHOWN]).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _found(tree: object) -> str | None:
    """The sentence in `{"error": {"message": …}}`, `{"error": …}`, `{"detail": …}`, `{"message": …}`."""
    if isinstance(tree, dict):
        return next((text for name in ("error", "detail", "message", "msg") if (text := _found(tree.get(name)))), None)
    if isinstance(tree, list):
        return next((text for each in tree if (text := _found(each))), None)
    return tree if isinstance(tree, str) else None


def pause(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds after which it wants to be asked again; None when it does not say. `now` is in seconds of UNIX time."""
    text = headers.get("Retry-After-Ms", "").strip()
    if _number(text):
        return min(float(text) / 1_000, LONGEST_S)
    text = headers.get("Retry-After", "").strip()
    if _number(text):
        return min(float(text), LONGEST_S)
    try:
        # Its clock may be ahead of ours, or the time has come.
        return min(max(parsedate_to_datetime(text).timestamp() - now, 0.0), LONGEST_S) if text else None
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> bool:
    whole, _, part = text.partition(".")
    return text.isascii() and whole.isdigit() and (part.isdigit() or not part) and len(text) < 12
