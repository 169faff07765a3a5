"""`cca memory policy`: what is remembered of which roles' tasks, and put before them."""

from typing import Any
from urllib.parse import quote

import click
import msgspec
from msgspec.structs import replace

from cca import codec
from cca.cli import http
from cca.cli.answers import write
from cca.cli.exits import Exit, runs
from cca.cli.http import Gateway
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.contracts.ledger import PolicyRole
from cca.contracts.memory import EVERYONE, MemoryPolicies, MemoryPolicy
from cca.errors import Refused

_NEW = MemoryPolicy()
_reason = click.option("--reason", default="", help="Kept in the log.")


@click.group()
def policy() -> None:
    """What is remembered of which roles' tasks, and put before them. Roles without a policy do neither."""


@policy.command("list")
@json_option
@runs
async def list_policies(as_json: bool) -> Exit:
    """List the policies. That of `*` is for all roles without one of their own."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        found = await _now(gateway)
    if as_json:
        screen.document(found)
        return Exit.OK
    rows: list[tuple[Cell, ...]] = [
        (
            role,
            "yes" if one.store else "no",
            one.inject,
            f"{one.max_tokens:,}" if screen.person else one.max_tokens,
            f"{one.min_score:g}",
            f"{one.cap:,}" if screen.person else one.cap,
            f"{one.half_life_days:g}",
            f"{one.similar:g}",
        )
        for role, one in sorted(found.roles.items(), key=lambda each: (each[0] == EVERYONE, each[0]))
    ]
    titles = ("INJECT", "MAX TOKENS", "MIN SCORE", "CAP", "HALF-LIFE DAYS", "SIMILAR")
    columns = [Column("ROLE"), Column("STORE"), *(Column(title, "number") for title in titles)]
    screen.table(columns, rows, "Nothing is remembered by itself; `cca memory policy set ROLE` changes that.")
    return Exit.OK


@policy.command("set")
@click.argument("role")
@click.option("--store/--no-store", default=None, help="Whether finished tasks become memories.  [new: store]")
@click.option(
    "--inject",
    type=click.IntRange(0, 20),
    help=f"So many are put before a task, at most; 0 for none.  [new: {_NEW.inject:g}]",
)
@click.option(
    "--max-tokens", type=click.IntRange(50, 20_000), help=f"They are within this together.  [new: {_NEW.max_tokens:g}]"
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 2),
    help=f"What scores less is not put before a task.  [new: {_NEW.min_score:g}]",
)
@click.option(
    "--cap", type=click.IntRange(1, 1_000_000), help=f"So many are kept; the least useful go first.  [new: {_NEW.cap}]"
)
@click.option(
    "--half-life-days",
    type=click.FloatRange(0, 36_500, min_open=True),
    help=f"What was not useful for so long counts half.  [new: {_NEW.half_life_days:g}]",
)
@click.option(
    "--similar",
    type=click.FloatRange(0.5, 1),
    help=f"From this similarity on, two memories become one.  [new: {_NEW.similar:g}]",
)
@_reason
@json_option
@runs
async def set_policy(role: str, reason: str, as_json: bool, **settings: Any) -> Exit:
    """Remember what ROLE's tasks teach (`*`: those of all other roles), and put it before them, from now on.

    What is not given stays as it is; `new` says what it is in a new policy.

    \b
    cca memory policy set backend --inject 5 --max-tokens 2000
    cca memory policy set '*' --inject 0
    """
    _checked(role)
    given = {name: value for name, value in settings.items() if value is not None}
    async with http.connect() as gateway:
        wanted = replace((await _now(gateway)).roles.get(role, MemoryPolicy()), **given)
        found = await _change(gateway, "PUT", role, reason, write(wanted))
    screen = Screen(json=as_json)
    if as_json:
        screen.document(found)
        return Exit.OK
    kept = "what its tasks teach is remembered" if wanted.store else "what its tasks teach is not remembered"
    put = f"up to {wanted.inject} memories are put before them" if wanted.inject else "nothing is put before them"
    screen.line(role, f"{kept}; {put}")
    return Exit.OK


@policy.command()
@click.argument("role")
@_reason
@json_option
@runs
async def remove(role: str, reason: str, as_json: bool) -> Exit:
    """Take the policy of ROLE away. What is remembered stays."""
    _checked(role)
    async with http.connect() as gateway:
        found = await _change(gateway, "DELETE", role, reason, None)
    screen = Screen(json=as_json)
    if as_json:
        screen.document(found)
    else:
        screen.line(role, "has no policy of its own")
    return Exit.OK


def _checked(role: str) -> None:
    try:
        msgspec.convert(role, PolicyRole)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise Refused("bad-name", f"{role!r} is no role: lower-case letters, digits, - and _, or *") from None


async def _now(gateway: Gateway) -> MemoryPolicies:
    return codec.read(await gateway.request("GET", "/memory/policies"), MemoryPolicies)


async def _change(gateway: Gateway, method: str, role: str, reason: str, body: bytes | None) -> MemoryPolicies:
    params = {"reason": reason} if reason else {}
    path = f"/memory/policies/{quote(role, safe='')}"
    return codec.read(await gateway.request(method, path, params=params, body=body), MemoryPolicies)
