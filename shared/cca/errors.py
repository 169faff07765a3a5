"""Every error, and what becomes of the message that met it.

Each docstring is the default text. The fate is decided in one place, `cca.service.fate`.
"""

from cca.message import Seq


class CcaError(Exception):
    """Something went wrong."""

    def __init__(self, text: str | None = None) -> None:
        super().__init__(text or (self.__class__.__doc__ or "").split("\n")[0])


class Conflict(CcaError):
    """Somebody else wrote to this aggregate first. Read what is new and decide again."""

    def __init__(self, subject: str, expected: Seq, actual: Seq | None = None) -> None:
        self.subject, self.expected, self.actual = subject, expected, actual
        super().__init__(f"{subject}: expected last sequence {expected}, found {actual or 'another'}")


class Busy(CcaError):
    """Cannot be done at the moment; the same request may succeed later."""


class Refused(CcaError):
    """The request is understood and will not be done. Asking again changes nothing.

    Attributes:
        code: stable, machine-readable (`not-found`, `bad-id`, `key-reused`, …); it is also the last part of the
            problem type over HTTP.
    """

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class Unreadable(CcaError):
    """The message does not follow its schema. It goes to the dead letters with the reason."""


class Unknown(CcaError):
    """A message type that this version has never heard of. Subscribers pass it by; a fold must stop."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        super().__init__(f"unknown message type {tag!r}: written by a newer version?")


class Misconfigured(CcaError):
    """The configuration is wrong. The text names the key and what it should be."""
