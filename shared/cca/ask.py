"""How the parts of the SDK ask a service."""

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from cca.message import Command, Reply

R = TypeVar("R", bound=Reply)

LONG_S = 60.0
"""Seconds that a service has for an answer: some look at much text."""


class Ask(Protocol):
    """Asks a service, again while it is away. Raises `Busy` when there is no answer, `Refused` when it is no."""

    def __call__(self, subject: str, command: Command, kind: type[R]) -> Awaitable[R]: ...
