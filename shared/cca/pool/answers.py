"""What a worker process answers, as bytes: what came of a job, a refusal, or an error and where."""

import traceback
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from cca.errors import Busy, Refused

T = TypeVar("T")

NOTHING = b""
"""A job that asks for nothing: whoever answers it is there."""
DONE, REFUSED, FAILED = b"+", b"-", b"!"
"""What an answer begins with; after it comes what was made, or `Failed`."""


class Failed(Struct, frozen=True):
    """Why a job was not done: a refusal, or an error and where."""

    code: str
    text: str


class Unforeseen(Busy):
    """A job failed in a way that nobody thought of.

    Attributes:
        trace: where.
    """

    def __init__(self, trace: str) -> None:
        self.trace = trace
        super().__init__("something unforeseen happened; it is logged")


_failed = msgspec.msgpack.Decoder(Failed).decode
_encode = msgspec.msgpack.Encoder().encode


def asked(job: Struct) -> bytes:
    """A job as it goes to a process."""
    return _encode(job)


def answered(job: bytes, do: Callable[[bytes], object]) -> bytes:
    """What `do` makes of a job. What goes wrong is an answer, too: a process that raised would be one that died."""
    try:
        return DONE + _encode(do(job)) if job else DONE
    except Refused as refused:
        return REFUSED + _encode(Failed(refused.code, str(refused)))
    except Exception as error:
        return FAILED + _encode(Failed(type(error).__name__, traceback.format_exc()[-8_000:]))


def answer(body: bytes, kind: type[T]) -> T:
    """What a process answered. Raises `Refused`, or `Unforeseen`."""
    sort, rest = body[:1], memoryview(body)[1:]
    if sort == DONE:
        return msgspec.msgpack.decode(rest, type=kind)
    failed = _failed(rest)
    raise Refused(failed.code, failed.text) if sort == REFUSED else Unforeseen(failed.text)
