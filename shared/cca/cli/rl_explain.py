"""`cca rl explain` and `cca rl replay`: why a task went where it went, and the proof that it would again."""

from collections.abc import Mapping

import click

from cca import codec
from cca.cli import http
from cca.cli.exits import Exit, runs
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.contracts.learner import Explained, Explanation

_task = click.argument("task")
_route = click.option("--route", type=click.IntRange(min=1), help="Which decision about it; the last by default.")


async def ask(task: str, route: int | None, replayed: bool) -> Explanation:
    """What the learner says about a decision."""
    query = {} if route is None else {"route": str(route)}
    if replayed:
        query["replay"] = "true"
    async with http.connect() as gateway:
        full = await gateway.full_id(task)
        body = await gateway.request("GET", f"/tasks/{full}/explain", params=query, timeout=90)
    return codec.read(body, Explanation)


@click.command()
@_task
@_route
@json_option
@runs
async def explain(task: str, route: int | None, as_json: bool) -> Exit:
    """Say why TASK was routed as it was: candidates, expectations, chances, and what spoke for the choice."""
    screen = Screen(json=as_json)
    why = await ask(task, route, replayed=False)
    if as_json:
        screen.document(why)
        return Exit.OK
    verb = "explored" if why.explored else "chose"
    screen.parts((f"Decision {why.route} of task {why.task}", "bold"))
    screen.say(
        f"{why.policy}, version {why.version}, {verb} {why.role}/{why.lane} with a chance of {why.propensity:.1%}"
    )
    screen.say(f"Drawn {why.draw:.6f} from seed {why.seed}")
    if why.x:
        screen.say("Features: " + ", ".join(f"{name} {value:g}" for name, value in why.x.items()))
    for scope, price in why.prices.items():
        screen.say(f"Price of a dollar for {scope}: {price:.3f} of reward")
    screen.say()
    screen.table(
        [
            Column(""),
            Column("LANE"),
            Column("CHANCE", "number"),
            Column("SCORE", "number"),
            Column("MEAN", "number"),
            Column("± DEV", "number"),
            Column("LOAD"),
            Column("MASKED, OR WHAT SPEAKS FOR IT", grows=True),
        ],
        [_row(one, (one.role, one.lane) == (why.role, why.lane)) for one in why.candidates],
        "No candidates are recorded.",
        header=True,
    )
    if why.runner_up:
        screen.say()
        screen.say(f"Against the runner-up {why.runner_up}: {_terms(why.against, 8) or 'nothing'}")
    if why.outcome:
        parts = ", ".join(f"{name} {value:.2f}" for name, value in why.components.items())
        worth = "" if why.reward is None else f", worth {why.reward:.3f} ({parts})"
        screen.say(f"Outcome: {why.outcome}{worth}")
    if why.note:
        screen.say(why.note, "dim")
    return Exit.OK


def _row(one: Explained, chosen: bool) -> tuple[Cell, ...]:
    load = one.features
    busy = f"{load.get('running', 0):g}+{load.get('queued', 0):g}/{load.get('capacity', 0):g}"
    said = one.masked or _terms(one.contributions, 4)
    expected = ("", "") if one.mean is None else (f"{one.mean:.3f}", f"{one.deviation or 0:.3f}")
    return (
        "▶" if chosen else "",
        f"{one.role}/{one.lane}",
        f"{one.probability:.1%}",
        f"{one.score:.3f}",
        *expected,
        busy,
        said,
    )


def _terms(contributions: Mapping[str, float], most: int) -> str:
    return ", ".join(f"{name} {value:+.3f}" for name, value in list(contributions.items())[:most])


@click.command()
@_task
@_route
@json_option
@runs
async def replay(task: str, route: int | None, as_json: bool) -> Exit:
    """Make the policy again from the log, decide about TASK again, and compare; exit code 1 if anything differs."""
    screen = Screen(json=as_json)
    why = await ask(task, route, replayed=True)
    again = why.replay
    if as_json:
        screen.document(why)
    elif again is None:
        screen.say(f"Decision {why.route} of task {why.task} was not replayed: {why.note}")
    else:
        screen.say(f"Read {again.events:,} events in {again.seconds:.2f} s and made version {why.version} again")
        rows: list[tuple[Cell, ...]] = [
            ("lane", f"{why.role}/{why.lane}", again.lane),
            ("propensity", f"{why.propensity:.9f}", f"{again.propensity:.9f}"),
            ("statistics", again.recorded_digest[:16], again.digest[:16]),
        ]
        screen.table([Column(""), Column("RECORDED"), Column("MADE AGAIN")], rows, "", header=True)
        if again.equal:
            screen.parts(("Equal", "green"))
        else:
            screen.parts(("Different: ", "red"), (again.difference, ""))
    return Exit.OK if again is not None and again.equal else Exit.FAILED
