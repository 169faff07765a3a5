"""A key-value bucket whose values have revisions of the log: read, listed as of one moment, compared and set.

A value that was removed leaves a mark for an hour, so that who is slow does not bring it back. A value with a time to
live is removed by the server.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from cca.errors import Busy
from cca.message import Seq
from cca.nats import stored
from cca.nats.bus import Bus
from cca.nats.frames import PubAck
from cca.nats.stored import Raw

REVISION = "Cca-Revision"
"""Header: the position in the log of the event that a value follows from."""
MARK_S = 3_600
"""Seconds that the mark of a removed value stays."""

LAG_S = 0.01
"""Seconds that a copy of the stream has to catch up."""

_WRONG_LAST = (10071, 10164)
_MARKER, _OPERATION = "Nats-Marker-Reason", "KV-Operation"

_ack = msgspec.json.Decoder(PubAck).decode

T = TypeVar("T")


class Cell(Struct, frozen=True):
    """What stands on a subject of a bucket.

    Attributes:
        seq: its position in the bucket; 0 for nothing at all. A write expects it.
        revision: of the log; 0 when that is not known: the server's own mark, or something of others.
        body: the value; None when it is gone.
    """

    seq: int = 0
    revision: int = 0
    body: bytes | None = None


class Figures(Struct, frozen=True):
    """How a bucket is: subjects with a value or a mark, bytes, and when it was made, as the server says it."""

    subjects: int
    bytes: int
    created: str


class Bucket:
    """A bucket by its name (`cca.nats.names.CONTEXT`). Every method raises `Busy` when the server does not answer."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus, self._stream = bus, f"KV_{name}"

    async def last(self, subject: str) -> Cell:
        """What stands on a subject."""
        raw = await stored.last(self._bus, self._stream, subject)
        return Cell() if raw is None else cell(raw)

    async def all(self, subjects: str, read: Callable[[Cell], T]) -> dict[str, T]:
        """What stands on every subject that matches, marks too, exactly as it is at the end of reading.

        `read` makes of each what is wanted of it, so that large values need not be kept.
        """
        # A message that is replaced moves to the end, so reading on until there is no more misses none: each subject's
        # message of that moment was read, and it was read last. Copies of the stream may lag: the leader is asked.
        found: dict[str, T] = {}
        after = Seq(0)
        while True:
            before = after
            async for raw in stored.scan(self._bus, self._stream, subjects, after):
                found[raw.subject] = read(cell(raw))
                after = raw.seq
            if not await self._more(subjects, after):
                return found
            if after == before:
                await asyncio.sleep(LAG_S)

    async def count(self, subjects: str) -> int:
        """How many subjects that match have a value or a mark; not above 100,000."""
        return len((await self._info(subjects))["state"].get("subjects") or {})

    async def figures(self) -> Figures:
        """How the bucket is."""
        info = await self._info()
        state = info["state"]
        return Figures(int(state.get("num_subjects", 0)), int(state["bytes"]), str(info["created"]))

    async def put(self, subject: str, revision: int, body: bytes | None, after: int, ttl_s: int | None = None) -> bool:
        """Put a value, or the mark of a removal, in place of the one at `after`; False when another is there.

        Args:
            ttl_s: whole seconds after which the server removes the value.
        """
        headers = {REVISION: str(revision), "Nats-Expected-Last-Subject-Sequence": str(after)}
        if body is None:
            headers |= {_OPERATION: "PURGE", "Nats-Rollup": "sub", "Nats-TTL": f"{MARK_S}s"}
        elif ttl_s is not None:
            headers["Nats-TTL"] = f"{ttl_s}s"
        msg = await self._bus.request_msg(subject, body or b"", headers)
        if msg.status:
            raise Busy(f"there is no stream {self._stream}: has a service been started on this server?")
        ack = _ack(msg.data)
        if ack.error is None:
            return True
        if ack.error.get("err_code") in _WRONG_LAST:
            return False
        raise Busy(f"the stream {self._stream} refused: {ack.error.get('description')}")

    async def clear(self) -> None:
        """Remove everything, without marks."""
        await self._api(f"STREAM.PURGE.{self._stream}")

    async def _more(self, subjects: str, after: int) -> bool:
        request = json.dumps({"seq": after + 1, "next_by_subj": subjects}).encode()
        answer = json.loads(await self._bus.request(f"$JS.API.STREAM.MSG.GET.{self._stream}", request))
        error = answer.get("error")
        if error and error.get("code") != 404:
            raise Busy(f"the stream {self._stream} is not available: {error.get('description')}")
        return not error

    async def _info(self, subjects: str | None = None) -> Any:
        return await self._api(f"STREAM.INFO.{self._stream}", {"subjects_filter": subjects} if subjects else None)

    async def _api(self, verb: str, request: dict[str, object] | None = None) -> Any:
        body = json.dumps(request).encode() if request else b""
        answer = json.loads(await self._bus.request(f"$JS.API.{verb}", body))
        if error := answer.get("error"):
            raise Busy(f"the stream {self._stream} is not available: {error.get('description')}")
        return answer


def cell(raw: Raw) -> Cell:
    """What a stored message of a bucket stands for."""
    said = raw.headers.get(REVISION, "")
    revision = int(said) if said.isascii() and said.isdigit() and len(said) < 20 else 0
    gone = _OPERATION in raw.headers or _MARKER in raw.headers
    return Cell(raw.seq, revision, None if gone else raw.body)
