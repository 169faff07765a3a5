"""A typed client of the gateway, as the commands need it."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from cca import codec, config, ids
from cca.cli.answers import Page, Task, read, write
from cca.cli.params import FOREVER
from cca.cli.server_sent import ServerSent, server_sent
from cca.contracts.task import SubmitTask, TaskAccepted
from cca.errors import Busy, Misconfigured, Refused

BASE = "/api/v1"
TRIES = 4
"""A request is made so often before `Busy` is final; what may not be repeated says so (`once`)."""
PATIENCE_S = 30.0
"""Once the gateway has answered, it is given so long to come back: it may be restarted during a long wait."""
SEARCHED = 2_000
"""So many of the newest tasks are looked through for an abbreviated id."""
WAIT_S = 50.0
"""How long one request waits for an outcome; then another does."""
SILENCE_S = 60.0
"""A stream that sends nothing, not even a comment, for so long is opened again."""


class _Problem(Struct):
    type: str = ""
    title: str = ""
    detail: str = ""


class Gateway:
    """A connection to the gateway. Make one with `connect`.

    Every method raises `Busy` when the gateway cannot be reached or says that it cannot do it now, and `Refused`
    with the gateway's own words when it will not.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url
        self._answered = False

    async def submit(self, task: SubmitTask) -> TaskAccepted:
        """Submit. With an id or an idempotency key in it, a repetition does no harm."""
        return codec.read(await self.request("POST", "/tasks", body=codec.encode(task)), TaskAccepted)

    async def task(self, task: str, wait_s: float = 0) -> bytes:
        """What is known of a task, as JSON (`Task`); with `wait_s`, once it is over or that time has passed."""
        headers = {"Prefer": f"wait={max(1, round(wait_s))}"} if wait_s > 0 else {}
        return await self.request("GET", f"/tasks/{task}", headers=headers, timeout=wait_s + 15)

    async def outcome(self, task: str, within_s: float | None = None) -> bytes:
        """The task once it is over; as it is then when `within_s` seconds pass before that."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (FOREVER if within_s is None else within_s)
        body = await self.task(task)  # at once, so that a gateway that is away is noticed at once
        while not read(body, Task).over and (rest := end - loop.time()) > 0:
            body = await self.task(task, min(rest, WAIT_S))
        return body

    async def pages(
        self, path: str, params: Mapping[str, str], limit: int | None, *, cursor: str = "cursor"
    ) -> AsyncIterator[msgspec.Raw]:
        """The items of a list, page by page, at most `limit`; `cursor` is the parameter that asks for the next page."""
        query = dict(params)
        while limit is None or limit > 0:
            query["limit"] = str(min(limit or PAGE, PAGE))
            page = read(await self.request("GET", path, params=query), Page)
            for item in page.items[:limit]:
                yield item
            if limit is not None:
                limit -= len(page.items)
            if page.next is None:
                return
            query[cursor] = page.next

    async def events(self, path: str, after: int = 0, limit: int | None = None) -> list[msgspec.Raw]:
        """The events below a path, oldest first; all that there are without a `limit`."""
        return [item async for item in self.pages(path, {"after": str(after)}, limit)]

    async def full_id(self, text: str) -> str:
        """The task id that a text abbreviates. Raises `Refused` when it is none, or several."""
        try:
            return ids.task_id(text)
        except Refused:
            part = text.lower().replace("…", "").strip()
            if not 6 <= len(part) <= 36 or part.strip("0123456789abcdef-"):
                raise
        found: list[str] = []
        async for raw in self.pages("/tasks", {}, SEARCHED):
            one = read(raw, Task).task
            if one.startswith(part) or one.endswith(part):
                found.append(one)
        if len(found) == 1:
            return found[0]
        if not found:
            raise Refused("not-found", f"no task of the last {SEARCHED:,} begins or ends with {part}")
        raise Refused("ambiguous", f"{len(found)} tasks begin or end with {part}: {', '.join(found[:3])}, …")

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 15.0,
        once: bool = False,
    ) -> bytes:
        """One request, again after a pause while the gateway is busy or breaks the connection.

        `once`: what must not be done twice is asked again only as long as the gateway has certainly not done it.
        """
        return (await self._exchange(method, path, params, body, headers or {}, timeout, once))[0]

    async def output(self, task: str, params: Mapping[str, str]) -> AsyncIterator[bytes]:
        """What a task has printed so far, in large pieces."""
        query = dict(params)
        while True:
            plain = {"Accept": "text/plain"}
            content, headers = await self._exchange("GET", f"/tasks/{task}/output", query, None, plain, 30)
            yield content
            if headers.get("Cca-More") != "true":
                return
            query["after"] = headers["Cca-Next-After"]

    async def _exchange(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: float,
        once: bool = False,
    ) -> tuple[bytes, Mapping[str, str]]:
        more = {"Content-Type": "application/json"} if body is not None else {}
        write(dict(params or {}))
        loop = asyncio.get_running_loop()
        end, tries = loop.time() + PATIENCE_S, 0
        while True:
            tries, sent = tries + 1, True
            try:
                async with self._session.request(
                    method,
                    self._url(path),
                    params=params,
                    data=body,
                    headers={**more, **headers},
                    timeout=aiohttp.ClientTimeout(total=timeout, connect=5),
                ) as response:
                    content = await response.read()
                    if response.status < 400:
                        self._answered = True
                        return content, response.headers
                    error = refusal(response, content)
                    pause, sent = _retry_after(response), response.status != 429
            except aiohttp.ClientConnectorError:
                error, pause, sent = self._unreachable(), 0.5, False
                if not self._answered:
                    raise error from None
            except (aiohttp.ClientError, TimeoutError, OSError) as failed:
                error, pause = Busy(f"{self.url} does not answer ({_reason(failed)})"), 0.2 * 2 ** min(tries, 3)
            if not isinstance(error, Busy) or (loop.time() > end if self._answered else tries == TRIES):
                raise error
            if once and sent:
                raise Busy(f"{error}; it may have been done: look before you repeat it")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))

    async def stream(
        self, path: str, params: Mapping[str, str] | None = None, after: str | None = None, *, ends: bool = False
    ) -> AsyncIterator[ServerSent | None]:
        """Server-sent events, resumed after the last one whenever the connection breaks.

        With `ends`, it is over when the server ends it; otherwise that too is a break (a gateway that is restarted
        ends its streams) and only a 204 says that nothing will come. Yields None once for each break, so that the
        caller can say so. The first connection must succeed.
        """
        ever, failures = False, 0
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
            try:
                async with self._session.get(
                    self._url(path),
                    params=params,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=None, connect=5, sock_read=SILENCE_S),
                ) as response:
                    if response.status >= 400:
                        error = refusal(response, await response.read())
                        if not isinstance(error, Busy) or not ever:
                            raise error
                    else:
                        ever, failures = True, 0
                        async for found in server_sent(response.content):
                            after = found.id or after
                            yield found
                        if ends or response.status == 204:
                            return
            except aiohttp.ClientConnectorError:
                if not ever:
                    raise self._unreachable() from None
            except (aiohttp.ClientError, TimeoutError, OSError) as failed:
                if not ever:
                    raise Busy(f"{self.url} does not answer ({_reason(failed)})") from None
            failures += 1
            if failures == 2:  # a stream that comes back at once has not been away
                yield None
            await asyncio.sleep(min(0.1 * 2**failures, 5.0) * random.uniform(0.5, 1.0))

    def _url(self, path: str) -> URL:
        return URL(self.url + BASE + path, encoded=True)

    def _unreachable(self) -> Busy:
        return Busy(f"cannot reach the gateway at {self.url}: is the stack up? (`cca up`)")


PAGE = 200


def refusal(response: aiohttp.ClientResponse, content: bytes) -> Busy | Refused:
    """What a problem document (RFC 9457) says, as one sentence."""
    try:
        problem = msgspec.json.decode(content, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem(title=f"the gateway answered {response.status} {response.reason or ''}".strip())
    code = problem.type.rpartition(":")[2]
    text = f"{problem.title}: {problem.detail}" if problem.detail else problem.title
    if response.status in (429, 502, 503, 504):
        return Busy(text)
    if response.status == 401:
        text += "; `cca env` prints the key of the stack here, and CCA_API_KEY passes it on"
    return Refused(code or "refused", text)


def _retry_after(response: aiohttp.ClientResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 5.0) if text.isdecimal() and len(text) < 6 else 0.5


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__


@asynccontextmanager
async def connect(environ: Mapping[str, str] | None = None) -> AsyncIterator[Gateway]:
    """A client of the gateway that the settings name. Raises `Misconfigured`."""
    client = config.load(environ).client
    headers = {"User-Agent": "cca"}
    if client.api_key:
        if not (client.api_key.isascii() and client.api_key.isprintable()):
            raise Misconfigured("CCA_API_KEY (client.api_key) must be printable ASCII")
        headers["Authorization"] = f"Bearer {client.api_key}"
    try:
        url = URL(client.http_url)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.user is not None or url.query_string:
        raise Misconfigured("CCA_HTTP_URL (client.http_url) must be like http://127.0.0.1:8580")
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Gateway(session, client.http_url.rstrip("/"))
