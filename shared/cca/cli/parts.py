"""Groups of commands that are loaded when they are called: some are heavy."""

import importlib
from collections.abc import Mapping
from typing import Any

import click
from msgspec import Struct


class Entry(Struct, frozen=True):
    """A command: where it is, what it is for, and whether it speaks to a stack (then the one here is found)."""

    where: str
    help: str
    client: bool = False


class Parts(click.Group):
    """Knows its commands by name, and imports the one that is called."""

    def __init__(self, *args: Any, parts: Mapping[str, Entry], **more: Any) -> None:
        super().__init__(*args, **more)
        self.parts = parts

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.parts)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.parts.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.parts.items()])
