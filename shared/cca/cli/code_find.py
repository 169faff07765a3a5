"""`cca code search|stats|drop`: what is in the index of code."""

from typing import get_args

import click
import msgspec

from cca import codec, ids
from cca.cli import http
from cca.cli.context_keys import size_cell
from cca.cli.exits import Exit, runs
from cca.cli.hits import excerpt, explain_option, hits_option, how_made, mode_option, show_embedders, why_text
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.text import clip, visible
from cca.contracts.code import CodeHit, CodeHits, CodeLanguage, CodeStats, SearchCode
from cca.contracts.search import Mode
from cca.errors import Refused


@click.command()
@click.argument("query", nargs=-1, required=True)
@click.option("--project", help="Only of this project.")
@click.option(
    "--language",
    "languages",
    type=click.Choice(get_args(CodeLanguage)),
    multiple=True,
    help="Only this language; may be repeated.",
)
@click.option("--kind", "kinds", multiple=True, help="Only function, method, class, section, …; may be repeated.")
@click.option("--path", help="Only files whose path in the project begins so.")
@click.option(
    "--lines", type=click.IntRange(0, 1_000), default=6, show_default=True, help="Of each hit, on a terminal."
)
@hits_option
@mode_option
@explain_option
@json_option
@runs
async def search(
    query: tuple[str, ...],
    project: str | None,
    languages: tuple[CodeLanguage, ...],
    kinds: tuple[str, ...],
    path: str | None,
    lines: int,
    limit: int,
    mode: Mode,
    explain: bool,
    as_json: bool,
) -> Exit:
    """Find code by meaning and words, best first.

    In a pipe: one line each, separated by tabs: score, project, path, first and last line, language, kind, name,
    signature, and with --explain where the score comes from.

    \b
    cca code search "read a file line by line" --language python
    cca code search Client.submit --kind method --explain
    """
    screen = Screen(json=as_json)
    project = ids.word(project, "a project") if project else None
    command = SearchCode(" ".join(query), project, languages, kinds, path, limit, mode)
    async with http.connect() as gateway:
        answer = await gateway.request("POST", "/code/search", body=codec.encode(command), timeout=30)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    found = codec.read(answer, CodeHits)
    for hit in found.items:
        if screen.person:
            _hit(screen, hit, lines, explain)
        else:
            facts: list[Cell] = [f"{hit.score:.4f}", hit.project, hit.path, hit.start_line, hit.end_line]
            facts += [hit.language, hit.kind, hit.name, hit.signature]
            screen.line(*facts, *([why_text(hit.why)] if explain else []))
    if screen.person and not found.items:
        screen.say("nothing was found", "dim")
    how_made(mode, found.mode, found.embedder, found.note, found.cached, found.took_ms)
    return Exit.OK


def _hit(screen: Screen, hit: CodeHit, lines: int, explain: bool) -> None:
    where = f"{hit.path}:{hit.start_line}" + (f"-{hit.end_line}" if hit.end_line > hit.start_line else "")
    screen.parts(
        (f"{hit.score:.3f}  ", "green"),
        (where, "bold"),
        (f"  {hit.kind} ", "magenta"),
        (hit.name, "cyan"),
        (f"  {hit.project}", "dim"),
    )
    if explain:
        screen.parts(("       ", ""), (why_text(hit.why), "cyan"))
    begin, shown = excerpt(hit.text, hit.why.terms, lines) if lines else (0, [])
    width = max(screen.console.width - 9, 20)
    for number, line in enumerate(shown, hit.start_line + begin):
        screen.parts((f"{number:>7}  ", "dim"), (clip(line, width, spaces=True), ""))
    screen.say()


@click.command()
@json_option
@runs
async def stats(as_json: bool) -> Exit:
    """Show what is in the index, which directories may be indexed, and what makes the vectors."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("GET", "/code/stats")
    if as_json:
        screen.document(msgspec.Raw(answer))
    else:
        _stats(screen, codec.read(answer, CodeStats))
    return Exit.OK


def _stats(screen: Screen, now: CodeStats) -> None:
    columns = [Column("project"), Column("files", "number"), Column("chunks", "number"), Column("size", "number")]
    columns += [Column("indexed", "time"), Column("languages", most=40), Column("path", grows=True)]
    rows: list[tuple[Cell, ...]] = []
    for one in now.projects:
        most = sorted(one.languages.items(), key=lambda each: (-each[1], each[0]))
        languages = ", ".join(f"{name} {count:,}" if screen.person else f"{name}={count}" for name, count in most)
        facts = (one.project, one.files, one.chunks, size_cell(screen, one.bytes), one.indexed_at)
        rows.append((*facts, languages, one.path))
    screen.table(columns, rows, "nothing is indexed yet; `cca code index PATH` does that")
    if not screen.person:
        return
    show_embedders(screen, now.embedders)
    screen.say()
    roots = "  ".join(now.roots) or "none: CCA_CONTEXT_ROOTS names them"
    screen.parts(("may be indexed  ", "dim"), (roots, ""))


@click.command()
@click.argument("projects", nargs=-1, required=True)
@json_option
@runs
async def drop(projects: tuple[str, ...], as_json: bool) -> Exit:
    """Take projects out of the index. Their files are not touched."""
    screen, code = Screen(json=as_json), Exit.OK
    async with http.connect() as gateway:
        for project in projects:
            try:
                answer = await gateway.request("DELETE", f"/code/projects/{ids.word(project, 'a project')}", timeout=60)
            except Refused as error:
                click.echo(f"Error: {visible(project)}: {visible(str(error))}", err=True)
                code = Exit.REFUSED
                continue
            if as_json:
                screen.ndjson(msgspec.Raw(answer))
            else:
                screen.line(project, "is no longer in the index")
    return code
