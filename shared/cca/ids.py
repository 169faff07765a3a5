"""Identities, typed so that they are not mixed up, and the rules for the words that become subject tokens."""

import hashlib
import os
import re
import time
import uuid
from typing import NewType

from cca.errors import Refused

TaskId = NewType("TaskId", str)
AgentId = NewType("AgentId", str)
Role = NewType("Role", str)
Lane = NewType("Lane", str)

_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")
WORD_RULE = "lower-case letters, digits, '-' and '_', at most 63 characters, starting with a letter or digit"


def _uuid(milliseconds: int, random: bytes, version: int) -> str:
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(random[:10], "big")
    value = value & ~(0xF << 76) | version << 76
    text = f"{value & ~(0b11 << 62) | 0b10 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def uuid7() -> str:
    """A new UUIDv7 (RFC 9562): ordered by time, unguessable in its last 74 bits."""
    return _uuid(time.time_ns() // 1_000_000, os.urandom(10), 7)


def uuid7_of(name: str, milliseconds: int) -> str:
    """The UUIDv7 of something that happened at a known time: the same for the same name and time."""
    return _uuid(milliseconds, hashlib.sha256(name.encode()).digest(), 7)


def uuid8_of(*names: str) -> str:
    """A UUIDv8 (RFC 9562, custom) made of names alone: what an idempotency key becomes."""
    digest = hashlib.sha256("\x00".join(names).encode()).digest()
    return _uuid(int.from_bytes(digest[10:16], "big"), digest, 8)


def task_id(text: str) -> TaskId:
    """The canonical form of a task id. Raises `Refused` if it is not a UUID."""
    if isinstance(text, str) and _CANONICAL.match(text):
        return TaskId(text)
    try:
        return TaskId(str(uuid.UUID(text)))
    except (ValueError, AttributeError, TypeError):
        raise Refused("bad-id", "a task id is a UUID, for example 01890a5d-ac96-774b-bcce-b302099a8057") from None


def word(text: str, what: str) -> str:
    """A role, lane or agent name as it may stand in a subject. Raises `Refused` otherwise."""
    if _WORD.match(text) is None:
        raise Refused("bad-name", f"{what} must be {WORD_RULE}")
    return text
