"""The result of one check of `cca doctor`."""

from typing import Literal

from msgspec import Struct


class Finding(Struct, frozen=True):
    """What was found and, unless it is `ok`, what to do."""

    name: str
    result: Literal["ok", "warn", "fail"]
    text: str
    do: str = ""
