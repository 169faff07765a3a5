"""`cca memory search|list|show|stats`: what is remembered."""

from datetime import UTC, datetime, timedelta

import click
import msgspec

from cca import codec, ids
from cca.cli import http
from cca.cli.answers import read
from cca.cli.context_keys import SCOPE
from cca.cli.exits import Exit, runs
from cca.cli.hits import excerpt, explain_option, hits_option, how_made, mode_option, show_embedders, why_text
from cca.cli.memory_change import path
from cca.cli.params import SPAN, json_option
from cca.cli.tables import Cell, Column, Screen
from cca.cli.text import ago, clip
from cca.contracts.memory import MemoryHit, MemoryHits, MemoryStats, MemoryView, SearchMemories
from cca.contracts.search import Mode

LINES = 3
"""Lines of a memory that are shown of each hit."""

_scope = click.option("--scope", type=SCOPE, help="Only of this scope.")


@click.command()
@click.argument("query", nargs=-1, required=True)
@_scope
@click.option("--role", "roles", multiple=True, help="Only of this role; may be repeated.")
@click.option("--no-role", is_flag=True, help="Only of no role; with --role, of those too.")
@click.option("--kind", "kinds", multiple=True, help="Only of this kind; may be repeated.")
@click.option("--since", type=SPAN, help="Stored at most so long ago: 24h, 30d.")
@click.option("--until", type=SPAN, help="Stored at least so long ago.")
@hits_option
@mode_option
@click.option("--min-score", type=float, default=0.0, show_default=True, help="No worse than this.")
@explain_option
@json_option
@runs
async def search(
    query: tuple[str, ...],
    scope: str | None,
    roles: tuple[str, ...],
    no_role: bool,
    kinds: tuple[str, ...],
    since: float | None,
    until: float | None,
    limit: int,
    mode: Mode,
    min_score: float,
    explain: bool,
    as_json: bool,
) -> Exit:
    """Find memories by meaning and words, best first.

    In a pipe: one line each, separated by tabs: score, id, kind, scope, role, when it was stored, how often it helped
    and did not, the text, and with --explain where the score comes from.

    \b
    cca memory search how do the tests reach the database --role backend
    cca memory search "connection refused" --kind failure --since 30d --explain
    """
    screen = Screen(json=as_json)
    command = SearchMemories(
        " ".join(query),
        scope,
        tuple(ids.word(role, "a role") for role in roles) + (("",) if no_role else ()),
        tuple(ids.word(kind, "a kind") for kind in kinds),
        _before(since),
        _before(until),
        limit,
        mode,
        min_score,
    )
    async with http.connect() as gateway:
        answer = await gateway.request("POST", "/memory/search", body=codec.encode(command), timeout=30)
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    found = codec.read(answer, MemoryHits)
    for hit in found.items:
        if screen.person:
            _hit(screen, hit, explain)
        else:
            one = hit.memory
            facts: list[Cell] = [f"{hit.score:.4f}", one.memory, one.kind, one.scope, one.role, one.created_at]
            facts += [one.successes, one.failures, one.text]
            screen.line(*facts, *([why_text(hit.why)] if explain else []))
    if screen.person and not found.items:
        screen.say("nothing was found", "dim")
    how_made(mode, found.mode, found.embedder, found.note, found.cached, found.took_ms)
    return Exit.OK


def _before(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.now(UTC) - timedelta(seconds=seconds)


def _hit(screen: Screen, hit: MemoryHit, explain: bool) -> None:
    one = hit.memory
    about = "  ".join(filter(None, (one.kind, one.scope, one.role, ago(one.created_at, screen.now), helped(one))))
    screen.parts((f"{hit.score:.3f}  ", "green"), (one.memory, "bold"), (f"  {about}", "dim"))
    width = max(screen.console.width - 7, 20)
    for line in excerpt(one.text, hit.why.terms, LINES)[1]:
        screen.parts(("       ", ""), (clip(line, width), ""))
    if explain:
        screen.parts(("       ", ""), (why_text(hit.why), "cyan"))
    screen.say()


def helped(one: MemoryView) -> str:
    """How often it helped, of the times that are known; nothing when none is."""
    known = one.successes + one.failures
    return f"helped {one.successes:,} of {known:,} times" if known else ""


@click.command("list")
@_scope
@click.option("--role", help="Only of this role.")
@click.option("--kind", help="Only of this kind.")
@click.option("--task", help="Only what this task taught.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="All that there are.")
@json_option
@runs
async def list_(
    scope: str | None,
    role: str | None,
    kind: str | None,
    task: str | None,
    limit: int,
    everything: bool,
    as_json: bool,
) -> Exit:
    """List memories, newest first.

    In a pipe: one line each, separated by tabs: id, kind, scope, role, when it was stored, how often it helped, did
    not, was learned again and was put before a task, the text.
    """
    screen = Screen(json=as_json)
    wanted = {"scope": scope, "role": role, "kind": kind}
    async with http.connect() as gateway:
        if task is not None:
            wanted["task"] = await gateway.full_id(task)
        query = {name: value for name, value in wanted.items() if value}
        pages = gateway.pages("/memory", query, None if everything else limit, cursor="before")
        raw = [item async for item in pages]
    if as_json:
        screen.document({"items": raw})
        return Exit.OK
    columns = [Column("id"), Column("kind"), Column("scope", most=24), Column("role"), Column("stored", "time")]
    columns += [Column(title, "number") for title in ("helped", "not", "again", "used")]
    rows: list[tuple[Cell, ...]] = []
    for item in raw:
        one = read(bytes(item), MemoryView)
        facts = (one.memory, one.kind, one.scope, one.role, one.created_at)
        rows.append((*facts, one.successes, one.failures, one.merged, one.used, one.text))
    screen.table([*columns, Column("text", grows=True)], rows, "no memories")
    if screen.person and len(rows) == limit and not everything:
        screen.say(f"the newest {limit}; --limit N or --all shows more", "dim")
    return Exit.OK


@click.command()
@click.argument("memory")
@json_option
@runs
async def show(memory: str, as_json: bool) -> Exit:
    """Show everything that is known of a memory."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("GET", path(memory))
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    one = codec.read(answer, MemoryView)
    source = one.source
    origin = {"task": source.task, "agent": source.agent, "role": source.role, "repo": source.repo}
    facts = {
        "kind": one.kind,
        "scope": one.scope,
        "role": one.role,
        "labels": "  ".join(f"{name}={value}" for name, value in sorted(one.labels.items())),
        "stored": f"{ago(one.created_at, screen.now)}, {one.created_at.astimezone():%Y-%m-%d %H:%M:%S %Z}".strip(),
        "by": source.requester,
        "from": "  ".join(f"{name} {value}" for name, value in origin.items() if value),
        "helped": helped(one).removeprefix("helped "),
        "learned": f"again {one.merged:,} times" if one.merged else "",
        "used": f"in {one.used:,} tasks{_last(one.used_at, screen.now)}" if one.used else "",
        "secrets": ", ".join(f"{count} {sort}" for sort, count in sorted(one.redacted.items())),
    }
    screen.parts((one.memory, "bold"))
    for name, value in facts.items():
        if value:
            screen.parts((f"{name:<8} ", "dim"), (str(value), ""))
    screen.say()
    screen.say(one.text)
    return Exit.OK


def _last(time: datetime | None, now: datetime) -> str:
    return f", last {ago(time, now)}" if time else ""


@click.command()
@json_option
@runs
async def stats(as_json: bool) -> Exit:
    """Show how many memories there are by kind and role, and what makes their vectors."""
    screen = Screen(json=as_json)
    async with http.connect() as gateway:
        answer = await gateway.request("GET", "/memory/stats")
    if as_json:
        screen.document(msgspec.Raw(answer))
        return Exit.OK
    now = codec.read(answer, MemoryStats)
    if screen.person:
        told = f", which helped {now.successes:,} times and did not {now.failures:,} times"
        screen.parts((f"{now.memories:,} memories", "bold"), (told if now.successes + now.failures else "", ""))
        screen.say()
    rows: list[tuple[Cell, ...]] = [("kind", name, count) for name, count in _most(now.by_kind)]
    rows += [("role", name or "(none)", count) for name, count in _most(now.by_role)]
    if not screen.person:
        rows += [("embedder", one.id, one.embedded, one.documents, one.state) for one in now.embedders]
        for row in rows:
            screen.line(*row)
        return Exit.OK
    columns = [Column("by"), Column("name", most=40), Column("memories", "number")]
    screen.table(columns, rows, "nothing is remembered yet; `cca memory policy set ROLE` changes that")
    show_embedders(screen, now.embedders)
    return Exit.OK


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))
