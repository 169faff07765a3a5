"""What the commands of `cca context` are given, and what they read: scopes, keys, and values that stay as they came."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

import click
import msgspec
from msgspec import Raw, Struct

from cca.cli.params import Context, Parameter
from cca.cli.tables import Cell, Screen
from cca.contracts.context import ContextKey, Prefix, Scope

KINDS = "task:ID, tree:ID, session:ID, agent:NAME, role:NAME or project:NAME"


class Checked(click.ParamType[str]):
    """A text that a rule of the contracts holds for, and what the rule says in plain words."""

    def __init__(self, name: str, rule: Any, words: str) -> None:
        self.name, self._rule, self._words = name, rule, words

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        try:
            return str(msgspec.convert(value, self._rule))
        except (msgspec.ValidationError, UnicodeEncodeError):
            self.fail(f"{value!r} is not {self._words}", param, ctx)


SCOPE = Checked("scope", Scope, f"{KINDS}, of letters, digits, - and _")
KEY = Checked("key", ContextKey, "a key: words of letters, digits, - and _, with dots between")
PREFIX = Checked("prefix", Prefix, "the beginning of a key")

scope_argument = click.argument("scope", type=SCOPE)
key_argument = click.argument("key", type=KEY)
expect_option = click.option(
    "--expect",
    type=click.IntRange(0),
    metavar="REVISION",
    help="Only if the key is at this revision; 0: only if it is not there.",
)


class Held(Struct, frozen=True, omit_defaults=True):
    """A key and what it holds: `cca.contracts.context.ContextEntry`, with the value as it came."""

    key: str
    scope: str = ""
    revision: int = 0
    there: bool = True
    value: Raw = Raw(b"null")
    ref: str | None = None
    size: int = 0
    set_at: datetime | None = None
    expires_at: datetime | None = None
    requester: str | None = None


def path(scope: str, key: str | None = None, *more: str) -> str:
    """Where a scope or a key is at the gateway."""
    return "/".join(["/context", *(quote(part, safe=":") for part in (scope, key) if part), *more])


def expected(revision: int | None) -> dict[str, str]:
    """The header that makes a request hold only for a revision (RFC 9110, 13.1)."""
    if revision is None:
        return {}
    return {"If-Match": f'"{revision}"'} if revision else {"If-None-Match": "*"}


def shown(value: Raw, ref: str | None, size: int) -> str:
    """A value as one text: a text as it is, anything else as JSON; of one that is left out, where it is stored."""
    body = bytes(value)
    if ref is not None and body == b"null":
        return f"({sized(size)}, stored as {ref[:12]}…)"
    if body.startswith(b'"'):
        return str(msgspec.json.decode(body))
    return body.decode()


def sized(size: int) -> str:
    """A number of bytes, short: `12 B`, `3.4 KiB`, `1.2 MiB`."""
    if size < 1024:
        return f"{size} B"
    return f"{size / 1024:,.1f} KiB" if size < 1024 * 1024 else f"{size / 1024 / 1024:,.1f} MiB"


def size_cell(screen: Screen, size: int) -> Cell:
    """A number of bytes for a person; in a pipe, the plain number."""
    return sized(size) if screen.person else size
