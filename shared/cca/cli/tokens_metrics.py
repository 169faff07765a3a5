"""`cca tokens metrics` and `cca tokens recommend`: what was spent and saved, and what would save more."""

from typing import get_args

import click

from cca import codec
from cca.cli import http
from cca.cli.exits import Exit, runs
from cca.cli.params import SPAN, Context, Parameter, json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.tokens_show import bar
from cca.contracts.ledger import Dimension, Recommendation, Recommendations, Spending, TokenMetrics

DIMENSIONS = get_args(Dimension)
STYLES = {"high": "red", "medium": "yellow", "low": "dim"}


def _dimensions(context: Context, parameter: Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(part.strip() for value in values for part in value.split(",") if part.strip()))
    if unknown := [name for name in found if name not in DIMENSIONS]:
        raise click.BadParameter(f"{', '.join(unknown)}: not one of {', '.join(DIMENSIONS)}")
    if len(found) > 4:
        raise click.BadParameter("at most four at once")
    return found


@click.command()
@click.option(
    "--by", multiple=True, callback=_dimensions, metavar="NAMES", help=f"Rows by these: {', '.join(DIMENSIONS)}."
)
@click.option("--since", type=SPAN, help="Only what ended in the last so long: 30m, 24h, 7d.")
@click.option("--role", help="Only this role.")
@click.option("--agent", help="Only this agent.")
@click.option("--task", "task", help="Only this task.")
@click.option("--requester", help="Only what this requester has submitted.")
@click.option("--model", help="Only this model.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Rows at most.")
@json_option
@runs
async def metrics(
    by: tuple[str, ...],
    since: float | None,
    role: str | None,
    agent: str | None,
    task: str | None,
    requester: str | None,
    model: str | None,
    limit: int,
    as_json: bool,
) -> Exit:
    """Show the tokens that attempts used, what they cost, and what compressing their contexts saved."""
    screen = Screen(json=as_json)
    asked = {"role": role, "agent": agent, "requester": requester, "model": model}
    query = {name: value for name, value in asked.items() if value is not None} | {"limit": str(limit)}
    if by:
        query["by"] = ",".join(by)
    if since is not None:
        query["since_s"] = f"{since:.10g}"
    async with http.connect() as gateway:
        if task is not None:
            query["task"] = await gateway.full_id(task)
        found = codec.read(await gateway.request("GET", "/tokens/metrics", params=query), TokenMetrics)
    if as_json:
        screen.document(found)
        return Exit.OK
    _rows(screen, by, found)
    if screen.person:
        screen.say()
        _total(screen, found.total)
    return Exit.OK


def used(row: Spending) -> int:
    """All tokens of a row."""
    return row.input + row.output + row.cache_read + row.cache_write


def _rows(screen: Screen, by: tuple[str, ...], found: TokenMetrics) -> None:
    whole = used(found.total)
    rows: list[tuple[Cell, ...]] = []
    for row in found.rows:
        share = used(row) / whole if whole else 0.0
        shown = (bar(share, 12),) if screen.person else ()
        numbers = (row.attempts, row.input, row.cache_read, row.cache_write, row.output, row.peak)
        rows.append(
            (
                *(row.key.get(name, "") or ("–" if screen.person else "") for name in by),
                f"{used(row):,}" if screen.person else used(row),
                *shown,
                *(f"{number:,}" if screen.person else number for number in numbers),
                f"{row.cost_usd:.4f}",
                f"{sum(row.saved.values()):,}" if screen.person else sum(row.saved.values()),
                f"{row.retrieved}/{row.cuts}" if row.cuts else "",
            )
        )
    titles = ("ATTEMPTS", "INPUT", "CACHE READ", "CACHE WRITE", "OUTPUT", "PEAK", "COST USD", "SAVED", "RETRIEVED")
    columns = [
        *(
            Column(name.upper(), grows=name in ("lane", "requester", "agent"), short=12 * (name == "task"))
            for name in by
        ),
        Column("TOKENS", "number"),
        *([Column("")] if screen.person else []),
        *(Column(title, "number") for title in titles),
    ]
    screen.table(columns, rows, "Nobody has reported any tokens yet.")


def _total(screen: Screen, total: Spending) -> None:
    """What stands below the rows on a terminal."""
    screen.parts((f"{used(total):,} tokens", "bold"), (f" in {total.attempts:,} attempts, ${total.cost_usd:,.4f}", ""))
    if total.estimated_usd:
        screen.say(f"${total.estimated_usd:,.4f} of it is from the price table, the rest as workers reported it")
    if total.failed:
        screen.say(f"{total.failed_tokens:,} tokens went into {total.failed:,} attempts that failed")
    read = total.input + total.cache_read + total.cache_write
    if read and total.cache_read:
        screen.say(f"{total.cache_read / read:.1%} of the input came from a cache")
    if total.ratio is not None:
        screen.say(f"Workers were billed {total.ratio:.3f} input tokens for each that was counted before")
    if not total.condensed:
        return
    expanded = f"{total.retrieved:,} of the {total.cuts:,} cuts in them were expanded"
    screen.say(f"{total.condensed:,} contexts were compressed, and {expanded}")
    screen.say()
    saved = sum(total.saved.values())
    rows: list[tuple[Cell, ...]] = [
        (name, f"{tokens:,}", f"{tokens / saved:.1%}" if saved else "", bar(tokens / saved if saved else 0.0))
        for name, tokens in sorted(total.saved.items(), key=lambda each: (-each[1], each[0]))
    ]
    columns = [Column("STRATEGY"), Column("SAVED", "number"), Column("SHARE", "number"), Column("")]
    screen.table(columns, rows, "Nothing was saved.")


@click.command()
@click.option("--role", help="Only for this role.")
@click.option("--since", type=SPAN, help="Look at the last so long: 24h, 30d.  [default: 7d]")
@json_option
@runs
async def recommend(role: str | None, since: float | None, as_json: bool) -> Exit:
    """Say what would save tokens, how much, and what the numbers behind it are."""
    screen = Screen(json=as_json)
    query = {} if role is None else {"role": role}
    if since is not None:
        query["since_s"] = f"{since:.10g}"
    async with http.connect() as gateway:
        body = await gateway.request("GET", "/tokens/recommendations", params=query)
    found = codec.read(body, Recommendations)
    if as_json:
        screen.document(found)
    elif not screen.person:
        for one in found.recommendations:
            screen.line(one.severity, one.code, one.subject, one.saves_tokens, f"{one.saves_usd:.4f}", one.text)
    else:
        screen.say(f"From {found.attempts:,} attempts with {found.tokens:,} tokens for ${found.cost_usd:,.4f}", "dim")
        if not found.recommendations:
            screen.say("Nothing stands out that would save tokens.")
        for one in found.recommendations:
            _recommendation(screen, one, found.tokens)
    return Exit.OK


def _recommendation(screen: Screen, one: Recommendation, whole: int) -> None:
    share = one.saves_tokens / whole if whole else 0.0
    screen.say()
    screen.parts((f"{one.severity:6} ", STYLES[one.severity]), (one.text, "bold"))
    money = f", ${one.saves_usd:,.4f}" if one.saves_usd else ""
    screen.say(f"       saves {one.saves_tokens:,} tokens ({share:.1%}){money}  {bar(share)}")
    screen.say(f"       {one.subject}: " + ", ".join(f"{name} {value:,.10g}" for name, value in one.evidence.items()))
    if one.command:
        screen.parts(("       ", ""), (one.command, "cyan"))
