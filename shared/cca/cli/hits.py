"""What searches of memories and of code have in common: their options, why a hit stands where it does, and how the
answer was made."""

from collections.abc import Sequence
from typing import get_args

import click

from cca.cli.outcome import standard_error
from cca.cli.tables import Cell, Column, Screen
from cca.cli.text import visible
from cca.contracts.search import EmbedderInfo, Mode, Why

mode_option = click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default="hybrid",
    show_default=True,
    help="By meaning and words, by meaning alone (dense), or by words alone (lexical).",
)
hits_option = click.option(
    "--limit", type=click.IntRange(1, 200), default=10, show_default=True, help="At most so many."
)
explain_option = click.option("--explain", is_flag=True, help="Say where each score comes from.")


def why_text(why: Why) -> str:
    """Where a score comes from, in one line."""
    parts: list[str] = []
    if why.dense is not None:
        parts.append(f"meaning {why.dense:.3f}{_place(why.dense_rank)}")
    if why.lexical is not None:
        parts.append(f"words {why.lexical:.3f}{_place(why.lexical_rank)}")
    if why.terms:
        parts.append(f"{why.coverage:.0%} of the terms by weight: {', '.join(why.terms)}")
    for factor, what in ((why.utility, "how often it helped"), (why.decay, "its age")):
        if (shown := f"{factor:.3g}") != "1":
            parts.append(f"×{shown} for {what}")
    return "; ".join(parts)


def _place(rank: int | None) -> str:
    if rank is None:
        return ""
    last = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f" ({rank}{last})"


def how_made(asked: str, mode: str, embedder: str | None, note: str, cached: bool, took_ms: float) -> None:
    """Say on standard error how hits were ranked: to a person always, else only when it is not as was asked."""
    aside = standard_error()
    if note or mode != asked:
        aside.say(f"ranked {mode}, not {asked}{': ' if note else ''}{note}" if mode != asked else note, "yellow")
    if aside.person:
        by = f" with {embedder}" if embedder else ""
        aside.say(f"{mode}{by}, {took_ms:.1f} ms{', from the cache' if cached else ''}", "dim")


def show_embedders(screen: Screen, found: Sequence[EmbedderInfo]) -> None:
    """What makes vectors, and how far it is: a table below the rest, for a person."""
    columns = [Column("embedder"), Column("revision", most=16), Column("dimension", "number"), Column("state")]
    columns += [Column("embedded", "number")]
    rows: list[tuple[Cell, ...]] = [(one.id, one.revision, one.dimension, one.state, progress(one)) for one in found]
    screen.say()
    screen.table(columns, rows, "no embedder: searches go by words alone")
    for one in found:
        if one.problem:
            screen.say(f"{visible(one.id)}: {visible(one.problem)}", "red")


def progress(one: EmbedderInfo) -> str:
    """How many of the documents have a vector."""
    share = f" ({one.embedded / one.documents:.0%})" if one.documents else ""
    return f"{one.embedded:,} of {one.documents:,}{share}"


def excerpt(text: str, terms: Sequence[str], most: int) -> tuple[int, list[str]]:
    """The lines of a text that say most about the terms: the number of the first, from 0, and at most `most` lines.

    The earliest, where several say as much; blank lines at both ends are left out.
    """
    lines = text.split("\n")
    wanted = [term.casefold() for term in terms if term]
    found = [{term for term in wanted if term in line.casefold()} for line in lines]
    best, begin = -1, 0
    for start in range(max(len(lines) - most, 0) + 1):
        said = len(set[str]().union(*found[start : start + most]))
        if said > best:
            best, begin = said, start
    end = min(begin + most, len(lines))
    while begin < end - 1 and not lines[begin].strip():
        begin += 1
    while end > begin + 1 and not lines[end - 1].strip():
        end -= 1
    return begin, [visible(line.rstrip(), lines=True) for line in lines[begin:end]]
