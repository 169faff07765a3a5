"""JSON bodies and query strings, decoded straight into Structs; whatever breaks a rule is named by its place."""

import asyncio
import re
import typing
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import StreamReader, web
from aiohttp.client_exceptions import ClientError
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_request import BaseRequest
from msgspec import Meta, Raw, Struct

from cca.errors import CcaError
from cca.json_text import LEVELS, is_deep
from cca_gateway.problems import Problem
from cca_gateway.rules import has_nul, place_of_nul

LIMIT = 1024 * 1024
"""The longest body, in bytes, where a route says nothing else."""
ASIDE = 64 * 1024
"""Bytes from which a body is decoded in a thread: to look through all of it takes longer than others should wait."""
PATIENCE = 30.0
"""Seconds that a client has to send its body."""

WHOLE = Meta(extra={"whole": True})
"""Marks the items of a repeated query parameter in which commas are ordinary characters."""

_JSON = re.compile(r"application/(?:json|[a-z0-9.+-]+\+json)\s*(?:;\s*charset=\"?utf-8\"?\s*)?\Z", re.IGNORECASE)


async def read(request: BaseRequest, limit: int = LIMIT) -> bytes:
    """The body, of `limit` bytes at most. Raises `Problem`."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem("unsupported-media-type", "send the body without Content-Encoding")
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    if request.headers.get("Expect", "").lower() == "100-continue":  # sent by curl with a large body
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer proper has not begun
    try:
        if request.content.is_eof():
            return await _all(request.content, limit)
        async with asyncio.timeout(PATIENCE):
            return await _all(request.content, limit)
    except TimeoutError:
        raise Problem("unreadable", f"the body did not arrive within {PATIENCE:g} s") from None
    except (web.RequestPayloadError, ClientError, HttpProcessingError, ConnectionError) as error:
        raise Problem("unreadable", f"the body is broken: {error}") from None


async def _all(content: StreamReader, limit: int) -> bytes:
    # aiohttp's own `read` knows one limit for all requests.
    body = bytearray()
    while chunk := await content.readany():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def check_type(request: BaseRequest) -> None:
    """See that a body claims to be JSON, or claims nothing. Raises `Problem`."""
    content_type = request.headers.get("Content-Type")
    if content_type is not None and content_type != "application/json" and not _JSON.match(content_type):
        raise Problem("unsupported-media-type", "send the body as `Content-Type: application/json`, in UTF-8")


def decoder(kind: Any) -> Callable[[bytes], Any]:
    """A function that decodes bodies of one type. It raises `Problem`: `unreadable` or `invalid`."""
    decode = msgspec.json.Decoder(kind).decode

    def decoded(body: bytes) -> Any:
        try:
            value = decode(body)
            if kind is Raw:
                body.decode()  # its texts have not been looked at
        except msgspec.ValidationError as error:
            raise Problem("invalid", str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem("unreadable", f"the body is not JSON: {error}" if body else "a JSON body is needed") from None
        except RecursionError:
            raise _too_deep() from None
        if is_deep(body):
            raise _too_deep()
        if has_nul(body):
            place = place_of_nul(msgspec.json.decode(body)) if len(body) < ASIDE else "$"
            raise Problem("invalid", f"the character NUL (U+0000) is not allowed - at `{place}`")
        return value

    return decoded


def _too_large(limit: int) -> CcaError:
    return Problem("too-large", f"a body may have at most {limit:,} bytes here")


def _too_deep() -> CcaError:
    return Problem("unreadable", f"the body is nested deeper than {LEVELS} levels")


async def decoded(decode: Callable[[bytes], Any], body: bytes) -> Any:
    """What a `decoder` makes of a body; others do not wait for it. Raises `Problem`."""
    return decode(body) if len(body) < ASIDE else await asyncio.to_thread(decode, body)


def query_reader(kind: type[Struct]) -> Callable[[BaseRequest], Any]:
    """A function that reads query parameters into a Struct. It raises `Problem` `invalid`.

    Fields that are tuples may be repeated, the others may appear once. A value of several words in a tuple field
    is also taken apart at commas, unless its type is marked as `WHOLE`.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    many = {name: typing.get_args(hint)[0] for name, hint in hints.items() if typing.get_origin(hint) is tuple}
    whole = {name for name, item in many.items() if WHOLE in getattr(item, "__metadata__", ())}

    def read_query(request: BaseRequest) -> Any:
        found: dict[str, Any] = {}
        for name, value in request.query.items():
            if not value.isprintable() and _is_unfit(value):
                raise Problem("invalid", f"control characters are not allowed - at `?{_shown(name)}`")
            if name in many:
                found.setdefault(name, []).extend([value] if name in whole else filter(None, value.split(",")))
            elif name in found:
                raise Problem("invalid", f"given twice - at `?{_shown(name)}`")
            else:
                found[name] = value
        try:
            return msgspec.convert(found, kind, strict=False)
        except msgspec.ValidationError as error:
            text = str(error).replace("Object contains unknown field", "There is no query parameter")
            raise Problem("invalid", _printable(text.replace("`$.", "`?"))) from None

    return read_query


def _is_unfit(text: str) -> bool:
    return any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in text)


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _shown(name: str) -> str:
    return _printable(name[:40])
