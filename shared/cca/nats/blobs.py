"""Texts by the hash of their content: originals of what was folded (`CCA_BLOBS`), large values (`CCA_CONTENTS`)."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from cca.errors import Busy
from cca.nats import names, stored, subjects
from cca.nats.bus import HEADROOM, Bus, Nobody
from cca.nats.frames import PubAck
from cca.tokens.markers import decoded, encoded, is_ref, ref_of

logger = logging.getLogger("cca.nats")

LARGE = 1024 * 1024
"""Bytes of a text from which on its hash takes long."""
IN_FLIGHT = 8 * 1024 * 1024
"""Bytes that are on their way to the store at once."""
TIMEOUT = 10.0
"""Seconds until a store that does not answer is taken to be away."""
PARTS = 10_000
"""A text has so many parts at most."""

_FULL = (10077, 10047, 10023)
"""The stream has reached its limit; the account or the server has no more storage."""

_ack = msgspec.json.Decoder(PubAck).decode
_index = msgspec.json.Decoder(list[str]).decode


class About(Struct, frozen=True):
    """What stands in the headers of a blob: which strategy cut it out, for which role, and how many tokens it was."""

    strategy: str = ""
    role: str = ""
    tokens: int = 0


class Blob(Struct, frozen=True):
    """A text as it is stored."""

    text: str
    about: About = About()


class _Message(Struct, frozen=True):
    ref: str
    body: bytes
    headers: dict[str, str]


class Blobs:
    """The store. What was stored in `CCA_BLOBS` can be had for 90 days at least, in `CCA_CONTENTS` for ever.

    A text is stored under the hash of its content, so that storing it again changes nothing: the stream drops a
    repetition within a while, and later one puts the 90 days off. A text that is larger than a message is stored in
    parts, each a blob itself; the blob of the whole is then the list of their references.
    """

    def __init__(self, bus: Bus, stream: str = names.BLOBS) -> None:
        self._bus, self._stream = bus, stream
        originals = stream == names.BLOBS
        self._subject = subjects.blob if originals else subjects.contents
        self._what = "the store of originals" if originals else "the store of large values"

    async def put_all(self, texts: Mapping[str, str], about: Mapping[str, About] | None = None) -> None:
        """Store texts durably, by their references. Raises `Busy`; some may be stored then."""
        most = self._bus.nc.max_payload
        room = max(most - HEADROOM, most // 2)
        parts: dict[str, _Message] = {}
        wholes: list[_Message] = []
        for ref, text in texts.items():
            headers = _headers(ref, (about or {}).get(ref))
            body = encoded(text)
            if len(body) > room:
                pieces = list(_pieces(body, room))
                order = [ref_of(decoded(piece)) for piece in pieces]
                parts |= {
                    part: _Message(part, piece, _headers(part)) for part, piece in zip(order, pieces, strict=True)
                }
                headers["Cca-Parts"] = str(len(order))
                body = msgspec.json.encode(order)
            wholes.append(_Message(ref, body, headers))
        await self._store(list(parts.values()))  # first, so that a list never names what is not there
        await self._store(wholes)

    async def get(self, ref: str) -> Blob | None:
        """A text and what is known of it; None when it is not, or no longer, stored. Raises `Busy`."""
        if is_ref(ref) != ref:
            return None
        raw = await self._read(ref)
        if raw is None:
            return None
        body: bytes | None = raw.body
        if "Cca-Parts" in raw.headers:
            body = await self._joined(ref, raw.body)
        if body is None:
            return None
        # Hashing is done in a thread where it would hold up the loop.
        text = _verified(ref, body) if len(body) < LARGE else await asyncio.to_thread(_verified, ref, body)
        return None if text is None else Blob(text, _about(raw.headers))

    # ------------------------------------------------------------------------------------ parts

    async def _read(self, ref: str) -> stored.Raw | None:
        return await stored.last(self._bus, self._stream, self._subject(ref))

    async def _joined(self, ref: str, index: bytes) -> bytes | None:
        try:
            parts = _index(index)
        except msgspec.DecodeError:
            parts = []
        if not 0 < len(parts) <= PARTS or any(is_ref(part) != part for part in parts):
            logger.error("blob %s: the list of its parts cannot be read", ref)
            return None
        found: list[bytes] = []
        for part in parts:  # one after the other: together they would be more than a connection should hold
            raw = await self._read(part)
            if raw is None or "Cca-Parts" in raw.headers:
                logger.error("blob %s: its part %s is gone", ref, part)
                return None
            found.append(raw.body)
        return b"".join(found)

    async def _store(self, messages: Sequence[_Message]) -> None:
        for together in _together(messages):
            results = await asyncio.gather(*map(self._publish, together), return_exceptions=True)
            for error in results:
                if isinstance(error, BaseException):
                    raise error

    async def _publish(self, message: _Message) -> None:
        try:
            msg = await self._bus.request_msg(self._subject(message.ref), message.body, message.headers, TIMEOUT)
        except Nobody:
            raise Busy(f"{self._what} is not there: has a service been started on this server?") from None
        try:
            ack = _ack(msg.data)
        except msgspec.DecodeError:
            raise Busy(f"{self._what} does not answer as it should") from None
        if ack.error is not None:
            text = str(ack.error.get("description", "refused"))
            if ack.error.get("err_code") in _FULL or "maximum" in text:
                raise Busy(f"{self._what} is full")
            raise Busy(f"{self._what} refused: {text}")


def _headers(ref: str, about: About | None = None) -> dict[str, str]:
    headers = {"Nats-Msg-Id": ref}
    if about is not None:
        if about.strategy:
            headers["Cca-Strategy"] = about.strategy
        if about.role:
            headers["Cca-Role"] = about.role
        if about.tokens:
            headers["Cca-Tokens"] = str(about.tokens)
    return headers


def _about(headers: Mapping[str, str]) -> About:
    tokens = headers.get("Cca-Tokens", "")
    count = int(tokens) if tokens.isascii() and tokens.isdigit() and len(tokens) < 16 else 0
    return About(headers.get("Cca-Strategy", ""), headers.get("Cca-Role", ""), count)


def _verified(ref: str, body: bytes) -> str | None:
    try:
        text = decoded(body)
    except UnicodeDecodeError:
        text = None
    if text is None or ref_of(text) != ref:
        logger.error("blob %s: what is stored there is something else", ref)
        return None
    return text


def _pieces(body: bytes, room: int) -> Iterator[bytes]:
    """A text's bytes in pieces of at most `room`, each of whole characters."""
    start = 0
    while start < len(body):
        end = min(start + room, len(body))
        while end < len(body) and body[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield body[start:end]
        start = end


def _together(messages: Sequence[_Message]) -> Iterator[list[_Message]]:
    """Messages in groups that may be on their way at the same time."""
    group: list[_Message] = []
    size = 0
    for message in messages:
        if group and size + len(message.body) > IN_FLIGHT:
            yield group
            group, size = [], 0
        group.append(message)
        size += len(message.body)
    if group:
        yield group
