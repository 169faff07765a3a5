"""Asks an endpoint until it answers, within reason; one that keeps failing is left alone for a while."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import TypeVar

import aiohttp

from cca.breaker import Breaker
from cca.embed.answers import pause, said, sense
from cca.embed.wires import Malformed
from cca.errors import Busy, Misconfigured

T = TypeVar("T")

FIRST_S, LONGEST_S = 0.25, 8.0
"""Seconds before the second try, and at most before one; in between it doubles, with full jitter (Brooker, 2015)."""
CONNECT_S = 5.0
LARGEST = 64 * 1024 * 1024
"""Bytes of an answer that are read."""


class Rejected(Exception):
    """The endpoint is there and will not embed these texts. The text is what it says."""


class _Again(Exception):
    """It may be asked again, after `wait` seconds if it has said so."""

    def __init__(self, problem: str, wait: float | None = None) -> None:
        self.wait = wait
        super().__init__(problem)


class Caller:
    """One endpoint. Nothing that it raises has the key in it.

    Args:
        name: what to call it in errors.
        url: where to post to; without a password.
        key: sent as `Authorization: Bearer`; None for none.
        first_s: see `FIRST_S`.
    """

    def __init__(self, name: str, url: str, key: str | None, *, first_s: float = FIRST_S) -> None:
        self._name, self._url, self._key, self._first_s = name, url, key, first_s
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._breaker = Breaker()
        self._not_before = 0.0
        self._problem = ""

    async def post(self, body: bytes, read: Callable[[bytes], T], *, within_s: float, each_s: float) -> T:
        """What `read` makes of the answer; it may raise `Malformed`, then it was none.

        Args:
            within_s: seconds for all tries together; `each_s`: for one of them.

        Raises `Busy`, `Misconfigured`, `Rejected`.
        """
        clock = asyncio.get_running_loop().time
        end, longest = clock() + within_s, self._first_s
        while True:
            await self._turn(end)
            try:
                return await self._try(body, read, min(each_s, max(end - clock(), 0.01)))
            except _Again as again:
                problem, wait = str(again), again.wait
            if wait is None:
                wait, longest = random.uniform(0, longest), min(longest * 2, LONGEST_S)
            else:
                self._not_before = max(self._not_before, clock() + wait)  # for whoever asks next, too
            if clock() + wait >= end:
                raise Busy(f"{self._name} {problem}")
            await asyncio.sleep(wait)

    async def _turn(self, end: float) -> None:
        """Wait until it may be asked. Raises `Busy` when that is too late."""
        clock = asyncio.get_running_loop().time
        if self._closed:
            raise Busy(f"{self._name} is not asked any more: the service is about to stop")
        if self._not_before >= end:
            raise Busy(f"{self._name} wants to be left alone for another {self._not_before - clock():.0f} s")
        await asyncio.sleep(max(self._not_before - clock(), 0))
        now = clock()
        if not self._breaker.admits(now):
            raise Busy(f"{self._name} {self._problem}; it is asked again in {self._breaker.remaining(now):.1f} s")

    async def _try(self, body: bytes, read: Callable[[bytes], T], seconds: float) -> T:
        try:
            async with self._connected().post(
                self._url,
                data=body,
                allow_redirects=False,  # it would take the key somewhere else
                timeout=aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT_S, seconds)),
            ) as response:
                content = await _content(response)
            text = said(content, self._key) if response.status != 200 else ""
            meaning = sense(response.status, text)
            found = read(content) if meaning == "fine" else None
        except (aiohttp.ClientError, TimeoutError, OSError, Malformed) as error:
            raise self._failed(_reason(error, seconds)) from None
        except BaseException:
            self._breaker.given_up()
            raise
        says = f"answers {response.status}" + (f": {text}" if text else "")
        if meaning == "failed":
            raise self._failed(says, pause(response.headers, time.time()))
        self._breaker.succeeded()
        match meaning:
            case "later":
                raise _Again(says, pause(response.headers, time.time()))
            case "key":
                which = "does not accept it" if self._key else "asks for one, and none is set"
                raise Misconfigured(f"context.embedder_key: {self._name} {which} ({response.status})")
            case "place":
                raise Misconfigured(f"context.embedder_url or context.embedder_model: {self._name} {says}")
            case "texts":
                raise Rejected(says)
        return found  # type: ignore[return-value]  # it is what `read` has made: the answer was fine

    def _failed(self, problem: str, wait: float | None = None) -> _Again:
        self._breaker.failed(asyncio.get_running_loop().time())
        self._problem = problem
        return _Again(problem, wait)

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"Content-Type": "application/json", "User-Agent": "cca"}
            if self._key:
                headers["Authorization"] = f"Bearer {self._key}"
            self._session = aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _content(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise Malformed(f"it is longer than {LARGEST:,} bytes")
    return b"".join(parts)


def _reason(error: Exception, seconds: float) -> str:
    match error:
        case Malformed():
            return f"gives an answer that makes no sense: {error}"
        case TimeoutError():
            return f"does not answer within {seconds:.1f} s"
        case aiohttp.ClientConnectorError():
            return f"cannot be reached ({error.os_error.strerror or type(error.os_error).__name__})"
    return f"breaks off ({type(error).__name__})"  # the text of others may hold what we have sent
