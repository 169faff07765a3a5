"""`cca tokens policy`: which roles' contexts are compressed before dispatch, and how far."""

from urllib.parse import quote

import click
import msgspec

from cca import codec
from cca.cli import http
from cca.cli.answers import write
from cca.cli.exits import Exit, runs
from cca.cli.params import json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.tokens_options import chosen, level_option, model_option, strategy_option
from cca.contracts.ledger import EVERYONE, PolicyRole, RolePolicy, TokenPolicies
from cca.contracts.tokens import Level
from cca.errors import Refused

_reason = click.option("--reason", default="", help="Kept in the log.")


@click.group()
def policy() -> None:
    """Which roles' contexts are compressed before dispatch, and how far."""


@policy.command("list")
@json_option
@runs
async def list_policies(as_json: bool) -> Exit:
    """List the policies. That of `*` is for all roles without one of their own."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        found = codec.read(await gateway.request("GET", "/tokens/policies"), TokenPolicies)
    if as_json:
        screen.document(found)
        return Exit.OK
    rows: list[tuple[Cell, ...]] = [
        (
            role,
            f"{one.max_tokens:,}" if screen.person else one.max_tokens,
            one.model,
            one.level,
            "all of the level" if one.strategies is None else ", ".join(one.strategies),
        )
        for role, one in sorted(found.roles.items(), key=lambda each: (each[0] == EVERYONE, each[0]))
    ]
    columns = [Column("ROLE"), Column("MAX TOKENS", "number"), Column("MODEL"), Column("LEVEL")]
    empty = "No context is compressed; `cca tokens policy set ROLE --max-tokens N` changes that."
    screen.table([*columns, Column("STRATEGIES", grows=True)], rows, empty)
    return Exit.OK


@policy.command("set")
@click.argument("role")
@click.option("--max-tokens", type=click.IntRange(1, 10_000_000), required=True, help="A longer context is compressed.")
@model_option
@level_option
@strategy_option
@_reason
@json_option
@runs
async def set_policy(
    role: str, max_tokens: int, model: str, level: Level, strategies: tuple[str, ...], reason: str, as_json: bool
) -> Exit:
    """Compress the contexts of ROLE's tasks (`*`: of all other roles) from now on, when they are over a budget.

    A context that cannot be brought within it goes out as far compressed as the level allows.
    """
    wanted = RolePolicy(max_tokens, model, level, chosen(strategies))
    found = await _change("PUT", role, reason, write(wanted))
    screen = Screen(json=as_json)
    if as_json:
        screen.document(found)
    else:
        screen.line(role, f"contexts of more than {max_tokens:,} tokens are compressed, level {level}")
    return Exit.OK


@policy.command()
@click.argument("role")
@_reason
@json_option
@runs
async def remove(role: str, reason: str, as_json: bool) -> Exit:
    """Take the policy of ROLE away."""
    found = await _change("DELETE", role, reason, None)
    screen = Screen(json=as_json)
    if as_json:
        screen.document(found)
    else:
        screen.line(role, "has no policy of its own")
    return Exit.OK


async def _change(method: str, role: str, reason: str, body: bytes | None) -> TokenPolicies:
    try:
        msgspec.convert(role, PolicyRole)
    except msgspec.ValidationError:
        raise Refused("bad-name", f"{role!r} is no role: lower-case letters, digits, - and _, or *") from None
    params = {"reason": reason} if reason else {}
    async with http.connect() as gateway:
        path = f"/tokens/policies/{quote(role, safe='')}"
        return codec.read(await gateway.request(method, path, params=params, body=body), TokenPolicies)
