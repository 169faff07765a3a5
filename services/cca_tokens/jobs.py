"""What goes to a worker process and comes back. What is done there is in `cca_tokens.work`."""

from typing import Literal

from msgspec import Struct

from cca.contracts.ledger import RolePolicy
from cca.contracts.tokens import Compressed, Condensed

WORK = "cca_tokens.work.do"
"""What makes an answer of a job. It is imported in the processes alone: here its vocabularies would be for nothing."""
PRELOAD = "cca_tokens.warm"

What = Literal["count", "analyze", "compress", "condense", "weigh", "check"]


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
