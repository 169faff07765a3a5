"""`cca schemas`: generate and check what is in `schemas/`."""

import sys
from pathlib import Path
from typing import TextIO

import click
import msgspec

from cca.errors import Misconfigured, Refused
from cca.schemas import files, samples

FOLDER = click.option(
    "--dir",
    "root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("schemas"),
    show_default=True,
    help="The folder of the schemas.",
)


@click.group()
def schemas() -> None:
    """Generate and check the schemas of everything that is said and stored."""


@schemas.command()
@FOLDER
def write(root: Path) -> None:
    """Bring the generated files up to date."""
    for path in files.write(root):
        click.echo(f"wrote {path}")


@schemas.command()
@FOLDER
@click.option(
    "--against", metavar="GIT_REF", help="Also compare with this revision: only optional properties may be new."
)
def check(root: Path, against: str | None) -> None:
    """Say what is out of date, incompatible or without a sample; exit code 1 if anything is."""
    if not root.is_dir():
        raise click.UsageError(f"there is no folder {root}")
    try:
        found = files.problems(root, against)
    except Misconfigured as error:
        raise click.UsageError(str(error)) from None
    for problem in found:
        click.echo(problem, err=True)
    if found:
        sys.exit(1)


@schemas.command()
@FOLDER
@click.option("--name", help="Record further samples, as <tag>.<name>.json.")
@click.argument("source", type=click.File(encoding="utf-8"), default="-")
def record(root: Path, name: str | None, source: TextIO) -> None:
    """Add recorded messages for types that have none yet.

    SOURCE (standard input by default) holds one message a line: {"headers": {…}, "body": {…}}. A sample that is
    there is never written again.
    """
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            file = samples.record(root, msgspec.json.decode(line, type=samples.Sample), name)
        except msgspec.DecodeError as error:
            raise click.UsageError(f"line {number}: {error}") from None
        except Refused as error:
            if error.code != "recorded":
                raise click.UsageError(f"line {number}: {error}") from None
            click.echo(f"kept {error}", err=True)
        else:
            click.echo(f"recorded {file.name}")
