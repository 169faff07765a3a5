"""`cca tokens`: count, look at and compress text, and see what agents spend."""

import click

from cca.cli.exits import Exit
from cca.cli.params import json_option
from cca.cli.parts import Entry, Parts
from cca.cli.tables import Column, Screen

PARTS = {
    "count": Entry("cca.cli.tokens_count:count", "Count tokens of files, folders and transcripts."),
    "analyze": Entry("cca.cli.tokens_analyze:analyze", "Say what text is made of, and what could go."),
    "compress": Entry("cca.cli.tokens_compress:compress", "Say the same in fewer tokens; it can be undone."),
    "expand": Entry("cca.cli.tokens_expand:expand", "Print the original of what was compressed."),
    "strategies": Entry("cca.cli.tokens:strategies", "List the ways to compress."),
    "metrics": Entry("cca.cli.tokens_metrics:metrics", "Show what was spent and saved, by whom."),
    "recommend": Entry("cca.cli.tokens_metrics:recommend", "Say what would save tokens, and why."),
    "policy": Entry("cca.cli.tokens_policy:policy", "Which roles' contexts are compressed before dispatch."),
    "bench": Entry("cca.cli.bench_tokens:tokens_bench", "Measure speed, savings and what stays visible."),
}


@click.group(cls=Parts, parts=PARTS)
def tokens() -> None:
    """Count, look at and compress text, and see what agents spend. See docs/tokens.md."""


@click.command()
@json_option
def strategies(as_json: bool) -> int:
    """List the ways to compress: what each does, to what kinds of content, and from which level on.

    `old` says that it leaves the most recent turns alone.
    """
    from cca.tokens.strategies.registry import STRATEGIES

    screen = Screen(json=as_json)
    if as_json:
        screen.document(
            [
                {
                    "name": each.name,
                    "level": each.level,
                    "kinds": sorted(each.kinds),
                    "old_only": each.old_only,
                    "summary": each.summary,
                }
                for each in STRATEGIES
            ]
        )
        return Exit.OK
    rows = [
        (each.name, each.level, "old" if each.old_only else "", ", ".join(sorted(each.kinds)) or "all", each.summary)
        for each in STRATEGIES
    ]
    columns = [Column("NAME"), Column("LEVEL"), Column(""), Column("KINDS", most=30), Column("SUMMARY", grows=True)]
    screen.table(columns, rows, "There are none.")
    return Exit.OK
