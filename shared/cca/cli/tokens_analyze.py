"""`cca tokens analyze`: what text is made of, what stands in it more than once, and what compressing would save."""

from collections.abc import Sequence

import click
from msgspec.structs import replace

from cca.cli.exits import Exit
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.tokens_input import Document, documents
from cca.cli.tokens_options import chosen, level_option, model_option, strategy_option
from cca.cli.tokens_show import SHARE_COLUMNS, bar, document, exactness, share_cells
from cca.contracts.tokens import LIMIT, Analysis, Folding, Level, Turn
from cca.errors import Refused
from cca.tokens.transcript import read

BIGGEST = 10
"""So many turns are shown, and so many repetitions."""


def turns_of(found: Sequence[Document], as_agents: bool | None) -> list[Turn]:
    """The turns of documents, one after another.

    Args:
        as_agents: each document is the transcript of an agent, named like its file; if None, when all are transcripts.

    Raises:
        Refused: there is nothing, or more than is looked at in one go.
    """
    if not found:
        raise Refused("empty", "there is no text to look at")
    size = sum(len(each.text) for each in found)
    if size > LIMIT:
        raise Refused("too-large", f"{size:,} characters; at most {LIMIT:,} are looked at in one go")
    transcripts = [(each.label or "standard input", read(each.text, each.label)) for each in found]
    if as_agents is None:
        as_agents = len(transcripts) > 1 and all(transcript.form != "text" for _, transcript in transcripts)
    return [
        replace(turn, agent=f"{name}:{turn.agent}"[-200:] if turn.agent else name) if as_agents else turn
        for name, transcript in transcripts
        for turn in transcript.turns
    ]


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]…")
@model_option
@level_option
@strategy_option
@click.option(
    "--as-agents/--no-as-agents",
    default=None,
    help="Each file is the transcript of an agent of its own; so it is when several are transcripts.",
)
@json_option
def analyze(
    paths: tuple[str, ...],
    model: str,
    level: Level,
    strategies: tuple[str, ...],
    as_agents: bool | None,
    as_json: bool,
) -> int:
    """Say what files, folders, transcripts or standard input are made of, and what could go.

    Shown are tokens by kind of content, what stands there more than once, the largest turns, and what each strategy
    saves when it is compressed as asked. It needs no stack.
    """
    turns = turns_of(list(documents(paths)), as_agents)
    # Heavy: what compresses.
    from cca.tokens.analysis import analyze as analyzed
    from cca.tokens.counting import counter

    screen = Screen(json=as_json)
    found = analyzed(turns, Folding(level=level, strategies=chosen(strategies), model=model))
    if as_json:
        document(screen, found)
        return Exit.OK
    how = exactness(found.exact, counter(model).error)
    screen.parts(
        (f"{found.tokens:,} tokens", "bold"),
        (f" for {found.model} ({found.method}, {how}) in {_several(len(turns), 'turn')}, {found.lines:,} lines", ""),
    )
    screen.say(
        f"{_several(found.code_blocks, 'code block')}, {_several(found.long_lines, 'line')} of more than 200 characters"
    )
    show(screen, found)
    return Exit.OK


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def show(screen: Screen, found: Analysis) -> None:
    """The analysis as tables with bars."""
    screen.say()
    rows: list[tuple[Cell, ...]] = [(kind, *share_cells(share)) for kind, share in found.kinds.items()]
    screen.table([Column("KIND"), *SHARE_COLUMNS], rows, "Nothing is there.", header=True)
    screen.say()
    named = (
        ("exact repetitions", found.duplicates),
        ("near duplicates", found.near),
        ("boilerplate", found.boilerplate),
        ("with several agents", found.across),
    )
    rows = [(name, *share_cells(share)) for name, share in named]
    screen.table([Column("REDUNDANCY"), *SHARE_COLUMNS], rows, "", header=True)
    _turns(screen, found)
    _repetitions(screen, found)
    _plan(screen, found)


def _turns(screen: Screen, found: Analysis) -> None:
    if len(found.turns) < 2:
        return
    rows: list[tuple[Cell, ...]] = []
    for turn in sorted(found.turns, key=lambda turn: (-turn.tokens, turn.turn))[:BIGGEST]:
        share = turn.tokens / found.tokens if found.tokens else 0.0
        like = "" if turn.like is None else f"turn {turn.like}, {turn.similarity:.0%}"
        said = " ".join(filter(None, (turn.role, turn.agent, turn.name)))
        repeated = f"{turn.repeated:,}" if turn.repeated else ""
        rows.append((turn.turn, f"{turn.tokens:,}", f"{share:.1%}", bar(share), turn.kind, repeated, like, said))
    screen.say()
    columns = [Column("TURN", "number"), *SHARE_COLUMNS, Column("KIND"), Column("REPEATED", "number"), Column("LIKE")]
    screen.table([*columns, Column("FROM", grows=True)], rows, "", header=True)
    if len(found.turns) > BIGGEST:
        screen.say(f"and {len(found.turns) - BIGGEST:,} smaller ones", "dim")


def _repetitions(screen: Screen, found: Analysis) -> None:
    if not found.repetitions:
        return
    rows = [(f"{one.tokens:,}", one.times, _places(one.turns), one.preview) for one in found.repetitions[:BIGGEST]]
    screen.say()
    columns = [Column("REPEATED", "number"), Column("TIMES", "number"), Column("TURNS"), Column("TEXT", grows=True)]
    screen.table(columns, rows, "", header=True)


def _places(turns: Sequence[int]) -> str:
    shown = ", ".join(map(str, turns[:4]))
    return shown if len(turns) <= 4 else f"{shown}, …"


def _plan(screen: Screen, found: Analysis) -> None:
    screen.say()
    rows: list[tuple[Cell, ...]] = []
    for step in found.plan:
        share = step.saved / found.tokens if found.tokens else 0.0
        rows.append((step.strategy, f"{step.saved:,}", f"{share:.1%}", bar(share), f"{step.cuts:,}"))
    columns = [Column("STRATEGY"), Column("SAVES", "number"), *SHARE_COLUMNS[1:], Column("CUTS", "number")]
    screen.table(columns, rows, "Compressing it saves nothing.", header=True)
    if found.plan:
        screen.parts(
            (f"{found.tokens:,} → {found.after:,} tokens", "bold green"),
            (f": {found.potential:.1%} can go; `cca tokens compress` does it", ""),
        )
