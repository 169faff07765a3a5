"""A `text/event-stream`, read as it comes."""

from collections.abc import AsyncIterator

import aiohttp
from msgspec import Struct


class ServerSent(Struct, frozen=True):
    """One server-sent event."""

    id: str
    event: str
    data: str


async def server_sent(lines: aiohttp.StreamReader) -> AsyncIterator[ServerSent]:
    """Parse a `text/event-stream`. An event that the connection's end cuts off is left out."""
    identity, event, data = "", "message", list[str]()
    async for raw in _lines(lines):
        line = raw.decode("utf-8", "replace")
        if not line:
            if data:
                yield ServerSent(identity, event, "\n".join(data))
            identity, event, data = "", "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            identity = value
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # aiohttp's own line reader refuses lines over 128 KiB; an event may hold a megabyte.
    rest = b""
    async for chunk in content.iter_any():
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r")
