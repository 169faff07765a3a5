"""Tag to struct and back: the only decoder of what is stored or said. Old versions become today's here."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import msgspec

from cca.contracts import agent, code, context, learner, ledger, memory, policy, prepared, task, tokens, work
from cca.errors import Unknown, Unreadable
from cca.message import Command, Event, Message, Reply

M = TypeVar("M", bound=Message)

UPCASTS: dict[type[Message], Callable[[Any], Message]] = {}
"""From a version that is only read to the next one."""

_encode = msgspec.json.Encoder().encode


@cache
def tag_of(kind: type[Message]) -> str:
    """The stored name of a message type."""
    return cast(str, kind.__struct_config__.tag)


def _known() -> dict[str, type[Message]]:
    found: dict[str, type[Message]] = {}
    for module in (task, prepared, work, agent, policy, learner, tokens, ledger, context, memory, code):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Message) and value not in (Event, Command, Reply):
                found[tag_of(value)] = value
    return found


KINDS: dict[str, type[Message]] = _known()
"""Every message type by its tag."""


@cache
def _decoder(kind: type[Message]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode


class _Tagged(msgspec.Struct):
    type: str


def tag_in(body: bytes) -> str:
    """The tag that a body states itself, where no header does. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(body, type=_Tagged).type
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"no tagged JSON: {error}") from None


def encode(message: Message) -> bytes:
    """The JSON of a message. Raises `Unreadable` for what JSON cannot hold."""
    try:
        return _encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise Unreadable(f"{tag_of(type(message))} cannot be written as JSON: {error}") from None


def read(body: bytes, kind: type[M]) -> M:
    """Decode a body whose type is known. Raises `Unreadable` with the place and the rule that was broken."""
    try:
        return cast(M, _decoder(kind)(body))
    except msgspec.ValidationError as error:
        raise Unreadable(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from None


def decode(tag: str, body: bytes) -> Message:
    """Decode a stored body by its tag, as today's version. Raises `Unknown` or `Unreadable`."""
    kind = KINDS.get(tag)
    if kind is None:
        raise Unknown(tag)
    message = read(body, kind)
    while upcast := UPCASTS.get(type(message)):
        message = upcast(message)
    return message
