"""Types of options: time spans, `key=value`, JSON from the command line or from a file."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from cca.cli.text import seconds

Context = click.Context | None
Parameter = click.Parameter | None

LARGEST = 8 * 1024 * 1024
"""No file that is given as a text or as JSON may be larger, in bytes."""


class Span(click.ParamType[float]):
    """A time span: `30s`, `5m`, `2h`, `1h30m`; the value is in seconds."""

    name = "span"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            return seconds(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


class Label(click.ParamType[tuple[str, str]]):
    """`key=value`."""

    name = "key=value"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key.strip():
            self.fail(f"{value!r} is not key=value", param, ctx)
        return key.strip(), text


class TextOrFile(click.ParamType[str]):
    """A text, or `@file` for what a file holds (`@-` for standard input)."""

    name = "text|@file"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> str:
        text = str(value)
        return self.read(text[1:], param, ctx) if text.startswith("@") else text

    def read(self, name: str, param: Parameter, ctx: Context) -> str:
        """What a file holds; `-` is standard input."""
        try:
            if name == "-":
                body = sys.stdin.buffer.read(LARGEST + 1)
            else:
                with Path(name).open("rb") as file:
                    body = file.read(LARGEST + 1)
        except OSError as error:
            self.fail(f"{name}: {error.strerror or error}", param, ctx)
        except ValueError:
            self.fail(f"{name!r} is not a file name", param, ctx)
        if len(body) > LARGEST:
            self.fail(f"{name}: larger than {LARGEST // 1024 // 1024} MiB", param, ctx)
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            self.fail(f"{name}: not UTF-8 (byte {error.start})", param, ctx)


class JsonObject(click.ParamType[dict[str, Any]]):
    """A JSON object, or `@file` for one in a file."""

    name = "json|@file"

    def convert(self, value: Any, param: Parameter, ctx: Context) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        try:
            found = msgspec.json.decode(TEXT_OR_FILE.convert(value, param, ctx))
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            self.fail(f"not JSON: {error}", param, ctx)
        if not isinstance(found, dict):
            self.fail('must be a JSON object, for example \'{"path": "src"}\'', param, ctx)
        return found


SPAN = Span()
LABEL = Label()
TEXT_OR_FILE = TextOrFile()
JSON_OBJECT = JsonObject()

FOREVER = 10**9
"""Seconds that a bare `--wait` waits."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class Waits(click.Command):
    """A command whose `--wait` has a value only as `--wait=30s`: in `--wait fix it`, `fix` is no time span."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        bare = f"--wait={FOREVER}s"
        return super().parse_args(ctx, [bare if a == "--wait" else a for a in args[:end]] + args[end:])


def wait_option(text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--wait` or `--wait=30s`; the command's class must be `Waits`."""
    return click.option("--wait", "wait_s", type=SPAN, metavar="[=SPAN]", help=text)
