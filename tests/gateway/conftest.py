"""The gateway with a real router, a real worker and real tables, in one process and on free ports."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace
from tests.gateway.knowledge import ContextService
from tests.gateway.learner import Learner
from tests.gateway.tokens import TokenService
from yarl import URL

from cca import codec, keys
from cca.config import HttpSettings, NatsSettings, PostgresSettings, Settings
from cca.contracts.agent import ListAgents
from cca.errors import Busy
from cca.nats import setup, subjects
from cca.nats.bus import Bus, connect
from cca.nats.micro import Service
from cca.postgres.migrate import migrations
from cca.testing.servers import NatsServer
from cca.work.task import Task
from cca.worker import Worker
from cca_gateway import __main__ as gateway_main
from cca_gateway.edge import Edge
from cca_gateway.gateway import Gateway
from cca_gateway.routes import ROUTES
from cca_gateway.server import listening
from cca_learner import __main__ as learner_main
from cca_projector import shell as projector_shell
from cca_router import __main__ as router_main
from cca_tokens import __main__ as tokens_main

BASE = "/api/v1"
_MIGRATED = "SELECT 1 FROM cca.migrations WHERE owner = 'cca_projector' AND number = $1"
NOWHERE = PostgresSettings(url="postgresql://cca@127.0.0.1:1/cca")


class Answer(msgspec.Struct, frozen=True):
    """A response, read."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def problem(self) -> str:
        """The code of a problem; checks that it is one."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        problem = self.json
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["type"].startswith("urn:cca:problem:")
        return str(problem["type"].removeprefix("urn:cca:problem:"))


class Api:
    """A client of the gateway under test, with a valid key; and what stands behind the gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str, bus: Bus, gateway: Gateway) -> None:
        self.session, self.url, self.key, self.bus, self.gateway = session, url, key, bus, gateway

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def anonymous(self, method: str, path: str, **options: Any) -> Answer:
        """A request without a key."""
        async with self.session.request(method, self.url + path, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def raw(self, method: str, path: str, **options: Any) -> Answer:
        """A request whose path is sent as it is."""
        headers = {"Authorization": f"Bearer {self.key}"} | options.pop("headers", {})
        url = URL(self.url + path, encoded=True)
        async with self.session.request(method, url, headers=headers, **options) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", BASE + path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self._send("POST", path, body, options)

    async def put(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self._send("PUT", path, body, options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.request("DELETE", BASE + path, **options)

    async def _send(self, method: str, path: str, body: Any, options: dict[str, Any]) -> Answer:
        if body is not None:
            data = body if isinstance(body, bytes | BytesIO) else msgspec.json.encode(body)
            options["data"] = BytesIO(data) if isinstance(data, bytes) and len(data) > 1_000_000 else data
            options["headers"] = {"Content-Type": "application/json"} | options.get("headers", {})
        return await self.request(method, BASE + path, **options)

    async def submit(self, **task: Any) -> str:
        """Submit a task; its id."""
        answer = await self.post("/tasks", {"description": "work", "role": "backend"} | task)
        assert answer.status == 202, answer.body
        return str(answer.json["task"])

    @asynccontextmanager
    async def stream(self, path: str, after: int | None = None, **options: Any) -> AsyncIterator["EventStream"]:
        """Server-sent events."""
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "text/event-stream"}
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        async with self.session.get(self.url + BASE + path, headers=headers, **options) as response:
            yield EventStream(response)


class Sent(msgspec.Struct, frozen=True):
    """One server-sent event."""

    id: int
    event: str
    data: Any


class EventStream:
    """A stream as a browser reads it; comments are passed over."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response, self.status = response, response.status

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sent:
        fields: dict[str, str] = {}
        async for line in self.response.content:
            text = line.decode().rstrip("\n")
            if text == "" and "data" in fields:
                return Sent(int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"]))
            name, _, value = text.partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
        raise StopAsyncIteration

    async def rest(self) -> list[Sent]:
        return [event async for event in self]


async def eventually(what: Callable[[], Awaitable[Any]], within: float = 10.0) -> Any:
    """The first true value of `what`."""
    async with asyncio.timeout(within):
        while not (found := await what()):
            await asyncio.sleep(0.01)
        return found


class Stack:
    """Services that are started one by one, as a test needs them."""

    def __init__(self, server: NatsServer, directory: Path) -> None:
        pepper = keys.new_pepper()
        self.key, stored = keys.new_key(pepper, name="admin")
        keys.save(directory / "keys.json", (stored,))
        http = HttpSettings(port=0, keys_file=str(directory / "keys.json"), pepper=pepper)
        self.admin = server.admin
        self.settings = Settings(nats=server.settings, postgres=NOWHERE, http=http)
        self._workers: dict[str, AsyncExitStack] = {}
        self._stack = AsyncExitStack()

    async def bus(self, name: str) -> Bus:
        return await self._stack.enter_async_context(connect(self.settings.nats, name))

    async def router(self) -> AsyncExitStack:
        """A router; closing what is returned ends it."""
        stack = await self._stack.enter_async_context(AsyncExitStack())
        bus = await stack.enter_async_context(connect(self.settings.nats, "cca_router"))
        await setup.ensure(bus)
        service = Service(bus, "cca_router", "")
        stack.push_async_callback(service.stop)
        await router_main.start(self.settings, service, bus, stack)
        await service.start()

        async def answers() -> bool:
            try:
                return bool(await bus.request(subjects.RPC_AGENTS, codec.encode(ListAgents())))
            except Busy:
                return False

        await eventually(answers)
        return stack

    def use(self, postgres: PostgresSettings) -> None:
        """Give the services that are started from now on a database."""
        self.settings = replace(self.settings, postgres=postgres)

    async def projector(self, postgres: PostgresSettings) -> None:
        self.use(postgres)
        bus = await self.bus("cca_projector")
        await projector_shell.start(self.settings, Service(bus, "cca_projector", ""), bus, self._stack)

    async def learner(self) -> Learner:
        """A stand-in for the learner."""
        return await Learner(await self.bus("cca_learner")).start(self._stack)

    async def real_learner(self) -> None:
        """A learner that learns."""
        bus = await self.bus("cca_learner")
        service = Service(bus, "cca_learner", "")
        self._stack.push_async_callback(service.stop)
        await learner_main.start(self.settings, service, bus, self._stack)
        await bus.flush()

    async def tokens(self) -> TokenService:
        """A stand-in for the token service."""
        return await TokenService(await self.bus("cca_tokens")).start(self._stack)

    async def context(self) -> ContextService:
        """A stand-in for the context service."""
        return await ContextService(await self.bus("cca_context")).start(self._stack)

    async def real_tokens(self) -> None:
        """A token service that counts."""
        bus = await self.bus("cca_tokens")
        service = Service(bus, "cca_tokens", "")
        self._stack.push_async_callback(service.stop)
        await tokens_main.start(self.settings, service, bus, self._stack)
        await bus.flush()

    async def gateway(self) -> Api:
        bus = await self.bus("cca_gateway")
        gateway = await gateway_main.prepare(self.settings, bus, self._stack)
        port = await self._stack.enter_async_context(listening(Edge(gateway, ROUTES), "127.0.0.1", 0))
        self._stack.callback(gateway.close)
        session = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30))
        )
        return Api(session, f"http://127.0.0.1:{port}", self.key, bus, gateway)

    async def worker(self, role: str = "backend", **options: Any) -> Worker:
        """A worker whose handler does what the task's input says: `{"fail": …}`, `{"sleep": …}`, `{"print": …}`."""
        worker = Worker(role, _handle, url=self.admin.url, key=self.admin.password, grace_s=0.1, **options)
        stack = self._workers[worker.name] = await self._stack.enter_async_context(AsyncExitStack())
        return await stack.enter_async_context(worker)

    async def leave(self, worker: str) -> None:
        """A worker says goodbye."""
        await self._workers[worker].aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._stack.aclose()


async def _handle(task: Task) -> Any:
    what = task.input or {}
    if "print" in what:
        await task.output(what["print"].encode())
    if "sleep" in what:
        await asyncio.sleep(what["sleep"])
    if "fail" in what:
        raise ValueError(what["fail"])
    return {"done": task.description}


@pytest.fixture
async def stack(nats: NatsSettings, shared_nats: NatsServer, tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(shared_nats, tmp_path) as stack:
        yield stack


@pytest.fixture
async def api(stack: Stack) -> Api:
    """The gateway and a router; no worker, no tables."""
    await stack.router()
    return await stack.gateway()


@pytest.fixture
async def learner(stack: Stack) -> Learner:
    """A stand-in for the learner, beside what else the test has."""
    return await stack.learner()


@pytest.fixture
async def tokens(stack: Stack) -> TokenService:
    """A stand-in for the token service, beside what else the test has."""
    return await stack.tokens()


@pytest.fixture
async def context(stack: Stack) -> ContextService:
    """A stand-in for the context service, beside what else the test has."""
    return await stack.context()


@pytest.fixture
async def busy(stack: Stack) -> Api:
    """The gateway, a router and a worker for `backend`; no tables."""
    await stack.router()
    await stack.worker()
    return await stack.gateway()


@pytest.fixture
async def full(stack: Stack, postgres: PostgresSettings) -> AsyncIterator[Api]:
    """The gateway, a router, a worker for `backend`, and the tables."""
    await stack.router()
    await stack.projector(postgres)
    await stack.worker()
    api = await stack.gateway()

    last = migrations(files("cca_projector") / "migrations")[-1].number

    async def tables_are_there() -> bool:
        """All of them: those of the first migration can be read before the last has begun."""
        try:
            return bool(await api.gateway.tables.rows(_MIGRATED, last))
        except Busy:
            return False

    await eventually(tables_are_there)
    yield api
    await stack.close()  # before the database is dropped
