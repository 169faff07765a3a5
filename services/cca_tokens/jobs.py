"""What goes to a worker process and comes back, as bytes. What is done there is in `cca_tokens.work`."""

from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from cca.contracts.ledger import RolePolicy
from cca.contracts.tokens import Compressed, Condensed
from cca.errors import Busy, Refused

T = TypeVar("T")

What = Literal["count", "analyze", "compress", "condense", "weigh", "check"]

NOTHING = b""
"""A job that asks for nothing: whoever answers it is there."""


class Job(Struct, frozen=True, omit_defaults=True):
    """What is to be done.

    Attributes:
        command: as it was asked, in JSON.
        correction: by what an estimate is multiplied.
        policy: by which a context is condensed, or which is checked.
        version: of the policies.
    """

    what: What
    command: bytes = b""
    correction: float = 1.0
    policy: RolePolicy | None = None
    version: int = 0


class Original(Struct, frozen=True):
    """A text that is to be stored: what was cut out, by which strategy, and how many tokens it was."""

    text: str
    strategy: str
    tokens: int


class Folds(Struct, frozen=True):
    """Compressed turns, the originals by reference, and how many bytes the answer is as JSON."""

    reply: Compressed
    originals: dict[str, Original]
    size: int


class Condensation(Struct, frozen=True):
    """A condensed context, and the originals by reference."""

    reply: Condensed
    originals: dict[str, Original]
    size: int


class Costs(Struct, frozen=True):
    """Tokens of texts before and after each was compressed by itself."""

    before: int
    after: int


class Failed(Struct, frozen=True):
    """Why a job was not done: a refusal, or an error and where."""

    code: str
    text: str


DONE, REFUSED, FAILED = b"+", b"-", b"!"
"""What an answer begins with; after it comes what was made, or `Failed`."""

_failed = msgspec.msgpack.Decoder(Failed).decode
_encode = msgspec.msgpack.Encoder().encode


def asked(job: Job) -> bytes:
    """A job as it goes to a process."""
    return _encode(job)


class Unforeseen(Busy):
    """A job failed in a way that nobody thought of.

    Attributes:
        trace: where.
    """

    def __init__(self, trace: str) -> None:
        self.trace = trace
        super().__init__("something unforeseen happened; it is logged")


def answer(body: bytes, kind: type[T]) -> T:
    """What a process answered. Raises `Refused`, or `Unforeseen`."""
    sort, rest = body[:1], memoryview(body)[1:]
    if sort == DONE:
        return msgspec.msgpack.decode(rest, type=kind)
    failed = _failed(rest)
    raise Refused(failed.code, failed.text) if sort == REFUSED else Unforeseen(failed.text)
