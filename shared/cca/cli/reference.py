"""The reference page of all commands, `docs/cli.md`, made from the commands: `python -m cca.cli.reference`."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from cca.cli.exits import MEANINGS
from cca.cli.main import cca

PAGE = Path("docs/cli.md")

_EXAMPLES = re.compile(r"\x08\n((?:.+\n?)+?)(?=\n|\Z)")
"""Lines that click does not wrap: in a help text, those are commands to copy."""

OPENING = """\
# The command line

<!-- Made by `python -m cca.cli.reference` from the commands themselves. -->

The commands that speak to a stack use the one in `CCA_DIR`, else the one that runs in `./.cca`. `CCA_HTTP_URL` and
`CCA_API_KEY` name another; `CCA_NATS_URL` does for those that speak to NATS (`cca agent worker`, `cca dead`).
`eval "$(cca env)"` sets them all.

## What is printed

A terminal gets tables, colours and live progress. A pipe or a file gets plain lines: lists have one line for each item,
its values separated by tabs, with whole ids, times in UTC and no header, and nothing is cut. `--json` prints JSON
wherever it goes: one document, or for what has no end a line for each item. `NO_COLOR` turns colours off.

Whatever a task or an agent wrote is data. Where a person sees it, control characters, escape sequences of terminals,
overrides of the writing direction and other invisible characters are shown as escapes (`\\x1b`, `\\u202e`); JSON and
results in a pipe are verbatim.

A task id may be abbreviated to a part of its beginning or end, at least six characters, that only one of the newest
2,000 tasks has; so may the id of a job of `cca code`. Time spans are a number with a unit: `250ms`, `30s`, `5m`,
`1h30m`, `2d`; a bare number is seconds.

## Exit codes

| code | meaning |
|---|---|
"""


def page() -> str:
    """The whole page."""
    codes = "".join(f"| {code.value} | {text} |\n" for code, text in MEANINGS.items())
    return OPENING + codes + "".join(_section(command, names) for names, command in commands())


def commands() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it, in the order of `--help`."""
    yield from _below(cca, ("cca",))


def _below(group: click.Group, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group, info_name=names[-1], resilient_parsing=True)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield (*names, name), command
            yield from _below(command, (*names, name))
        else:
            yield (*names, name), command


def _section(command: click.Command, names: tuple[str, ...]) -> str:
    title = " ".join(names)
    context = click.Context(command, info_name=title, resilient_parsing=True)
    parts = [f"\n{'#' * min(len(names), 4)} {title}\n"]
    if not isinstance(command, click.Group):
        parts.append(f"\n```\n{title} {' '.join(command.collect_usage_pieces(context))}\n```\n")
    text = _EXAMPLES.sub(r"```\n\1\n```", inspect.cleandoc(command.help or "").partition("\f")[0]).strip()
    if text:
        parts.append(f"\n{text}\n")
    rows = [row for option in command.params if (row := _row(option, context))]
    if rows:
        parts.append("\n| option | meaning |\n|---|---|\n" + "".join(rows))
    return "".join(parts)


def _row(option: click.Parameter, context: click.Context) -> str:
    record = option.get_help_record(context)
    if record is None or not record[1] or (isinstance(option, click.Option) and option.hidden):
        return ""
    names, text = (" ".join(part.split()).replace("|", "\\|") for part in record)
    return f"| `{names}` | {text} |\n"


def main() -> None:
    """Write the page into the folder given, or here."""
    path = (Path(sys.argv[1]) if len(sys.argv) > 1 else Path()) / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(), encoding="utf-8")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
