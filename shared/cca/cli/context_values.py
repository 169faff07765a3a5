"""`cca context set|get|delete|list`: values under keys."""

import click
import msgspec

from cca.cli import http
from cca.cli.answers import read, write
from cca.cli.context_keys import (
    KEY,
    PREFIX,
    Held,
    expect_option,
    expected,
    key_argument,
    path,
    scope_argument,
    shown,
    size_cell,
    sized,
)
from cca.cli.exits import Exit, runs
from cca.cli.params import SPAN, TEXT_OR_FILE, json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.text import ago, visible
from cca.contracts.context import LARGEST
from cca.errors import Refused


class Listed(msgspec.Struct, frozen=True):
    """The keys of a scope."""

    items: list[Held]


@click.command("set")
@scope_argument
@key_argument
@click.argument("value")
@click.option("--text", "as_text", is_flag=True, help="VALUE is a text, even if it could be read as JSON.")
@click.option("--ttl", "ttl_s", type=SPAN, help="It is gone after so long, at least 1s: 90, 15m, 2h.")
@expect_option
@json_option
@runs
async def set_(
    scope: str, key: str, value: str, as_text: bool, ttl_s: float | None, expect: int | None, as_json: bool
) -> Exit:
    """Put VALUE under KEY, in place of what is there, and print the key, its new revision and when it expires.

    VALUE is JSON, @FILE for what a file holds, or - for standard input. What is not JSON is taken as a text, unless
    it begins like JSON, with { or [ or a quotation mark.

    \b
    cca context set project:web plan '{"step": 1}' --ttl 2h
    cca context set agent:ada notes @notes.md --text
    cca context set task:7 lock '"ada"' --expect 0
    """
    text = TEXT_OR_FILE.convert("@-" if value == "-" else value, None, None)
    body = value_of(text, as_text)
    if len(body) > LARGEST:
        raise Refused("too-large", f"the value has {sized(len(body))} as JSON; {sized(LARGEST)} are the most")
    params = {} if ttl_s is None else {"ttl_s": f"{ttl_s:.10g}"}
    async with http.connect() as gateway:
        answer = await gateway.request(
            "PUT",
            path(scope, key),
            params=params,
            body=body,
            headers=expected(expect),
            timeout=60,
            once=expect is not None,
        )
    screen = Screen(json=as_json)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    held = read(answer, Held)
    if screen.person:
        gone = f"; it is gone {ago(held.expires_at, screen.now)}" if held.expires_at else ""
        screen.say(f"{held.key} is at revision {held.revision}{gone}")
    else:
        screen.line(held.key, held.revision, held.expires_at)
    return Exit.OK


def value_of(text: str, as_text: bool) -> bytes:
    """The JSON that a text stands for. Raises `Refused` when it begins like JSON and is none."""
    if not as_text:
        try:
            msgspec.json.decode(text)
            return text.strip().encode()
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            if text.lstrip()[:1] in ("{", "[", '"'):
                raise Refused("bad-input", f"not JSON: {error}; --text takes it as a text") from None
    return write(text)


@click.command()
@scope_argument
@key_argument
@json_option
@runs
async def get(scope: str, key: str, as_json: bool) -> Exit:
    """Print what KEY holds: a text as it is, anything else as JSON; with --json also its revision and times.

    The exit code is 2 when there is no such key, or no longer.
    """
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("GET", path(scope, key), timeout=60)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    held = read(answer, Held)
    if held.ref is not None and bytes(held.value) == b"null":
        raise Refused("left-out", f"the gateway did not give the value, which is stored as {held.ref}")
    if bytes(held.value).startswith(b'"') or screen.person:
        screen.value(read(bytes(held.value), object))
    else:
        screen.raw(bytes(held.value) + b"\n")  # verbatim: numbers keep all their digits
    return Exit.OK


@click.command()
@scope_argument
@click.argument("keys", nargs=-1, required=True, type=KEY)
@expect_option
@json_option
@runs
async def delete(scope: str, keys: tuple[str, ...], expect: int | None, as_json: bool) -> Exit:
    """Remove keys. What they held stays in the log: `cca context history` shows it."""
    if expect is not None and len(keys) > 1:
        raise Refused("bad-input", "--expect is for one key at a time")
    screen, code = Screen(json=as_json), Exit.OK
    async with http.connect() as gateway:
        for key in keys:
            try:
                answer = await gateway.request(
                    "DELETE", path(scope, key), headers=expected(expect), once=expect is not None
                )
            except Refused as error:
                click.echo(f"Error: {key}: {visible(str(error))}", err=True)
                code = Exit.REFUSED
                continue
            if as_json:
                screen.ndjson(msgspec.Raw(answer))
            elif screen.person:
                screen.say(f"{key} is deleted")
            else:
                screen.line(key, read(answer, Held).revision)
    return code


@click.command("list")
@scope_argument
@click.option("--prefix", type=PREFIX, default="", help="Only keys that begin so.")
@click.option("--values", is_flag=True, help="Show the values too, except large ones.")
@json_option
@runs
async def list_(scope: str, prefix: str, values: bool, as_json: bool) -> Exit:
    """List the keys of a scope by name.

    In a pipe: one line each, separated by tabs: key, revision, bytes, when it was set and expires, who set it, and
    with --values the value.
    """
    screen = Screen(json=as_json)
    params = ({"prefix": prefix} if prefix else {}) | ({"values": "true"} if values else {})
    async with http.connect() as gateway:
        answer = await gateway.request("GET", path(scope), params=params, timeout=60)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    columns = [
        Column("key"),
        Column("revision", "number"),
        Column("size", "number"),
        Column("set", "time"),
        Column("expires", "time"),
        Column("by", most=20),
    ]
    rows: list[tuple[Cell, ...]] = []
    for held in read(answer, Listed).items:
        facts = (held.key, held.revision, size_cell(screen, held.size), held.set_at, held.expires_at, held.requester)
        rows.append((*facts, shown(held.value, held.ref, held.size)) if values else facts)
    screen.table([*columns, Column("value", grows=True)] if values else columns, rows, f"no keys in {scope}")
    return Exit.OK
