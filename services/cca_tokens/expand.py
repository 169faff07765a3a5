"""Originals given back: fetched level by level, put together, and noted in the log as wanted."""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from cca.contracts.ledger import TokensExpanded
from cca.contracts.tokens import LIMIT, Expanded, ExpandText
from cca.errors import CcaError, Refused
from cca.message import Meta
from cca.nats.blobs import Blob, Blobs
from cca.storable import text_without_nul
from cca.tokens import markers
from cca_tokens import expansion
from cca_tokens.record import Record

logger = logging.getLogger("cca_tokens")

AT_ONCE = 16
"""Originals that are fetched at the same time."""
MOST = 10_000
"""Originals that one request may need."""
NOTED_WITHIN = 1.0
"""Seconds that the log has to take a note before the answer goes out without waiting for it."""


class Expander:
    """Gives originals back."""

    def __init__(self, blobs: Blobs, record: Record) -> None:
        self._blobs, self._record = blobs, record
        self._notes: set[asyncio.Task[None]] = set()

    async def expand(self, command: ExpandText, meta: Meta, room: int) -> Expanded:
        """The original of a reference, or of a text with markers in it.

        Args:
            room: bytes that the answer may have.

        Raises `Busy`, `Refused` (`invalid`, `not-found`, `too-large`).
        """
        if (command.ref is None) == (command.text is None):
            raise Refused("invalid", "give either `ref` or `text`")
        text, first = command.text or "", []
        if command.ref is not None:
            ref = markers.is_ref(command.ref)
            if ref is None:
                raise Refused("invalid", "a reference is 20 letters and digits, with or without `ctx:` before them")
            first = [ref]
        else:
            first = await asyncio.to_thread(markers.refs, text)
        found, missing = await self._fetch(first)
        if command.ref is not None:
            if first[0] not in found:
                raise Refused("not-found", f"ctx:{first[0]} is not, or no longer, stored")
            text = found[first[0]].text
        known = {ref: blob.text for ref, blob in found.items()}
        # In a thread: it looks at each line, and others want the loop meanwhile.
        original = await asyncio.to_thread(_expanded, text, known, min(room, LIMIT))
        reply = Expanded(original, tuple(found), missing)
        await self._note(found, command, meta)
        return reply

    async def _fetch(self, first: list[str]) -> tuple[dict[str, Blob], tuple[str, ...]]:
        """All originals that are needed, outermost first, and what is not stored."""
        found: dict[str, Blob] = {}
        missing: dict[str, None] = {}
        wanted, size = first, 0
        while wanted:
            if len(found) + len(missing) + len(wanted) > MOST:
                raise Refused("too-large", f"more than {MOST:,} originals stand in it; expand its parts one by one")
            for start in range(0, len(wanted), AT_ONCE):
                some = wanted[start : start + AT_ONCE]
                for ref, blob in zip(some, await asyncio.gather(*map(self._blobs.get, some)), strict=True):
                    if blob is None:
                        missing[ref] = None
                    else:
                        found[ref] = blob
                        size += len(blob.text)
                if size > LIMIT:
                    raise Refused("too-large", "the originals are too large together; expand its parts one by one")
            texts = [found[ref].text for ref in wanted if ref in found]
            inner = await asyncio.to_thread(_refs, texts)
            wanted = [ref for ref in inner if ref not in found and ref not in missing]
        return found, tuple(missing)

    # ------------------------------------------------------------------------------------ notes

    async def _note(self, found: Mapping[str, Blob], command: ExpandText, meta: Meta) -> None:
        """Tell the log what was wanted after all. The answer does not depend on it, and does not wait for long."""
        if not found:
            return
        note = asyncio.create_task(self._tell(found, command, meta))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)
        await asyncio.wait({note}, timeout=NOTED_WITHIN)

    async def _tell(self, found: Mapping[str, Blob], command: ExpandText, meta: Meta) -> None:
        agent = None if command.agent is None else text_without_nul(command.agent)
        task = None if command.task is None else text_without_nul(command.task)

        async def tell(ref: str, blob: Blob) -> None:
            about = blob.about
            event = TokensExpanded(ref, about.strategy, about.tokens, about.role or command.role, agent, task)
            await self._record.append(ref, event, meta)

        items = list(found.items())
        for start in range(0, len(items), AT_ONCE):
            some = items[start : start + AT_ONCE]
            for error in await asyncio.gather(*(tell(ref, blob) for ref, blob in some), return_exceptions=True):
                if isinstance(error, CcaError):
                    logger.warning("it is not noted that a text was expanded: %s", error)
                    return
                if isinstance(error, BaseException):
                    logger.error("it is not noted that a text was expanded", exc_info=error)
                    return

    async def close(self) -> None:
        """Wait a moment for what is being noted."""
        if self._notes:
            await asyncio.wait(self._notes, timeout=2)


def _refs(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ref for text in texts if "ctx" in text for ref in markers.refs(text)))


def _expanded(text: str, known: Mapping[str, str], room: int) -> str:
    size = expansion.size(text, known)
    if size <= room:
        original = markers.expand(text, known.get)
        size = expansion.as_json(original)
    if size > room:
        raise Refused("too-large", f"the original is {size:,} bytes; expand its parts one by one")
    return original
