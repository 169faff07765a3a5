"""`cca rl evaluate`, `shadow`, `simulate`: what another policy would do, from the log, beside it, and on test beds."""

from pathlib import Path

import click
import msgspec
from rich.console import Console

from cca import codec
from cca.cli import http
from cca.cli.answers import write
from cca.cli.exits import Exit, runs
from cca.cli.params import SPAN, json_option
from cca.cli.progress import steps
from cca.cli.tables import Column, Screen
from cca.contracts.learner import Evaluation, PolicyStatus

NAMES = {
    "logged": "what was earned",
    "ips": "inverse propensity",
    "snips": "self-normalised",
    "dr": "doubly robust",
}


@click.command()
@click.option("--policy", "name", required=True, help="The candidate: a name that `cca rl algorithm` lists.")
@click.option("--since", type=SPAN, help="Only decisions of the last so long: 30m, 7d ago is 168h.")
@json_option
@runs
async def evaluate(name: str, since: float | None, as_json: bool) -> Exit:
    """Say what another policy would have earned on the decisions of the log.

    It is trained on the earlier half of them and valued on the later one. Below an effective sample size of 50 there
    is no verdict.
    """
    screen = Screen(json=as_json)
    question = {"algorithm": name} | ({} if since is None else {"since_s": since})
    async with http.connect() as gateway:
        body = await gateway.request("POST", "/rl/evaluate", body=write(question), timeout=120)
    found = codec.read(body, Evaluation)
    if as_json:
        screen.document(found)
        return Exit.OK
    screen.say(
        f"{found.algorithm}: trained on {found.trained_on:,} decisions, valued on {found.decisions:,}, "
        f"effective sample size {found.ess:,.0f}"
    )
    rows = [
        (NAMES[one.method], f"{one.value:.4f}", f"{one.error:.4f}", f"{one.low:.4f} – {one.high:.4f}")
        for one in found.estimates
    ]
    columns = [Column("REWARD PER DECISION"), Column("VALUE", "number"), Column("± ERROR", "number"), Column("95 %")]
    screen.table(columns, rows, "There are no decisions to value it on.", header=True)
    screen.say(found.verdict)
    return Exit.OK


@click.command()
@click.argument("verb", type=click.Choice(["start", "stop", "status"]), default="status")
@click.option("--policy", "name", help="The candidate, for start.")
@click.option("--promote", is_flag=True, help="Let it take over once it is better with 95 % confidence.")
@json_option
@runs
async def shadow(verb: str, name: str | None, promote: bool, as_json: bool) -> Exit:
    """Try a policy beside the live one, on the same decisions: start it, stop it, or see how it does."""
    if (verb == "start") != (name is not None):
        raise click.UsageError("give --policy with start, and only there")
    screen = Screen(json=as_json)
    question = {"verb": verb, "promote": promote} | ({} if name is None else {"algorithm": name})
    async with http.connect() as gateway:
        now = codec.read(await gateway.request("POST", "/rl/shadow", body=write(question), timeout=60), PolicyStatus)
    if as_json:
        screen.document(now.shadow)
        return Exit.OK
    if now.shadow is None:
        screen.say(f"No candidate runs beside {now.algorithm}.")
        return Exit.OK
    one = now.shadow
    screen.say(f"{one.algorithm} beside {now.algorithm}, on {one.decisions:,} decisions since event {one.position:,}")
    if one.advantage is not None:
        bounds = "" if one.low is None or one.high is None else f" (95 %: {one.low:+.4f} to {one.high:+.4f})"
        screen.say(
            f"Advantage {one.advantage:+.4f} of reward per decision{bounds}, effective sample size {one.ess:,.0f}"
        )
    screen.say(one.verdict + ("; it takes over when that is certain" if one.promote else ""))
    return Exit.OK


@click.command()
@click.option("--seeds", type=click.IntRange(1, 1_000), default=3, show_default=True, help="Runs of each, permuted.")
@click.option("--set", "sets", multiple=True, help="Only this test bed; may be repeated.")
@click.option("--policy", "policies", multiple=True, help="Only this policy; may be repeated.")
@click.option("--quick", is_flag=True, help="A few hundred decisions only.")
@click.option("--json", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures to this file.")
def simulate(seeds: int, sets: tuple[str, ...], policies: tuple[str, ...], quick: bool, file: Path | None) -> int:
    """Let every policy learn on the test beds, here and without a stack, and print one table.

    Beds: real prompts with the rewards and costs of three models, lanes that drift, and escalation after failures.
    """
    # Heavy: numpy and everything that learns.
    from cca.bench import rl

    if file is not None and not file.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {file.absolute().parent}")
    with steps() as progress:
        try:
            report = rl.run(seeds=seeds, sets=sets or None, policies=policies or None, quick=quick, progress=progress)
        except ImportError:
            raise click.UsageError("the prompts are missing: pip install 'cca[rl]'") from None
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if file is not None:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(report.document()), indent=2) + b"\n")
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 140
    report.show(console)
    return Exit.OK if report.met else Exit.FAILED
