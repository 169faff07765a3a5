"""`cca tokens expand`: the original of what was compressed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import click
from rich.console import Console

from cca import codec
from cca.cli import http
from cca.cli.answers import write
from cca.cli.exits import Exit, runs
from cca.cli.http import Gateway
from cca.cli.params import json_option
from cca.cli.tables import Screen
from cca.cli.tokens_compress import WITHOUT, store_option
from cca.cli.tokens_input import STDIN, read
from cca.cli.tokens_show import document
from cca.contracts.tokens import LIMIT, Expanded
from cca.errors import Busy, CcaError, Refused
from cca.tokens import markers, transcript
from cca.tokens.local_store import LocalStore


class Originals(Protocol):
    """Where originals are."""

    async def of(self, ref: str) -> Expanded:
        """The original of a reference; it is `missing` when it is not stored."""
        ...

    async def within(self, text: str) -> Expanded:
        """A text with the originals of its markers."""
        ...


class Here:
    """Originals in a folder."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store

    async def of(self, ref: str) -> Expanded:
        return self._expand(ref, None)

    async def within(self, text: str) -> Expanded:
        return self._expand(None, text)

    def _expand(self, ref: str | None, text: str | None) -> Expanded:
        found: dict[str, None] = {}
        missing: dict[str, None] = {}
        size = 0

        def fetch(ref: str) -> str | None:
            nonlocal size
            original = self._store.get(ref)
            (missing if original is None else found)[ref] = None
            size += len(original or "")
            if size > LIMIT:
                raise Refused("too-large", f"the original is larger than {LIMIT // 1_000_000} MB")
            return original

        if ref is not None:
            original = fetch(ref)
            expanded = "" if original is None else markers.expand(original, fetch)
        else:
            expanded = markers.expand(text or "", fetch)
        return Expanded(expanded, tuple(found), tuple(missing))


class InStack:
    """Originals in the running stack."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def of(self, ref: str) -> Expanded:
        try:
            return await self._ask({"ref": ref})
        except Refused as error:
            if error.code != "not-found":
                raise
            return Expanded("", missing=(ref,))

    async def within(self, text: str) -> Expanded:
        if not markers.refs(text) and not text.startswith(markers.LEGEND):
            return Expanded(text)
        return await self._ask({"text": text})

    async def _ask(self, question: dict[str, str]) -> Expanded:
        try:
            body = await self._gateway.request("POST", "/tokens/expand", body=write(question), timeout=90)
        except Busy as error:
            raise Busy(f"{error}{WITHOUT}") from None
        return codec.read(body, Expanded)


@asynccontextmanager
async def originals(store: Path | None) -> AsyncIterator[Originals]:
    """The originals in a folder, or in the stack."""
    if store is not None:
        yield Here(LocalStore(store))
        return
    async with http.connect() as gateway:
        yield InStack(gateway)


async def expanded(what: str, of: Originals) -> Expanded:
    """The original of a reference, or of the text or transcript in a file or standard input."""
    ref = markers.is_ref(what)
    if ref is not None and (what.startswith("ctx:") or not Path(what).exists()):
        return await of.of(ref)
    if what != STDIN and not Path(what).exists():
        raise Refused("not-found", f"{what}: is no reference, and there is no such file")
    found = transcript.read(read(what).text)
    each = [await of.within(turn.text) for turn in found.turns]
    text = found.write([one.text for one in each])
    missing = tuple(dict.fromkeys(ref for one in each for ref in one.missing))
    return Expanded(text, tuple(dict.fromkeys(ref for one in each for ref in one.refs)), missing)


def left(found: Sequence[Expanded]) -> list[str]:
    """The references that stay in transcripts: what they stand for is several messages, and no arguments of a tool."""
    refs = [
        ref
        for one in found
        if '\\"$ctx\\"' in one.text or '"$ctx"' in one.text
        for turn in transcript.read(one.text).turns
        for ref in markers.refs(turn.text)
        if ref not in one.missing
    ]
    return list(dict.fromkeys(refs))


def joined(texts: Sequence[str]) -> str:
    """Texts one after another, each on a line of its own; a single one stays as it is."""
    return "".join(
        text + ("" if text.endswith("\n") or number == len(texts) - 1 else "\n") for number, text in enumerate(texts)
    )


@click.command()
@click.argument("what", nargs=-1, metavar="[REF|PATH]…")
@store_option
@json_option
@runs
async def expand(what: tuple[str, ...], store: Path | None, as_json: bool) -> Exit:
    """Print the original of references (`ctx:…`), of the texts and transcripts in files, or of standard input.

    A marker whose original is not, or no longer, stored stays as it is; then the exit code is 1.
    """
    async with originals(store) as source:
        found = [await expanded(each, source) for each in what or (STDIN,)]
    screen = Screen(json=as_json)
    missing = tuple(dict.fromkeys(ref for one in found for ref in one.missing))
    if as_json:
        refs = tuple(dict.fromkeys(ref for one in found for ref in one.refs))
        document(screen, Expanded(joined([one.text for one in found]), refs, missing))
    elif any(one.text or not one.missing for one in found):
        screen.value(joined([one.text for one in found]))
    if stays := left(found):
        aside = Screen(console=Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True))
        aside.say(f"Several messages went into one marker, which stays: {_named(stays)}", "yellow")
    if missing:
        raise CcaError(f"not, or no longer, stored: {_named(missing)}")
    return Exit.OK


def _named(refs: Sequence[str]) -> str:
    more = f" and {len(refs) - 3:,} more" if len(refs) > 3 else ""
    return ", ".join(f"ctx:{ref}" for ref in refs[:3]) + more
