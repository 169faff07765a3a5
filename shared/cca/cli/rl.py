"""`cca rl`: how routing is learned: look at it, set it, ask why, and compare policies."""

from typing import Any, get_args

import click
import msgspec

from cca import codec
from cca.cli import http, plots
from cca.cli.answers import write
from cca.cli.exits import Exit, runs
from cca.cli.params import json_option
from cca.cli.rl_compare import evaluate, shadow, simulate
from cca.cli.rl_explain import explain, replay
from cca.cli.tables import Column, Screen
from cca.contracts.learner import PolicyHistory, PolicyStatus
from cca.contracts.policy import Algorithm, LaneSummary, Params
from cca.errors import Refused

LANE_COLUMNS = [
    Column("LANE", grows=True),
    Column("OUTCOMES", "number"),
    Column("SUCCESS", "number"),
    Column("REWARD", "number"),
    Column("LATENCY S", "number"),
    Column("TOKENS", "number"),
    Column("COST USD", "number"),
]


@click.group()
def rl() -> None:
    """How routing is learned: look at it, set it, ask why a task went where it went, and compare policies."""


@rl.command()
@click.option("--plot", "file", type=plots.FILE, help="Also draw curves into this file (.png or .svg).")
@click.option("--plots", "drawn", is_flag=True, help="Also draw curves in the terminal.")
@click.option("--points", type=click.IntRange(2, 1_000), default=50, show_default=True, help="Of the curves.")
@json_option
@runs
async def status(file: str | None, drawn: bool, points: int, as_json: bool) -> Exit:
    """Show the policy that decides now, what it was learned from, and what is known of each lane."""
    screen = Screen(json=as_json)
    history = None
    async with http.connect() as gateway:
        now = codec.read(await gateway.request("GET", "/rl/stats"), PolicyStatus)
        if drawn or file:
            body = await gateway.request("GET", "/rl/history", params={"points": str(points)})
            history = codec.read(body, PolicyHistory)
    if as_json:
        screen.document({"status": now, "history": history} if history else now)
    else:
        show_status(screen, now)
        if drawn and history is not None:
            plots.in_terminal(screen, history)
    if file and history is not None:
        plots.to_file(history, file)
        if not as_json:
            screen.say(f"Curves: {file}", "dim")
    return Exit.OK


def show_status(screen: Screen, now: PolicyStatus) -> None:
    """The policy in a few lines and a table of lanes."""
    screen.parts(("Policy    ", "bold"), (f"{now.algorithm}, version {now.version}", "green"))
    behind = now.head - now.position
    screen.say(f"Learned   from {now.decisions:,} outcomes up to event {now.position:,} ({behind:,} behind the newest)")
    if now.reward is not None:
        recent = "" if now.reward_recent is None else f", of the newest hundred {now.reward_recent:.3f}"
        screen.say(f"Reward    {now.reward:.3f} on average over {now.buffered:,} decisions{recent}")
    if now.explored is not None:
        screen.say(f"Explored  {now.explored:.1%} of them were not the best guess")
    if now.loss is not None:
        screen.say(f"Fit       loss {now.loss:.4f}, {now.fit_s * 1000:.1f} ms")
    if now.table_size:
        screen.say(f"Table     {now.table_size:,} of at most {now.params.table_size:,} states")
    for scope, price in sorted(now.prices.items()):
        screen.say(f"Budget    {scope}: ${now.params.budgets.get(scope, 0):g} a task, price {price:.3f} reward per USD")
    if now.shadow is not None:
        screen.say(f"Shadow    {now.shadow.algorithm}: {now.shadow.verdict}")
    screen.say(f"Digest    {now.digest[:16]}")
    screen.say()
    rows = [lane_row(lane, summary) for lane, summary in sorted(now.lanes.items())]
    screen.table(LANE_COLUMNS, rows, "Nothing is known of any lane yet.", header=True)


def lane_row(lane: str, summary: LaneSummary) -> tuple[str | int | float | None, ...]:
    """One lane as a row of `LANE_COLUMNS`."""

    def shown(value: float | None, digits: int) -> str | None:
        return None if value is None else f"{value:,.{digits}f}"

    return (
        lane,
        f"{summary.n:,.1f}",
        shown(summary.success, 3),
        shown(summary.reward, 3),
        shown(summary.latency_s, 2),
        shown(summary.tokens, 0),
        shown(summary.cost_usd, 4),
    )


@rl.command()
@json_option
@runs
async def train(as_json: bool) -> Exit:
    """Learn from everything up to now at once, without waiting for the next interval."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        now = codec.read(await gateway.request("POST", "/rl/train", timeout=60), PolicyStatus)
    if as_json:
        screen.document(now)
    else:
        loss = "" if now.loss is None else f", loss {now.loss:.4f}"
        screen.say(f"Version {now.version} of {now.algorithm}, from {now.decisions:,} outcomes{loss}")
    return Exit.OK


@rl.command()
@click.argument("name", required=False, type=click.Choice(get_args(Algorithm)), metavar="[NAME]")
@click.option("--reason", default="", help="Kept in the log.")
@json_option
@runs
async def algorithm(name: str | None, reason: str, as_json: bool) -> Exit:
    """Show what can decide, or let NAME decide from now on.

    The kill switch is `cca rl algorithm static`: it routes by the fixed weights of the parameter `table`.
    """
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        if name is None:
            now = codec.read(await gateway.request("GET", "/rl/stats"), PolicyStatus)
        else:
            body = write({"algorithm": name, "reason": reason})
            now = codec.read(await gateway.request("POST", "/rl/algorithm", body=body), PolicyStatus)
    if as_json:
        screen.document({"algorithm": now.algorithm, "available": now.available})
        return Exit.OK
    if name is not None:
        screen.say(f"{now.algorithm} decides from now on; `cca rl status` shows how it does")
        return Exit.OK
    rows = [("▶" if one == now.algorithm else "", one, what) for one, what in now.available.items()]
    screen.table([Column(""), Column("NAME"), Column("WHAT IT DOES", grows=True)], rows, "None.")
    return Exit.OK


@rl.command()
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]…")
@click.option("--reset", is_flag=True, help="All others go back to their defaults.")
@json_option
@runs
async def params(settings: tuple[str, ...], reset: bool, as_json: bool) -> Exit:
    """Show all parameters, or set some: `floor=0.05 reward.success=0.7 'budgets={"all": 0.2}'`.

    A value is JSON; null goes back to the default. What each means is in docs/routing.md.
    """
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        if settings or reset:
            patch: dict[str, Any] = {}
            for setting in settings:
                put(patch, setting)
            query = {"replace": "true"} if reset else {}
            reply = await gateway.request("POST", "/rl/params", params=query, body=write(patch))
        else:
            reply = await gateway.request("GET", "/rl/stats")
    now = codec.read(reply, PolicyStatus)
    if as_json:
        screen.document(now.params)
        return Exit.OK
    defaults = dict(flat(Params()))
    rows = [
        (key, msgspec.json.encode(value).decode(), "" if defaults.get(key) == value else "set")
        for key, value in flat(now.params)
    ]
    screen.table([Column("KEY"), Column("VALUE", grows=True), Column("")], rows, "None.")
    return Exit.OK


def put(tree: dict[str, Any], setting: str) -> None:
    """Put `reward.success=0.7` into a tree. Raises `Refused` for what is no setting."""
    key, equals, text = setting.partition("=")
    path = key.strip().split(".")
    if not equals or not all(path):
        raise Refused("bad-input", f"{setting!r} is not KEY=VALUE")
    if key not in dict(flat(Params())):
        raise Refused("bad-input", f"{key} is no parameter; `cca rl params` lists them")
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        raise Refused("bad-input", f"{key}: {text!r} is not JSON") from None
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value


def flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every parameter by its dotted key; defaults too."""
    found: list[tuple[str, Any]] = []
    for name in value.__struct_fields__:
        one = getattr(value, name)
        if isinstance(one, msgspec.Struct):
            found += flat(one, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", one))
    return found


for command in (explain, replay, evaluate, shadow, simulate):
    rl.add_command(command)
