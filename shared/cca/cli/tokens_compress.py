"""`cca tokens compress`: the same text in fewer tokens, so that it can be undone."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from cca import codec
from cca.cli import http
from cca.cli.answers import write
from cca.cli.exits import Exit, runs
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.tokens_input import STDIN, Document, read
from cca.cli.tokens_options import chosen, level_option, model_option, strategy_option
from cca.cli.tokens_show import bar, document
from cca.contracts.tokens import Compressed, Folding, Level, Turn
from cca.errors import Busy, Refused
from cca.tokens import transcript
from cca.tokens.local_store import LocalStore
from cca.tokens.markers import ref_of

STORE_HELP = "Keep originals in this folder, instead of in the running stack."
WITHOUT = "; --store DIR keeps the originals in a folder, and needs no stack"
"""Follows the error when there is no stack."""

store_option = click.option("--store", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help=STORE_HELP)


@click.command()
@click.argument("path", default=STDIN, metavar="[PATH]")
@model_option
@level_option
@strategy_option
@click.option("--max-tokens", type=click.IntRange(1, 100_000_000), help="Go on until it is within so many tokens.")
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Go on until this share of the tokens is saved, for example 0.5.",
)
@click.option(
    "--keep-recent",
    type=click.IntRange(0),
    default=Folding().recent,
    show_default=True,
    help="So many turns at the end are not masked and not dropped.",
)
@click.option(
    "--cached",
    type=click.IntRange(0),
    default=0,
    help="So many turns at the beginning are in the provider's cache and stay byte for byte.",
)
@click.option("--legend", is_flag=True, help="Begin with a line that says what markers are.")
@store_option
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the text to this file."
)
@click.option("--strict", is_flag=True, help="Exit code 1 when --max-tokens or --target is missed.")
@click.option("--verbose", is_flag=True, help="Print the summary to standard error also when that is no terminal.")
@json_option
@runs
async def compress(
    path: str,
    model: str,
    level: Level,
    strategies: tuple[str, ...],
    max_tokens: int | None,
    target: float | None,
    keep_recent: int,
    cached: int,
    legend: bool,
    store: Path | None,
    output: Path | None,
    strict: bool,
    verbose: bool,
    as_json: bool,
) -> Exit:
    """Print the text or transcript in PATH, or from standard input, in fewer tokens.

    Each cut leaves a marker; `cca tokens expand` gives back the original. A transcript (messages of OpenAI or
    Anthropic, a session of Claude Code) stays one. The summary goes to standard error.
    """
    how = Folding(level, chosen(strategies), model, max_tokens, target, cached, keep_recent, legend)
    given = read(path)
    found = transcript.read(given.text, given.label)
    if store is None:
        reply = await _by_stack(found.turns, how)
    else:
        reply = await asyncio.to_thread(_here, given, found.turns, how, LocalStore(store))
    text = found.write(reply.texts)
    screen = Screen(json=as_json)
    if output is not None:
        _write(output, text)
    if as_json:
        document(screen, reply)
    elif output is None:
        screen.value(text)
    console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
    aside = Screen(console=console)
    if verbose or aside.person:
        summary(aside, reply, ref_of(given.text) if store is not None else reply.original)
    if not reply.reached:
        aside.say(f"The target was missed by {reply.short:,} tokens: {reply.after:,} are left.", "yellow")
    return Exit.FAILED if strict and not reply.reached else Exit.OK


async def _by_stack(turns: Sequence[Turn], how: Folding) -> Compressed:
    """Let the stack compress it; it keeps the originals."""
    body = write({"turns": turns, "how": how})
    async with http.connect() as gateway:
        try:
            return codec.read(await gateway.request("POST", "/tokens/compress", body=body, timeout=90), Compressed)
        except Busy as error:
            raise Busy(f"{error}{WITHOUT}") from None


def _here(document: Document, turns: Sequence[Turn], how: Folding, store: LocalStore) -> Compressed:
    """Compress it in this process, once the originals are in a folder: those of the cuts, and the whole document."""
    # Heavy: what compresses.
    from cca.tokens.compress import compress as compressed
    from cca.tokens.counting import counter

    counting = counter(how.model)
    folded = compressed(turns, how, counting.count)
    store.put_all({**folded.blobs, ref_of(document.text): document.text})
    return Compressed(
        texts=folded.texts,
        original=folded.original,
        model=how.model,
        method=counting.method,
        exact=counting.exact,
        before=folded.before,
        after=folded.after,
        saved=folded.saved,
        cuts=folded.cuts,
        reached=folded.reached,
        short=folded.short,
    )


def _write(file: Path, text: str) -> None:
    try:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise Refused("unwritable", f"{file}: {error.strerror or error}") from None


def summary(screen: Screen, reply: Compressed, original: str) -> None:
    """What was saved, by strategy."""
    share = 1 - reply.after / reply.before if reply.before else 0.0
    screen.parts(
        (f"{reply.before:,} → {reply.after:,} tokens", "bold green"),
        (f" ({share:.1%} saved) for {reply.model}, {reply.method}{'' if reply.exact else ', an estimate'}", ""),
    )
    rows: list[tuple[Cell, ...]] = []
    for name, saved in sorted(reply.saved.items(), key=lambda each: (-each[1], each[0])):
        part = saved / reply.before if reply.before else 0.0
        cuts = sum(cut.strategy == name for cut in reply.cuts)
        rows.append((name, f"{saved:,}", f"{part:.1%}", bar(part), f"{cuts:,}"))
    columns = [Column("STRATEGY"), Column("SAVED", "number"), Column("SHARE", "number"), Column("")]
    screen.table([*columns, Column("CUTS", "number")], rows, "Nothing could be saved.", header=True)
    screen.say(f"The original is ctx:{original}", "dim")
